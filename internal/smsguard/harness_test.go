package smsguard_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a guard with its store on disk.
type world struct {
	testing.TB
	clock  *clock
	path   string
	config smsguard.Config
	store  store.Store
	ring   *seal.Ring
	guard  *smsguard.Guard
}

func newWorld(t testing.TB, c smsguard.Config) *world {
	t.Helper()
	w := &world{
		TB: t, clock: &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)},
		path: filepath.Join(folder(t), "stepgate.db"), config: c,
	}
	w.config.Now = w.clock.now
	var err error
	if w.ring, err = seal.NewRing(rand.Reader, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.ring.Clock = w.clock.now
	w.start()
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

// folder returns one in memory where there is such a place: what survives a power cut is
// for the tests of the store to say, and here a disk would only take time.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "smsguard")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) start() {
	w.Helper()
	var err error
	if w.store, err = bolt.Open(w.path, bolt.Options{Now: w.clock.now}); err != nil {
		w.Fatal(err)
	}
	w.configure(w.config)
}

// configure puts another guard in place, as a reload does.
func (w *world) configure(c smsguard.Config) {
	w.Helper()
	c.Now = w.clock.now
	var err error
	if w.guard, err = smsguard.New(c); err != nil {
		w.Fatal(err)
	}
}

// restart is a new start of the process.
func (w *world) restart() {
	w.Helper()
	if err := w.store.Close(); err != nil {
		w.Fatal(err)
	}
	w.start()
}

func (w *world) admit(want smsguard.Want) smsguard.Verdict {
	w.Helper()
	v, err := w.guard.Admit(w.Context(), w.store, w.ring, want)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) charge(send smsguard.Send) (smsguard.Charged, smsguard.Verdict) {
	w.Helper()
	c, v, err := w.guard.Charge(w.Context(), w.store, w.ring, send)
	if err != nil {
		w.Fatal(err)
	}
	return c, v
}

func (w *world) refund(c smsguard.Charged) {
	w.Helper()
	if err := w.guard.Refund(w.Context(), w.store, w.ring, c); err != nil {
		w.Fatal(err)
	}
}

func (w *world) verified(provider string, to sms.Number, sent time.Time) {
	w.Helper()
	if err := w.guard.Verified(w.Context(), w.store, w.ring, provider, to, sent); err != nil {
		w.Fatal(err)
	}
}

// player is the nth of many who have nothing in common but the country.
func player(n int) smsguard.Want {
	return smsguard.Want{
		To:      sms.Number(fmt.Sprintf("+6281%05d0000", n)),
		Account: fmt.Sprintf("account-%d", n),
		Address: fmt.Sprintf("10.%d.%d.1", n/256, n%256),
	}
}

func (w *world) wantReason(v smsguard.Verdict, want smsguard.Reason) {
	w.Helper()
	if v.Reason != want || v.OK() != (want == "") {
		w.Fatalf("verdict %q, OK %v, want %q", v.Reason, v.OK(), want)
	}
}
