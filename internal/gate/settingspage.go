package gate

import (
	"net/http"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// qrSize is the side of the QR code's picture, in pixels.
const qrSize = 264

// settingsFor shows the security page to whoever is logged in. Reading it needs
// the site's session only.
func (g *Gate) settingsFor(w http.ResponseWriter, r *http.Request, o own) error {
	who, err := g.identify(r, o)
	if err != nil {
		return g.refuseCaller(w, r, o, []*policy.Rule{g.actions["totp"]}, err)
	}
	return g.showSettings(w, r, who, http.StatusOK, challengepages.ProblemNone)
}

func (g *Gate) showSettings(w http.ResponseWriter, r *http.Request, who *caller, status int, problem challengepages.Problem) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if err := g.ensureBrowser(w, r, who); err != nil {
		return err
	}
	page := challengepages.Settings{Base: g.base(), RecoveryKey: a.Recovery != nil, Problem: problem, Back: "/", NoSMS: g.Sender == nil}
	for _, e := range a.Enrolments {
		view := challengepages.Enrolment{Factor: string(e.Factor), Since: e.Since, Disabled: a.Disabled(e.Factor)}
		if e.Phone != "" {
			view.Phone = e.Phone.Mask()
		}
		page.Enrolments = append(page.Enrolments, view)
	}
	if a.Recovery != nil {
		page.RecoveryKeySince = a.Recovery.Since
	}
	if g.Now().Before(a.HeldUntil) {
		page.HeldUntil = a.HeldUntil
	}
	if phone, err := sms.ParseNumber(who.identity.Phone, g.SMSRegions); err == nil && g.Sender != nil {
		page.RegisteredPhone = phone.Mask()
	}
	switch n := challengepages.Notice(r.URL.Query().Get("notice")); n {
	case challengepages.NoticeTOTPBound, challengepages.NoticeSMSBound, challengepages.NoticeSwitchedOff,
		challengepages.NoticeSetupExpired, challengepages.NoticeSetupLost, challengepages.NoticeRecoverySaved:
		page.Notice = n
	}
	return g.page(w, r, who.own, status, page)
}

func (g *Gate) showTOTPSetup(w http.ResponseWriter, r *http.Request, who *caller, s *account.Setup, problem challengepages.Problem, left int) error {
	name := who.identity.Login
	if name == "" {
		name = who.identity.Email
	}
	uri := factor.TOTPURI(g.Issuer, name, s.Secret)
	qr, err := factor.TOTPQRCode(uri, qrSize)
	if err != nil {
		return err
	}
	return g.page(w, r, who.own, statusOf(problem), challengepages.TOTPSetup{
		Base: g.base(), SetupID: s.ID, QRPNG: qr, URI: uri, AttemptsLeft: left, Problem: problem, Expires: s.Expires,
		Key: factor.TOTPSecretText(s.Secret), Back: g.settingsURL(), Now: g.Now(),
	})
}

func (g *Gate) showSMSSetup(w http.ResponseWriter, r *http.Request, who *caller, s *account.Setup, sent bool, problem challengepages.Problem, left int) error {
	return g.page(w, r, who.own, statusOf(problem), challengepages.SMSSetup{
		Base: g.base(), SetupID: s.ID, Phone: s.Phone.Mask(), Sent: sent, AttemptsLeft: left, Problem: problem,
		Expires: s.Expires, Back: g.settingsURL(), Now: g.Now(),
	})
}

// showRecoveryKey shows a new recovery key; the form leads back to the security
// page, which says what was done.
func (g *Gate) showRecoveryKey(w http.ResponseWriter, r *http.Request, who *caller, key string, done challengepages.Notice) error {
	g.observe(r, audit.Event{Name: audit.RecoveryKeyIssued, Subject: string(who.id)})
	return g.page(w, r, who.own, http.StatusOK, challengepages.RecoveryKey{
		Key: key, Action: g.settingsURL(), Method: "get",
		Hidden: []challengepages.Hidden{{Name: "notice", Value: string(done)}},
	})
}

func statusOf(p challengepages.Problem) int {
	if p == challengepages.ProblemNone {
		return http.StatusOK
	}
	return http.StatusUnprocessableEntity
}
