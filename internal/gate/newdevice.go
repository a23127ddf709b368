package gate

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
)

// # New devices
//
// A rule for new devices covers nearly every request of a site, and is about whoever
// makes it: a player whose browser the account does not trust is challenged before
// anything else, a visitor is not. A grant satisfies it for as long as the session
// lasts, and a trusted device silences it; neither is a factor for anything else.
//
// So that a request needs no question to the site, a player gets a pass: the site has
// said a moment ago whose session this is, and the rule was satisfied. It is worth
// nothing for any other rule.

// DefaultSessionPass is how long a pass lives.
const DefaultSessionPass = 5 * time.Minute

func isNewDevice(rule *policy.Rule) bool { return rule.Kind == policy.NewDevice }

// onlyNewDevice reports whether rules are about nothing but new devices.
func onlyNewDevice(rules []*policy.Rule) bool {
	return !slices.ContainsFunc(rules, func(r *policy.Rule) bool { return !isNewDevice(r) })
}

// silence takes the rule for new devices off those that are unmet, where the account
// trusts the caller's device.
func (g *Gate) silence(ctx context.Context, who *caller, unmet []*policy.Rule) ([]*policy.Rule, error) {
	if !slices.ContainsFunc(unmet, isNewDevice) || who.device() == "" {
		return unmet, nil
	}
	a, err := who.backend.Accounts.Get(ctx, who.id)
	if err != nil || !a.Trusts(who.device()) {
		return unmet, err
	}
	return slices.DeleteFunc(slices.Clone(unmet), isNewDevice), nil
}

// isNew reports whether the rule for new devices stands between a caller and the site.
func (g *Gate) isNew(ctx context.Context, who *caller) (bool, error) {
	if g.newDevice == nil {
		return false, nil
	}
	unmet, _, err := g.unproved(ctx, who, []*policy.Rule{g.newDevice})
	if err == nil {
		unmet, err = g.silence(ctx, who, unmet)
	}
	return len(unmet) > 0, err
}

// byPass returns the caller of a request whose pass stands for what the site would say of
// its credential; nil if it bears none, or none that holds. Of its identity nothing is known.
func (g *Gate) byPass(r *http.Request, o own, credential identity.Credential) (*caller, error) {
	if g.passes == nil || o.pass == "" {
		return nil, nil
	}
	b, err := g.Backend(r.Context())
	if err != nil {
		return nil, &unavailableError{err}
	}
	var p grant.Pass
	if b.Grants.DecodePass(o.pass, &p) != nil ||
		!p.Holds(borneHash(b.Ring, credential), grant.HashOf(audience(r.Host)), g.SessionPass, g.Now(), g.passes.since(credential)) {
		return nil, nil
	}
	who := &caller{own: o, backend: b, borne: credential, credential: credential, id: account.IDOf(p.Subject), bound: p.Bound}
	standing, err := b.Accounts.Standing(r.Context(), who.id)
	if err != nil {
		return nil, &unavailableError{err}
	}
	if !outlasts(&p, standing, who) {
		return nil, nil
	}
	return who, nil
}

// outlasts reports whether a pass is from after whatever has ended its caller's session.
// That may have been at another gateway, whose clock is another one: a pass of the same
// second does not count.
func outlasts(p *grant.Pass, standing account.Standing, who *caller) bool {
	return standing.Epoch == p.Epoch && p.At.Truncate(time.Second).After(standing.Ended(who.binding))
}

// givePass gives a caller a pass for whom the rule for new devices was satisfied. It lives
// from when the site was asked, which may be a while ago. Who bears several credentials
// gets none: each may have been asked about at another time.
func (g *Gate) givePass(w http.ResponseWriter, r *http.Request, who *caller) error {
	if g.passes == nil || who.asked.IsZero() || who.borne.Several() || mayWrite(r) {
		return nil
	}
	p := grant.Pass{Bound: who.bound, Borne: borneHash(who.backend.Ring, who.borne), At: who.asked}
	standing, err := who.backend.Accounts.Standing(r.Context(), who.id)
	if err != nil {
		return &unavailableError{err}
	}
	p.Epoch = standing.Epoch
	if !outlasts(&p, standing, who) || !p.At.After(g.passes.since(who.borne)) {
		return nil // it would not count, and every answer would set another one
	}
	value, err := who.backend.Grants.EncodePass(&p)
	if err != nil {
		return err
	}
	setCookie(w, r, cookiePass, value, g.SessionPass)
	return nil
}

// giveDevice gives whoever has just shown a factor, in the epoch that this began, what the
// challenge for new devices would give them for the same factor.
func (g *Gate) giveDevice(w http.ResponseWriter, r *http.Request, who *caller, epoch uint64, f policy.Factor) error {
	rule := g.newDevice
	if rule == nil || !slices.Contains(rule.Factors, f) {
		return nil
	}
	gr := grant.Grant{Bound: who.bound}
	gr.Epoch = epoch
	gr.Add(grant.Entry{Group: g.groups[rule.Name], Factor: f, At: g.Now(), Expires: g.Now().Add(rule.MaxAge)}, g.Now())
	return g.setGrant(w, r, who.backend, &gr)
}

// borneHash is the keyed hash of everything that a request bears.
func borneHash(ring *seal.Ring, c identity.Credential) grant.Hash {
	parts := make([]string, 0, 4)
	parts = append(parts, "borne")
	for one := range c.All() {
		parts = append(parts, string(one.Kind), one.Name, one.Value)
	}
	sum := ring.MAC(seal.Binding, parts...)
	return grant.Hash(sum[:16])
}
