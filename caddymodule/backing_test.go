package caddymodule

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

// opening counts what a backing does.
type opening struct {
	opened, released int
	err              error
}

func (o *opening) open() (*gate.Backend, func(), error) {
	if o.err != nil {
		return nil, nil, o.err
	}
	o.opened++
	return new(gate.Backend), func() { o.released++ }, nil
}

func TestTheBackendIsOpenedOnceWhoeverAsksFirst(t *testing.T) {
	var o opening
	b := backing{open: o.open}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := b.get(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := b.start(); err != nil || o.opened != 1 {
		t.Errorf("start = %v after %d openings, want nil after 1", err, o.opened)
	}
	for range 3 {
		b.close()
	}
	if o.released != 1 {
		t.Errorf("it was released %d times, want once", o.released)
	}
	// A request of the old configuration goes on while the store is open.
	if backend, err := b.get(); backend == nil || err != nil {
		t.Errorf("get after close = %v, %v, want the backend that was opened", backend, err)
	}
}

// Apps are stopped in any order, so the HTTP app may still have requests when this
// one is stopped.
func TestStoppingTheAppKeepsTheStoreUntilItsCleanup(t *testing.T) {
	var o opening
	a := &App{backing: backing{open: o.open}}
	if err := errors.Join(a.Start(), a.Stop()); err != nil || o.released != 0 {
		t.Errorf("Start and Stop = %v and released the store %d times, want it kept", err, o.released)
	}
	if err := a.Cleanup(); err != nil || o.released != 1 {
		t.Errorf("Cleanup = %v and released the store %d times, want once", err, o.released)
	}
}

// Cleanup runs after a failed Provision too, and must not take away what another
// configuration uses.
func TestABackingThatWasNeverOpenedReleasesNothing(t *testing.T) {
	new(backing).close()
	var o opening
	b := backing{open: o.open}
	b.close()
	if _, err := b.get(); !errors.Is(err, errCleanedUp) {
		t.Errorf("get after close = %v, want %v", err, errCleanedUp)
	}
	if err := b.start(); !errors.Is(err, errCleanedUp) {
		t.Errorf("start after close = %v, want %v", err, errCleanedUp)
	}
	if o.opened != 0 || o.released != 0 {
		t.Errorf("%d openings and %d releases, want none", o.opened, o.released)
	}
}

func TestRequestsDoNotWaitForAStoreThatCannotBeOpened(t *testing.T) {
	down := errors.New("down")
	o := opening{err: down}
	b := backing{open: o.open}
	if _, err := b.get(); !errors.Is(err, down) {
		t.Fatalf("get = %v, want %v", err, down)
	}
	o.err = nil
	if _, err := b.get(); !errors.Is(err, down) {
		t.Errorf("the second get = %v, want the first one's error without another attempt", err)
	}
	if err := b.start(); err != nil {
		t.Errorf("start = %v, want another attempt", err)
	}
	if _, err := b.get(); err != nil {
		t.Errorf("get after start = %v", err)
	}
}

// countingOpener opens a bolt store and counts.
type countingOpener struct {
	path   string
	opened int
	err    error
}

func (c *countingOpener) Key() string { return c.path }

func (c *countingOpener) Open() (store.Store, error) {
	c.opened++
	if c.err != nil {
		return nil, c.err
	}
	return bolt.Open(c.path, bolt.Options{LockTimeout: -1})
}

func TestConfigurationsShareOneStoreUntilTheLastLetsGo(t *testing.T) {
	opener := &countingOpener{path: filepath.Join(t.TempDir(), "stepgate.db")}
	first, releaseFirst, err := acquireStore("test:"+opener.path, opener)
	if err != nil {
		t.Fatal(err)
	}
	second, releaseSecond, err := acquireStore("test:"+opener.path, opener)
	if err != nil || second != first || opener.opened != 1 {
		t.Fatalf("the second acquire opened the store %d times, %v", opener.opened, err)
	}
	releaseFirst()
	if _, err := second.Get(t.Context(), "account/x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after the first release = %v, want %v", err, store.ErrNotFound)
	}
	releaseSecond()
	if _, err := second.Get(t.Context(), "account/x"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get after the last release = %v, want %v", err, store.ErrClosed)
	}
	// The lock is gone with it.
	_, release, err := acquireStore("test:"+opener.path, opener)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestAStoreThatCannotBeOpenedIsNotKept(t *testing.T) {
	opener := &countingOpener{path: filepath.Join(t.TempDir(), "stepgate.db"), err: errors.New("locked")}
	if _, _, err := acquireStore("test:"+opener.path, opener); !errors.Is(err, opener.err) {
		t.Fatalf("acquireStore = %v, want %v", err, opener.err)
	}
	opener.err = nil
	_, release, err := acquireStore("test:"+opener.path, opener)
	if err != nil {
		t.Fatalf("acquireStore = %v, want another attempt", err)
	}
	release()
}

// expiringStore answers Expire from a list.
type expiringStore struct {
	store.Store
	results chan int
	calls   chan int
}

func (e *expiringStore) Expire(ctx context.Context, limit int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	e.calls <- limit
	n := <-e.results
	if n < 0 {
		return 0, errors.New("disk is full")
	}
	return n, nil
}

func TestExpiredRecordsAreDeletedInBatchesUntilNoneIsLeft(t *testing.T) {
	s := &expiringStore{results: make(chan int), calls: make(chan int)}
	ctx, cancel := context.WithCancel(t.Context())
	ticks, ended := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(ended)
		deleteExpired(ctx, s, ticks)
	}()
	for _, tick := range [][]int{{0}, {expireBatch, expireBatch, 3}, {-1}, {0}} {
		ticks <- time.Time{}
		for _, n := range tick {
			if limit := <-s.calls; limit != expireBatch {
				t.Errorf("Expire got the limit %d, want %d", limit, expireBatch)
			}
			s.results <- n
		}
	}
	cancel()
	<-ended
}
