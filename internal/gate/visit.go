package gate

import (
	"errors"
	"net/http"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/policy"
)

// visit is the site behind a request that logs somebody in or out.
type visit struct {
	Next
	gate          *Gate
	own           own
	login, logout bool
}

// visits takes the rules off that only name logins and logouts, and returns where the
// request goes on to.
func (g *Gate) visits(rules []*policy.Rule, o own, next Next) ([]*policy.Rule, Next) {
	if !g.watches {
		return rules, next
	}
	v := visit{Next: next, gate: g, own: o}
	var guards []*policy.Rule
	for _, rule := range rules {
		switch rule.Kind {
		case policy.Login:
			v.login = true
		case policy.Logout:
			v.logout = true
		default:
			guards = append(guards, rule)
		}
	}
	if v.login || v.logout {
		next = v
	}
	return guards, next
}

// Forward ends what the session has before somebody else may have it, then hands the
// request on.
func (v visit) Forward(w http.ResponseWriter, r *http.Request) error {
	g := v.gate
	if g.sessions != nil {
		// Whatever the method is: a provider leads back by a link.
		credential, found := g.Identity.Credential(r)
		defer g.sessions.unsettle(credential, found)()
	}
	if v.logout {
		// Who wants to leave is not kept: without this the grants end with the session.
		if err := g.endSession(r, v.own); err != nil {
			g.Failed(r, err)
		}
		clearCookie(w, r, cookieGrant)
		clearCookie(w, r, cookiePass)
	}
	if v.login && g.newDevice != nil {
		// A pass counts without the site being asked, so it has to be worthless at every
		// gateway before the session can be another player's.
		if err := g.endSession(r, v.own); err != nil {
			return g.refuseCaller(w, r, v.own, nil, err)
		}
	}
	if v.login && g.FirstEnrolment.Mode == FirstEnrolmentLogin {
		return watchedLogin{v.Next, g}.Forward(w, r)
	}
	return v.Next.Forward(w, r)
}

// endSession ends what was given to the session of a request, if it is somebody's.
func (g *Gate) endSession(r *http.Request, o own) error {
	who, err := g.identify(r, o)
	if errors.Is(err, identity.ErrAnonymous) {
		return nil
	}
	if err != nil {
		return err
	}
	closed, err := who.backend.Accounts.EndSession(r.Context(), who.id, who.binding())
	if err != nil {
		return &unavailableError{err}
	}
	for _, id := range closed {
		if err := g.endClosed(r.Context(), who.backend, id); err != nil {
			return &unavailableError{err}
		}
	}
	return nil
}
