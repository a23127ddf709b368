package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// site is a source that answers as the test tells it to.
type site struct {
	Finder
	asked  atomic.Int64
	answer func(ctx context.Context, r *http.Request, c Credential) (Identity, error)
}

func newSite(answer func(ctx context.Context, r *http.Request, c Credential) (Identity, error)) *site {
	return &site{Finder: both, answer: answer}
}

func (s *site) Identify(ctx context.Context, r *http.Request, c Credential) (Identity, error) {
	s.asked.Add(1)
	return s.answer(ctx, r, c)
}

// echo answers with the credential's own value as the subject.
func echo(_ context.Context, _ *http.Request, c Credential) (Identity, error) {
	return Identity{Subject: c.Value}, nil
}

func cookie(value string) Credential {
	return Credential{Kind: Cookie, Name: "casino_session", Value: value}
}

// sizes returns how many answers a cache holds, by both of its books.
func sizes(c *Cached) (entries, order int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries), c.order.Len()
}

func request() *http.Request { return httptest.NewRequest(http.MethodGet, "/wallet", nil) }

// clock is a time that moves when the test says so.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestCacheGivesAnAnswerAgainUntilItsTimeIsOver(t *testing.T) {
	var clock clock
	s := newSite(echo)
	c := Cache(s, CacheOptions{TTL: 10 * time.Second, Now: clock.now})
	for _, step := range []struct {
		advance time.Duration
		asked   int64
	}{{0, 1}, {0, 1}, {10*time.Second - 1, 1}, {1, 2}, {9 * time.Second, 2}, {time.Second, 3}} {
		clock.advance(step.advance)
		id, err := c.Identify(t.Context(), request(), cookie("a"))
		if err != nil || id.Subject != "a" || s.asked.Load() != step.asked {
			t.Fatalf("after %v more: %q, %v, asked %d times, want %d", step.advance, id.Subject, err, s.asked.Load(), step.asked)
		}
	}
}

// A memo that outlived its answer, or went to another credential, would make one
// player pass for another.
func TestInvariantI9AMemoBelongsToOneAnswerAboutOneCredential(t *testing.T) {
	var clock clock
	c := Cache(newSite(echo), CacheOptions{TTL: 10 * time.Second, Now: clock.now})
	memo := func(cred Credential) *Memo {
		t.Helper()
		_, m, err := c.Recall(t.Context(), request(), cred)
		if err != nil || m == nil {
			t.Fatalf("Recall = %v, %v", m, err)
		}
		return m
	}
	first := memo(cookie("a"))
	first.Store("a's")
	if again := memo(cookie("a")); again != first || again.Load() != "a's" {
		t.Errorf("a remembered answer has another memo, with %v", again.Load())
	}
	for name, other := range map[string]func() *Memo{
		"another session":            func() *Memo { return memo(cookie("b")) },
		"a token of the same value":  func() *Memo { return memo(Credential{Kind: Bearer, Name: "Authorization", Value: "a"}) },
		"an answer after Forget":     func() *Memo { c.Forget(cookie("a")); return memo(cookie("a")) },
		"an answer after ForgetAll":  func() *Memo { c.ForgetAll(); return memo(cookie("a")) },
		"an answer after its expiry": func() *Memo { clock.advance(time.Minute); return memo(cookie("a")) },
	} {
		if m := other(); m == first || m.Load() != nil {
			t.Errorf("%s has the memo of the first answer: %v", name, m.Load())
		}
	}
}

// A site that takes long to answer must not make the answer last longer.
func TestCacheCountsTheTimeFromTheQuestion(t *testing.T) {
	var clock clock
	s := newSite(func(_ context.Context, _ *http.Request, c Credential) (Identity, error) {
		clock.advance(6 * time.Second)
		return Identity{Subject: c.Value}, nil
	})
	c := Cache(s, CacheOptions{TTL: 10 * time.Second, Now: clock.now})
	for i, want := range []int64{1, 2} {
		if _, err := c.Identify(t.Context(), request(), cookie("a")); err != nil || s.asked.Load() != want {
			t.Errorf("call %d: %v, asked %d times, want %d", i, err, s.asked.Load(), want)
		}
		clock.advance(4 * time.Second)
	}
}

func TestCacheNeverGivesOneCredentialTheAnswerOfAnother(t *testing.T) {
	s := newSite(func(_ context.Context, _ *http.Request, c Credential) (Identity, error) {
		return Identity{Subject: fmt.Sprintf("%c|%s|%s", c.Kind, c.Name, c.Value)}, nil
	})
	c := Cache(s, CacheOptions{})
	creds := []Credential{
		{Kind: Cookie, Name: "ab", Value: "c"}, {Kind: Cookie, Name: "a", Value: "bc"}, {Kind: Cookie, Value: "abc"}, {Kind: Cookie, Name: "abc"},
		{Kind: Bearer, Name: "ab", Value: "c"}, {Kind: Header, Name: "ab", Value: "c"},
		{Kind: Cookie, Name: "ab", Value: strings.Repeat("c", 5000)}, {Kind: Cookie, Name: "ab", Value: strings.Repeat("c", 5001)},
	}
	for range 2 {
		for _, cred := range creds {
			id, err := c.Identify(t.Context(), request(), cred)
			if want := fmt.Sprintf("%c|%s|%s", cred.Kind, cred.Name, cred.Value); err != nil || id.Subject != want {
				t.Errorf("Identify(%v) = %q, %v", cred, id.Subject, err)
			}
		}
	}
	if got := s.asked.Load(); got != int64(len(creds)) {
		t.Errorf("asked %d times, want %d", got, len(creds))
	}
}

func TestCacheRemembersNoErrorAndNoVisitor(t *testing.T) {
	down := errors.New("down")
	for _, want := range []error{ErrAnonymous, down} {
		err := want
		s := newSite(func(context.Context, *http.Request, Credential) (Identity, error) { return Identity{Subject: "a"}, err })
		c := Cache(s, CacheOptions{})
		for range 3 {
			if _, got := c.Identify(t.Context(), request(), cookie("a")); !errors.Is(got, want) {
				t.Errorf("Identify = %v, want %v", got, want)
			}
		}
		err = nil // the player logs in with the session that he had as a visitor
		if id, got := c.Identify(t.Context(), request(), cookie("a")); got != nil || id.Subject != "a" || s.asked.Load() != 4 {
			t.Errorf("Identify after %v = %q, %v, asked %d times, want an answer at once", want, id.Subject, got, s.asked.Load())
		}
	}
}

func TestCacheStaysWithinItsBoundAndDropsTheOldest(t *testing.T) {
	s := newSite(echo)
	c := Cache(s, CacheOptions{MaxEntries: 3})
	for _, v := range []string{"1", "2", "3", "4"} {
		if _, err := c.Identify(t.Context(), request(), cookie(v)); err != nil {
			t.Fatal(err)
		}
	}
	if entries, order := sizes(c); entries != 3 || order != 3 {
		t.Fatalf("%d entries, %d in order, want 3", entries, order)
	}
	for _, tt := range []struct {
		value string
		asked int64
	}{{"4", 4}, {"3", 4}, {"2", 4}, {"1", 5}} {
		if _, err := c.Identify(t.Context(), request(), cookie(tt.value)); err != nil || s.asked.Load() != tt.asked {
			t.Errorf("Identify(%s): %v, asked %d times, want %d", tt.value, err, s.asked.Load(), tt.asked)
		}
	}
}

func TestCacheDropsWhatHasExpired(t *testing.T) {
	var clock clock
	c := Cache(newSite(echo), CacheOptions{TTL: time.Second, Now: clock.now})
	for i := range 100 {
		if _, err := c.Identify(t.Context(), request(), cookie(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Second / 4)
	}
	if entries, order := sizes(c); entries != 4 || order != 4 {
		t.Errorf("%d entries, %d in order, want the 4 of the last second", entries, order)
	}
}

func TestCacheAsksOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSite(func(_ context.Context, _ *http.Request, c Credential) (Identity, error) {
			<-release
			return Identity{Subject: c.Value}, nil
		})
		c := Cache(s, CacheOptions{})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if id, err := c.Identify(t.Context(), request(), cookie("a")); err != nil || id.Subject != "a" {
					t.Errorf("Identify = %q, %v", id.Subject, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if got := s.asked.Load(); got != 1 {
			t.Errorf("asked %d times, want 1", got)
		}
	})
}

func TestACallerWhoLeavesDoesNotFailTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSite(func(ctx context.Context, _ *http.Request, c Credential) (Identity, error) {
			select {
			case <-release:
				return Identity{Subject: c.Value}, nil
			case <-ctx.Done():
				return Identity{}, ctx.Err()
			}
		})
		c := Cache(s, CacheOptions{})
		first, leave := context.WithCancel(t.Context())
		var firstErr, secondErr error
		var second Identity
		var wg sync.WaitGroup
		wg.Go(func() { _, firstErr = c.Identify(first, request(), cookie("a")) })
		synctest.Wait()
		wg.Go(func() { second, secondErr = c.Identify(t.Context(), request(), cookie("a")) })
		synctest.Wait()
		leave() // the one whose request started the question
		synctest.Wait()
		close(release)
		wg.Wait()
		if !errors.Is(firstErr, context.Canceled) {
			t.Errorf("who left got %v, want context.Canceled", firstErr)
		}
		if secondErr != nil || second.Subject != "a" || s.asked.Load() != 1 {
			t.Errorf("who stayed got %q, %v, asked %d times", second.Subject, secondErr, s.asked.Load())
		}
	})
}

// Requests that are opened and dropped in quick succession must not heap up
// questions at the site.
func TestAQuestionForWhichNobodyWaitsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var underWay atomic.Int64
		s := newSite(func(ctx context.Context, _ *http.Request, _ Credential) (Identity, error) {
			underWay.Add(1)
			defer underWay.Add(-1)
			<-ctx.Done()
			return Identity{}, ctx.Err()
		})
		c := Cache(s, CacheOptions{FlightTimeout: time.Hour})
		ctx, leave := context.WithCancel(t.Context())
		for i := range 10 {
			go c.Identify(ctx, request(), cookie(fmt.Sprint(i%5)))
		}
		synctest.Wait()
		if got := underWay.Load(); got != 5 {
			t.Fatalf("%d questions are under way, want 5", got)
		}
		leave()
		synctest.Wait()
		if got := underWay.Load(); got != 0 || len(c.flights) != 0 {
			t.Errorf("%d questions are under way, %d known, want none", got, len(c.flights))
		}
	})
}

func TestAQuestionHasItsOwnTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(func(ctx context.Context, _ *http.Request, _ Credential) (Identity, error) {
			<-ctx.Done()
			return Identity{}, ctx.Err()
		})
		c := Cache(s, CacheOptions{FlightTimeout: 2 * time.Second})
		start := time.Now()
		_, err := c.Identify(t.Context(), request(), cookie("a"))
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 2*time.Second {
			t.Errorf("Identify = %v after %v, want the deadline after 2s", err, took)
		}
	})
}

// I1: a source that panics must refuse the request, not end the gateway.
func TestInvariantI1ASourceThatPanicsIsAnError(t *testing.T) {
	s := newSite(func(_ context.Context, _ *http.Request, c Credential) (Identity, error) { panic("secret " + c.Value) })
	c := Cache(s, CacheOptions{})
	for range 2 {
		id, err := c.Identify(t.Context(), request(), cookie("hunter2"))
		if err == nil || errors.Is(err, ErrAnonymous) || id != (Identity{}) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Identify = %v, %v, want an error without the secret", id, err)
		}
	}
}

// The handler goes on to change its request while the question is under way.
func TestTheSourceGetsARequestOfItsOwn(t *testing.T) {
	type key struct{}
	original := request().WithContext(context.WithValue(t.Context(), key{}, "mutable"))
	original.Header.Set("X-Test", "before")
	original.Body = http.MaxBytesReader(nil, http.NoBody, 1)
	s := newSite(func(ctx context.Context, r *http.Request, _ Credential) (Identity, error) {
		r.Header.Set("X-Test", "after")
		if r == original || r.Body != http.NoBody || r.Context().Value(key{}) != nil || ctx.Value(key{}) != nil {
			t.Error("the source shares the caller's request, body or context")
		}
		return Identity{Subject: "a"}, nil
	})
	if _, err := Cache(s, CacheOptions{}).Identify(original.Context(), original, cookie("a")); err != nil {
		t.Fatal(err)
	}
	if got := original.Header.Get("X-Test"); got != "before" {
		t.Errorf("the caller's header became %q", got)
	}
}

func TestCacheFindsCredentialsAsItsSourceDoes(t *testing.T) {
	c := Cache(newSite(echo), CacheOptions{})
	r := request()
	if _, err := c.Credential(r); !errors.Is(err, ErrAnonymous) {
		t.Errorf("Credential = %v, want ErrAnonymous", err)
	}
	r.Header.Set("Cookie", "casino_session=a")
	if got, err := c.Credential(r); err != nil || got != cookie("a") {
		t.Errorf("Credential = %v, %v", got, err)
	}
}

func TestARememberedAnswerIsGivenWithoutAllocation(t *testing.T) {
	c := Cache(newSite(echo), CacheOptions{})
	r, cred := request(), cookie(strings.Repeat("x", 900))
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Identify(ctx, r, cred); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Identify allocates %v times, want 0", n)
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := Cache(newSite(echo), CacheOptions{})
	r, cred := request(), cookie("s%3A4f9d2c7b1e8a5036.9c1f0b7d2e6a")
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Identify(ctx, r, cred); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCacheHitParallel(b *testing.B) {
	c := Cache(newSite(echo), CacheOptions{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r, cred := request(), cookie("s%3A4f9d2c7b1e8a5036.9c1f0b7d2e6a")
		for pb.Next() {
			if _, err := c.Identify(context.Background(), r, cred); err != nil {
				b.Fatal(err)
			}
		}
	})
}
