package identity

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// swap is a site whose one session changes hands when the test says so.
type swap struct {
	subject atomic.Value
	asked   atomic.Int64
	// hold, if set, keeps the answers to questions back until it is closed.
	hold atomic.Pointer[chan struct{}]
}

func (s *swap) answer(context.Context, *http.Request, Credential) (Identity, error) {
	s.asked.Add(1)
	id := Identity{Subject: s.subject.Load().(string)}
	if hold := s.hold.Load(); hold != nil {
		<-*hold
	}
	return id, nil
}

func newSwap() (*swap, *Cached) {
	s := new(swap)
	s.subject.Store("before")
	return s, Cache(newSite(s.answer), CacheOptions{})
}

func subject(t *testing.T, c *Cached) string {
	t.Helper()
	id, err := c.Identify(t.Context(), request(), cookie("a"))
	if err != nil {
		t.Error(err)
	}
	return id.Subject
}

// Somebody logs in to a second account over the session in which he has passed a
// challenge for the first, keeps the site from finishing its answer by not reading
// it, and has asked whose session it is just before it changed hands.
func TestAttackCacheRaceAtLogin(t *testing.T) {
	s, c := newSwap()
	settled := c.Unsettle(cookie("a")) // the login is on its way to the site
	if got := subject(t, c); got != "before" {
		t.Fatalf("while the site thinks: %q", got)
	}
	s.subject.Store("after") // the site has logged him in, and its answer is on its way
	if got := subject(t, c); got != "after" {
		t.Errorf("while the answer to the login is read: %q, want after", got)
	}
	settled()
	if got := subject(t, c); got != "after" {
		t.Errorf("after the login: %q, want after", got)
	}
}

// The same with a question that has left before the login and is answered after it:
// nobody who comes later waits for it, and it is not remembered.
func TestAttackCacheRaceAtLoginWithAQuestionUnderWay(t *testing.T) {
	for _, slow := range []string{"asked before the login", "asked during the login"} {
		t.Run(slow, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := newSwap()
				hold := make(chan struct{})
				s.hold.Store(&hold)
				var early string
				var wg sync.WaitGroup
				ask := func() { early = subject(t, c) }
				if slow == "asked before the login" {
					wg.Go(ask)
					synctest.Wait()
				}
				settled := c.Unsettle(cookie("a"))
				if slow == "asked during the login" {
					wg.Go(ask)
				}
				synctest.Wait()
				s.subject.Store("after")
				s.hold.Store(nil)
				if got := subject(t, c); got != "after" {
					t.Errorf("who comes after the session has changed hands gets %q", got)
				}
				settled()
				if got := subject(t, c); got != "after" {
					t.Errorf("after the login: %q, want after", got)
				}
				close(hold)
				synctest.Wait()
				wg.Wait()
				if got := subject(t, c); got != "after" || slow == "asked during the login" && early != "after" {
					t.Errorf("after the late answer: %q, and %q for who waited for it; want after", got, early)
				}
				if len(c.flights) != 0 || len(c.unsettled) != 0 {
					t.Errorf("%d questions and %d unsettled sessions are left", len(c.flights), len(c.unsettled))
				}
			})
		})
	}
}

func TestASessionIsUnsettledUntilTheLastRequestIsOver(t *testing.T) {
	s, c := newSwap()
	first, second := c.Unsettle(cookie("a")), c.Unsettle(cookie("a"))
	first()
	for want := int64(1); want <= 2; want++ {
		if subject(t, c); s.asked.Load() != want {
			t.Errorf("asked %d times, want %d: nothing is remembered while a request is under way", s.asked.Load(), want)
		}
	}
	second()
	for range 2 {
		if subject(t, c); s.asked.Load() != 3 {
			t.Errorf("asked %d times, want 3: the answer is remembered again", s.asked.Load())
		}
	}
	if _, err := c.Identify(t.Context(), request(), cookie("b")); err != nil {
		t.Fatal(err)
	}
	settled := c.Unsettle(cookie("a"))
	if _, err := c.Identify(t.Context(), request(), cookie("b")); err != nil || s.asked.Load() != 4 {
		t.Errorf("another session: %v, asked %d times, want 4", err, s.asked.Load())
	}
	settled()
}
