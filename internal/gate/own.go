package gate

import (
	"net/http"
	"strings"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
)

// queryLanguage chooses the language of a page that is no challenge.
const queryLanguage = challengepages.FieldLanguage

// isOwn reports whether a path is answered by the gate itself.
func (g *Gate) isOwn(path string) bool {
	if rest, ok := strings.CutPrefix(path, g.Prefix); ok && (rest == "" || rest[0] == '/') {
		return true
	}
	return g.Settings != "" && path == g.Settings
}

// serveOwn answers what stands under the gate's own prefix, and the settings
// page. Nothing of it reaches the site.
func (g *Gate) serveOwn(w http.ResponseWriter, r *http.Request, o own, next Next) error {
	if r.TLS != nil && !r.TLS.HandshakeComplete && !isSafe(r.Method) {
		w.WriteHeader(http.StatusTooEarly)
		return nil
	}
	if lang, ok := g.Pages.Lang(r.URL.Query().Get(queryLanguage)); ok {
		setCookie(w, r, cookieLanguage, string(lang), browserLifetime)
		o.language = string(lang)
	}
	if r.URL.Path == g.Settings {
		return g.serveSettings(w, r, o, "", next)
	}
	rest := strings.TrimPrefix(r.URL.Path, g.Prefix)
	switch {
	case rest == "/security":
		return g.serveSettings(w, r, o, "", next)
	case strings.HasPrefix(rest, "/security/"):
		return g.serveSettings(w, r, o, strings.TrimPrefix(rest, "/security/"), next)
	case strings.HasPrefix(rest, receiptsPath):
		return g.serveReceipt(w, r, o, strings.TrimPrefix(rest, receiptsPath))
	case strings.HasPrefix(rest, noticePath):
		return g.serveNotice(w, r, o, strings.TrimPrefix(rest, noticePath))
	case strings.HasPrefix(rest, "/challenges/"):
		id, action, _ := strings.Cut(strings.TrimPrefix(rest, "/challenges/"), "/")
		return g.serveChallenge(w, r, o, id, action, next)
	default:
		return g.notFound(w, r, o)
	}
}

func (g *Gate) notFound(w http.ResponseWriter, r *http.Request, o own) error {
	return g.refuse(w, r, o, refusal{
		status: http.StatusNotFound, problem: "not-found", title: "There is nothing here",
		page: challengepages.Outcome{Kind: challengepages.OutcomeNotFound, Link: "/"},
	})
}

func (g *Gate) wrongMethod(w http.ResponseWriter, r *http.Request, o own, allow string) error {
	w.Header().Set("Allow", allow)
	return g.refuse(w, r, o, refusal{
		status: http.StatusMethodNotAllowed, problem: "method-not-allowed", title: "The method is not allowed here",
		page: challengepages.Outcome{Kind: challengepages.OutcomeNotFound, Link: "/"},
	})
}

// serveChallenge is the challenge under its own URL: its state, answers, another
// SMS and cancelling, as JSON; and its page for a browser that is sent here.
func (g *Gate) serveChallenge(w http.ResponseWriter, r *http.Request, o own, id, action string, next Next) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		return g.wrongMethod(w, r, o, "GET, HEAD, POST")
	}
	if isSafe(r.Method) && action != "" {
		return g.wrongMethod(w, r, o, "POST")
	}
	if err := g.origin.Check(r); err != nil {
		return g.refuseCrossSite(w, r, o, nil)
	}
	who, err := g.identifyFor(r, o, id)
	if err != nil {
		return g.refuseCaller(w, r, o, nil, err)
	}
	if form, ok := takeForm(r); ok && action == "" {
		return g.answerFormAs(w, r, who, form, next)
	}
	ch, err := who.backend.Challenges.Get(r.Context(), id)
	if isNotFound(err) {
		return g.notFound(w, r, o)
	}
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	if !who.owns(ch, r.Host) {
		return g.foreign(w, r, who, ch)
	}
	switch {
	case isSafe(r.Method):
		return g.challengeState(w, r, who, ch)
	case action == "" && isJSON(r):
		return g.answerAPI(w, r, who, ch)
	case action == "":
		return g.refuse(w, r, o, refusal{
			status: http.StatusUnsupportedMediaType, problem: "invalid-answer", title: "An answer is JSON or the challenge page's form",
			page: challengepages.Outcome{Kind: challengepages.OutcomeInvalidForm, Link: "/"},
		})
	case action == "send":
		return g.sendAPI(w, r, who, ch)
	case action == "cancel":
		ch, running, err := g.cancel(r, who, ch, audit.ChallengeCancelled)
		if err != nil {
			return g.unavailable(w, r, o, err)
		}
		defer g.endCodeLater(w, r, who, running)
		return g.challengeState(w, r, who, ch)
	default:
		return g.notFound(w, r, o)
	}
}

// foreign answers for a challenge that belongs to another account, session, host
// or browser.
func (g *Gate) foreign(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	return g.refuse(w, r, who.own, refusal{
		status: http.StatusForbidden, problem: "foreign-challenge", title: "The challenge belongs to another session or browser",
		page:  challengepages.Outcome{Kind: challengepages.OutcomeForeign, Link: "/"},
		event: audit.ChallengeForeign, who: who,
	})
}

// challengeState answers with the page or the JSON of a challenge.
func (g *Gate) challengeState(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	if wantsPage(r) {
		return g.showChallenge(w, r, who, ch, a, shown{status: http.StatusOK})
	}
	return writeJSON(w, http.StatusOK, "application/json", map[string]*challengeJSON{
		"challenge": g.challengeView(ch, a, g.language(r, who.own)),
	})
}
