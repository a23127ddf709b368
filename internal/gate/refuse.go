package gate

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// refusal is one way to say no: as a page to a player, as a problem (RFC 9457)
// to a program.
type refusal struct {
	status  int
	problem string // the last part of the problem's type
	title   string
	detail  string
	page    challengepages.Outcome
	retryAt time.Time

	event  audit.Name
	reason string
	rules  []*policy.Rule
	who    *caller
}

// problemType precedes the name of each problem of ours.
const problemType = "urn:stepgate:problem:"

// problem is the body of a refusal for programs (RFC 9457).
type problem struct {
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty"`
	Rule      string         `json:"rule,omitempty"`
	Challenge *challengeJSON `json:"challenge,omitempty"`
}

// refuse answers a request that does not go on.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, o own, no refusal) error {
	e := audit.Event{Name: no.event, Reason: no.reason}
	if len(no.rules) > 0 {
		e.Rule = ruleNames(no.rules)
	}
	if no.who != nil {
		e.Subject = string(no.who.id)
	}
	if e.Name != "" {
		g.observe(r, e)
	}
	if !no.retryAt.IsZero() {
		w.Header().Set("Retry-After", retryAfter(no.retryAt.Sub(g.Now())))
	}
	if wantsPage(r) {
		return g.page(w, r, o, no.status, no.page)
	}
	p := problem{Type: problemType + no.problem, Title: no.title, Status: no.status, Detail: no.detail}
	if no.who != nil {
		p.Rule = e.Rule
	}
	return writeProblem(w, p)
}

// retryAfter returns a Retry-After value, in whole seconds, at least one.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}

func writeProblem(w http.ResponseWriter, p problem) error {
	return writeJSON(w, p.Status, "application/problem+json", p)
}

func writeJSON(w http.ResponseWriter, status int, kind string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	// The client may be gone; there is nobody to tell.
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// page answers with a page of ours, under the headers that keep it out of
// caches, frames and other origins (R12, R42).
func (g *Gate) page(w http.ResponseWriter, r *http.Request, o own, status int, p challengepages.Page) error {
	lang := g.language(r, o)
	body, err := g.Pages.Render(lang, p)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(lang))
	h.Set("Vary", "Accept-Language, Cookie")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", g.Pages.CSP(p))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	// Not no-referrer: browsers would send Origin: null with our own forms, which
	// then look as if they came from another site.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return nil
}

// language returns the language that the player chose, or that the browser asks
// for.
func (g *Gate) language(r *http.Request, o own) challengepages.Lang {
	if lang, ok := g.Pages.Lang(o.language); ok {
		return lang
	}
	return g.Pages.Negotiate(r.Header.Get("Accept-Language"))
}

// unavailableError is a failure to ask whom the gate depends on.
type unavailableError struct{ err error }

func (e *unavailableError) Error() string { return e.err.Error() }
func (e *unavailableError) Unwrap() error { return e.err }

// unavailable answers a request whose state could not be read or written, or whose code
// its provider could not check. It did not go on, and nothing that it asked for has
// happened.
func (g *Gate) unavailable(w http.ResponseWriter, r *http.Request, o own, err error) error {
	g.Failed(r, err)
	no := refusal{
		status: http.StatusServiceUnavailable, problem: "store-unavailable", title: "Step-up authentication is not available at the moment",
		page:  g.outage(r, challengepages.OutcomeStoreDown),
		event: audit.RequestUnavailable, reason: "store", retryAt: g.Now().Add(5 * time.Second),
	}
	if _, ok := errors.AsType[*sms.Error](err); ok {
		no.problem, no.title, no.reason = "sms-unavailable", "The code could not be checked at the moment", "sms"
	}
	return g.refuse(w, r, o, no)
}

// refuseCrossSite answers a request that another site made the browser send.
func (g *Gate) refuseCrossSite(w http.ResponseWriter, r *http.Request, o own, rules []*policy.Rule) error {
	return g.refuse(w, r, o, refusal{
		status: http.StatusForbidden, problem: "cross-site", title: "The request came from another site",
		page: challengepages.Outcome{Kind: challengepages.OutcomeCrossSite, Link: "/"}, event: audit.RequestCrossSite, rules: rules,
	})
}

// refuseCaller answers a request whose sender is not known. It tells nothing of
// the rule (R70).
func (g *Gate) refuseCaller(w http.ResponseWriter, r *http.Request, o own, rules []*policy.Rule, err error) error {
	var store *unavailableError
	switch {
	case errors.Is(err, errBody):
		return g.refuseBody(w, r, o, nil, rules)
	case errors.Is(err, identity.ErrAnonymous):
		return g.refuseAnonymous(w, r, o, rules)
	case errors.Is(err, identity.ErrAmbiguous):
		return g.refuse(w, r, o, refusal{
			status: http.StatusBadRequest, problem: "ambiguous-session", title: "The request bears more than one session",
			page:  challengepages.Outcome{Kind: challengepages.OutcomeAmbiguous, Link: "/"},
			event: audit.RequestAmbiguous, reason: "session", rules: rules,
		})
	case errors.As(err, &store):
		return g.unavailable(w, r, o, err)
	default:
		g.Failed(r, err)
		return g.refuse(w, r, o, refusal{
			status: http.StatusServiceUnavailable, problem: "site-unavailable", title: "The site could not be asked who is logged in",
			page:  g.outage(r, challengepages.OutcomeSiteDown),
			event: audit.RequestUnavailable, reason: "identity", rules: rules, retryAt: g.Now().Add(5 * time.Second),
		})
	}
}

func (g *Gate) refuseAnonymous(w http.ResponseWriter, r *http.Request, o own, rules []*policy.Rule) error {
	if g.LoginPage == "" || !wantsPage(r) || policy.Require(rules).Anonymous != policy.AnonymousLogin {
		if token := g.token(r); token.Value != "" {
			setUnauthorized(w, token, tokenInvalid, "")
		} else {
			setUnauthorized(w, token, sessionMissing, "")
		}
		return g.refuse(w, r, o, refusal{
			status: http.StatusUnauthorized, problem: "login-required", title: "Nobody is logged in",
			page:  challengepages.Outcome{Kind: challengepages.OutcomeLogin, Link: g.LoginPage},
			event: audit.RequestAnonymous, rules: rules,
		})
	}
	g.observe(r, audit.Event{Name: audit.RequestAnonymous, Rule: ruleNames(rules)})
	w.Header().Set("Cache-Control", "no-store")
	// 303: whatever the method was, the login page is a page to get.
	http.Redirect(w, r, g.LoginPage, http.StatusSeeOther)
	return nil
}

// token returns the bearer token of a request, if the site was asked about one; else
// nothing. One that nobody looks at is not said to be invalid.
func (g *Gate) token(r *http.Request) identity.Credential {
	borne, err := g.Identity.Credential(r)
	if err != nil {
		return identity.Credential{}
	}
	for c := range borne.All() {
		if c.Kind == identity.Bearer {
			return c
		}
	}
	return identity.Credential{}
}

// refuseCapture answers a request that cannot be held.
func (g *Gate) refuseCapture(w http.ResponseWriter, r *http.Request, who *caller, rules []*policy.Rule, err error) error {
	if isUnholdable(err) {
		return g.refuseUnholdable(w, r, who, rules)
	}
	return g.refuseBody(w, r, who.own, who, rules)
}

func (g *Gate) refuseUnholdable(w http.ResponseWriter, r *http.Request, who *caller, rules []*policy.Rule) error {
	return g.refuse(w, r, who.own, g.unholdable(r, who, rules))
}

// unholdable says no to a request that can be neither held nor shown a challenge.
func (g *Gate) unholdable(r *http.Request, who *caller, rules []*policy.Rule) refusal {
	no := refusal{
		status: http.StatusRequestEntityTooLarge, problem: "cannot-hold", title: "The request is too large to be held for a challenge",
		detail: atMost(g.MaxBody),
		page:   challengepages.Outcome{Kind: challengepages.OutcomeCannotHold, Link: "/"},
		event:  audit.RequestUnholdable, reason: "size", rules: rules, who: who,
	}
	if held.Unholdable(r) || isPart(r) {
		no.status, no.reason = http.StatusForbidden, "kind"
		no.title = "A request of this kind can be neither held nor shown a challenge"
		no.detail = "Pass the challenge on an ordinary request first."
	}
	return no
}

// refuseBody answers a request whose body broke off. Nobody may have been asked yet who
// sent it: who is nil then.
func atMost(bytes int64) string {
	return "At most " + strconv.FormatInt(bytes, 10) + " bytes can be held."
}

func (g *Gate) refuseBody(w http.ResponseWriter, r *http.Request, o own, who *caller, rules []*policy.Rule) error {
	return g.refuse(w, r, o, refusal{
		status: http.StatusBadRequest, problem: "unreadable-body", title: "The request's body could not be read to its end",
		page:  challengepages.Outcome{Kind: challengepages.OutcomeCannotHold, Link: "/"},
		event: audit.RequestUnholdable, reason: "body", rules: rules, who: who,
	})
}

// outage is the page of something that is down: its button asks for the same page, or
// sends the same form, once more. What neither a link nor a form repeats is left to
// the player.
func (g *Gate) outage(r *http.Request, kind challengepages.OutcomeKind) challengepages.Outcome {
	o := challengepages.Outcome{Kind: kind, Link: "/"}
	if isSafe(r.Method) {
		o.Link = g.target(r)
	} else if o.Again = again(r); len(o.Again) > 0 {
		o.Link = g.target(r)
	}
	return o
}

// settingsURL is where a player sets up a factor.
func (g *Gate) settingsURL() string {
	if g.Settings != "" {
		return g.Settings
	}
	return g.Prefix + "/security"
}

func isNotFound(err error) bool { return errors.Is(err, challenge.ErrNotFound) }

// sameSitePath reports whether a target is a path of this site, so that nothing
// that we redirect to or release leads elsewhere (R43).
func sameSitePath(target string) bool {
	if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "//") || strings.HasPrefix(target, `/\`) {
		return false
	}
	u, err := url.ParseRequestURI(target)
	return err == nil && u.Host == "" && u.Scheme == ""
}
