package gate

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// FirstEnrolmentMode says how a player gets a first factor whose phone the site does
// not know (invariant I6).
type FirstEnrolmentMode string

// The modes.
const (
	// FirstEnrolmentHold binds it on the word of the session, and closes the protected
	// routes for a while.
	FirstEnrolmentHold FirstEnrolmentMode = "hold"
	// FirstEnrolmentLogin wants a session that has just come from the site's own login,
	// through this gateway.
	FirstEnrolmentLogin FirstEnrolmentMode = "login"
	// FirstEnrolmentSupport leaves it to support.
	FirstEnrolmentSupport FirstEnrolmentMode = "support"
)

// FirstEnrolment is a mode with its duration: how long the hold lasts, or how young
// the session has to be.
type FirstEnrolment struct {
	Mode FirstEnrolmentMode
	For  time.Duration
}

// Defaults of FirstEnrolment.For.
const (
	DefaultFirstEnrolmentHold = 24 * time.Hour
	DefaultLoginAge           = 10 * time.Minute
)

func (c *Config) firstEnrolmentDefaults() error {
	f := &c.FirstEnrolment
	switch f.Mode {
	case "", FirstEnrolmentHold:
		f.Mode = FirstEnrolmentHold
		if f.For <= 0 {
			f.For = DefaultFirstEnrolmentHold
		}
	case FirstEnrolmentLogin:
		if c.LoginPage == "" || !slices.ContainsFunc(c.Policy.Rules(), func(r policy.Rule) bool { return r.Kind == policy.Login }) {
			return errors.New("configuring gate: first_enrolment login: no login_page is named, so no login can be seen")
		}
		if f.For <= 0 {
			f.For = DefaultLoginAge
		}
	case FirstEnrolmentSupport:
	default:
		return errors.New("configuring gate: first_enrolment: want hold, login or support")
	}
	return nil
}

// firstFactor returns what a player meets who has no factor, wants to bind one, and
// has no phone at the site that could be proved first. no is the refusal to fill.
func (g *Gate) firstFactor(r *http.Request, who *caller, no refusal) (prospect, error) {
	switch g.FirstEnrolment.Mode {
	case FirstEnrolmentHold:
		return prospect{event: audit.RequestUnenrolled, proof: account.ProofNone}, nil
	case FirstEnrolmentLogin:
		fresh, err := g.freshLogin(r, who)
		if err != nil {
			return prospect{}, err
		}
		if fresh {
			return prospect{event: audit.RequestUnenrolled, proof: account.ProofLogin}, nil
		}
		no.problem, no.title = "fresh-login-required", "A first factor needs a session that has just been logged in"
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeLoginFirst, Link: g.LoginPage}
	default:
		no.problem, no.title = "support-required", "A first factor is set up with the help of support"
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeSupportFirst, Link: g.helpURL()}
	}
	return prospect{event: no.event, refusal: no}, nil
}

// loginKey is the counter that stands for as long as a session counts as just logged
// in, to one account: a session that changes hands is not young for the next one.
func loginKey(who *caller) store.Key {
	return store.NewKey("login", who.binding()+"/"+string(who.id))
}

func (g *Gate) freshLogin(r *http.Request, who *caller) (bool, error) {
	n, err := who.backend.Store.Add(r.Context(), loginKey(who), 0, g.FirstEnrolment.For)
	return n > 0, err
}

// watchedLogin is the site behind a login that is watched.
type watchedLogin struct {
	Next
	gate *Gate
}

// Forward hands on a login and notes the session that comes of it. Only a
// session that the answer sets anew counts, only if somebody is logged in with it, and
// only where nobody was before: a thief who has the site renew the session that they
// stole, or give them one of nobody's for later, has shown no password.
func (n watchedLogin) Forward(w http.ResponseWriter, r *http.Request) error {
	g := n.gate
	before, found := g.Identity.Credential(r)
	anonymous := errors.Is(found, identity.ErrAnonymous)
	if found == nil {
		_, err := g.Identity.Identify(r.Context(), r, before)
		anonymous = errors.Is(err, identity.ErrAnonymous)
	}
	err := n.Next.Forward(w, r)
	if !anonymous {
		return err
	}
	asked := (&http.Request{Header: http.Header{}}).WithContext(r.Context())
	for _, c := range (&http.Response{Header: w.Header()}).Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			asked.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	after, noted := g.Identity.Credential(asked)
	if noted != nil || found == nil && after.Shares(before) {
		return err
	}
	if failed := g.noteLogin(r, after); failed != nil {
		// The player will be asked to log in once more; nothing else depends on it.
		g.Failed(r, failed)
	}
	return err
}

func (g *Gate) noteLogin(r *http.Request, c identity.Credential) error {
	b, err := g.Backend(r.Context())
	if err != nil {
		return err
	}
	who := &caller{backend: b, borne: c}
	who.identity, err = g.Identity.Identify(r.Context(), r, c)
	switch {
	case errors.Is(err, identity.ErrAnonymous):
		return nil // a login that failed
	case err != nil:
		return err
	}
	who.knowCredential()
	k, _ := know(who, r.Host, nil)
	who.id, who.bound = k.id, k.bound
	_, err = b.Store.Add(r.Context(), loginKey(who), 1, g.FirstEnrolment.For)
	return err
}
