package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// A provider that gets no messages to some numbers is no reason to leave their players
// without a code, and none to take it for broken.
func TestAProviderThatIsPassedOverLeavesTheMessageToTheNext(t *testing.T) {
	for _, c := range []struct {
		name        string
		passOver    []string
		outcome     sms.Class // of whoever is handed the message
		handed      []string
		want        sms.Class
		unavailable bool
	}{
		{"the first", []string{"main"}, accepted, []string{"backup"}, accepted, false},
		{"the first, and two more fail", []string{"main"}, sms.NotSent, []string{"backup", "spare"}, sms.NotSent, false},
		{"the first, and an account fails", []string{"main", "spare"}, sms.Account, []string{"backup"}, sms.NotSent, false},
		{"the second, and both others may have sent it", []string{"backup"}, sms.Unknown, []string{"main", "spare"}, sms.Unknown, false},
		{"all after the first, which may have sent it", []string{"backup", "spare"}, sms.Unknown, []string{"main"}, sms.Unknown, false},
		{"all", []string{"main", "backup", "spare"}, accepted, nil, sms.NotSent, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var alarms alarms
			r := newRouter(t, Config{
				Providers: []Provider{{Name: "main", Sender: answer(c.outcome), PerSecond: 1e6}, {Name: "backup", Sender: answer(c.outcome), PerSecond: 1e6}, {Name: "spare", Sender: answer(c.outcome), PerSecond: 1e6}},
				Alarm:     alarms.raise,
			})
			l := ledger{refuse: func(p string) error {
				if slices.Contains(c.passOver, p) {
					return fmt.Errorf("hardly any code is typed in: %w", sms.ErrPassOver)
				}
				return nil
			}}
			_, err := r.Send(t.Context(), message, &l)
			if c.want == accepted && err != nil || c.want != accepted && (err == nil || sms.ClassOf(err) != c.want) {
				t.Errorf("Send = %v, want %s", err, name(c.want))
			}
			if errors.Is(err, sms.ErrUnavailable) != c.unavailable || c.unavailable && !errors.Is(err, sms.ErrPassOver) {
				t.Errorf("Send = %v, want ErrUnavailable: %v", err, c.unavailable)
			}
			l.check(t, c.handed...)
			for range 10 { // the breaker of the one that is passed over stays closed
				_, _ = r.Send(t.Context(), message, &l)
			}
			for _, raised := range alarms.raised {
				if provider, _, _ := strings.Cut(raised, " "); slices.Contains(c.passOver, provider) {
					t.Errorf("%s, which was passed over: alarm %q", provider, raised)
				}
			}
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
		synctest.Wait()
		if before, after := l.counts(); before != 2 || after != 1 {
			t.Errorf("Before was asked %d times and After told %d times, want 2 and 1", before, after)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(l.after) != 2 || l.after[1] != "main" || l.ended[1] != (result{receipt: sms.Receipt{Provider: "main", ID: "id"}}) {
			t.Errorf("After was told of %q with %v, want main at last, accepted", l.after, l.ended)
		}
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
