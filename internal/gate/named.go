package gate

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/identity"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/alias"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/body"
	"github.com/stepgate/stepgate/internal/grant"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// # Requests that name the account
//
// A password reset bears no session: it names the account, and whoever sends it may be
// anybody. So such a request is answered alike whatever the name is (invariant I11): an
// account with factors, one without, one that is frozen, and no account at all. A name
// that nobody has stands for an account of its own in our store, which has no factor, so
// that the same reads and writes are made for it and the same limits close it. No number
// shows, an SMS is sent beside the answer, and every factor that the rule takes is offered.
//
// Whoever answers has to be in the browser in which the challenge was opened. A device that
// the account trusts needs no challenge.

// The limits on challenges that are opened for names, so that nobody can be bombed with SMS,
// nor our store filled.
//
// Who names somebody needs no session, and the addresses of a network cost nothing: so the
// network counts as well, and what is held is shorter than what a player may have held.
const (
	namedWindow     = time.Hour
	namedPerName    = 10
	namedPerAddress = 60
	namedPerNetwork = 240

	// maxNamedBody is the longest body, in bytes.
	maxNamedBody = 64 << 10
)

// naming is where a request goes on to that names an account.
type naming struct {
	Next
	gate  *Gate
	own   own
	rules []*policy.Rule
}

// namings takes the rules off that are about the account that a request names, and returns
// where the request goes on to.
func (g *Gate) namings(rules []*policy.Rule, o own, next Next) ([]*policy.Rule, Next) {
	if !g.names {
		return rules, next
	}
	var others, named []*policy.Rule
	for _, rule := range rules {
		if len(rule.NamedBy) > 0 {
			named = append(named, rule)
		} else {
			others = append(others, rule)
		}
	}
	if len(named) > 0 {
		next = naming{Next: next, gate: g, own: o, rules: named}
	}
	return others, next
}

// Forward protects the request once it has met what its session asks for.
func (n naming) Forward(w http.ResponseWriter, r *http.Request) error {
	return n.gate.protectNamed(w, r, n.own, route{rules: n.rules, next: n.Next})
}

// protectNamed is the way of a request that names the account it is about. It hands the
// request on only where a line below says "Forward".
func (g *Gate) protectNamed(w http.ResponseWriter, r *http.Request, o own, rt route) error {
	if rel, ok := r.Context().Value(releaseKey{}).(*release); ok {
		o = rel.own
		o.release = rel
	}
	if g.crossSite(r) {
		return g.refuseCrossSite(w, r, o, rt.rules)
	}
	if _, err := g.arrived(r); err != nil {
		return g.refuseBody(w, r, o, nil, rt.rules)
	}
	if form, ok := takeForm(r); ok {
		return g.answerForm(w, r, o, form, rt)
	}
	request, err := g.captureUpTo(r, g.maxNamed())
	switch {
	case isUnholdable(err):
		return g.refuse(w, r, o, g.unholdableNamed(r, rt.rules))
	case err != nil:
		return g.refuseBody(w, r, o, nil, rt.rules)
	}
	name, err := g.nameIn(request, rt.rules)
	if err != nil {
		return g.refuse(w, r, o, refusal{
			status: http.StatusBadRequest, problem: "ambiguous-request", title: "The request names no account, or may name more than one",
			page: challengepages.Outcome{Kind: challengepages.OutcomeAmbiguous, Link: "/"}, event: audit.RequestAmbiguous, reason: "identity", rules: rt.rules,
		})
	}
	who, player, err := g.named(r, o, name)
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	unmet, err := g.unmet(r.Context(), who, rt.rules)
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	if !a.Closed(g.Now()) && (len(unmet) == 0 || a.Trusts(who.device())) {
		g.observe(r, audit.Event{Name: audit.RequestGranted, Subject: string(who.id), Rule: ruleNames(rt.rules)})
		return g.forwardOpen(w, r, rt.next)
	}
	passed, err := g.approval(r, who, unmet)
	switch {
	case err != nil:
		return g.unavailable(w, r, o, err)
	case passed != nil:
		g.observe(r, audit.Event{
			Name: audit.RequestReleased, Subject: string(who.id), Challenge: passed.ID, Rule: ruleNames(unmet), Factor: string(passed.PassedBy),
		})
		return g.forwardOpen(w, r, rt.next)
	case isPart(r):
		return g.refuse(w, r, o, g.unholdableNamed(r, unmet))
	}
	how := g.meansNamed(a, player, policy.Require(unmet))
	if len(how.factors) == 0 {
		return g.refuse(w, r, o, refusal{
			status: http.StatusForbidden, problem: "factor-required", title: "The rules accept no factor in common",
			page: challengepages.Outcome{Kind: challengepages.OutcomeNoFactor, Link: "/"}, event: audit.RequestNoFactor, rules: unmet,
		})
	}
	if ok, err := g.admitNamed(r, who, name); err != nil || !ok {
		return g.refuseNamed(w, r, o, unmet, err)
	}
	return g.challenge(w, r, who, a, how, unmet, rt)
}

// maxNamed is the longest body of a request that names an account, in bytes.
func (g *Gate) maxNamed() int64 { return min(g.MaxBody, maxNamedBody) }

func (g *Gate) unholdableNamed(r *http.Request, rules []*policy.Rule) refusal {
	no := g.unholdable(r, nil, rules)
	if no.reason == "size" {
		no.detail = atMost(g.maxNamed())
	}
	return no
}

// errNoName says that a request does not name exactly one account.
var errNoName = errors.New("no name, or more than one")

// nameIn returns the name in a request, wherever a site may look for it. Which of two wins
// is the site's to say: on Java the query of a form's URL, elsewhere the body. The sender's
// own factor would open the account that the other one names, so two are none.
func (g *Gate) nameIn(request *held.Request, rules []*policy.Rule) (string, error) {
	_, raw, _ := strings.Cut(request.URI, "?")
	fields, unclear := body.Query(raw)
	read := body.Read(body.Input{Header: request.Header, Body: request.Body, Cap: maxNamedBody})
	if unclear != "" || read.Unclear != "" {
		return "", errNoName
	}
	name := ""
	for _, f := range append(fields, read.Fields...) {
		for _, rule := range rules {
			switch named, clear := rule.Names(f); {
			case !named:
			case !clear, f.Value == "", name != "" && f.Value != name:
				return "", errNoName
			default:
				name = f.Value
			}
		}
	}
	if g.query(name).Canonical() == "" {
		return "", errNoName
	}
	return name, nil
}

// named returns the caller of a request that names an account, and what is known of the
// player. A name that stands for nobody, or for two, stands for an account of its own.
func (g *Gate) named(r *http.Request, o own, name string) (*caller, alias.Player, error) {
	b, err := g.Backend(r.Context())
	if err != nil {
		return nil, alias.Player{}, err
	}
	q := g.query(name)
	player, err := b.Aliases.Resolve(r.Context(), q)
	if err != nil && !errors.Is(err, alias.ErrUnknown) {
		return nil, alias.Player{}, err
	}
	nobody, someone := nobodyOf(b.Ring, q), b.Accounts.ID(player.Subject)
	who := &caller{own: o, name: nameOf(b.Ring, q), subject: player.Subject, backend: b, id: nobody}
	if err == nil {
		who.id = someone
	}
	// Bound to the name as it was typed: another spelling is another request.
	sum := b.Ring.MAC(seal.Binding, "name", name)
	who.bound = grant.Bound{Subject: who.id.Hash(), Binding: grant.Hash(sum[:16]), Audience: grant.HashOf(audience(r.Host))}
	return who, player, nil
}

// query is a name that somebody has typed.
func (g *Gate) query(name string) alias.Query {
	return alias.Query{Text: name, Phone: phoneText(g.Numbering, name)}
}

// nameOf returns the keyed hash of a name, the same for all of its spellings.
func nameOf(ring *seal.Ring, q alias.Query) string {
	sum := ring.MAC(seal.Alias, "name", q.Canonical())
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// nobodyOf returns the account that stands for a name which nobody has.
func nobodyOf(ring *seal.Ring, q alias.Query) account.ID {
	sum := ring.MAC(seal.Alias, "nobody", q.Canonical())
	return account.IDOf([16]byte(sum[:16]))
}

// identifyFor is identify for who answers a challenge. One that was opened for a name has
// no session: its caller is who it was opened for, if the browser is the same, which the
// caller's owns says.
func (g *Gate) identifyFor(r *http.Request, o own, id string) (*caller, error) {
	if !g.names {
		return g.identify(r, o)
	}
	b, err := g.Backend(r.Context())
	if err != nil {
		return nil, &unavailableError{err}
	}
	ch, err := b.Challenges.Get(r.Context(), id)
	switch {
	case err != nil && !isNotFound(err):
		return nil, &unavailableError{err}
	case err != nil || !ch.Named():
		return g.identify(r, o)
	}
	who := &caller{own: o, name: ch.Name, subject: ch.Subject, backend: b, id: account.ID(ch.Account)}
	who.bound = grant.Bound{Subject: who.id.Hash(), Audience: grant.HashOf(audience(r.Host))}
	if n, err := base64.RawURLEncoding.Decode(who.bound.Binding[:], []byte(ch.Binding)); err != nil || n != len(who.bound.Binding) {
		return nil, &unavailableError{errors.New("reading challenge: its binding is none")}
	}
	return who, nil
}

// meansNamed returns how a request that names its account can be answered: by every
// factor that the rules take, whatever the account has.
func (g *Gate) meansNamed(a *account.Account, p alias.Player, need policy.Requirement) means {
	how := means{factors: need.Factors, enrolled: a.Enrolled()}
	if g.SMS == nil {
		how.factors = slices.DeleteFunc(slices.Clone(how.factors), func(f policy.Factor) bool { return f == policy.SMS })
	}
	switch e := a.Enrolment(policy.SMS); {
	case a.Closed(g.Now()):
	case e != nil:
		how.phone = e.Phone
	case !a.Enrolled() && need.Unenrolled == policy.UnenrolledRegisteredPhone:
		if phone, err := g.Numbering.Parse(p.Phone); err == nil {
			how.phone = phone
		}
	}
	return how
}

// admitNamed counts a challenge that is opened for a name, and reports whether there were
// not too many.
//
// It counts names and not accounts: otherwise one name of a player would tell of another.
func (g *Gate) admitNamed(r *http.Request, who *caller, name string) (bool, error) {
	ok := true
	for _, c := range []struct {
		what, of string
		limit    int64
	}{
		{"name", g.query(name).Canonical(), namedPerName},
		{"address", smsguard.AddressOf(g.ClientIP(r)), namedPerAddress},
		{"network", smsguard.NetworkOf(g.ClientIP(r)), namedPerNetwork},
	} {
		sum := who.backend.Ring.MAC(seal.Counter, "named", c.what, c.of)
		n, err := who.backend.Store.Add(r.Context(), store.NewKey("named", base64.RawURLEncoding.EncodeToString(sum[:16])), 1, namedWindow)
		if err != nil {
			return false, err
		}
		ok = ok && n <= c.limit
	}
	return ok, nil
}

// refuseNamed answers a request for whose name, or from whose address, too many challenges
// were opened; or one that could not be counted.
func (g *Gate) refuseNamed(w http.ResponseWriter, r *http.Request, o own, rules []*policy.Rule, err error) error {
	if err != nil {
		return g.unavailable(w, r, o, err)
	}
	return g.refuse(w, r, o, refusal{
		status: http.StatusTooManyRequests, problem: "try-later", title: "Too many requests; try again later",
		page:    challengepages.Outcome{Kind: challengepages.OutcomeTryLater, RetryAt: g.Now().Add(namedWindow), Link: "/"},
		retryAt: g.Now().Add(namedWindow), event: audit.RequestLimited, reason: "name", rules: rules,
	})
}

// tellNamed tells a player of what was done by somebody who gave a name of theirs, while the
// request goes on: whether there is anybody to tell must not show.
func (g *Gate) tellNamed(r *http.Request, who *caller, alerts []account.Alert) {
	ctx, base := context.WithoutCancel(r.Context()), g.publicURL(r)
	go func() {
		player, err := who.backend.Aliases.Player(ctx, who.subject)
		switch {
		case err != nil:
			g.Failed(nil, err)
		case player.Subject != "":
			id := identity.Identity{Subject: player.Subject, Login: player.Login, Email: player.Email, Phone: player.Phone}
			g.tellFrom(ctx, nil, base, who.backend, id, alerts)
		}
	}()
}

// learn notes under which names a player is known to the site.
func (g *Gate) learn(ctx context.Context, b *Backend, id identity.Identity) {
	if err := b.Aliases.Learn(ctx, id.Subject, alias.Names{Login: id.Login, Email: id.Email, Phone: phoneText(g.Numbering, id.Phone)}); err != nil {
		// Nothing but the next password reset depends on it.
		g.Failed(nil, err)
	}
}

// wouldMeetNamed is wouldMeet for rules about the account that a request names.
func (g *Gate) wouldMeetNamed(r *http.Request, rules []*policy.Rule) audit.Name {
	if g.crossSite(r) {
		return audit.RequestCrossSite
	}
	request, err := g.captureUpTo(r, g.maxNamed())
	if err != nil {
		return audit.RequestUnholdable
	}
	if _, err := g.nameIn(request, rules); err != nil {
		return audit.RequestAmbiguous
	}
	return audit.RequestChallenged
}
