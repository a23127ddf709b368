package gate

import (
	"context"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
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
	if who.named() {
		g.tellNamed(r, who, alerts)
		return
	}
	if w != nil {
		// Failing to flush means that the client is gone.
		_ = http.NewResponseController(w).Flush()
	}
	g.tellFrom(context.WithoutCancel(r.Context()), r, g.publicURL(r), who.backend, who.identity, alerts)
}

// tellFrom tells a player on every channel. r is what events are about; nil for what
// happens beside a request. base is the URL of the site, empty for notices without a link.
func (g *Gate) tellFrom(ctx context.Context, r *http.Request, base string, b *Backend, who identity.Identity, alerts []account.Alert) {
	t := teller{
		backend: b, sms: g.SMS, pages: g.Pages, notify: g.Notify, desk: g.desk(b),
		observe: func(e audit.Event) { g.observe(r, e) }, failed: func(err error) { g.Failed(r, err) },
	}
	for _, alert := range alerts {
		link := ""
		if base != "" {
			link = noticeURL(base, g.Prefix) + alert.Token
		}
		t.tell(ctx, who, alert, g.noticePhones(who, alert), link)
	}
}

// noticePhones returns who gets the SMS of an alert.
func (g *Gate) noticePhones(who identity.Identity, alert account.Alert) []sms.Number {
	phones := slices.Clone(alert.Phones)
	if known, err := g.Numbering.Parse(who.Phone); err == nil {
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
