package gate

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/policy"
)

// settingsPrefix begins the names of the rules that protect the settings. No rule of
// the operator's has such a name.
const settingsPrefix = "settings_"

func isSettingsRule(name string) bool { return strings.HasPrefix(name, settingsPrefix) }

// The rules of which more than the name is told apart.
const (
	ruleSettingsSMS  = settingsPrefix + "sms"
	ruleSettingsLift = settingsPrefix + "lift"
)

// action is one thing that can be done on the security page. It is a protected
// request like any other: held, challenged with a current factor and released once,
// by the same code (invariant I6).
type action struct {
	rule *policy.Rule
	// typo reports that what was typed cannot be right, so that nobody looks for a code
	// in vain; nil if nothing is typed.
	typo func(g *Gate, form url.Values) bool
	// show returns what the challenge page says of it beside its name.
	show func(g *Gate, who *caller, a *account.Account, form url.Values) []challenge.Detail
	do   func(g *Gate, w http.ResponseWriter, r *http.Request, who *caller, c account.Change, form url.Values) error
}

// newActions returns the actions by their path under the security page. All are
// single-use: no grant that was given for something else changes a factor.
func newActions() map[string]*action {
	actions := map[string]*action{
		"totp":         {rule: settingsRule("totp", unenrolledFirst), do: (*Gate).beginTOTP},
		"sms":          {rule: settingsRule("sms", unenrolledFirst), do: (*Gate).beginSMS, show: (*Gate).showNumber, typo: (*Gate).numberTypo},
		"remove":       {rule: settingsRule("remove", policy.UnenrolledEnrol), do: (*Gate).removeAuthenticator, show: (*Gate).showAuthenticator},
		"off":          {rule: settingsRule("off", policy.UnenrolledEnrol), do: (*Gate).switchOff},
		"recovery-key": {rule: settingsRule("recovery_key", policy.UnenrolledEnrol), do: (*Gate).issueRecoveryKey},
		"forget":       {rule: settingsRule("device", policy.UnenrolledEnrol), do: (*Gate).forgetDevice, show: (*Gate).showDevice},
		"unlock":       {rule: settingsRule("unlock", policy.UnenrolledEnrol), do: (*Gate).unlock},
		"lift":         {rule: settingsRule("lift", policy.UnenrolledEnrol), do: (*Gate).lift},
	}
	return actions
}

func settingsRule(name string, unenrolled policy.Unenrolled) *policy.Rule {
	name = settingsPrefix + name
	return &policy.Rule{
		Name: name, Group: name, Factors: policy.DefaultFactors, MaxAge: policy.DefaultMaxAge, SingleUse: true,
		Anonymous: policy.AnonymousLogin, Unenrolled: unenrolled,
	}
}

// Steps of the security page that follow on an action and need no challenge of their
// own: only the browser and session that began a set-up can go on with it, and
// beginning it was challenged. That a key is kept changes no factor.
var settingsSteps = map[string]func(g *Gate, w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error{
	"totp/confirm":       (*Gate).confirmSetup,
	"sms/confirm":        (*Gate).confirmSetup,
	"sms/send":           (*Gate).resendSetup,
	"recovery-key/saved": (*Gate).keepRecoveryKey,
}

func (g *Gate) base() string { return g.Prefix + "/security" }

func (g *Gate) helpURL() string { return g.base() + "/help" }

// serveSettings answers the security page and its actions.
func (g *Gate) serveSettings(w http.ResponseWriter, r *http.Request, o own, path string, next Next) error {
	act, step := g.actions[path], settingsSteps[path]
	switch {
	case path == "help" && isSafe(r.Method):
		return g.page(w, r, o, http.StatusOK, challengepages.Help{Back: "/"})
	case path != "" && act == nil && step == nil:
		return g.notFound(w, r, o)
	case isSafe(r.Method) && path != "":
		// The address of an action, opened again from the history.
		http.Redirect(w, r, g.settingsURL(), http.StatusSeeOther)
		return nil
	case isSafe(r.Method):
		return g.settingsFor(w, r, o)
	case r.Method != http.MethodPost:
		return g.wrongMethod(w, r, o, "GET, HEAD, POST")
	case path == "":
		// A challenge page stands at a settings URL only after a POST to an action.
		return g.wrongMethod(w, r, o, "GET, HEAD")
	}
	form, ok := readForm(r)
	if !ok || !isURLEncoded(r) {
		return g.page(w, r, o, http.StatusBadRequest, challengepages.Outcome{Kind: challengepages.OutcomeInvalidForm, Link: g.settingsURL()})
	}
	if act != nil && act.typo != nil && act.typo(g, form) {
		step = (*Gate).showTypo
	}
	if step != nil {
		return g.settingsStep(w, r, o, form, step)
	}
	rt := route{rules: []*policy.Rule{act.rule}, next: next, pass: g.settingsPass(act, form)}
	if act.show != nil {
		rt.show = func(who *caller, a *account.Account) []challenge.Detail { return act.show(g, who, a, form) }
	}
	return g.protect(w, r, o, rt)
}

// settingsStep takes a step of the security page.
func (g *Gate) settingsStep(w http.ResponseWriter, r *http.Request, o own, form url.Values,
	step func(g *Gate, w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error) error {
	if err := g.origin.Check(r); err != nil {
		return g.refuseCrossSite(w, r, o, nil)
	}
	who, err := g.identify(r, o)
	if err != nil {
		return g.refuseCaller(w, r, o, []*policy.Rule{g.actions["totp"].rule}, err)
	}
	return step(g, w, r, who, form)
}

// settingsPass returns what an action does once it may.
func (g *Gate) settingsPass(act *action, form url.Values) pass {
	return func(w http.ResponseWriter, r *http.Request, who *caller, passed *challenge.Challenge, _ Next) error {
		if err := g.ensureBrowser(w, r, who); err != nil {
			return err
		}
		c := g.changeBy(r, who)
		c.Proof = who.proof
		if passed != nil {
			c.Proof, c.Epoch, c.Root, who.provedPhone = proofOf(passed), passed.Epoch, passed.Root, passed.Phone
		}
		return act.do(g, w, r, who, c, form)
	}
}

// changeBy returns a change by a caller for which nothing was shown.
func (g *Gate) changeBy(r *http.Request, who *caller) account.Change {
	return account.Change{Binding: who.binding(), Browser: who.browser(), Hold: g.FirstEnrolment.For, Client: g.clientOf(r)}
}

// changeFailed answers for a change that the account refused or could not write.
func (g *Gate) changeFailed(w http.ResponseWriter, r *http.Request, who *caller, err error) error {
	no := challengepages.Outcome{Link: g.settingsURL()}
	switch {
	case errors.Is(err, account.ErrNotProved), errors.Is(err, account.ErrLast):
		// Another change came in between: the factors are not those that were shown.
		no.Kind = challengepages.OutcomeReplaced
	case errors.Is(err, account.ErrFull):
		no.Kind = challengepages.OutcomeTooMany
	default:
		return g.unavailable(w, r, who.own, err)
	}
	return g.page(w, r, who.own, http.StatusConflict, no)
}

// changed leads back to the security page after a change, and tells the player of
// it.
func (g *Gate) changed(w http.ResponseWriter, r *http.Request, who *caller, n challengepages.Notice, alert account.Alert, err error) error {
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	defer g.tell(w, r, who, alert)
	return g.settingsNotice(w, r, n)
}

func (g *Gate) removeAuthenticator(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, form url.Values) error {
	alert, err := who.backend.Accounts.Remove(r.Context(), who.id, c, form.Get(challengepages.FieldEnrolment))
	return g.changed(w, r, who, challengepages.NoticeRemoved, alert, err)
}

func (g *Gate) switchOff(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, _ url.Values) error {
	alert, err := who.backend.Accounts.SwitchOff(r.Context(), who.id, c)
	if err == nil {
		g.observe(r, audit.Event{Name: audit.AccountSwitchedOff, Subject: string(who.id)})
	}
	return g.changed(w, r, who, challengepages.NoticeSwitchedOff, alert, err)
}

func (g *Gate) forgetDevice(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, form url.Values) error {
	alert, err := who.backend.Accounts.ForgetDevice(r.Context(), who.id, c, form.Get(challengepages.FieldDevice))
	return g.changed(w, r, who, challengepages.NoticeForgotten, alert, err)
}

func (g *Gate) unlock(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, _ url.Values) error {
	alert, err := who.backend.Accounts.Unlock(r.Context(), who.id, c)
	return g.changed(w, r, who, challengepages.NoticeUnlocked, alert, err)
}

func (g *Gate) lift(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, _ url.Values) error {
	alert, err := who.backend.Accounts.Lift(r.Context(), who.id, c)
	return g.changed(w, r, who, challengepages.NoticeLifted, alert, err)
}

func (g *Gate) issueRecoveryKey(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, _ url.Values) error {
	key, alert, err := who.backend.Accounts.IssueRecoveryKey(r.Context(), who.id, c)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	defer g.tell(w, r, who, alert)
	return g.showRecoveryKey(w, r, who, key, challengepages.NoticeRecoverySaved)
}

// keepRecoveryKey notes that the player has saved the key that was just shown.
func (g *Gate) keepRecoveryKey(w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error {
	if err := who.backend.Accounts.KeepRecoveryKey(r.Context(), who.id); err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	return g.settingsNotice(w, r, challengepages.Notice(form.Get(fieldNotice)))
}

// settingsNotice leads back to the security page, which then says what happened.
func (g *Gate) settingsNotice(w http.ResponseWriter, r *http.Request, n challengepages.Notice) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, g.settingsURL()+"?"+fieldNotice+"="+url.QueryEscape(string(n)), http.StatusSeeOther)
	return nil
}

// ensureBrowser gives a browser that has none its secret, so that a set-up is
// bound to it.
func (g *Gate) ensureBrowser(w http.ResponseWriter, r *http.Request, who *caller) error {
	if who.browser() != "" || !who.hasBrowser() {
		return nil
	}
	secret, err := g.newSecret()
	if err != nil {
		return err
	}
	who.knowBrowser(secret)
	setCookie(w, r, cookieBrowser, secret, browserLifetime)
	return nil
}
