package gate

import (
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/policy"
)

// qrSize is the side of the QR code's picture, in pixels.
const qrSize = 264

// Parameters of the security page's address.
const (
	fieldNotice = "notice" // what has just happened
	fieldBack   = "back"   // the path of the site to go back to
)

// settingsNotices are those that the address of the page may name. They say what
// happened and nothing else, so a forged one does no harm.
var settingsNotices = []challengepages.Notice{
	challengepages.NoticeTOTPBound, challengepages.NoticeSMSBound, challengepages.NoticeSwitchedOff,
	challengepages.NoticeSetupExpired, challengepages.NoticeSetupLost, challengepages.NoticeRecoverySaved,
	challengepages.NoticeRemoved, challengepages.NoticeForgotten, challengepages.NoticeUnlocked,
	challengepages.NoticeLifted, challengepages.NoticeRecovered,
}

// settingsFor shows the security page to whoever is logged in. Reading it needs
// the site's session only; on a new device it says less.
func (g *Gate) settingsFor(w http.ResponseWriter, r *http.Request, o own) error {
	who, err := g.identify(r, o)
	if err != nil {
		return g.refuseCaller(w, r, o, []*policy.Rule{g.actions["totp"].rule}, err)
	}
	return g.showSettings(w, r, who, settingsShown{status: http.StatusOK})
}

// settingsShown is how the security page differs from its first showing.
type settingsShown struct {
	status  int
	problem challengepages.Problem
	typed   string
}

func (g *Gate) showSettings(w http.ResponseWriter, r *http.Request, who *caller, s settingsShown) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if err := g.ensureBrowser(w, r, who); err != nil {
		return err
	}
	page := challengepages.Settings{
		Base: g.base(), Problem: s.problem, Typed: s.typed, Back: "/", Help: g.helpURL(), NoSMS: g.SMS == nil,
		Enrolments: enrolmentViews(a, who), Full: a.Full(), Recovered: a.Recovered, NewDevices: g.newDevice != nil,
	}
	// The page is open on a new device: that is where a player without a factor sets one up,
	// and where a frozen account is lifted. Whoever has only the password is not told from
	// where the player comes, and when.
	isNew, err := g.isNew(r.Context(), who)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !isNew {
		page.Devices, page.Activities = deviceViews(a, who), activityViews(a, who)
	}
	if a.Recovery != nil {
		page.RecoveryKey, page.RecoveryKeySaved, page.RecoveryKeySince = true, a.Recovery.Saved, a.Recovery.Since
	}
	until, why := a.Held(g.holds, g.Now())
	page.HeldUntil, page.HeldFor = until, string(why)
	if a.Frozen != nil {
		page.Frozen, page.Liftable = a.Frozen.At, a.Liftable()
	}
	if phone, err := g.Numbering.Parse(who.identity.Phone); err == nil && g.SMS != nil {
		page.RegisteredPhone = phone.Mask()
	}
	query := r.URL.Query()
	if n := challengepages.Notice(query.Get(fieldNotice)); slices.Contains(settingsNotices, n) {
		page.Notice = n
	}
	if back := query.Get(fieldBack); sameSitePath(back) {
		page.Back = back
	}
	return g.page(w, r, who.own, s.status, page)
}

func enrolmentViews(a *account.Account, who *caller) []challengepages.Enrolment {
	var views []challengepages.Enrolment
	for _, e := range a.Enrolments {
		view := challengepages.Enrolment{
			ID: e.ID, Factor: string(e.Factor), Name: e.Name, Since: e.Since, Used: e.Used,
			Removable: len(a.Enrolments) > 1, Disabled: a.Disabled(e.Factor, account.Asker{Device: who.device()}) || a.Disabled(e.Factor, account.Asker{}),
		}
		if e.Phone != "" {
			view.Phone = e.Phone.Mask()
		}
		views = append(views, view)
	}
	return views
}

func deviceViews(a *account.Account, who *caller) []challengepages.Device {
	var views []challengepages.Device
	for _, d := range a.Devices {
		views = append(views, challengepages.Device{
			ID: d.ID, Client: challengepages.Client(d.Client), Since: d.Since, Until: d.Until, Here: d.ID == who.device(),
		})
	}
	return views
}

func activityViews(a *account.Account, who *caller) []challengepages.Activity {
	var views []challengepages.Activity
	for _, act := range slices.Backward(a.Activities) {
		views = append(views, challengepages.Activity{
			Kind: challengepages.ActivityKind(act.Kind), At: act.At, Client: challengepages.Client(act.Client),
			Here: act.Browser != "" && act.Browser == who.browser(),
		})
	}
	return views
}

// replaces says what a set-up takes the place of, for its page.
func replaces(a *account.Account, s *account.Setup) string {
	switch {
	case a.Enrolment(policy.SMS) != nil:
		return string(policy.SMS)
	case a.Enrolment(policy.TOTP) != nil && (s.Factor == policy.SMS || s.Proof == account.ProofRecovery):
		return string(policy.TOTP)
	default:
		return ""
	}
}

func (g *Gate) showTOTPSetup(w http.ResponseWriter, r *http.Request, who *caller, s *account.Setup, name string, problem challengepages.Problem) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	login := who.identity.Login
	if login == "" {
		login = who.identity.Email
	}
	uri := factor.TOTPURI(g.Issuer, login, s.Secret)
	qr, err := factor.TOTPQRCode(uri, qrSize)
	if err != nil {
		return err
	}
	return g.page(w, r, who.own, statusOf(problem), challengepages.TOTPSetup{
		Base: g.base(), SetupID: s.ID, QRPNG: qr, URI: uri, AttemptsLeft: account.AttemptsPerChallenge - s.Wrong, Problem: problem,
		Expires: s.Expires, Name: name, Replaces: replaces(a, s), Key: factor.TOTPSecretText(s.Secret), Back: g.settingsURL(), Now: g.Now(),
	})
}

func (g *Gate) showSMSSetup(w http.ResponseWriter, r *http.Request, who *caller, s *account.Setup, problem challengepages.Problem) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if a.Setup != nil && a.Setup.ID == s.ID {
		s = a.Setup // with what became of its SMS meanwhile
	}
	status := statusOf(problem)
	if problem == challengepages.ProblemNone {
		problem = problemOf(&s.Sending)
	}
	return g.page(w, r, who.own, status, challengepages.SMSSetup{
		Base: g.base(), SetupID: s.ID, Phone: s.Phone.Mask(), Sent: s.Sent(), ResendAt: s.ResendAt(),
		AttemptsLeft: account.AttemptsPerChallenge - s.Wrong, Problem: problem, Expires: s.Expires, Replaces: replaces(a, s),
		Back: g.settingsURL(), Now: g.Now(),
	})
}

// showRecoveryKey shows a new recovery key; its form says that it is kept, and leads
// back to the security page, which says what was done.
func (g *Gate) showRecoveryKey(w http.ResponseWriter, r *http.Request, who *caller, key string, done challengepages.Notice) error {
	g.observe(r, audit.Event{Name: audit.RecoveryKeyIssued, Subject: string(who.id)})
	return g.page(w, r, who.own, http.StatusOK, challengepages.RecoveryKey{
		Key: key, Action: g.base() + "/recovery-key/saved", Settings: g.settingsURL(), Now: g.Now(),
		Hidden: []challengepages.Hidden{{Name: fieldNotice, Value: string(done)}},
	})
}

func statusOf(p challengepages.Problem) int {
	if p == challengepages.ProblemNone {
		return http.StatusOK
	}
	return http.StatusUnprocessableEntity
}
