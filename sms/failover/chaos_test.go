package failover

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// fault is one way in which a provider treats a message. It returns what the sender
// says, and whether the message went out all the same.
type fault struct {
	name   string
	weight int
	serve  func(ctx context.Context, rng *rand.Rand) (sent bool, err error)
}

func class(c sms.Class, text string) error { return &sms.Error{Class: c, Err: errors.New(text)} }

// upTo waits for up to d, as long as the player may wait.
func upTo(ctx context.Context, rng *rand.Rand, d time.Duration) bool {
	select {
	case <-time.After(span(rng, d)):
		return true
	case <-ctx.Done():
		return false
	}
}

func span(rng *rand.Rand, below time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(below)))
}

func coin(rng *rand.Rand) bool { return rng.IntN(2) == 0 }

var faults = []fault{
	{"accepted", 60, func(ctx context.Context, rng *rand.Rand) (bool, error) { return true, nil }},
	{"accepted slowly", 10, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		if !upTo(ctx, rng, 6*time.Second) {
			return coin(rng), class(sms.Unknown, "timeout")
		}
		return true, nil
	}},
	{"no answer", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		<-ctx.Done()
		return coin(rng), class(sms.Unknown, "timeout")
	}},
	{"no connection in time", 3, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		<-ctx.Done()
		return false, class(sms.NotSent, "dial timeout")
	}},
	{"hang", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		time.Sleep(time.Second + span(rng, time.Minute))
		switch rng.IntN(4) {
		case 0:
			return true, nil
		case 1:
			return false, class(sms.Account, "401")
		default:
			return coin(rng), class(sms.Unknown, "timeout")
		}
	}},
	{"connection refused", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		return false, class(sms.NotSent, "connection refused")
	}},
	{"connection closed", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		upTo(ctx, rng, time.Second)
		return coin(rng), class(sms.Unknown, "connection closed")
	}},
	{"500", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) { return coin(rng), class(sms.Unknown, "500") }},
	{"HTML with 200", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) {
		return coin(rng), class(sms.Unknown, "no JSON")
	}},
	{"429", 5, func(ctx context.Context, rng *rand.Rand) (bool, error) { return false, class(sms.NotSent, "429") }},
	{"401", 1, func(ctx context.Context, rng *rand.Rand) (bool, error) { return false, class(sms.Account, "401") }},
	{"bad number", 2, func(ctx context.Context, rng *rand.Rand) (bool, error) { return false, class(sms.BadNumber, "33") }},
	{"fraud filter", 2, func(ctx context.Context, rng *rand.Rand) (bool, error) { return false, class(sms.Policy, "22") }},
	{"bad request", 2, func(ctx context.Context, rng *rand.Rand) (bool, error) { return false, class(sms.BadRequest, "422") }},
	{"error of no class", 2, func(ctx context.Context, rng *rand.Rand) (bool, error) { return coin(rng), errors.New("odd") }},
	{"panic", 2, func(ctx context.Context, rng *rand.Rand) (bool, error) { panic("odd") }},
}

// sending is all that happens to one message. It is its ledger, too.
type sending struct {
	message sms.Message

	mu      sync.Mutex // guards what follows
	asked   []string
	handed  []handed
	told    map[string][]result
	receipt sms.Receipt
	err     error
	took    time.Duration
}

type handed struct {
	provider string
	message  sms.Message
	fault    string
	sent     bool // it went out, whatever the sender said
	err      error
	late     bool // it returned after the sending had given up waiting
}

func (s *sending) Before(_ context.Context, provider string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, provider)
	return nil
}

func (s *sending) After(_ context.Context, provider string, r sms.Receipt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[provider] = append(s.told[provider], result{r, err})
}

// storm is the weather at the providers: it makes the same faults for the same seed,
// whichever goroutine runs first.
type storm struct {
	seed     uint64
	over     bool // everything is accepted again
	mu       sync.Mutex
	sendings map[string]*sending // by ref
}

// Sender returns one provider in the storm.
func (w *storm) Sender(provider string, number uint64) sender {
	return func(ctx context.Context, m sms.Message) (sms.Receipt, error) {
		w.mu.Lock()
		s := w.sendings[m.Ref]
		w.mu.Unlock()
		var n uint64
		if _, err := fmt.Sscanf(m.Ref, "m-%d", &n); err != nil {
			return sms.Receipt{}, err
		}
		rng := rand.New(rand.NewPCG(w.seed, 3*n+number))
		f := faults[0]
		// Each provider has good and bad hours, at its own times.
		if !w.over && ((n/400+number)%2 == 0 || rng.IntN(8) == 0) {
			f = pick(rng)
		}
		h := handed{provider: provider, message: m, fault: f.name}
		s.mu.Lock()
		i := len(s.handed)
		s.handed = append(s.handed, h)
		s.mu.Unlock()
		h.err = errors.New("panic")
		defer func() {
			end, _ := ctx.Deadline()
			h.late = time.Now().After(end.Add(DefaultAttemptTimeout / 20))
			s.mu.Lock()
			s.handed[i] = h
			s.mu.Unlock()
		}()
		h.sent, h.err = f.serve(ctx, rng)
		if h.err != nil {
			return sms.Receipt{}, h.err
		}
		return sms.Receipt{ID: provider + " " + m.Ref}, nil
	}
}

func pick(rng *rand.Rand) fault {
	sum := 0
	for _, f := range faults {
		sum += f.weight
	}
	n := rng.IntN(sum)
	for _, f := range faults {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	panic("unreachable")
}

func TestInAStormEverySendingKeepsItsPromises(t *testing.T) {
	const sendings = 6000
	synctest.Test(t, func(t *testing.T) {
		weather := &storm{seed: 6, sendings: map[string]*sending{}}
		var alarms alarms
		r := newRouter(t, Config{
			Providers: []Provider{
				{Name: "main", Sender: weather.Sender("main", 0)}, {Name: "backup", Sender: weather.Sender("backup", 1)}, {Name: "spare", Sender: weather.Sender("spare", 2)},
			},
			Alarm: alarms.raise,
		})
		rng := rand.New(rand.NewPCG(weather.seed, 0))
		var all []*sending
		var wg sync.WaitGroup
		for i := range sendings {
			m := message
			m.Ref = fmt.Sprintf("m-%d", i)
			m.Code = fmt.Sprintf("%06d", rng.IntN(1e6))
			m.Text = "Kode Example Anda: " + m.Code
			if i%5 == 0 {
				m.Avoid = "main"
			}
			s := &sending{message: m, told: map[string][]result{}}
			all = append(all, s)
			weather.mu.Lock()
			weather.sendings[m.Ref] = s
			weather.mu.Unlock()
			wg.Go(func() {
				start := time.Now()
				receipt, err := r.Send(t.Context(), m, s)
				s.mu.Lock()
				defer s.mu.Unlock()
				s.receipt, s.err, s.took = receipt, err, time.Since(start)
			})
			if i%8 > 3 { // a few at once, then some by themselves; in a rush the breakers let too few through
				time.Sleep(span(rng, 6*time.Second))
			}
		}
		wg.Wait()
		time.Sleep(10 * time.Minute) // stragglers end, and every pause is over
		synctest.Wait()
		seen := map[string]int{}
		for _, s := range all {
			s.check(t, seen)
		}
		for _, f := range faults {
			if seen[f.name] == 0 {
				t.Errorf("the storm had no %q: the test proves less than it says", f.name)
			}
		}
		for _, what := range []string{"straggler", "straggler that was sent", "two went out", "unavailable", "failed over", "returned unknown", "returned not_sent", "returned number", "returned policy"} {
			if seen[what] == 0 {
				t.Errorf("the storm had no %q: the test proves less than it says", what)
			}
		}
		for _, what := range []string{"main opened", "main closed", "main account_refused", "backup opened", "backup closed", "backup account_refused", "spare opened", "spare closed"} {
			if !slices.Contains(alarms.raised, what) {
				t.Errorf("the storm had no alarm %q: the test proves less than it says", what)
			}
		}
		t.Logf("%d sendings: %v", sendings, seen)

		weather.over = true
		for i, avoid := range []string{"main", "", "", "backup"} {
			s := &sending{message: message, told: map[string][]result{}}
			s.message.Ref, s.message.Avoid = fmt.Sprintf("m-%d", sendings+i), avoid
			weather.sendings[s.message.Ref] = s
			s.receipt, s.err = r.Send(t.Context(), s.message, s)
			s.check(t, seen)
			if want := map[bool]string{true: "backup", false: "main"}[avoid == "main"]; s.receipt.Provider != want {
				t.Errorf("after the storm %q had the message, want %q", s.receipt.Provider, want)
			}
		}
	})
}

// check checks what must hold for each sending, and counts what there was.
func (s *sending) check(t *testing.T, seen map[string]int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\nhanded over: %+v\nreturned: %+v, %v", s.message.Ref, fmt.Sprintf(format, args...), s.handed, s.receipt, s.err)
	}
	if s.took > DefaultTotalTimeout {
		wrong("it took %s, more than %s", s.took, DefaultTotalTimeout)
	}
	if len(s.handed) > maxAttempts {
		wrong("%d hand-overs, want %d at most", len(s.handed), maxAttempts)
	}
	if len(s.asked) != len(s.handed) || len(s.told) != len(s.handed) {
		wrong("Before was asked for %q, After told of %d providers", s.asked, len(s.told))
	}
	sent := 0
	for i, h := range s.handed {
		seen[h.fault]++
		if h.message != s.message {
			wrong("%s was handed another message", h.provider)
		}
		if s.asked[i] != h.provider || i > 0 && s.asked[0] == h.provider {
			wrong("Before was asked for %q in this order", s.asked)
		}
		told := s.told[h.provider]
		switch {
		case len(told) != 1:
			wrong("After was told of %s %d times, want once", h.provider, len(told))
		case (told[0].err == nil) != (h.err == nil) || told[0].receipt.Provider != h.provider:
			wrong("After was told %+v of %s", told[0], h.provider)
		}
		if i < len(s.handed)-1 && !h.late && (h.err == nil || final(h.err)) {
			wrong("it was handed on after %s", h.fault)
		}
		if h.sent {
			sent++
		}
		if h.late {
			seen["straggler"]++
			if h.sent {
				seen["straggler that was sent"]++
			}
		}
	}
	if sent > 0 && s.err != nil && sms.ClassOf(s.err) != sms.Unknown {
		wrong("it went out, and is said not to have")
	}
	if sent > 1 {
		seen["two went out"]++
		if first := s.handed[0]; !first.late && sms.ClassOf(first.err) != sms.Unknown {
			wrong("it went out twice, although the first was no unknown")
		}
	}
	if len(s.handed) > 1 {
		seen["failed over"]++
	}
	if s.err == nil {
		last := s.handed[len(s.handed)-1]
		if (s.receipt != sms.Receipt{Provider: last.provider, ID: last.provider + " " + s.message.Ref}) || last.err != nil || last.late {
			wrong("the receipt is not that of the provider that accepted it")
		}
		return
	}
	seen["returned "+sms.ClassOf(s.err).String()]++
	if errors.Is(s.err, sms.ErrUnavailable) {
		seen["unavailable"]++
		if len(s.handed) > 0 || sms.ClassOf(s.err) != sms.NotSent {
			wrong("it is said to have been handed to nobody")
		}
	}
}

func final(err error) bool {
	return sms.ClassOf(err) == sms.BadNumber || sms.ClassOf(err) == sms.Policy
}
