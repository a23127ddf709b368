package failover

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// bench is a breaker with a clock that stands still.
type bench struct {
	*testing.T
	breaker
	now time.Time
}

func newBench(t *testing.T) *bench {
	return &bench{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// through lets one message through, or ends the test.
func (b *bench) through() ticket {
	b.Helper()
	t, ok := b.admit(b.now)
	if !ok {
		b.Fatal("the breaker is open, want closed or ready for a probe")
	}
	return t
}

// shutFor checks that nothing goes through for exactly d from now, and leaves the clock
// where the first message may.
func (b *bench) shutFor(d time.Duration) {
	b.Helper()
	if _, ok := b.admit(b.now.Add(d - 1)); ok {
		b.Fatalf("a message went through before %s were over", d)
	}
	b.now = b.now.Add(d)
}

func (b *bench) fail(n int) (opened bool) {
	for range n {
		opened = b.failed(b.through(), b.now)
	}
	return opened
}

func TestFiveFailuresInARowOpenABreaker(t *testing.T) {
	b := newBench(t)
	if b.fail(4) {
		t.Fatal("four failures opened it")
	}
	b.succeeded(b.through(), b.now)
	if b.fail(4) {
		t.Fatal("four failures after a success opened it")
	}
	if !b.fail(1) {
		t.Fatal("the fifth failure in a row did not open it")
	}
	b.shutFor(30 * time.Second)
}

func TestHalfOfTheLastTwentyFailedOpensABreakerIfTheyAreOfOneMinute(t *testing.T) {
	for _, c := range []struct {
		name     string
		outcomes string        // g for good, b for bad
		gap      time.Duration // between two of them
		want     bool          // the last one opens it
	}{
		{"half", strings.Repeat("gb", 10), 3 * time.Second, true},
		{"half of less than twenty", strings.Repeat("gb", 9), 3 * time.Second, false},
		{"less than half", "gg" + strings.Repeat("gb", 9), 3 * time.Second, false},
		{"half in more than a minute", strings.Repeat("gb", 10), 3200 * time.Millisecond, false},
		{"half after better times", strings.Repeat("g", 40) + strings.Repeat("gb", 9) + "b", 3 * time.Second, true},
		{"less than half after worse times", strings.Repeat("gb", 8) + "gggg" + strings.Repeat("ggb", 6), 3 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			opened := false
			for _, o := range c.outcomes {
				if opened {
					t.Fatal("it opened before the last outcome")
				}
				if o == 'g' {
					b.succeeded(b.through(), b.now)
				} else {
					opened = b.fail(1)
				}
				b.now = b.now.Add(c.gap)
			}
			if opened != c.want {
				t.Errorf("opened = %v, want %v", opened, c.want)
			}
		})
	}
}

func TestAnOpenBreakerLetsOneProbeThroughAndDoublesItsPauseUpToFiveMinutes(t *testing.T) {
	b := newBench(t)
	b.fail(5)
	for _, pause := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
		b.shutFor(pause)
		probe := b.through()
		if _, ok := b.admit(b.now.Add(time.Hour)); ok {
			t.Fatal("a second message went through beside the probe")
		}
		if !b.failed(probe, b.now) {
			t.Fatal("a probe that failed did not open it again")
		}
	}
	b.shutFor(5 * time.Minute)
	if !b.succeeded(b.through(), b.now) {
		t.Fatal("a probe that succeeded did not close it")
	}
	if b.fail(4) {
		t.Fatal("failures from before it closed still count")
	}
	if !b.fail(1) {
		t.Fatal("five failures did not open it")
	}
	b.shutFor(30 * time.Second) // not doubled any more
	b.through()
}

func TestOnlyOneOfManyAtOnceIsTheProbe(t *testing.T) {
	b := newBench(t)
	b.fail(5)
	b.shutFor(30 * time.Second)
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, ok := b.admit(b.now); ok {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if through.Load() != 1 {
		t.Errorf("%d messages went through, want 1", through.Load())
	}
}

func TestAProbeThatTeachesNothingMakesWayForAnother(t *testing.T) {
	b := newBench(t)
	b.fail(5)
	b.shutFor(30 * time.Second)
	b.release(b.through())
	probe := b.through()
	if b.succeeded(probe, b.now); b.state != closed {
		t.Error("the second probe did not close it")
	}
	b.release(probe) // as every message is at last
	if b.state != closed {
		t.Error("to release a probe that had an outcome changed the breaker")
	}
}

func TestAnAccountErrorOpensABreakerAtOnceForFiveMinutes(t *testing.T) {
	b := newBench(t)
	first, second := b.through(), b.through()
	if !b.refused(first, b.now) {
		t.Fatal("an account error did not open it")
	}
	b.now = b.now.Add(time.Second)
	if b.refused(second, b.now) {
		t.Error("a second account error of the same moment raised a second alarm")
	}
	b.now = b.now.Add(-time.Second)
	b.shutFor(5 * time.Minute)
	if !b.refused(b.through(), b.now) {
		t.Error("a probe with an account error raised no alarm")
	}
	b.shutFor(5 * time.Minute)
	b.failed(b.through(), b.now)
	b.shutFor(5 * time.Minute) // doubled, but not beyond
	probe := b.through()
	b.failed(probe, b.now)
	if !b.refused(probe, b.now) { // of a straggler, say
		t.Error("an account error after another kind of failure raised no alarm")
	}
}

func TestAnAccountErrorMakesAPauseLonger(t *testing.T) {
	b := newBench(t)
	slow := b.through()
	b.fail(5)
	if !b.refused(slow, b.now) {
		t.Error("an account error on an open breaker raised no alarm")
	}
	b.shutFor(5 * time.Minute)
	b.through()
}

// A message that hung since before the provider came back says nothing of it now.
func TestOutcomesFromBeforeABreakerTurnedDoNotCount(t *testing.T) {
	b := newBench(t)
	old := b.through()
	b.fail(5)
	if b.succeeded(old, b.now) || b.failed(old, b.now) {
		t.Error("an old outcome turned an open breaker")
	}
	b.shutFor(30 * time.Second)
	probe := b.through()
	if b.succeeded(old, b.now) || b.failed(old, b.now) || b.refused(old, b.now) {
		t.Error("an old outcome was taken for the probe's")
	}
	b.release(old)
	if _, ok := b.admit(b.now); ok {
		t.Error("the end of an old message made way for a second probe")
	}
	if !b.succeeded(probe, b.now) {
		t.Error("the probe did not close it")
	}
	for range 5 {
		b.failed(old, b.now)
	}
	if b.refused(old, b.now) || b.state != closed {
		t.Error("old outcomes opened a breaker that closed since")
	}
}
