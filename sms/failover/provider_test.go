package failover

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/sms"
)

func TestAStragglerCountsAsAFailureAndTellsOfAnAccountAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		does := hang(20*time.Second, accept)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: following(&does)}}, Alarm: alarms.raise})
		for range 5 { // acceptances that come too late close nothing
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		alarms.check(t, "main opened")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		does = hang(20*time.Second, answer(sms.Account))
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
		synctest.Wait()
		if handed != maxStragglers+20 {
			t.Errorf("%d hand-overs, want %d", handed, maxStragglers+20)
		}
		close(end)
		synctest.Wait()
		if _, err := r.Send(t.Context(), message, &l); err != nil {
			t.Errorf("Send = %v after they ended, want accepted", err)
		}
		if before, after := l.counts(); before != maxStragglers+21 || after != maxStragglers+21 {
			t.Errorf("Before was asked %d times and After told %d times, want %d", before, after, maxStragglers+21)
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

func TestAProviderThatFailsIsLeftOutUntilOneProbeIsAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms alarms
		does := answer(sms.NotSent)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: following(&does)}}, Alarm: alarms.raise})
		// sendMany sends from many goroutines, and returns how many messages were handed
		// over; all others must be unavailable.
		sendMany := func(n int) int {
			var l ledger
			var wg sync.WaitGroup
			var unavailable atomic.Int64
			for range n {
				wg.Go(func() {
					_, err := r.Send(t.Context(), message, &l)
					if errors.Is(err, sms.ErrUnavailable) && sms.ClassOf(err) == sms.NotSent {
						unavailable.Add(1)
					}
				})
			}
			wg.Wait()
			handed, _ := l.counts()
			if got := int(unavailable.Load()); got != n-handed {
				t.Errorf("%d of %d messages were handed over, and %d are unavailable", handed, n, got)
			}
			return handed
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
			synctest.Wait()
			does = c.probe
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
		does := answer(sms.Unknown)
		r := newRouter(t, Config{Providers: []Provider{
			{Name: "main", PerSecond: 1000, Sender: following(&does)},
			{Name: "backup", PerSecond: 1000, Sender: sender(accept)},
		}})
		for range 5 {
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		time.Sleep(30 * time.Second)
		does = hang(2*time.Second, accept)
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

// An attacker can choose numbers, and make a fraud filter strike.
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
		does := answer(sms.NotSent)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: following(&does)}}})
		for range 5 {
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		does = accept
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
		// Those that went elsewhere took nobody's turn.
		if _, err := r.Send(t.Context(), message, &l); err != nil {
			t.Errorf("Send: %v", err)
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

func TestACallerWhoGoesAwayBeforeItsTurnHandsNothingOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", PerSecond: 1, Sender: sender(accept)}}})
		if _, err := r.Send(t.Context(), message, new(ledger)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second/2, cancel)
		var l ledger
		_, err := r.Send(ctx, message, &l)
		if sms.ClassOf(err) != sms.NotSent || !errors.Is(err, context.Canceled) || errors.Is(err, sms.ErrUnavailable) {
			t.Errorf("Send = %v, want class not_sent, cancelled, and not ErrUnavailable", err)
		}
		l.check(t)
	})
}

func TestAProbeWhoseTurnIsTooFarMakesWayForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		does := answer(sms.NotSent)
		r := newRouter(t, Config{Providers: []Provider{{Name: "main", Sender: following(&does)}}})
		for range 5 {
			_, _ = r.Send(t.Context(), message, new(ledger))
		}
		does = accept
		time.Sleep(30 * time.Second)
		for range 100 {
			r.all[0].turns.Reserve()
		}
		if _, err := r.Send(t.Context(), message, new(ledger)); !errors.Is(err, sms.ErrUnavailable) {
			t.Errorf("Send = %v, want ErrUnavailable", err)
		}
		time.Sleep(time.Minute)
		if _, err := r.Send(t.Context(), message, new(ledger)); err != nil {
			t.Errorf("Send: %v", err)
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
