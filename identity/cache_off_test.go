package identity

import (
	"sync"
	"testing"
	"testing/synctest"
)

// A session that changes hands where nobody tells the cache of it counts for what it was
// until the answer is over; with Off never.
func TestAttackSessionSwapThatNoCacheIsToldOf(t *testing.T) {
	for _, off := range []bool{false, true} {
		s := new(swap)
		s.subject.Store("before")
		c := Cache(newSite(s.answer), CacheOptions{Off: off})
		subject(t, c)
		s.subject.Store("after")
		want, asked := "before", int64(1)
		if off {
			want, asked = "after", 2
		}
		if got := subject(t, c); got != want || s.asked.Load() != asked {
			t.Errorf("off %v: after the session changed hands it is %q's, asked %d times; want %q, %d", off, got, s.asked.Load(), want, asked)
		}
		if entries, order := sizes(c); off && entries+order > 0 {
			t.Errorf("%d answers are kept, %d in order, want none", entries, order)
		}
	}
}

// Nor does a request wait for the answer to a question that left before it came: it may
// be from before the session changed hands.
func TestAttackSessionSwapWithAQuestionUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(swap)
		s.subject.Store("before")
		c := Cache(newSite(s.answer), CacheOptions{Off: true})
		hold := make(chan struct{})
		s.hold.Store(&hold)
		var early, late string
		var both sync.WaitGroup
		both.Go(func() { early = subject(t, c) })
		synctest.Wait()
		s.subject.Store("after")
		both.Go(func() { late = subject(t, c) })
		synctest.Wait()
		close(hold)
		both.Wait()
		if early != "before" || late != "after" || s.asked.Load() != 2 {
			t.Errorf("asked before the session changed hands: %q; after: %q; %d questions, want before, after and 2", early, late, s.asked.Load())
		}
	})
}
