package failover

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/sms"
)

// accepted stands for no error in tables of classes.
const accepted sms.Class = -1

var errAsTold = errors.New("as told")

// outcomes are all that can become of an attempt.
var outcomes = []sms.Class{accepted, sms.Unknown, sms.NotSent, sms.Account, sms.BadRequest, sms.BadNumber, sms.Policy}

func TestEachPairOfOutcomesHasItsVerdict(t *testing.T) {
	const (
		ok, unknown, notSent, account = accepted, sms.Unknown, sms.NotSent, sms.Account
		badRequest, badNumber, policy = sms.BadRequest, sms.BadNumber, sms.Policy
	)
	for first, verdicts := range map[sms.Class][]sms.Class{
		// The second attempt: accepted, unknown, not_sent, account, bad_request, number, policy.
		unknown:    {ok, unknown, unknown, unknown, unknown, unknown, unknown},
		notSent:    {ok, unknown, notSent, notSent, notSent, badNumber, policy},
		account:    {ok, unknown, notSent, account, account, badNumber, policy},
		badRequest: {ok, unknown, notSent, account, badRequest, badNumber, policy},
		// There is no second attempt.
		ok:        {ok},
		badNumber: {badNumber},
		policy:    {policy},
	} {
		for i, want := range verdicts {
			second := outcomes[i]
			t.Run(name(first)+" then "+name(second), func(t *testing.T) {
				r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: answer(first)}, {Name: "backup", Sender: answer(second)}}})
				var l ledger
				receipt, err := r.Send(t.Context(), message, &l)
				handed := []string{"main", "backup"}
				if len(verdicts) == 1 {
					handed = handed[:1]
				}
				l.check(t, handed...)
				switch {
				case want == accepted && (err != nil || receipt != sms.Receipt{Provider: handed[len(handed)-1], ID: "id"}):
					t.Errorf("Send = %v, %v, want accepted by %s", receipt, err, handed[len(handed)-1])
				case want != accepted && (err == nil || sms.ClassOf(err) != want || receipt != sms.Receipt{}):
					t.Errorf("Send = %v, %v, want class %s", receipt, err, want)
				case want != accepted && (!errors.Is(err, errAsTold) || errors.Is(err, sms.ErrUnavailable)):
					t.Errorf("Send = %v, want an error that wraps the providers' and not ErrUnavailable", err)
				}
			})
		}
	}
}

func name(c sms.Class) string {
	if c == accepted {
		return "accepted"
	}
	return c.String()
}

func TestAnErrorOfNoClassCountsAsUnknown(t *testing.T) {
	for _, err := range []error{errAsTold, &sms.Error{Class: 99, Err: errAsTold}} {
		broken := func(context.Context, sms.Message) (sms.Receipt, error) { return sms.Receipt{}, err }
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(broken)}, {Name: "backup", Sender: answer(sms.BadNumber)}}})
		var l ledger
		if _, err := r.Send(t.Context(), message, &l); err == nil || sms.ClassOf(err) != sms.Unknown {
			t.Errorf("Send = %v, want class unknown", err)
		}
		l.check(t, "main", "backup")
	}
}

func TestTheErrorNamesProvidersAndClasses(t *testing.T) {
	r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: answer(sms.Unknown)}, {Name: "backup", Sender: answer(sms.Account)}}})
	_, err := r.Send(t.Context(), message, new(ledger))
	const want = "sending sms: unknown: main: unknown: as told; backup: account: as told"
	if err == nil || err.Error() != want {
		t.Errorf("Send = %v, want %q", err, want)
	}
}

func TestNoMessageIsHandedOverMoreThanTwice(t *testing.T) {
	r := newRouter(t, Config{Providers: []Provider{
		{Name: "a", Sender: answer(sms.NotSent)}, {Name: "b", Sender: answer(sms.NotSent)}, {Name: "c", Sender: sender(accept)},
	}})
	var l ledger
	if _, err := r.Send(t.Context(), message, &l); sms.ClassOf(err) != sms.NotSent {
		t.Errorf("Send = %v, want class not_sent", err)
	}
	l.check(t, "a", "b")
}

func TestNoMoneyEndsTheSending(t *testing.T) {
	errSpent := errors.New("spent")
	for _, c := range []struct {
		name   string
		refuse string // the provider that there is no money for
		want   sms.Class
		handed []string
	}{
		{"before the first attempt", "main", sms.NotSent, nil},
		{"before the second, when the first may have sent it", "backup", sms.Unknown, []string{"main"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: answer(sms.Unknown)}, {Name: "backup", Sender: sender(accept)}}})
			l := ledger{refuse: func(p string) error {
				if p == c.refuse {
					return errSpent
				}
				return nil
			}}
			_, err := r.Send(t.Context(), message, &l)
			if sms.ClassOf(err) != c.want || !errors.Is(err, errSpent) || errors.Is(err, sms.ErrUnavailable) {
				t.Errorf("Send = %v, want class %s, spent", err, c.want)
			}
			l.check(t, c.handed...)
		})
	}
}

// A sender is a guest's code, and runs where no server catches its panics.
func TestASenderThatPanicsMayHaveSent(t *testing.T) {
	for _, v := range []any{"+6281234567890", errors.New("+6281234567890")} {
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(func(context.Context, sms.Message) (sms.Receipt, error) { panic(v) })}}})
		var l ledger
		_, err := r.Send(t.Context(), message, &l)
		if sms.ClassOf(err) != sms.Unknown || strings.Contains(err.Error(), "7890") {
			t.Errorf("Send = %v, want class unknown without what it panicked with", err)
		}
		l.check(t, "main")
	}
}

// untilDone is a sender that waits as long as it may, and then does not know.
func untilDone(ctx context.Context, _ sms.Message) (sms.Receipt, error) {
	<-ctx.Done()
	return sms.Receipt{}, &sms.Error{Class: sms.Unknown, Err: ctx.Err()}
}

// hang is a sender that returns after d whatever ctx says.
func hang(d time.Duration, then sender) sender {
	return func(ctx context.Context, m sms.Message) (sms.Receipt, error) {
		time.Sleep(d)
		return then(ctx, m)
	}
}

func TestASendingTakesNoLongerThanItMay(t *testing.T) {
	for _, c := range []struct {
		name         string
		main, backup sender
		want         time.Duration
		class        sms.Class
	}{
		{"the first uses its time up", untilDone, accept, 5 * time.Second, accepted},
		{"the first hangs", hang(time.Hour, accept), accept, 5250 * time.Millisecond, accepted},
		{"both use their time up", untilDone, untilDone, 8750 * time.Millisecond, sms.Unknown},
		{"both hang", hang(time.Hour, accept), hang(time.Hour, accept), 9 * time.Second, sms.Unknown},
		{"the first is slow, the second hangs", hang(4*time.Second, answer(sms.NotSent)), hang(time.Hour, accept), 9 * time.Second, sms.Unknown},
		{"the first fails, the second hangs", answer(sms.NotSent), hang(time.Hour, accept), 5250 * time.Millisecond, sms.Unknown},
		{"the first returns a moment late", hang(5200*time.Millisecond, accept), untilDone, 5200 * time.Millisecond, accepted},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: c.main}, {Name: "backup", Sender: c.backup}}})
				start := time.Now()
				_, err := r.Send(t.Context(), message, new(ledger))
				if got := time.Since(start); got != c.want {
					t.Errorf("Send took %s, want %s", got, c.want)
				}
				if c.class == accepted && err != nil || c.class != accepted && (err == nil || sms.ClassOf(err) != c.class) {
					t.Errorf("Send = %v, want %s", err, name(c.class))
				}
				time.Sleep(2 * time.Hour) // until those that hang have ended
			})
		})
	}
}

func TestWhatAStragglerEndsWithIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: hang(time.Minute, accept)}, {Name: "backup", Sender: sender(accept)}}})
		var l ledger
		ctx, cancel := context.WithCancel(t.Context())
		receipt, err := r.Send(ctx, message, &l)
		cancel() // as a handler's is when it returns
		if err != nil || receipt.Provider != "backup" {
			t.Errorf("Send = %v, %v, want accepted by backup", receipt, err)
		}
		if len(l.before) != 2 || len(l.after) != 1 {
			t.Errorf("Before was asked for %q and After told of %q, want both and backup", l.before, l.after)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(l.after) != 2 || l.after[1] != "main" || l.ended[1] != (result{receipt: sms.Receipt{Provider: "main", ID: "id"}}) {
			t.Errorf("After was told of %q with %v, want main at last, accepted", l.after, l.ended)
		}
	})
}

func TestAStragglerCountsAsAFailureAndTellsOfAnAccountAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		late := sender(accept)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(func(ctx context.Context, m sms.Message) (sms.Receipt, error) {
			return hang(20*time.Second, late)(ctx, m)
		})}}, Alarm: alarms.raise})
		for range 5 { // acceptances that come too late close nothing
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		alarms.check(t, "main opened")
		late = answer(sms.Account)
		time.Sleep(30 * time.Second)
		_, _ = r.Send(t.Context(), message, new(ledger))
		alarms.check(t, "main opened", "main opened")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		alarms.check(t, "main opened", "main opened", "main account_refused")
	})
}

func TestAProviderWhoseHandOversDoNotEndGetsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		handed := 0
		var mu sync.Mutex // guards handed
		var alarms alarms
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", PerSecond: 1000, Sender: sender(func(context.Context, sms.Message) (sms.Receipt, error) {
			mu.Lock()
			handed++
			mu.Unlock()
			<-end
			return sms.Receipt{}, nil
		})}}, Alarm: alarms.raise})
		var l ledger
		var wg sync.WaitGroup
		for range maxStragglers + 20 {
			wg.Go(func() { _, _ = r.Send(t.Context(), message, &l) })
		}
		wg.Wait()
		alarms.check(t, "main opened", "main stuck")
		time.Sleep(time.Hour) // a probe would be due
		if _, err := r.Send(t.Context(), message, &l); !errors.Is(err, sms.ErrUnavailable) {
			t.Errorf("Send = %v, want ErrUnavailable", err)
		}
		if handed != maxStragglers+20 {
			t.Errorf("%d hand-overs, want %d", handed, maxStragglers+20)
		}
		close(end)
		synctest.Wait()
		if _, err := r.Send(t.Context(), message, &l); err != nil {
			t.Errorf("Send = %v after they ended, want accepted", err)
		}
		if len(l.before) != maxStragglers+21 || len(l.after) != maxStragglers+21 {
			t.Errorf("Before was asked %d times and After told %d times, want %d", len(l.before), len(l.after), maxStragglers+21)
		}
	})
}

// Whoever can make requests and go away must not be able to open a breaker.
func TestACallerWhoGoesAwayIsNotHeldAgainstTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(untilDone)}, {Name: "backup", Sender: sender(accept)}}, Alarm: alarms.raise})
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			var l ledger
			start := time.Now()
			if _, err := r.Send(ctx, message, &l); sms.ClassOf(err) != sms.Unknown || time.Since(start) != time.Second {
				t.Errorf("Send = %v after %s, want class unknown after 1s", err, time.Since(start))
			}
			l.check(t, "main")
		}
		alarms.check(t)
	})
}

func TestACallerWithoutTimeHandsNothingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(accept)}}})
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, ctx := range []context.Context{gone, short} {
			var l ledger
			_, err := r.Send(ctx, message, &l)
			if err == nil || sms.ClassOf(err) != sms.NotSent || errors.Is(err, sms.ErrUnavailable) {
				t.Errorf("Send = %v, want class not_sent and not ErrUnavailable", err)
			}
			l.check(t)
		}
	})
}

func TestAProviderThatFailsIsLeftOutUntilOneProbeIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		now := answer(sms.NotSent)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(func(ctx context.Context, m sms.Message) (sms.Receipt, error) {
			return now(ctx, m)
		})}}, Alarm: alarms.raise})
		// sendMany sends from many goroutines, and returns how many messages were handed
		// over; all others must be unavailable.
		sendMany := func(n int) int {
			var l ledger
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					_, err := r.Send(t.Context(), message, &l)
					if errors.Is(err, sms.ErrUnavailable) && sms.ClassOf(err) != sms.NotSent {
						t.Errorf("Send = %v, want class not_sent", err)
					}
				})
			}
			wg.Wait()
			return len(l.before)
		}
		for range 5 {
			sendMany(1)
		}
		alarms.check(t, "main opened")
		for _, c := range []struct {
			pause time.Duration
			probe sender
		}{
			{30 * time.Second, answer(sms.NotSent)},
			{time.Minute, answer(sms.BadNumber)}, // teaches nothing: the next one is a probe too
			{0, hang(time.Hour, accept)},
			{2 * time.Minute, accept},
		} {
			now = c.probe
			if c.pause > 0 {
				time.Sleep(c.pause - time.Nanosecond)
				if n := sendMany(20); n != 0 {
					t.Errorf("%d messages were handed over before the pause was over, want 0", n)
				}
				time.Sleep(time.Nanosecond)
			}
			if n := sendMany(1); n != 1 {
				t.Errorf("%d messages were handed over as a probe, want 1", n)
			}
		}
		alarms.check(t, "main opened", "main opened", "main opened", "main closed")
		if n := sendMany(20); n != 20 {
			t.Errorf("%d of 20 messages were handed over after the probe, want all", n)
		}
		time.Sleep(time.Hour)
	})
}

func TestManyAtOnceShareOneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := answer(sms.Unknown)
		r := newRouter(t, Config{Providers: []Provider{
			{Name: "main", PerSecond: 1000, Sender: sender(func(ctx context.Context, m sms.Message) (sms.Receipt, error) { return now(ctx, m) })},
			{Name: "backup", PerSecond: 1000, Sender: sender(accept)},
		}})
		for range 5 {
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		time.Sleep(30 * time.Second)
		now = hang(2*time.Second, accept)
		var l ledger
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := r.Send(t.Context(), message, &l); err != nil {
					t.Errorf("Send: %v", err)
				}
			})
		}
		wg.Wait()
		count := map[string]int{}
		for _, p := range l.before {
			count[p]++
		}
		if count["main"] != 1 || count["backup"] != 49 {
			t.Errorf("handed over %v, want one to main and the rest to backup", count)
		}
	})
}

func TestAnAccountErrorIsAlarmedAndGoesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: answer(sms.Account)}, {Name: "backup", Sender: sender(accept)}}, Alarm: alarms.raise})
		var l ledger
		for range 3 {
			if _, err := r.Send(t.Context(), message, &l); err != nil {
				t.Errorf("Send: %v", err)
			}
		}
		l.check(t, "main", "backup", "backup", "backup")
		alarms.check(t, "main account_refused")
	})
}

// An attacker can choose numbers, and set a fraud filter off.
func TestNothingThatIsAboutTheMessageOpensABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		for _, class := range []sms.Class{sms.BadNumber, sms.Policy, sms.BadRequest} {
			r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: answer(class)}}, Alarm: alarms.raise})
			for range 50 {
				if _, err := r.Send(t.Context(), message, new(ledger)); sms.ClassOf(err) != class {
					t.Fatalf("Send = %v, want class %s", err, class)
				}
			}
		}
		alarms.check(t)
	})
}

// Without money the probe never takes place, and the next message must be able to be it.
func TestAProbeWithoutMoneyMakesWayForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := answer(sms.NotSent)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: sender(func(ctx context.Context, m sms.Message) (sms.Receipt, error) { return now(ctx, m) })}}})
		for range 5 {
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		now = accept
		time.Sleep(30 * time.Second)
		if _, err := r.Send(t.Context(), message, &ledger{refuse: func(string) error { return errAsTold }}); !errors.Is(err, errAsTold) {
			t.Errorf("Send = %v, want what Before said", err)
		}
		if _, err := r.Send(t.Context(), message, new(ledger)); err != nil {
			t.Errorf("Send: %v", err)
		}
	})
}

func TestEachProviderGetsMessagesAtItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex // guards at
		var at []time.Duration
		var alarms alarms
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", PerSecond: 20, Sender: sender(func(context.Context, sms.Message) (sms.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Since(start))
			return sms.Receipt{}, nil
		})}}, Alarm: alarms.raise})
		var l ledger
		var wg sync.WaitGroup
		unavailable := 0
		for range 200 {
			wg.Go(func() {
				_, err := r.Send(t.Context(), message, &l)
				if err == nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				unavailable++
				if sms.ClassOf(err) != sms.NotSent || !errors.Is(err, sms.ErrUnavailable) || time.Since(start) != 0 {
					t.Errorf("Send = %v after %s, want ErrUnavailable at once", err, time.Since(start))
				}
			})
		}
		wg.Wait()
		// Half of the 5 s of an attempt is for waiting.
		if len(at) != 51 || unavailable != 149 || len(l.before) != 51 || len(l.after) != 51 {
			t.Errorf("%d messages went, %d did not, Before was asked %d times, After told %d times, want 51, 149, 51, 51",
				len(at), unavailable, len(l.before), len(l.after))
		}
		for i := range at {
			if want := time.Duration(i) * time.Second / 20; at[i].Round(time.Millisecond) != want {
				t.Errorf("message %d went after %s, want %s", i, at[i], want)
			}
		}
		alarms.check(t)
	})
}

func TestAMessageGoesElsewhereWhenItsTurnIsTooFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", PerSecond: 1, Sender: sender(accept)}, {Name: "backup", Sender: sender(accept)}}})
		var l ledger
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if _, err := r.Send(t.Context(), message, &l); err != nil {
					t.Errorf("Send: %v", err)
				}
			})
		}
		wg.Wait()
		count := map[string]int{}
		for _, p := range l.before {
			count[p]++
		}
		if count["main"] != 3 || count["backup"] != 3 { // after 0, 1 and 2 s; 3 s would be too long
			t.Errorf("handed over %v, want 3 to each", count)
		}
	})
}

// alarms collects what is raised.
type alarms struct {
	mu     sync.Mutex // guards raised
	raised []string
}

func (a *alarms) raise(provider string, e Event, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := provider + " " + e.String()
	if (err == nil) != (e == Closed) {
		s += " with the wrong error"
	}
	a.raised = append(a.raised, s)
}

func (a *alarms) check(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if got, want := strings.Join(a.raised, ", "), strings.Join(want, ", "); got != want {
		t.Errorf("alarms %q, want %q", got, want)
	}
}
