package gate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// unenrolledFirst lets a player without a factor bind the first one: after a
// code to the phone that the site knows, or under a hold (invariant I6). It is
// how the settings are protected, and can not be configured for a rule.
const unenrolledFirst policy.Unenrolled = "first_enrolment"

// means is how a player can answer a challenge.
type means struct {
	factors  []policy.Factor
	phone    sms.Number
	enrolled bool
}

// prospect is what a caller meets whose rules are not met. What is neither a
// challenge nor a pass is a refusal.
type prospect struct {
	event   audit.Name
	how     means
	refusal refusal
	// proof is what speaks for a player who goes on without a factor.
	proof account.Proof
}

// interrupt answers a request whose rules are not met: with a challenge, or with
// the reason why there can be none.
func (g *Gate) interrupt(w http.ResponseWriter, r *http.Request, who *caller, unmet []*policy.Rule, rt route) error {
	a, err := who.backend.Accounts.Get(r.Context(), who.id)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	p, err := g.prospect(r, who, a, unmet)
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	switch p.event {
	case audit.RequestChallenged:
		return g.challenge(w, r, who, a, p.how, unmet, rt)
	case audit.RequestUnenrolled:
		who.proof = p.proof
		g.observe(r, audit.Event{Name: p.event, Subject: string(who.id), Rule: ruleNames(unmet)})
		return rt.pass(w, r, who, nil, rt.next)
	default:
		return g.refuse(w, r, who.own, p.refusal)
	}
}

// prospect returns what a caller with an account meets whose rules are not met.
func (g *Gate) prospect(r *http.Request, who *caller, a *account.Account, unmet []*policy.Rule) (prospect, error) {
	need := policy.Require(unmet)
	no := refusal{status: http.StatusForbidden, event: audit.RequestNoFactor, rules: unmet, who: who}
	settings := isSettingsRule(need.Rules[0])
	if a.Frozen != nil && (need.Rules[0] != ruleSettingsLift || !a.Liftable()) {
		no.problem, no.title, no.event = "frozen", "The player has frozen the account", audit.RequestFrozen
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeFrozen, Link: g.settingsURL()}
		return prospect{event: no.event, refusal: no}, nil
	}
	if until, why := a.Held(need.Holds, g.Now()); !until.IsZero() && !settings {
		no.problem, no.title, no.event = "on-hold", "Closed for a cooling-off time after a security change", audit.RequestOnHold
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeOnHold, RetryAt: until, Cause: string(why), Link: "/"}
		no.retryAt, no.reason = until, string(why)
		return prospect{event: no.event, refusal: no}, nil
	}
	how := g.means(a, who, need)
	if len(how.factors) > 0 {
		if held.Unholdable(r) || isPart(r) {
			return prospect{event: audit.RequestUnholdable, refusal: g.unholdable(r, who, unmet)}, nil
		}
		return prospect{event: audit.RequestChallenged, how: how}, nil
	}
	asker := who.asker(need.Rules[0])
	disabled := slices.ContainsFunc(need.Factors, func(f policy.Factor) bool { return a.Disabled(f, asker) })
	if need.Unenrolled == unenrolledFirst {
		// The phone that the site knows was to be proved, and a hundred wrong codes
		// stand in the way: whoever sent them must not get in without it (I6).
		disabled = a.Disabled(policy.SMS, asker) && who.identity.Phone != ""
	}
	switch {
	case disabled && (a.Enrolled() || need.Unenrolled == unenrolledFirst):
		no.problem, no.title = "factor-disabled", "The factor was disabled after too many wrong answers"
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeFactorsDisabled, Link: g.settingsURL()}
	case !a.Enrolled() && need.Unenrolled == unenrolledFirst:
		return g.firstFactor(r, who, no)
	case !a.Enrolled() && need.Unenrolled == policy.UnenrolledAllow:
		return prospect{event: audit.RequestUnenrolled}, nil
	case !a.Enrolled():
		no.problem, no.title = "enrolment-required", "A second factor has to be set up first"
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeEnrol, Link: g.settingsURL()}
	default:
		no.problem, no.title = "factor-required", "None of the player's factors is accepted here"
		no.page = challengepages.Outcome{Kind: challengepages.OutcomeNoFactor, Link: g.settingsURL()}
		no.detail = "Accepted here: " + factorNames(need.Factors) + "."
	}
	return prospect{event: no.event, refusal: no}, nil
}

// means returns how the player can answer; no factors if not at all. The choice
// is made here and never by the client (R7).
func (g *Gate) means(a *account.Account, who *caller, need policy.Requirement) means {
	accepted := need.Factors
	if g.SMS == nil {
		accepted = slices.DeleteFunc(slices.Clone(accepted), func(f policy.Factor) bool { return f == policy.SMS })
	}
	if a.Enrolled() {
		how := means{factors: a.Usable(accepted, who.asker(need.Rules[0])), enrolled: true}
		// A recovery key stands in for a factor that the rule accepts, it is none by
		// itself.
		if e := a.Enrolment(policy.SMS); e != nil {
			how.phone = e.Phone
		}
		return how
	}
	toPhone := need.Unenrolled == policy.UnenrolledRegisteredPhone || need.Unenrolled == unenrolledFirst
	if !toPhone || !slices.Contains(accepted, policy.SMS) || a.Disabled(policy.SMS, who.asker(need.Rules[0])) {
		return means{}
	}
	phone, err := g.Numbering.Parse(who.identity.Phone)
	if err != nil {
		return means{}
	}
	return means{factors: []policy.Factor{policy.SMS}, phone: phone}
}

// challenge opens a challenge for the request, or finds the pending one, and
// answers with it.
func (g *Gate) challenge(w http.ResponseWriter, r *http.Request, who *caller, a *account.Account, how means, unmet []*policy.Rule, rt route) error {
	need := policy.Require(unmet)
	page := wantsPage(r)
	hold := page && (!isSafe(r.Method) || need.SingleUse)
	var request *held.Request
	if hold || need.SingleUse {
		var err error
		request, err = g.capture(r)
		switch {
		case errors.Is(err, held.ErrTooLarge) && !need.SingleUse:
			// It cannot be kept, but once the player has passed they can send it again.
			hold = false
		case err != nil:
			return g.refuseCapture(w, r, who, unmet, err)
		}
	}
	details, err := detailsOf(request, need.Details, g.MaxBody)
	if err != nil {
		return g.refuse(w, r, who.own, refusal{
			status: http.StatusBadRequest, problem: "ambiguous-request", title: "The request can be understood in more than one way",
			page:  challengepages.Outcome{Kind: challengepages.OutcomeAmbiguous, Link: "/"},
			event: audit.RequestAmbiguous, reason: "details", rules: unmet, who: who,
		})
	}
	if rt.show != nil {
		details = rt.show(who, a)
	}
	ch := &challenge.Challenge{
		Rules: need.Rules, Account: string(who.id), Binding: who.binding(), Audience: audience(r.Host), Epoch: a.Epoch,
		Factors: how.factors, SingleUse: need.SingleUse, Details: details, Phone: how.phone, Enrolled: how.enrolled,
		Opens: openings(unmet), Name: who.name, Subject: who.subject,
	}
	switch {
	case hold:
		ch.Held = request
	case onlyNewDevice(unmet) && (!page || isSafe(r.Method)):
		// One challenge for all that the browser asks for.
		ch.Anywhere = true
	case page && isSafe(r.Method):
		// A target that the record cannot hold unchanged is not returned to.
		if target := g.target(r); utf8.ValidString(target) {
			ch.Return = target
		}
	}
	if request != nil {
		ch.Digest = request.Digest()
	}
	ch, a, err = g.open(w, r, who, ch, fingerprint(ch, page))
	if err != nil {
		return g.unavailable(w, r, who.own, err)
	}
	g.observe(r, audit.Event{Name: audit.RequestChallenged, Subject: string(who.id), Challenge: ch.ID, Rule: need.Name()})
	if page {
		return g.showChallenge(w, r, who, ch, a, shown{status: http.StatusUnauthorized})
	}
	return g.challengeProblem(w, r, who, ch, a, need)
}

// open opens the challenge on the account, which decides whether it is a new
// one, then writes it, and sends the first code where SMS is the player's factor. It
// returns the challenge and the account as they are then.
func (g *Gate) open(w http.ResponseWriter, r *http.Request, who *caller, ch *challenge.Challenge, fingerprint string) (*challenge.Challenge, *account.Account, error) {
	ctx, b := r.Context(), who.backend
	id, err := b.Challenges.NewID()
	if err != nil {
		return nil, nil, err
	}
	in := account.Interruption{
		Rules: strings.Join(ch.Rules, "+"), Fingerprint: fingerprint, Binding: who.binding(), Browser: who.browser(), Device: who.device(), Stranger: who.name,
		Exclusive: ch.SingleUse, ID: id, Lifetime: challenge.Lifetime,
	}
	if who.hasBrowser() && who.browser() == "" {
		in.FirstMet, in.Browser = true, browserHash(b.Ring, firstSecret(b.Ring, id))
	}
	opened, err := b.Accounts.Open(ctx, who.id, in)
	if err != nil {
		return nil, nil, err
	}
	for _, gone := range opened.Closed {
		if err := g.endClosed(ctx, b, gone); err != nil {
			return nil, nil, err
		}
	}
	if in.FirstMet {
		secret := firstSecret(b.Ring, opened.Pending.ID)
		who.knowBrowser(secret)
		setCookie(w, r, cookieBrowser, secret, browserLifetime)
	}
	who.knowLane(opened.Account)
	ch.ID, ch.Browser = opened.Pending.ID, opened.Pending.Browser
	ch.Opened, ch.Expires = opened.Pending.Opened, opened.Pending.Expires
	if ch.Factors[0] != policy.SMS || !mayAutoSend(r) {
		ch, err = b.Challenges.Ensure(ctx, ch)
		return ch, opened.Account, err
	}
	send, err := b.Challenges.EnsureSent(ctx, ch, g.managed())
	if err != nil {
		return nil, nil, err
	}
	ch, err = g.deliver(r, who, send)
	return ch, opened.Account, err
}

// endClosed moves a challenge that the account has closed. One that was never
// written needs no moving.
func (g *Gate) endClosed(ctx context.Context, b *Backend, id string) error {
	_, _, err := b.Challenges.End(ctx, id, challenge.Replaced)
	if err != nil && !isNotFound(err) {
		return err
	}
	return nil
}

// fingerprint identifies the interruption: what has the same one shares the
// challenge.
func fingerprint(ch *challenge.Challenge, page bool) string {
	digest := base64.RawURLEncoding.EncodeToString(ch.Digest[:])
	switch {
	case ch.Held != nil:
		return "held:" + digest
	case ch.SingleUse:
		return "once:" + digest
	case ch.Anywhere:
		return "anywhere"
	case page:
		// Hashed: the account's record holds it, and a target can be long.
		sum := sha256.Sum256([]byte(ch.Return))
		return "page:" + base64.RawURLEncoding.EncodeToString(sum[:16])
	default:
		return "api"
	}
}

// openings are the groups that the passed challenge opens: those of the rules
// that are not single-use.
func openings(rules []*policy.Rule) []challenge.Opening {
	var opens []challenge.Opening
	for _, rule := range rules {
		if !rule.SingleUse {
			opens = append(opens, challenge.Opening{Group: rule.Group, MaxAge: rule.MaxAge})
		}
	}
	return opens
}

// mayAutoSend reports whether the first SMS goes out by itself. A link on
// another site must not be able to make it.
func mayAutoSend(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

// wantsPage reports whether the request is a browser's navigation, whose answer
// the player sees: the browser says so, or everything else speaks for it.
func wantsPage(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	if r.Header.Get("Authorization") != "" && strings.HasPrefix(strings.ToLower(r.Header.Get("Authorization")), "bearer ") ||
		r.Header.Get("X-Requested-With") != "" {
		return false
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return false
	}
	return isSafe(r.Method) || isFormType(r.Header.Get("Content-Type"))
}

// isPart reports whether a browser loads something by itself that a page is made of. It
// could show no challenge, and one with a code by SMS would come beside that of the page.
func isPart(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "empty", "frame", "iframe", "embed", "object":
		return false
	default:
		return true
	}
}

// isFormType reports whether a content type is one that an HTML form sends.
func isFormType(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return true
	default:
		return false
	}
}

func factorNames(factors []policy.Factor) string {
	names := make([]string, len(factors))
	for i, f := range factors {
		names[i] = string(f)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// grantAge returns how long an opening lasts.
func grantAge(o challenge.Opening) time.Duration { return cmp.Or(o.MaxAge, policy.DefaultMaxAge) }
