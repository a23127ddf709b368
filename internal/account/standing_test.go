package account_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/store"
)

// watched is a store that tells how often it was read, lets a test step in after
// a read or when a watch ends, and can keep the watcher to itself.
type watched struct {
	store.Store
	gets      atomic.Int32
	afterGet  func()
	afterStop func()
	deaf      bool
	cutOff    atomic.Bool
	changed   func(store.Key)
	err       error
}

func (s *watched) Get(ctx context.Context, key store.Key) (store.Record, error) {
	s.gets.Add(1)
	if s.err != nil {
		return store.Record{}, s.err
	}
	record, err := s.Store.Get(ctx, key)
	if s.afterGet != nil {
		s.afterGet()
	}
	return record, err
}

func (s *watched) Watch(prefix string, changed func(store.Key)) store.Watch {
	s.changed = changed
	if s.deaf {
		changed = func(store.Key) {}
	}
	return &watching{s.Store.Watch(prefix, changed), s}
}

// watching is a watch that does not hear of the other node while its store is cut
// off.
type watching struct {
	store.Watch
	s *watched
}

func (w *watching) Current() bool { return !w.s.cutOff.Load() }

func (w *watching) Stop() {
	w.Watch.Stop()
	if w.s.afterStop != nil {
		w.s.afterStop()
	}
}

func (w *world) wantEpoch(b *account.Book, want uint64) {
	w.Helper()
	if got, err := b.Standing(w.Context(), w.id); got.Epoch != want || err != nil {
		w.Errorf("Standing() = %d, %v, want %d", got.Epoch, err, want)
	}
}

// revoke binds a factor on the other node, or removes it.
func (w *world) revoke() {
	w.Helper()
	c := w.under(account.ProofPhone)
	if !w.account().Enrolled() {
		if _, err := w.node2.BindPhone(w.Context(), w.id, c, phone); err != nil {
			w.Fatal(err)
		}
		return
	}
	c.Proof = account.ProofFactor
	if _, err := w.node2.SwitchOff(w.Context(), w.id, c); err != nil {
		w.Fatal(err)
	}
}

func TestAnEpochIsReadFromTheStoreOnce(t *testing.T) {
	w := newWorld(t)
	s := &watched{Store: w.store}
	b := w.another(s)
	w.revoke()
	for range 10 {
		w.wantEpoch(b, 1)
	}
	if n := s.gets.Load(); n != 1 {
		t.Errorf("the store was read %d times, want once", n)
	}
	if got, err := b.Standing(t.Context(), b.ID("sari")); got.Epoch != 0 || err != nil || s.gets.Load() != 2 {
		t.Errorf("Standing() of another account = %d, %v after %d reads", got.Epoch, err, s.gets.Load())
	}
}

// I9: a revocation is seen by the next request, wherever it was made.
func TestInvariantI9ARevocationIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	for epoch := range uint64(20) {
		w.wantEpoch(w.book, epoch)
		w.wantEpoch(w.node2, epoch)
		w.revoke()
	}
	w.revoke()
	w.wantEpoch(w.book, 21)
	w.wantEpoch(w.node2, 21)
	w.reopen()
	w.wantEpoch(w.book, 21)
}

// I9: a request that read the account just before a revocation must not leave the
// old epoch behind for those that come after it.
func TestInvariantI9AReadThatARevocationOvertookIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	var once sync.Once
	s := &watched{Store: w.store, afterGet: func() { once.Do(w.revoke) }}
	b := w.another(s)
	w.wantEpoch(b, 0) // read before the revocation, and at that time right
	w.wantEpoch(b, 1)
	w.wantEpoch(b, 1)
	if n := s.gets.Load(); n != 2 {
		t.Errorf("the store was read %d times, want twice: the second read is remembered", n)
	}
}

// I9: whoever was told of a revocation never meets an older epoch afterwards.
func TestInvariantI9NoReaderSeesAnOlderEpochThanWasAcknowledged(t *testing.T) {
	w := newWorld(t)
	var acknowledged atomic.Uint64
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			b := []*account.Book{w.book, w.node2}[i%2]
			for {
				select {
				case <-done:
					return
				default:
				}
				runtime.Gosched() // leave the writer its turn
				known := acknowledged.Load()
				if got, err := b.Standing(t.Context(), w.id); err != nil || got.Epoch < known {
					t.Errorf("Standing() = %d, %v after %d was acknowledged", got.Epoch, err, known)
					return
				}
			}
		})
	}
	for epoch := range uint64(40) {
		w.revoke()
		acknowledged.Store(epoch + 1)
	}
	close(done)
	readers.Wait()
}

// I9: a store that may have missed writes says so with an empty key.
func TestInvariantI9MissedWritesEmptyTheMemory(t *testing.T) {
	w := newWorld(t)
	s := &watched{Store: w.store, deaf: true}
	b := w.another(s)
	w.wantEpoch(b, 0)
	w.revoke()
	w.wantEpoch(b, 0) // it was told nothing: the next line is what tells it
	s.changed("")
	w.wantEpoch(b, 1)
	w.revoke()
	s.changed(store.NewKey("account", string(w.book.ID("sari"))))
	w.wantEpoch(b, 1) // another account's write
	s.changed(store.NewKey("account", string(w.id)))
	w.wantEpoch(b, 2)
}

// I9: while nobody tells of the other nodes' revocations, each request asks.
func TestInvariantI9WithoutNewsOfOtherNodesNothingRememberedCounts(t *testing.T) {
	w := newWorld(t)
	s := &watched{Store: w.store, deaf: true}
	b := w.another(s)
	w.wantEpoch(b, 0)
	s.cutOff.Store(true)
	w.revoke()
	w.wantEpoch(b, 1)
	w.revoke()
	w.wantEpoch(b, 2)
}

// I9, I10: a book that a reload has closed still answers the requests that hold it,
// and answers them from the store.
func TestInvariantI9AClosedBookRemembersNothing(t *testing.T) {
	w := newWorld(t)
	s := &watched{Store: w.store}
	b := w.another(s)
	w.wantEpoch(b, 0)
	// The worst moment: the watch has just ended.
	s.afterStop = func() {
		w.revoke()
		w.wantEpoch(b, 1)
	}
	b.Close()
	w.revoke()
	w.wantEpoch(b, 2)
	w.revoke()
	w.wantEpoch(b, 3)
}

// I1: an epoch that cannot be read is an error, not zero, and not remembered.
func TestInvariantI1AnEpochThatCannotBeReadIsAnError(t *testing.T) {
	w := newWorld(t)
	s := &watched{Store: w.store, err: errors.New("disk on fire")}
	b := w.another(s)
	w.revoke()
	if _, err := b.Standing(t.Context(), w.id); !errors.Is(err, s.err) {
		t.Errorf("Standing() = %v, want the store's error", err)
	}
	s.err = nil
	w.wantEpoch(b, 1)
}

// A logout ends what the session had, at every node and no other session's; too many
// logouts end everything rather than forget one.
func TestEndingASessionEndsItsGrantsAndChallenges(t *testing.T) {
	w := newWorld(t)
	mine := w.challenge()
	other := w.interruption("elsewhere")
	other.Binding = "session 2"
	theirs := w.open(other).Pending.ID
	ended := func(b *account.Book, binding string) time.Time {
		t.Helper()
		s, err := b.Standing(t.Context(), w.id)
		if err != nil {
			t.Fatal(err)
		}
		return s.Ended(func() string { return binding })
	}
	if at := ended(w.node2, "session"); !at.IsZero() {
		t.Fatalf("ended at %v before the logout", at)
	}
	closed, err := w.book.EndSession(t.Context(), w.id, "session")
	if err != nil || len(closed) != 1 || closed[0] != mine {
		t.Fatalf("EndSession = %v, %v, want the session's challenge", closed, err)
	}
	now := w.clock.now()
	for _, b := range []*account.Book{w.book, w.node2} {
		if at := ended(b, "session"); !at.Equal(now) {
			t.Errorf("ended at %v, want %v", at, now)
		}
		if at := ended(b, "session 2"); !at.IsZero() {
			t.Errorf("the other session ended at %v", at)
		}
	}
	if a := w.account(); a.AttemptsLeft(mine) != 0 || a.AttemptsLeft(theirs) == 0 {
		t.Error("not exactly the session's challenge is closed")
	}
	for i := range 40 {
		if _, err := w.book.EndSession(t.Context(), w.id, fmt.Sprint("session ", i+3)); err != nil {
			t.Fatal(err)
		}
	}
	w.wantEpoch(w.node2, 1)
	w.clock.add(25 * time.Hour)
	if _, err := w.book.EndSession(t.Context(), w.id, "late"); err != nil {
		t.Fatal(err)
	}
	if n := len(w.account().Ended); n != 1 {
		t.Errorf("%d ended sessions are known after a day, want one", n)
	}
}
