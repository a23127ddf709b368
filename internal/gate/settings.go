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
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// The names of the rules that protect the settings. A settings action is a
// protected request like any other: it is held, challenged with a current factor
// and released once, by the same code (invariant I6).
const (
	ruleSettingsTOTP        = "settings_totp"
	ruleSettingsSMS         = "settings_sms"
	ruleSettingsOff         = "settings_off"
	ruleSettingsRecoveryKey = "settings_recovery_key"
)

// settingsRules returns the rules of the actions. All are single-use: no grant
// that was given for something else changes a factor.
func settingsRules() map[string]*policy.Rule {
	rules := map[string]*policy.Rule{}
	for action, name := range map[string]string{
		"totp": ruleSettingsTOTP, "sms": ruleSettingsSMS, "off": ruleSettingsOff, "recovery-key": ruleSettingsRecoveryKey,
	} {
		rule := &policy.Rule{
			Name: name, Group: name, Factors: policy.DefaultFactors, MaxAge: policy.DefaultMaxAge, SingleUse: true,
			Anonymous: policy.AnonymousLogin, Unenrolled: policy.UnenrolledEnrol,
		}
		if action == "totp" || action == "sms" {
			rule.Unenrolled = unenrolledFirst
		}
		if action == "sms" {
			rule.Details = []policy.Detail{{Label: "phone", Source: policy.FromForm, Name: challengepages.FieldPhone}}
		}
		rules[action] = rule
	}
	return rules
}

func (g *Gate) base() string { return g.Prefix + "/security" }

// serveSettings answers the security page and its actions.
func (g *Gate) serveSettings(w http.ResponseWriter, r *http.Request, o own, action string, next Next) error {
	confirm := action == "totp/confirm" || action == "sms/confirm"
	rule := g.actions[action]
	switch {
	case action != "" && rule == nil && !confirm:
		return g.notFound(w, r, o)
	case isSafe(r.Method) && action != "":
		// The address of an action, opened again from the history.
		http.Redirect(w, r, g.settingsURL(), http.StatusSeeOther)
		return nil
	case isSafe(r.Method):
		return g.settingsFor(w, r, o)
	case r.Method != http.MethodPost:
		return g.wrongMethod(w, r, o, "GET, HEAD, POST")
	case confirm:
		return g.confirmSetup(w, r, o)
	case rule != nil:
		pass := g.settingsPass(action)
		return g.protect(w, r, o, route{rules: []*policy.Rule{rule}, next: next, pass: pass})
	default:
		// A challenge page stands at a settings URL only after a POST to an action.
		return g.wrongMethod(w, r, o, "GET, HEAD")
	}
}

type passFunc = func(w http.ResponseWriter, r *http.Request, who *caller, passed *challenge.Challenge, next Next) error

// settingsPass returns what an action does once it may.
func (g *Gate) settingsPass(action string) passFunc {
	return func(w http.ResponseWriter, r *http.Request, who *caller, passed *challenge.Challenge, _ Next) error {
		if err := g.ensureBrowser(w, r, who); err != nil {
			return err
		}
		c := account.Change{Binding: who.binding(), Browser: who.browser(), Hold: g.FirstEnrolmentHold}
		if passed != nil {
			c.Proved, c.Epoch = true, passed.Epoch
		}
		form, ok := readForm(r)
		if !ok {
			return g.page(w, r, who.own, http.StatusBadRequest, challengepages.Outcome{Kind: challengepages.OutcomeInvalidForm, Link: g.settingsURL()})
		}
		switch action {
		case "totp":
			return g.beginTOTP(w, r, who, c)
		case "sms":
			return g.beginSMS(w, r, who, c, form, passed)
		case "off":
			if err := who.backend.Accounts.SwitchOff(r.Context(), who.id, c); err != nil {
				return g.changeFailed(w, r, who, err)
			}
			g.observe(r, audit.Event{Name: audit.AccountSwitchedOff, Subject: string(who.id)})
			return g.settingsNotice(w, r, challengepages.NoticeSwitchedOff)
		default:
			key, err := who.backend.Accounts.IssueRecoveryKey(r.Context(), who.id, c)
			if err != nil {
				return g.changeFailed(w, r, who, err)
			}
			return g.showRecoveryKey(w, r, who, key, challengepages.NoticeRecoverySaved)
		}
	}
}

// changeFailed answers for a change that the account refused or could not write.
func (g *Gate) changeFailed(w http.ResponseWriter, r *http.Request, who *caller, err error) error {
	if errors.Is(err, account.ErrNotProved) {
		// Another change came in between: the factors are not those that were shown.
		return g.page(w, r, who.own, http.StatusConflict, challengepages.Outcome{Kind: challengepages.OutcomeReplaced, Link: g.settingsURL()})
	}
	return g.unavailable(w, r, who.own, err)
}

func (g *Gate) beginTOTP(w http.ResponseWriter, r *http.Request, who *caller, c account.Change) error {
	s, err := who.backend.Accounts.BeginTOTP(r.Context(), who.id, c)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	return g.showTOTPSetup(w, r, who, s, challengepages.ProblemNone, account.AttemptsPerChallenge)
}

func (g *Gate) beginSMS(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, form url.Values, passed *challenge.Challenge) error {
	if g.Sender == nil {
		return g.notFound(w, r, who.own)
	}
	wanted := form.Get(challengepages.FieldPhone)
	if strings.TrimSpace(wanted) == "" {
		wanted = who.identity.Phone
	}
	phone, err := sms.ParseNumber(wanted, g.SMSRegions)
	if err != nil {
		return g.showSettings(w, r, who, http.StatusUnprocessableEntity, challengepages.ProblemPhone)
	}
	if passed != nil && !passed.Enrolled && passed.PassedBy == policy.SMS && passed.Phone == phone {
		// The code that opened this very change went to this very number.
		key, err := who.backend.Accounts.BindPhone(r.Context(), who.id, c, phone)
		if err != nil {
			return g.changeFailed(w, r, who, err)
		}
		g.observe(r, audit.Event{Name: audit.EnrolmentBound, Subject: string(who.id), Factor: string(policy.SMS)})
		return g.showRecoveryKey(w, r, who, key, challengepages.NoticeSMSBound)
	}
	s, err := who.backend.Accounts.BeginSMS(r.Context(), who.id, c, phone)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	sent, err := g.sendSetupCode(r, who, s)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	problem := challengepages.ProblemNone
	if !sent {
		problem = challengepages.ProblemNotSent
	}
	return g.showSMSSetup(w, r, who, s, sent, problem, account.AttemptsPerChallenge)
}

// confirmSetup binds the factor that is being set up, if its first code is
// right. It needs no challenge of its own: only the browser and session that
// began the set-up can confirm it, and beginning it did.
func (g *Gate) confirmSetup(w http.ResponseWriter, r *http.Request, o own) error {
	if err := g.origin.Check(r); err != nil {
		return g.refuse(w, r, o, refusal{
			status: http.StatusForbidden, problem: "cross-site", title: "The request came from another site",
			page: challengepages.Outcome{Kind: challengepages.OutcomeCrossSite, Link: "/"}, event: audit.RequestCrossSite,
		})
	}
	who, err := g.identify(r, o)
	if err != nil {
		return g.refuseCaller(w, r, o, []*policy.Rule{g.actions["totp"]}, err)
	}
	form, ok := readForm(r)
	if !ok || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return g.page(w, r, o, http.StatusBadRequest, challengepages.Outcome{Kind: challengepages.OutcomeInvalidForm, Link: g.settingsURL()})
	}
	code, _ := factor.NormalizeCode(form.Get(challengepages.FieldCode))
	c := account.Change{Binding: who.binding(), Browser: who.browser(), Hold: g.FirstEnrolmentHold}
	done, err := who.backend.Accounts.Confirm(r.Context(), who.id, c, form.Get(challengepages.FieldSetup), code)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	switch done.Verdict {
	case account.Right:
		g.observe(r, audit.Event{Name: audit.EnrolmentBound, Subject: string(who.id), Factor: string(done.Setup.Factor)})
		notice := challengepages.NoticeTOTPBound
		if done.Setup.Factor == policy.SMS {
			notice = challengepages.NoticeSMSBound
		}
		return g.showRecoveryKey(w, r, who, done.RecoveryKey, notice)
	case account.Wrong:
		if done.Setup.Factor == policy.SMS {
			return g.showSMSSetup(w, r, who, done.Setup, true, challengepages.ProblemWrongCode, done.AttemptsLeft)
		}
		return g.showTOTPSetup(w, r, who, done.Setup, challengepages.ProblemWrongCode, done.AttemptsLeft)
	case account.UsedUp:
		return g.settingsNotice(w, r, challengepages.NoticeSetupLost)
	default:
		return g.settingsNotice(w, r, challengepages.NoticeSetupExpired)
	}
}

// settingsNotice leads back to the security page, which then says what happened.
func (g *Gate) settingsNotice(w http.ResponseWriter, r *http.Request, n challengepages.Notice) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, g.settingsURL()+"?notice="+url.QueryEscape(string(n)), http.StatusSeeOther)
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
