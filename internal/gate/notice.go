package gate

import (
	"context"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/notify"
	"github.com/stepgate/stepgate/sms"
)

// noticePath is where the links of notices lead, short because an SMS carries them.
const noticePath = "/n/"

// tell tells the player of what has just happened, on every channel but the one that
// was used: the account's phones, the phone that the site knows, and whatever the
// operator does with a notice (R18, R19, R62). It is called once the answer has been
// written, so that nobody waits for it.
func (g *Gate) tell(w http.ResponseWriter, r *http.Request, who *caller, alerts ...account.Alert) {
	if len(alerts) == 0 {
		return
	}
	// Failing to flush means that the client is gone.
	_ = http.NewResponseController(w).Flush()
	ctx := context.WithoutCancel(r.Context())
	for _, alert := range alerts {
		link := ""
		if base := g.publicURL(r); base != "" {
			link = base + g.Prefix + noticePath + alert.Token
		}
		told := false
		for _, phone := range g.noticePhones(who, alert) {
			told = g.tellPhone(ctx, r, who, phone, alert, link) || told
		}
		if g.Notify != nil {
			told = g.tellOperator(ctx, r, who, alert, link) || told
		}
		if !told {
			g.observe(r, audit.Event{Name: audit.AccountNotNotified, Subject: string(who.id), Reason: string(alert.Kind)})
		}
	}
}

// noticePhones returns who gets the SMS of an alert.
func (g *Gate) noticePhones(who *caller, alert account.Alert) []sms.Number {
	if g.Sender == nil {
		return nil
	}
	phones := slices.Clone(alert.Phones)
	if known, err := g.Numbering.Parse(who.identity.Phone); err == nil {
		phones = append(phones, known)
	}
	slices.Sort(phones)
	return slices.DeleteFunc(slices.Compact(phones), func(n sms.Number) bool { return n == alert.Except })
}

func (g *Gate) tellPhone(ctx context.Context, r *http.Request, who *caller, phone sms.Number, alert account.Alert, link string) bool {
	event := audit.Event{Name: audit.AccountNotNotified, Subject: string(who.id), Factor: "sms", Reason: string(alert.Kind)}
	defer func() { g.observe(r, event) }()
	n := noticeSender{backend: who.backend, sender: g.Sender, timeout: g.SMSTimeout, pages: g.Pages}
	if !n.send(ctx, phone, alert, link) {
		return false
	}
	event.Name = audit.AccountNotified
	return true
}

func (g *Gate) tellOperator(ctx context.Context, r *http.Request, who *caller, alert account.Alert, link string) bool {
	event := audit.Event{Name: audit.AccountNotified, Subject: string(who.id), Factor: "operator", Reason: string(alert.Kind)}
	err := g.Notify(ctx, notify.Notice{
		ID: noticeRef(who.backend, alert, ""), At: alert.At, Kind: string(alert.Kind),
		Subject: who.identity.Subject, Login: who.identity.Login, Email: who.identity.Email, Link: link,
	})
	if err != nil {
		g.Failed(r, err)
		event.Name = audit.AccountNotNotified
	}
	g.observe(r, event)
	return err == nil
}

// serveNotice answers the link of a notice. Opening it only asks: programs that look
// at links before people do must not freeze anything. It needs no session; whoever
// was sent the link may have none.
func (g *Gate) serveNotice(w http.ResponseWriter, r *http.Request, o own, token string) error {
	over := challengepages.Outcome{Kind: challengepages.OutcomeLinkOver, Link: "/"}
	b, err := g.Backend(r.Context())
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	switch {
	case isSafe(r.Method):
		n, ok, err := b.Accounts.Notice(r.Context(), token)
		switch {
		case err != nil:
			return g.unavailable(w, r, o, err)
		case !ok:
			return g.page(w, r, o, http.StatusGone, over)
		}
		return g.page(w, r, o, http.StatusOK, challengepages.Freeze{
			Action: g.target(r), Kind: challengepages.ActivityKind(n.Kind), At: n.At,
		})
	case r.Method != http.MethodPost:
		return g.wrongMethod(w, r, o, "GET, HEAD, POST")
	case g.origin.Check(r) != nil:
		return g.refuseCrossSite(w, r, o, nil)
	}
	id, ok, err := b.Accounts.Freeze(r.Context(), token, g.clientOf(r))
	switch {
	case err != nil:
		return g.unavailable(w, r, o, err)
	case !ok:
		return g.page(w, r, o, http.StatusGone, over)
	}
	g.observe(r, audit.Event{Name: audit.AccountFrozen, Subject: string(id)})
	return g.page(w, r, o, http.StatusOK, challengepages.Outcome{Kind: challengepages.OutcomeFreezeDone, Link: g.settingsURL()})
}
