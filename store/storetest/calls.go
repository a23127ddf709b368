package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stepgate/stepgate/store"
)

var callCases = []testCase{
	{"CancelledCallsDoNothing", func(f *fixture) {
		f.put("kind/a", "one")
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		for name, call := range everyCall(f.store) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				f.Errorf("%s with a cancelled context = %v, want context.Canceled", name, err)
			}
		}
		f.wantRecord("kind/a", "one", 1)
		f.wantEvents()
		if sum := f.add("sms/a", 0, 0); sum != 0 {
			f.Errorf("Add(0) = %d, want 0", sum)
		}
	}},

	{"WaitingUpdateGivesUpWithItsContext", func(f *fixture) {
		release, first := f.blockedUpdate("kind/a")
		defer release()
		ctx, cancel := context.WithCancel(f.Context())
		defer cancel()
		waiting, done := make(chan struct{}), make(chan struct{})
		begun := sync.OnceFunc(func() { close(waiting) })
		var err error
		go func() {
			defer close(done)
			defer begun()
			err = f.store.Update(watchedContext{ctx, begun}, "kind/a", increment)
		}()
		f.await("Update() waiting for the first one", waiting)
		cancel()
		f.await("Update() with a cancelled context", done)
		release()
		if err := <-first; err != nil {
			f.Fatalf("Update() that was waited for = %v", err)
		}
		// A store that need not wait may have written both.
		if r := f.get("kind/a"); err == nil && r.Version != 2 || err != nil && !errors.Is(err, context.Canceled) {
			f.Errorf("Update() = %v and left %s, want context.Canceled", err, show(r))
		}
	}},

	{"ClosedStoreSaysSo", func(f *fixture) {
		f.put("kind/a", "one")
		if err := f.store.Close(); err != nil {
			f.Fatalf("Close() = %v", err)
		}
		for name, call := range everyCall(f.store) {
			if err := call(f.Context()); !errors.Is(err, store.ErrClosed) {
				f.Errorf("%s of a closed store = %v, want ErrClosed", name, err)
			}
		}
		if err := f.store.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			f.Errorf("Close() once more = %v, want nil or ErrClosed", err)
		}
	}},

	{"CloseWaitsForRunningCalls", func(f *fixture) {
		release, running := f.blockedUpdate("kind/a")
		defer release()
		closed, waiting := make(chan error, 1), make(chan error, 1)
		go func() { waiting <- f.store.Update(f.Context(), "kind/a", increment) }()
		go func() { closed <- f.store.Close() }()
		f.untilClosing()
		select {
		case err := <-closed:
			f.Fatalf("Close() = %v while an update runs, want it to wait", err)
		default:
		}
		release()
		if err := <-running; err != nil {
			f.Errorf("Update() during Close() = %v, want it finished", err)
		}
		if err := <-waiting; err != nil && !errors.Is(err, store.ErrClosed) {
			f.Errorf("Update() behind it = %v, want it finished or refused", err)
		}
		if err := <-closed; err != nil {
			f.Errorf("Close() = %v", err)
		}
	}},
}

// watchedContext tells when somebody begins to wait with it.
type watchedContext struct {
	context.Context
	waiting func()
}

func (c watchedContext) Done() <-chan struct{} {
	c.waiting()
	return c.Context.Done()
}

// everyCall is each method that takes a context.
func everyCall(s store.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, err := s.Get(ctx, "kind/a")
			return err
		},
		"Update": func(ctx context.Context) error {
			return s.Update(ctx, "kind/a", always(&store.Write{Value: []byte("two"), Events: [][]byte{[]byte("event")}}))
		},
		"Scan": func(ctx context.Context) error {
			_, err := s.Scan(ctx, "kind/", "", 10)
			return err
		},
		"Add": func(ctx context.Context) error {
			_, err := s.Add(ctx, "sms/a", 1, time.Hour)
			return err
		},
		"Audit": func(ctx context.Context) error {
			_, err := s.Audit(ctx, 0, 10)
			return err
		},
		"Expire": func(ctx context.Context) error {
			_, err := s.Expire(ctx, 10)
			return err
		},
	}
}

// blockedUpdate starts an update whose change, against the contract, waits until
// release is called. It returns once the change runs.
func (f *fixture) blockedUpdate(key store.Key) (release func(), result <-chan error) {
	f.Helper()
	running, released, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	started := sync.OnceFunc(func() { close(running) })
	go func() {
		done <- f.store.Update(f.Context(), key, func(old *store.Record) (*store.Write, error) {
			started()
			<-released
			return increment(old)
		})
	}()
	f.await("the first update's change", running)
	return sync.OnceFunc(func() { close(released) }), done
}

// untilClosing returns when the store takes no more calls. A store may refuse
// them, or let them wait for the end of Close.
func (f *fixture) untilClosing() {
	f.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		_, err := f.store.Get(ctx, "kind/nothing")
		cancel()
		if !errors.Is(err, store.ErrNotFound) {
			return
		}
	}
	f.Fatalf("Close() has not begun after %v", patience)
}
