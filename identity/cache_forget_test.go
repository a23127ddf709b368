package identity

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestForgetDiscardsARememberedAnswer(t *testing.T) {
	s := newSite(echo)
	c := Cache(s, CacheOptions{})
	for _, v := range []string{"a", "b", "a", "b"} {
		_, _ = c.Identify(t.Context(), request(), cookie(v))
	}
	c.Forget(cookie("a"))
	c.Forget(cookie("never asked"))
	for _, tt := range []struct {
		value string
		asked int64
	}{{"b", 2}, {"a", 3}, {"a", 3}} {
		if _, err := c.Identify(t.Context(), request(), cookie(tt.value)); err != nil || s.asked.Load() != tt.asked {
			t.Errorf("Identify(%s): %v, asked %d times, want %d", tt.value, err, s.asked.Load(), tt.asked)
		}
	}
	if entries, order := sizes(c); entries != 2 || order != 2 {
		t.Errorf("%d entries, %d in order, want 2", entries, order)
	}
}

func TestForgetAllDiscardsWhatIsRemembered(t *testing.T) {
	s := newSite(echo)
	c := Cache(s, CacheOptions{})
	for range 2 {
		for _, v := range []string{"a", "b"} {
			_, _ = c.Identify(t.Context(), request(), cookie(v))
		}
		c.ForgetAll()
	}
	if got := s.asked.Load(); got != 4 {
		t.Errorf("asked %d times, want 4", got)
	}
	if entries, order := sizes(c); entries != 0 || order != 0 {
		t.Errorf("%d entries, %d in order, want none", entries, order)
	}
}

// I9: somebody logs in to a second account within the session that he passed a
// challenge in. The gate forgets the session; the question of the moment before
// must not bring the first account back.
func TestForgetDiscardsAnAnswerThatWasUnderWay(t *testing.T) {
	t.Run("Forget", func(t *testing.T) {
		discardsAnAnswerUnderWay(t, func(c *Cached) { c.Forget(cookie("a")) })
	})
	t.Run("ForgetAll", func(t *testing.T) { discardsAnAnswerUnderWay(t, (*Cached).ForgetAll) })
}

func discardsAnAnswerUnderWay(t *testing.T, forget func(*Cached)) {
	synctest.Test(t, func(t *testing.T) {
		releaseOld := make(chan struct{})
		var asked atomic.Int64
		s := newSite(func(context.Context, *http.Request, Credential) (Identity, error) {
			if asked.Add(1) == 1 {
				<-releaseOld // deaf to its context, as a slow site is
				return Identity{Subject: "old"}, nil
			}
			return Identity{Subject: "new"}, nil
		})
		c := Cache(s, CacheOptions{})
		var waiting [3]Identity
		var wg sync.WaitGroup
		for i := range waiting {
			wg.Go(func() { waiting[i], _ = c.Identify(t.Context(), request(), cookie("a")) })
		}
		synctest.Wait()
		forget(c)
		wg.Wait() // nobody waits for the old answer
		for i, id := range waiting {
			if id.Subject != "new" {
				t.Errorf("waiting caller %d got %q, want new", i, id.Subject)
			}
		}
		close(releaseOld)
		synctest.Wait()
		id, err := c.Identify(t.Context(), request(), cookie("a"))
		if err != nil || id.Subject != "new" || asked.Load() != 2 {
			t.Errorf("Identify after it = %q, %v, asked %d times, want new of 2", id.Subject, err, asked.Load())
		}
	})
}

// The same with a question that nobody waited for any more when it was forgotten.
func TestForgetDiscardsTheAnswerToAQuestionThatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		subject := "old"
		s := newSite(func(context.Context, *http.Request, Credential) (Identity, error) {
			id := Identity{Subject: subject}
			<-release // deaf to its context
			return id, nil
		})
		c := Cache(s, CacheOptions{})
		ctx, leave := context.WithCancel(t.Context())
		go c.Identify(ctx, request(), cookie("a"))
		synctest.Wait()
		leave()
		synctest.Wait()
		c.Forget(cookie("a"))
		subject = "new"
		close(release)
		synctest.Wait()
		if id, err := c.Identify(t.Context(), request(), cookie("a")); err != nil || id.Subject != "new" {
			t.Errorf("Identify = %q, %v, want new", id.Subject, err)
		}
	})
}

// Under any interleaving, a call that begins after Forget gets an answer that was
// asked for after it.
func TestForgetHoldsUnderConcurrency(t *testing.T) {
	var epoch atomic.Int64
	s := newSite(func(context.Context, *http.Request, Credential) (Identity, error) {
		return Identity{Subject: fmt.Sprintf("%08d", epoch.Load())}, nil
	})
	c := Cache(s, CacheOptions{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = c.Identify(context.Background(), request(), cookie("a"))
				}
			}
		})
	}
	for range 2000 {
		want := fmt.Sprintf("%08d", epoch.Add(1))
		c.Forget(cookie("a"))
		if id, err := c.Identify(t.Context(), request(), cookie("a")); err != nil || id.Subject < want {
			t.Errorf("Identify after Forget = %q, %v, want %q or later", id.Subject, err, want)
		}
	}
	close(stop)
	wg.Wait()
}

type forgetfulSite struct {
	*site
	forgotten []Credential
	all       int
}

func (s *forgetfulSite) Forget(c Credential) { s.forgotten = append(s.forgotten, c) }
func (s *forgetfulSite) ForgetAll()          { s.all++ }

func (s *forgetfulSite) Unsettle(c Credential) func() {
	s.Forget(c)
	return func() { s.Forget(c) }
}

func TestForgetReachesTheSourceBehind(t *testing.T) {
	s := &forgetfulSite{site: newSite(echo)}
	c := Cache(s, CacheOptions{})
	c.Forget(cookie("a"))
	c.ForgetAll()
	settled := c.Unsettle(cookie("b"))
	settled()
	if !slices.Equal(s.forgotten, []Credential{cookie("a"), cookie("b"), cookie("b")}) || s.all != 1 {
		t.Errorf("the source was told to forget %v, and all %d times", s.forgotten, s.all)
	}
}
