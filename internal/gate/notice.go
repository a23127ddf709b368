package gate

import (
	"context"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/sms"
)

// noticePath is where the links of notices lead, short because an SMS carries them.
const noticePath = "/n/"

// noticeURL is what the link of a notice begins with, before its token.
func noticeURL(publicURL, prefix string) string { return publicURL + prefix + noticePath }

// NoticeURL returns what the links of this gate's notices begin with where its
// PublicURL is set, else empty. Support's notices use it, which belong to no request.
func (g *Gate) NoticeURL() string {
	if g.PublicURL == "" {
		return ""
	}
	return noticeURL(g.PublicURL, g.Prefix)
}

// tell tells the player of what has just happened, on every channel but the one that
// was used: the account's phones, the phone that the site knows, and whatever the
// operator does with a notice (R18, R19, R62). It is called once the answer has been
// written to w, so that nobody waits for it; w is nil where none was written yet.
func (g *Gate) tell(w http.ResponseWriter, r *http.Request, who *caller, alerts ...account.Alert) {
	if len(alerts) == 0 {
		return
	}
	if w != nil {
		// Failing to flush means that the client is gone.
		_ = http.NewResponseController(w).Flush()
	}
	t := teller{
		backend: who.backend, sms: g.SMS, pages: g.Pages, notify: g.Notify, desk: g.desk(who.backend),
		observe: func(e audit.Event) { g.observe(r, e) }, failed: func(err error) { g.Failed(r, err) },
	}
	for _, alert := range alerts {
		link := ""
		if base := g.publicURL(r); base != "" {
			link = noticeURL(base, g.Prefix) + alert.Token
		}
		t.tell(context.WithoutCancel(r.Context()), who.identity, alert, g.noticePhones(who, alert), link)
	}
}

// noticePhones returns who gets the SMS of an alert.
func (g *Gate) noticePhones(who *caller, alert account.Alert) []sms.Number {
	phones := slices.Clone(alert.Phones)
	if known, err := g.Numbering.Parse(who.identity.Phone); err == nil {
		phones = append(phones, known)
	}
	slices.Sort(phones)
	return slices.DeleteFunc(slices.Compact(phones), func(n sms.Number) bool { return n == alert.Except })
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
