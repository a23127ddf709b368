package bolt

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/storetest"
)

func TestWritersShareCommits(t *testing.T) {
	const writers, each = 32, 20
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	before := commits(t, s)
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			for range each {
				if err := s.Update(t.Context(), store.Key(fmt.Sprintf("kind/%d", i)), write("value")); err != nil {
					t.Errorf("Update() = %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := commits(t, s) - before; n > writers*each/2 {
		t.Errorf("%d updates by %d writers at once took %d commits, want them shared", writers*each, writers, n)
	}
}

// commits returns how many transactions were ever committed.
func commits(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.view(func(tx *bbolt.Tx) error {
		n = tx.ID()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestLookingForNothingToExpireCommitsNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	put(t, s, "kind/a")
	before := commits(t, s)
	for range 3 {
		if n, err := s.Expire(t.Context(), 100); n != 0 || err != nil {
			t.Fatalf("Expire() = %d, %v, want 0", n, err)
		}
		if _, err := s.Add(t.Context(), "sms/a", 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := commits(t, s) - before; n != 0 {
		t.Errorf("%d commits, want none", n)
	}
}

func TestWatchMayEndItself(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	calls := 0
	var w store.Watch
	w = s.Watch("", func(store.Key) {
		calls++
		w.Stop()
	})
	for range 2 {
		announced := &store.Write{Value: []byte("value"), Announce: true}
		if err := s.Update(t.Context(), "kind/a", func(*store.Record) (*store.Write, error) { return announced, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 1 {
		t.Errorf("changed was called %d times, want once", calls)
	}
}

// BenchmarkUpdate shows what sharing commits brings: the time of a lone writer is
// that of its own syncs, and 32 writers pay little more of them.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 4, 32} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "stepgate.db"))
			change := write(string(make([]byte, 800)))
			var next atomic.Int64
			var all sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				all.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if err := s.Update(b.Context(), store.Key(fmt.Sprintf("account/%d", n%5000)), change); err != nil {
							b.Errorf("Update() = %v", err)
						}
					}
				})
			}
			all.Wait()
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "stepgate.db"))
	if err := s.Update(b.Context(), "account/a", write(string(make([]byte, 800)))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "account/a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSizes(b *testing.B) {
	fresh := func(b *testing.B) store.Mover { return open(b, filepath.Join(b.TempDir(), "stepgate.db")) }
	storetest.BenchmarkSizes(b, fresh, nil)
}
