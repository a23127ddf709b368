package challenge_test

import (
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
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

// seeded is a source of randomness that gives the same in every run and may be
// read by many at once.
type seeded struct {
	mu     sync.Mutex
	source *rand.ChaCha8
}

func (s *seeded) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.source.Read(p)
}

func random(seed byte) io.Reader { return &seeded{source: rand.NewChaCha8([32]byte{seed})} }

// world is a book of challenges in a store on disk.
type world struct {
	*testing.T
	clock *clock
	rand  io.Reader
	path  string
	store store.Store
	ring  *seal.Ring
	book  *challenge.Book
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		T: t, clock: &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)}, rand: random(1),
		path: filepath.Join(t.TempDir(), "stepgate.db"),
	}
	var err error
	if w.ring, err = seal.NewRing(w.rand, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.ring.Clock = w.clock.now
	w.open()
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

func (w *world) open() {
	w.Helper()
	var err error
	if w.store, err = bolt.Open(w.path, bolt.Options{Now: w.clock.now}); err != nil {
		w.Fatal(err)
	}
	w.book = w.another(w.ring)
}

// on is the same world for a subtest.
func (w *world) on(t *testing.T) *world {
	same := *w
	same.T = t
	return &same
}

// reopen is a new start of the process.
func (w *world) reopen() {
	w.Helper()
	if err := w.store.Close(); err != nil {
		w.Fatal(err)
	}
	w.open()
}

// another is the book of another node on the same store.
func (w *world) another(ring *seal.Ring) *challenge.Book {
	return challenge.NewBook(w.store, ring, w.rand, w.clock.now)
}

func request() *held.Request {
	return &held.Request{
		Method: "POST", Host: "casino.example", URI: "/wallet/withdraw?from=main", Body: []byte("amount=2500000"),
		Header: map[string][]string{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
}

// asked is a challenge to be.
func (w *world) asked() *challenge.Challenge {
	w.Helper()
	id, err := w.book.NewID()
	if err != nil {
		w.Fatal(err)
	}
	return &challenge.Challenge{
		ID: id, Rules: []string{"withdrawal"}, Account: "account-of-budi", Binding: "session", Browser: "browser",
		Audience: "casino.example", Epoch: 3, Factors: []policy.Factor{policy.SMS, policy.RecoveryKey}, SingleUse: true,
		Digest: request().Digest(), Details: []challenge.Detail{{Label: "amount", Value: "2500000"}}, Held: request(),
		Opens:  []challenge.Opening{{Group: "contact", MaxAge: 5 * time.Minute}},
		Opened: w.clock.now(), Expires: w.clock.now().Add(challenge.Lifetime), Phone: "+6281234567890", Enrolled: true,
	}
}

// pending returns a challenge that was just opened.
func (w *world) pending() *challenge.Challenge {
	w.Helper()
	c, err := w.book.Ensure(w.Context(), w.asked())
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) get(id string) *challenge.Challenge {
	w.Helper()
	c, err := w.book.Get(w.Context(), id)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) wantState(id string, want challenge.State) {
	w.Helper()
	if got := w.get(id).State(w.clock.now()); got != want {
		w.Errorf("the challenge is %s, want %s", got, want)
	}
}

func (w *world) pass(id string, release bool) (*held.Request, bool) {
	w.Helper()
	_, request, moved, err := w.book.Pass(w.Context(), id, challenge.Passing{By: policy.SMS, Epoch: 0}, release)
	if err != nil {
		w.Fatal(err)
	}
	return request, moved
}

func (w *world) end(id string, to challenge.State) {
	w.Helper()
	if _, _, err := w.book.End(w.Context(), id, to); err != nil {
		w.Fatal(err)
	}
}

func (w *world) reserve(id string, first bool) challenge.Send {
	w.Helper()
	s, err := w.book.ReserveSend(w.Context(), id, delivery.Wanted{First: first})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// atOnce runs do n times, all of them let go at the same moment.
func atOnce(n int, do func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			do(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}
