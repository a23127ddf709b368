package gate

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

func (g *Gate) beginTOTP(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, _ url.Values) error {
	s, err := who.backend.Accounts.BeginTOTP(r.Context(), who.id, c)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	return g.showTOTPSetup(w, r, who, s, "", challengepages.ProblemNone)
}

// wantedNumber is the number that a form asks for: what was typed, or the one that
// the site knows.
func wantedNumber(who *caller, form url.Values) string {
	return cmp.Or(strings.TrimSpace(form.Get(challengepages.FieldPhone)), who.identity.Phone)
}

func (g *Gate) beginSMS(w http.ResponseWriter, r *http.Request, who *caller, c account.Change, form url.Values) error {
	if g.SMS == nil {
		return g.notFound(w, r, who.own)
	}
	phone, err := g.Numbering.Parse(wantedNumber(who, form))
	if err != nil {
		// What the site knows is no number that gets codes.
		return g.showTypo(w, r, who, form)
	}
	if c.Proof == account.ProofPhone && who.provedPhone == phone {
		// The code that opened this very change went to this very number.
		done, err := who.backend.Accounts.BindPhone(r.Context(), who.id, c, phone)
		if err != nil {
			return g.changeFailed(w, r, who, err)
		}
		return g.bound(w, r, who, done, policy.SMS)
	}
	send, err := who.backend.Accounts.BeginSMS(r.Context(), who.id, c, phone, g.managed())
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	return g.deliverSetup(w, r, who, send)
}

// numberTypo reports a number that was typed and gets no codes.
func (g *Gate) numberTypo(form url.Values) bool {
	typed := strings.TrimSpace(form.Get(challengepages.FieldPhone))
	_, err := g.Numbering.Parse(typed)
	return typed != "" && err != nil
}

// showTypo shows the security page again, with what was typed.
func (g *Gate) showTypo(w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error {
	return g.showSettings(w, r, who, settingsShown{
		status: http.StatusUnprocessableEntity, problem: challengepages.ProblemPhone, typed: form.Get(challengepages.FieldPhone),
	})
}

// resendSetup sends the code of a set-up once more, if that may be now.
func (g *Gate) resendSetup(w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error {
	send, err := who.backend.Accounts.ResendSetup(r.Context(), who.id, g.changeBy(r, who), form.Get(challengepages.FieldSetup), g.managed())
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	switch {
	case send.Setup == nil:
		return g.settingsNotice(w, r, challengepages.NoticeSetupExpired)
	case !send.Granted:
		return g.showSMSSetup(w, r, who, send.Setup, challengepages.ProblemSendLater)
	}
	return g.deliverSetup(w, r, who, send)
}

// deliverSetup sends the code of a set-up and shows the page that asks for it.
func (g *Gate) deliverSetup(w http.ResponseWriter, r *http.Request, who *caller, send account.SetupSend) error {
	s := send.Setup
	sent, err := g.sendSMS(g.from(r, who), who, errand{
		purpose: courier.Purpose{Account: string(who.id), Setup: s.ID, Send: send.Number},
		to:      s.Phone, text: challengepages.SMSText{Code: send.Code, Minutes: minutes(send.Validity), Rule: ruleSettingsSMS},
		validity: send.Validity, last: s.Provider, replaced: send.Replaced,
	})
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	ctx := context.WithoutCancel(r.Context())
	if !sent.Handed {
		if err := who.backend.Accounts.SetupNotSent(ctx, who.id, s.ID, send.Number); err != nil {
			return g.unavailable(w, r, who.own, err)
		}
		return g.showSMSSetup(w, r, who, s, challengepages.ProblemNotSent)
	}
	waits, err := who.backend.Accounts.SetupSent(ctx, who.id, s.ID, send.Number, sent.Provider, sent.Verification)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if !waits {
		g.endCode(ctx, r, delivery.Running{Provider: sent.Provider, Verification: sent.Verification})
	}
	return g.showSMSSetup(w, r, who, s, challengepages.ProblemNone)
}

// confirmSetup binds the factor that is being set up, if its first code is right.
func (g *Gate) confirmSetup(w http.ResponseWriter, r *http.Request, who *caller, form url.Values) error {
	code, _ := factor.NormalizeCode(form.Get(challengepages.FieldCode))
	name := form.Get(challengepages.FieldName)
	done, over, err := g.confirm(r, who, form.Get(challengepages.FieldSetup), code, name)
	if err != nil {
		return g.changeFailed(w, r, who, err)
	}
	switch {
	case done.Verdict == account.Right:
		if done.Setup.Factor == policy.SMS {
			g.verified(r, who, done.Setup.Phone, &done.Setup.Sending)
		}
		return g.bound(w, r, who, done, done.Setup.Factor)
	case done.Verdict == account.Wrong && done.Setup.Factor == policy.SMS:
		problem := challengepages.ProblemWrongCode
		if over {
			problem = challengepages.ProblemCodeExpired
		}
		return g.showSMSSetup(w, r, who, done.Setup, problem)
	case done.Verdict == account.Wrong:
		return g.showTOTPSetup(w, r, who, done.Setup, name, challengepages.ProblemWrongCode)
	case done.Verdict == account.UsedUp:
		return g.settingsNotice(w, r, challengepages.NoticeSetupLost)
	default:
		return g.settingsNotice(w, r, challengepages.NoticeSetupExpired)
	}
}

// confirm has the account look at the code of a set-up, or the provider that made it.
// over tells that the code that was sent is no longer good, whatever was typed.
func (g *Gate) confirm(r *http.Request, who *caller, setup, code, name string) (done account.Bound, over bool, err error) {
	accounts, c := who.backend.Accounts, g.changeBy(r, who)
	managed, err := accounts.ManagedSetup(r.Context(), who.id, c, setup)
	if err != nil {
		return account.Bound{}, false, err
	}
	if !managed {
		done, err = accounts.Confirm(r.Context(), who.id, c, setup, code, name)
		return done, done.Setup != nil && done.Setup.CodeExpired(g.Now()), err
	}
	done, ticket, err := accounts.AttemptSetup(r.Context(), who.id, c, setup)
	if err != nil || ticket == nil {
		return done, true, err
	}
	ctx := context.WithoutCancel(r.Context())
	checked, asked := sms.CheckedOver, error(nil)
	if g.checks(ticket.Running) {
		checked, asked = g.SMS.Check(ctx, ticket.Running.Verification, code)
	}
	done, err = accounts.SettleSetup(ctx, who.id, ticket, asked == nil && checked == sms.CheckedRight)
	if err == nil {
		err = asked
	}
	return done, checked == sms.CheckedOver, err
}

// bound goes on after a factor was bound: with the new recovery key, if there is
// one.
func (g *Gate) bound(w http.ResponseWriter, r *http.Request, who *caller, done account.Bound, f policy.Factor) error {
	defer g.tell(w, r, who, done.Alert)
	g.observe(r, audit.Event{Name: audit.EnrolmentBound, Subject: string(who.id), Factor: string(f)})
	notice := challengepages.NoticeTOTPBound
	if f == policy.SMS {
		notice = challengepages.NoticeSMSBound
	}
	if err := g.giveDevice(w, r, who, done.Epoch, f); err != nil {
		return err
	}
	if done.RecoveryKey == "" {
		return g.settingsNotice(w, r, notice)
	}
	return g.showRecoveryKey(w, r, who, done.RecoveryKey, notice)
}

// showNumber says which number a challenge is for.
func (g *Gate) showNumber(who *caller, _ *account.Account, form url.Values) []challenge.Detail {
	typed := strings.TrimSpace(form.Get(challengepages.FieldPhone))
	if typed != "" {
		return []challenge.Detail{{Label: "phone", Value: typed}}
	}
	phone, err := g.Numbering.Parse(who.identity.Phone)
	if err != nil {
		return nil
	}
	return []challenge.Detail{{Label: "phone", Value: phone.Mask()}}
}

// showAuthenticator says which authenticator a challenge is for.
func (g *Gate) showAuthenticator(_ *caller, a *account.Account, form url.Values) []challenge.Detail {
	for _, e := range a.Enrolments {
		if e.ID == form.Get(challengepages.FieldEnrolment) && e.Name != "" {
			return []challenge.Detail{{Label: "authenticator", Value: e.Name}}
		}
	}
	return nil
}

// showDevice says which browser a challenge is for.
func (g *Gate) showDevice(_ *caller, a *account.Account, form url.Values) []challenge.Detail {
	d := a.Device(form.Get(challengepages.FieldDevice))
	if d == nil || d.Client.Browser == "" && d.Client.System == "" {
		return nil
	}
	return []challenge.Detail{{Label: "device", Value: strings.TrimSpace(d.Client.Browser + " " + d.Client.System)}}
}
