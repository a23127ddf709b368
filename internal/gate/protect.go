package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// route is a protected request's rules and where it goes once it may.
type route struct {
	rules []*policy.Rule
	next  Next
	pass  pass
	// show returns what the challenge page says of the request instead of the rules'
	// details; nil for those.
	show func(who *caller, a *account.Account) []challenge.Detail
}

// pass hands a request on. passed is the challenge that let it through, nil if a
// grant did or no factor was needed.
type pass func(w http.ResponseWriter, r *http.Request, who *caller, passed *challenge.Challenge, next Next) error

// caller is who sent a request, as far as the gate is concerned.
type caller struct {
	own own
	// name is the keyed hash of the name that the caller has given and subject whose it is,
	// if anybody's; empty where a session was shown.
	name, subject string
	backend       *Backend
	// borne is every session credential of the request; credential is the one of them
	// that speaks for the caller.
	borne      identity.Credential
	credential identity.Credential
	identity   identity.Identity
	id         account.ID
	// asked is when the site was asked; zero if that is not known.
	asked time.Time
	// bound is what a grant of the caller's is bound to.
	bound grant.Bound
	// browserID is what browser returns, once it was asked for.
	browserID *string
	// deviceID is what device returns, once it was asked for.
	deviceID *string
	// lane keeps what is counted in a trusted browser apart, once the account was
	// looked at.
	lane *string
	// proof is what speaks for a player without a factor who wants to bind one;
	// provedPhone is the site's phone that was proved for it, if it was.
	proof       account.Proof
	provedPhone sms.Number
}

// named reports whether the caller has named the account and shown no session.
func (c *caller) named() bool { return c.name != "" }

// binding returns the keyed hash of what the caller is bound to, as records keep it.
func (c *caller) binding() string {
	return base64.RawURLEncoding.EncodeToString(c.bound.Binding[:])
}

// browser returns the keyed hash of the browser's secret; empty if it showed none,
// or has none because it is no browser. A request that passes by its grant never
// asks.
func (c *caller) browser() string {
	if c.browserID == nil {
		c.knowBrowser(c.own.browser)
	}
	return *c.browserID
}

// knowBrowser takes a secret for that of the caller's browser.
func (c *caller) knowBrowser(secret string) {
	id := ""
	if c.hasBrowser() && secret != "" {
		id = browserHash(c.backend.Ring, secret)
	}
	c.browserID = &id
}

// device returns the keyed hash of the secret by which the account may trust the
// caller's browser or app; empty if it showed none.
func (c *caller) device() string {
	if c.deviceID == nil {
		id := deviceHash(c.backend.Ring, c.id, c.own.devices[deviceSuffix(c.id)])
		c.deviceID = &id
	}
	return *c.deviceID
}

// knowDevice takes a secret for that of the caller's trusted device.
func (c *caller) knowDevice(secret string) {
	if c.own.devices == nil {
		c.own.devices = map[string]string{}
	}
	c.own.devices[deviceSuffix(c.id)], c.deviceID = secret, nil
}

// knowLane learns from the account whether it trusts the caller's browser.
func (c *caller) knowLane(a *account.Account) {
	lane := ""
	if d := a.Device(c.device()); d != nil {
		lane = "/trusted/" + d.ID
	}
	c.lane = &lane
}

// countingLane returns what keeps the SMS of a trusted browser apart from others: whoever
// uses up a player's codes elsewhere does not leave the player without.
func (c *caller) countingLane(ctx context.Context) (string, error) {
	if c.named() {
		return "/stranger", nil
	}
	if c.lane == nil {
		a, err := c.backend.Accounts.Get(ctx, c.id)
		if err != nil {
			return "", err
		}
		c.knowLane(a)
	}
	return *c.lane, nil
}

// hasBrowser reports whether the caller is bound to a browser beside its
// session. A bearer token is never attached by a browser itself, and the apps
// that send one need keep no cookies.
func (c *caller) hasBrowser() bool { return c.credential.Kind != identity.Bearer }

// owns reports whether a challenge was opened for this caller: the same account,
// session, host and browser.
func (c *caller) owns(ch *challenge.Challenge, host string) bool {
	return ch.Name == c.name && ch.Account == string(c.id) && ch.Binding == c.binding() && ch.Audience == audience(host) &&
		(ch.Browser == "" && !c.hasBrowser() || ch.Browser != "" && ch.Browser == c.browser())
}

// release marks a request that the gate itself restored, with the challenge that
// approved it and what the releasing request carried for us. It travels in the
// request's context, where nothing from outside can put it.
type release struct {
	challenge *challenge.Challenge
	own       own
}

type releaseKey struct{}

// protect is the way of a request that rules apply to (design.md section 2). It
// hands the request on only where a line below says "pass".
func (g *Gate) protect(w http.ResponseWriter, r *http.Request, o own, rt route) error {
	if rel, ok := r.Context().Value(releaseKey{}).(*release); ok {
		o = rel.own
		o.release = rel
	}
	if form, ok := takeForm(r); ok {
		return g.answerForm(w, r, o, form, rt)
	}
	// Nobody but a player is asked about a device, and play is nobody else's business.
	onlyDevice := onlyNewDevice(rt.rules)
	// A form that another site made the player's browser send opens no challenge
	// and uses no grant (R41).
	crossSite := g.crossSite(r)
	if crossSite && !onlyDevice {
		return g.refuseCrossSite(w, r, o, rt.rules)
	}
	who, passing, err := g.sender(r, o, onlyDevice)
	switch {
	case onlyDevice && errors.Is(err, identity.ErrAnonymous):
		return g.forwardOpen(w, r, rt.next)
	case err != nil:
		return g.refuseCaller(w, r, o, rt.rules, err)
	case passing:
		return rt.pass(w, r, who, nil, rt.next)
	}
	unmet, vouched, err := g.unproved(r.Context(), who, rt.rules)
	if err == nil {
		unmet, err = g.silence(r.Context(), who, unmet)
	}
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	switch {
	case len(unmet) == 0 && onlyDevice:
		// Every request of the player's: nobody wants to be told.
		if err := g.givePass(w, r, who); err != nil {
			return g.unavailable(w, r, o, err)
		}
		return rt.pass(w, r, who, nil, rt.next)
	case len(unmet) == 0:
		g.observe(r, granted(who, rt.rules, vouched))
		return rt.pass(w, r, who, nil, rt.next)
	case crossSite:
		return g.refuseCrossSite(w, r, o, rt.rules)
	}
	passed, err := g.approval(r, who, unmet)
	switch {
	case isUnholdable(err):
		return g.refuseUnholdable(w, r, who, unmet)
	case errors.Is(err, errBody):
		return g.refuseBody(w, r, o, who, unmet)
	case err != nil:
		return g.unavailable(w, r, o, err)
	case passed != nil:
		g.observe(r, audit.Event{
			Name: audit.RequestReleased, Subject: string(who.id), Challenge: passed.ID,
			Rule: ruleNames(unmet), Factor: string(passed.PassedBy),
		})
		return rt.pass(w, r, who, passed, rt.next)
	}
	return g.interrupt(w, r, who, unmet, rt)
}

// sender finds out who sent a request, once all of it is here: from its session pass,
// which passing tells, where one may speak, or from the site. Of a request whose end is not
// waited for it is watched that the sender stays the same.
func (g *Gate) sender(r *http.Request, o own, mayPass bool) (who *caller, passing bool, err error) {
	// Nobody waits for the body of a visitor, whose request is not held.
	credential, err := g.Identity.Credential(r)
	if err != nil {
		return nil, false, err
	}
	whole, err := g.arrived(r)
	if err != nil {
		return nil, false, err
	}
	if mayPass {
		if who, err = g.byPass(r, o, credential); err != nil {
			return nil, false, err
		}
		passing = who != nil
	}
	if !passing {
		who, err = g.identifyBy(r, o, credential)
	}
	if !whole && (err == nil || errors.Is(err, identity.ErrAnonymous)) {
		g.watch(r, who)
	}
	return who, passing, err
}

// forward is the pass of the site's own routes.
func (g *Gate) forward(w http.ResponseWriter, r *http.Request, who *caller, _ *challenge.Challenge, next Next) error {
	return g.sessions.forward(w, r, next, who.borne, nil)
}

// identify finds out who sent the request.
func (g *Gate) identify(r *http.Request, o own) (*caller, error) {
	credential, err := g.Identity.Credential(r)
	if err != nil {
		return nil, err
	}
	return g.identifyBy(r, o, credential)
}

// identifyBy is identify for what the request bears.
func (g *Gate) identifyBy(r *http.Request, o own, borne identity.Credential) (*caller, error) {
	b, err := g.Backend(r.Context())
	if err != nil {
		return nil, &unavailableError{err}
	}
	who := &caller{own: o, backend: b, borne: borne}
	// The site may have changed its mind about this session an instant ago (a login
	// over the same session id). What can do harm is asked anew.
	if mayWrite(r) {
		g.sessions.ask(who.borne)
	}
	var memo *identity.Memo
	if g.recaller != nil {
		if who.identity, memo, err = g.recaller.Recall(r.Context(), r, who.borne); err == nil {
			who.asked = memo.Asked()
		}
	} else {
		who.identity, err = g.Identity.Identify(r.Context(), r, who.borne)
	}
	if err != nil {
		return nil, err
	}
	who.knowCredential()
	k, remembered := know(who, r.Host, memo)
	who.id, who.bound = k.id, k.bound
	if g.names && !remembered {
		g.learn(r.Context(), b, who.identity)
	}
	return who, nil
}

// knowCredential learns from the identity which of several credentials speaks for the
// caller.
func (c *caller) knowCredential() {
	c.credential = c.borne
	if c.identity.Credential.Value != "" {
		c.credential = c.identity.Credential
	}
}

// known is what follows from who a caller is and from the host that was asked. To
// derive it takes four hashes, a third of what the gate costs a request with a
// grant, so it is kept with the identity where that is remembered. It never changes.
type known struct {
	backend *Backend
	host    string
	id      account.ID
	// bound lacks the epoch, which is asked for each time.
	bound grant.Bound
}

// know returns what follows for a caller whose credential and identity are set,
// from memo if it has it, and whether it had. A memo belongs to one credential and one
// identity.
func know(who *caller, host string, memo *identity.Memo) (k *known, remembered bool) {
	if memo != nil {
		if k, ok := memo.Load().(*known); ok && k.backend == who.backend && k.host == host {
			return k, true
		}
	}
	b := who.backend
	k = &known{backend: b, host: strings.Clone(host), id: b.Accounts.ID(who.identity.Subject)}
	sum := b.Ring.MAC(seal.Binding, bindingParts(who)...)
	k.bound = grant.Bound{
		Subject: k.id.Hash(), Binding: grant.Hash(sum[:16]), Audience: grant.HashOf(audience(host)),
	}
	if memo != nil {
		memo.Store(k)
	}
	return k, false
}

// bindingParts are what a caller's grants and challenges are bound to: the
// credential, or the identity's Binding where the site changes credentials all the
// time. The numbers of parts keep the two apart.
func bindingParts(who *caller) []string {
	c := who.credential
	if who.identity.Binding != "" {
		return []string{"binding", string(c.Kind), c.Name, who.identity.Binding}
	}
	return []string{string(c.Kind), c.Name, c.Value}
}

// unmet returns those of the rules that the caller's grant does not satisfy.
// Single-use rules are never satisfied by one.
func (g *Gate) unmet(ctx context.Context, who *caller, rules []*policy.Rule) ([]*policy.Rule, error) {
	if who.own.grant == "" {
		return rules, nil
	}
	var gr grant.Grant
	if who.backend.Grants.Decode(who.own.grant, &gr) != nil {
		return rules, nil
	}
	standing, err := who.backend.Accounts.Standing(ctx, who.id)
	if err != nil {
		return nil, err
	}
	who.bound.Epoch = standing.Epoch
	if !gr.Fits(&who.bound) {
		return rules, nil
	}
	var unmet []*policy.Rule
	now, ended := g.Now(), standing.Ended(who.binding)
	for _, rule := range rules {
		if rule.SingleUse || !gr.Opens(g.groups[rule.Name], rule.Factors, rule.MaxAge, now, ended) {
			unmet = append(unmet, rule)
		}
	}
	return unmet, nil
}

// errBody says that a request's body could not be read.
var errBody = errors.New("reading request body")

// approval returns the passed challenge that approves exactly this request, or
// nil. An approval that is named in a header is used up by this.
func (g *Gate) approval(r *http.Request, who *caller, unmet []*policy.Rule) (*challenge.Challenge, error) {
	if who.own.release == nil && who.own.challenge == "" {
		return nil, nil
	}
	request, err := g.capture(r)
	if err != nil {
		return nil, err
	}
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return nil, err
	}
	fits := func(ch *challenge.Challenge) bool {
		return who.owns(ch, r.Host) && ch.Epoch == a.Epoch && covers(ch, unmet) && ch.Digest == request.Digest()
	}
	if rel := who.own.release; rel != nil {
		// Compared again at the last moment: what goes on is what was shown (R13).
		if fits(rel.challenge) {
			return rel.challenge, nil
		}
		return nil, nil
	}
	ch, err := who.backend.Challenges.Get(r.Context(), who.own.challenge)
	if errors.Is(err, challenge.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !who.owns(ch, r.Host) {
		g.observe(r, audit.Event{Name: audit.ChallengeForeign, Subject: string(who.id), Challenge: ch.ID})
		return nil, nil
	}
	if !fits(ch) {
		return nil, g.tampered(r, who, ch)
	}
	ch, _, moved, err := who.backend.Challenges.Take(r.Context(), ch.ID)
	if err != nil || !moved {
		return nil, err
	}
	return ch, nil
}

// tampered ends a challenge that was named for another request than the one that
// it showed: whatever code was sent for it is void (R11).
func (g *Gate) tampered(r *http.Request, who *caller, ch *challenge.Challenge) error {
	if state := ch.State(g.Now()); state != challenge.Pending && state != challenge.Passed {
		return nil
	}
	g.observe(r, audit.Event{Name: audit.ChallengeTampered, Subject: string(who.id), Challenge: ch.ID})
	if err := who.backend.Accounts.CloseChallenge(r.Context(), who.id, ch.ID, audit.ChallengeTampered, account.Client{}); err != nil {
		return err
	}
	_, _, err := who.backend.Challenges.End(r.Context(), ch.ID, challenge.Replaced)
	return err
}

// ruleNames returns the names of rules, joined by "+".
func ruleNames(rules []*policy.Rule) string {
	if len(rules) == 1 {
		return rules[0].Name
	}
	return policy.Require(rules).Name()
}

// covers reports whether a challenge was for all of the rules.
func covers(ch *challenge.Challenge, rules []*policy.Rule) bool {
	for _, rule := range rules {
		if !slices.Contains(ch.Rules, rule.Name) {
			return false
		}
	}
	return true
}

// maxDrain is how much of a body that is too large is read all the same.
const maxDrain = 8 << 20

// capture reads a request, with the target that the client asked for.
func (g *Gate) capture(r *http.Request) (*held.Request, error) { return g.captureUpTo(r, g.MaxBody) }

// captureUpTo is capture with a limit of its own, in bytes.
func (g *Gate) captureUpTo(r *http.Request, limit int64) (*held.Request, error) {
	request, err := held.Capture(r, g.target(r), limit)
	if errors.Is(err, held.ErrTooLarge) {
		// The request does not go on. A server that answers before it has read what is
		// being sent closes the connection, and the player may see that instead of the
		// page.
		_, _ = io.CopyN(io.Discard, r.Body, maxDrain)
	}
	if err != nil && !isUnholdable(err) {
		return nil, errors.Join(errBody, err)
	}
	return request, err
}

// target returns path and query as the client asked for them.
func (g *Gate) target(r *http.Request) string {
	if u := g.Original(r); u != nil {
		return u.RequestURI()
	}
	return r.URL.RequestURI()
}

func isUnholdable(err error) bool {
	return errors.Is(err, held.ErrTooLarge) || errors.Is(err, held.ErrUnholdable)
}
