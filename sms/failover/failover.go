// Package failover hands a message to the first of several providers that takes it.
//
// The next provider gets the message only where the one before may not have sent it, and
// another one may do better: after the classes not_sent, unknown, account and
// bad_request, never after number or policy. There are two hand-overs at most, of the
// same message, with the same reference, text and code: a message that comes twice
// because nobody knew of the first then does no harm. The same provider is never tried
// twice; a connection that breaks before anything was written is the transport's to make
// again.
//
// A provider that fails again and again is left out for a while (see [Event]), and each
// gets its messages at a rate that its account can take.
//
// All of that is kept in memory, for one process. Nodes of a cluster see a provider over
// networks of their own, and may rightly differ; to agree, they would have to write to the
// store for each message, in the way of the player who waits for it. What a node does not
// know costs it five messages that go to the next provider late. What must hold for all
// nodes together, the budgets, is asked of [sms.Attempts].
package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/stepgate/stepgate/sms"
)

// The defaults of Config and Provider.
const (
	DefaultAttemptTimeout = 5 * time.Second
	DefaultTotalTimeout   = 9 * time.Second
	DefaultPerSecond      = 30
)

// maxAttempts is how many providers get one message at most. Each costs money, and the
// player waits.
const maxAttempts = 2

// Provider is one way to send. Name and Sender are required.
type Provider struct {
	// Name is the operator's name for it, as it stands in routes, logs and
	// [sms.Message.Avoid].
	Name   string
	Sender sms.Sender
	// PerSecond is how many messages a second it gets at most, evenly spread. A message
	// waits for its turn for half of its time at most, and then goes elsewhere. Default
	// DefaultPerSecond.
	PerSecond int
}

// Config says which providers there are, and which gets what. Providers are required;
// the zero value of every other field is its default.
type Config struct {
	// Providers in the order in which they are tried.
	Providers []Provider
	// Routes name the providers for numbers of a region, an ISO 3166-1 alpha-2 code in
	// capitals, in the order in which they are tried. Numbers of the other regions, and of
	// none, go to all providers.
	Routes map[string][]string
	// AttemptTimeout is how long one provider may take, and TotalTimeout all of them
	// together. Default DefaultAttemptTimeout and DefaultTotalTimeout.
	AttemptTimeout, TotalTimeout time.Duration
	// Alarm is told when a provider is left out and when it is back, with the error that
	// was the last straw; nil for Closed. It is for the operator's log and metrics, may be
	// called from several goroutines, and must return soon. Default: nobody is told.
	Alarm func(provider string, e Event, err error)
	// Now is the clock of the breakers. Timeouts and rates keep to that of the machine,
	// since they wait. Default time.Now.
	Now func() time.Time
}

// Event is what happens to a provider.
type Event int

// The events.
const (
	// Opened: 5 messages in a row were not taken or nobody knows, or half of the last 20
	// within a minute. The provider is left out for 30 seconds; then one message tries it,
	// and if that fails too, it is opened again for twice as long, up to 5 minutes.
	Opened Event = iota
	// Closed: that one message was taken, and all may go there again.
	Closed
	// AccountRefused: the operator's account does not work, and until the operator has
	// acted none will be taken. The provider is left out for 5 minutes.
	AccountRefused
	// Stuck: hand-overs that should have ended do not, and the provider is left out until
	// some of them do. Its sender is broken.
	Stuck
)

// String returns the event's name as it appears in logs and metrics.
func (e Event) String() string {
	switch e {
	case Opened:
		return "opened"
	case Closed:
		return "closed"
	case AccountRefused:
		return "account_refused"
	case Stuck:
		return "stuck"
	default:
		return fmt.Sprintf("event_%d", int(e))
	}
}

// Router sends by the providers that New was given. It is safe for concurrent use.
type Router struct {
	all     []*provider
	regions map[string][]*provider
	attempt time.Duration
	total   time.Duration
	// grace is how long a sender has to return after its time is over and say what it
	// knows. It is taken from the total.
	grace time.Duration
}

// New returns a router, or an error that says what is wrong with the configuration.
func New(c Config) (*Router, error) {
	r := &Router{
		regions: map[string][]*provider{},
		attempt: orDefault(c.AttemptTimeout, DefaultAttemptTimeout),
		total:   orDefault(c.TotalTimeout, DefaultTotalTimeout),
	}
	r.grace = r.attempt / 20
	switch {
	case r.attempt < 0 || r.total < 0:
		return nil, errors.New("a timeout is negative: write how long sending may take, such as 5s for one provider and 9s in all")
	case r.total < r.attempt:
		return nil, fmt.Errorf("the total timeout of %s is shorter than the %s of one attempt: write at least as much, and room for a second attempt, such as %s",
			r.total, r.attempt, 2*r.attempt)
	case len(c.Providers) == 0:
		return nil, errors.New("there are no providers: want at least one")
	}
	byName := map[string]*provider{}
	for _, given := range c.Providers {
		p, err := newProvider(given, c)
		if err != nil {
			return nil, err
		}
		if byName[p.name] != nil {
			return nil, fmt.Errorf("two providers are named %q: give each a name of its own", p.name)
		}
		byName[p.name] = p
		r.all = append(r.all, p)
	}
	for _, region := range slices.Sorted(maps.Keys(c.Routes)) {
		if err := (sms.Numbering{Regions: []string{region}}).Validate(); err != nil {
			return nil, fmt.Errorf("route: %w", err)
		}
		route, err := r.route(byName, c.Routes[region])
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", region, err)
		}
		r.regions[region] = route
	}
	return r, nil
}

func newProvider(given Provider, c Config) (*provider, error) {
	perSecond := orDefault(given.PerSecond, DefaultPerSecond)
	switch {
	case given.Name == "":
		return nil, errors.New("a provider has no name: give it one, such as main")
	case given.Sender == nil:
		return nil, fmt.Errorf("provider %q has no sender", given.Name)
	case perSecond < 0:
		return nil, fmt.Errorf("provider %q gets a negative number of messages a second: write 1 or more, such as %d", given.Name, DefaultPerSecond)
	}
	p := &provider{name: given.Name, sender: given.Sender, alarm: c.Alarm, now: c.Now, turns: rate.NewLimiter(rate.Limit(perSecond), 1)}
	if p.alarm == nil {
		p.alarm = func(string, Event, error) {}
	}
	if p.now == nil {
		p.now = time.Now
	}
	return p, nil
}

func (r *Router) route(byName map[string]*provider, names []string) ([]*provider, error) {
	known := func() string { return strings.Join(slices.Sorted(maps.Keys(byName)), ", ") }
	if len(names) == 0 {
		return nil, fmt.Errorf("it names no provider: want one or more of %s", known())
	}
	var route []*provider
	for _, name := range names {
		p := byName[name]
		if p == nil {
			return nil, fmt.Errorf("there is no provider %q: want one or more of %s", name, known())
		}
		if slices.Contains(route, p) {
			return nil, fmt.Errorf("it names provider %q twice: want each once, since none gets the same message again", name)
		}
		route = append(route, p)
	}
	return route, nil
}

func orDefault[T ~int | ~int64](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// Send hands m to the providers of its route until one accepts it, and tells a of each
// hand-over; a must not be nil, since whoever counts nothing pays for everything. The one
// that m.Avoid names comes last. Send returns within the total timeout, or soon after ctx
// is done, whatever a sender does, as long as a keeps to its contract. A player who gives
// up waiting should not end ctx: the message is paid for all the same.
//
// The receipt names the provider that accepted the message. The error is an [*sms.Error]
// of the class that weighs most of those that the providers gave:
//
//   - Unknown, because it may have been sent, whatever the other provider says;
//   - BadNumber or Policy, because another try would end in the same way;
//   - NotSent, because another try may succeed; so for a provider that was left out or
//     passed over;
//   - Account;
//   - BadRequest.
//
// It wraps [sms.ErrUnavailable] if no provider could be handed the message, and is of
// class NotSent then.
func (r *Router) Send(ctx context.Context, m sms.Message, a sms.Attempts) (sms.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, r.total-r.grace)
	defer cancel()
	var v verdict
	for _, p := range r.order(m) {
		if err := r.late(ctx); err != nil {
			v.end(err)
			break
		}
		receipt, err := r.try(ctx, p, m, a, &v)
		if err == nil {
			return receipt, nil
		}
		if v.ended || v.attempts == maxAttempts {
			break
		}
	}
	return sms.Receipt{}, v.err()
}

// order returns the providers for a message, in the order in which to try them.
func (r *Router) order(m sms.Message) []*provider {
	route := r.all
	if len(r.regions) > 0 {
		if own, ok := r.regions[m.To.Region()]; ok {
			route = own
		}
	}
	i := slices.IndexFunc(route, func(p *provider) bool { return p.name == m.Avoid })
	if i < 0 {
		return route
	}
	return append(slices.Delete(slices.Clone(route), i, i+1), route[i])
}

// late returns an error if there is too little time for another hand-over. It would end
// with nobody knowing whether the message was sent, at the operator's cost, and count
// against a provider that was given no chance.
func (r *Router) late(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < r.attempt/4 {
		return fmt.Errorf("too little time is left for another attempt: %w", context.DeadlineExceeded)
	}
	return nil
}

// try offers the message to one provider, and adds what came of it to the verdict.
func (r *Router) try(ctx context.Context, p *provider, m sms.Message, a sms.Attempts, v *verdict) (sms.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, r.attempt)
	defer cancel()
	t, err := p.admit(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		v.end(err)
		return sms.Receipt{}, err
	case err != nil:
		v.skip(p.name, err)
		return sms.Receipt{}, err
	}
	defer p.breaker.release(t)
	switch err := a.Before(ctx, p.name); {
	case errors.Is(err, sms.ErrPassOver):
		v.skip(p.name, err)
		return sms.Receipt{}, err
	case err != nil:
		v.end(err)
		return sms.Receipt{}, err
	}
	receipt, err := p.hand(ctx, r.grace, t, m, a)
	if err != nil {
		v.add(p.name, err)
	}
	return receipt, err
}
