package account_test

import (
	"encoding/base32"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

const (
	phone      sms.Number = "+6281234567890"
	otherPhone sms.Number = "+6281298765432"
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

// world is two nodes with the accounts and challenges in one store on disk, and
// the player budi.
type world struct {
	*testing.T
	clock      *clock
	rand       io.Reader
	path       string
	store      store.Store
	ring       *seal.Ring
	book       *account.Book
	node2      *account.Book
	challenges *challenge.Book
	id         account.ID
	// browser is the one in which challenges are opened and factors changed.
	browser string
	opened  *int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		T: t, clock: &clock{at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)}, rand: random(1),
		path: filepath.Join(t.TempDir(), "stepgate.db"), browser: "browser", opened: new(int),
	}
	var err error
	if w.ring, err = seal.NewRing(w.rand, w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.ring.Clock = w.clock.now
	w.start()
	w.id = w.book.ID("budi")
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

func (w *world) start() {
	w.Helper()
	var err error
	if w.store, err = bolt.Open(w.path, bolt.Options{Now: w.clock.now}); err != nil {
		w.Fatal(err)
	}
	w.book, w.node2 = w.another(w.store), w.another(w.store)
	w.challenges = challenge.NewBook(w.store, w.ring, w.rand, w.clock.now)
}

// reopen is a new start of the process, as after a crash: nothing is told to the
// books before.
func (w *world) reopen() {
	w.Helper()
	if err := w.store.Close(); err != nil {
		w.Fatal(err)
	}
	w.start()
}

func (w *world) another(s store.Store) *account.Book {
	return account.NewBook(s, w.ring, w.rand, w.clock.now)
}

func (w *world) account() *account.Account {
	w.Helper()
	a, err := w.book.Get(w.Context(), w.id)
	if err != nil {
		w.Fatal(err)
	}
	return a
}

func (w *world) failures(f policy.Factor) int {
	w.Helper()
	if spent := w.account().Failures[f]; spent != nil {
		return spent.InARow
	}
	return 0
}

// totp returns the code of the step that lies steps after the present one.
func (w *world) totp(secret []byte, steps int) string {
	w.Helper()
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	code, err := totp.GenerateCode(text, w.clock.now().Add(time.Duration(steps)*30*time.Second))
	if err != nil {
		w.Fatal(err)
	}
	return code
}

// wrongTOTP returns a code that is right at no step near.
func (w *world) wrongTOTP(secret []byte) string {
	w.Helper()
	var near []string
	for steps := -3; steps <= 3; steps++ {
		near = append(near, w.totp(secret, steps))
	}
	for i := 0; ; i++ {
		if code := fmt.Sprintf("%06d", i); !slices.Contains(near, code) {
			return code
		}
	}
}

// interruption is one of a request that is told from others by its name.
func (w *world) interruption(request string) account.Interruption {
	*w.opened++
	return account.Interruption{
		Rules: "withdrawal", Fingerprint: request, Binding: "session", Browser: w.browser, Device: w.browser,
		ID: fmt.Sprintf("challenge-%d", *w.opened), Lifetime: challenge.Lifetime,
	}
}

func (w *world) open(in account.Interruption) account.Opened {
	w.Helper()
	o, err := w.book.Open(w.Context(), w.id, in)
	if err != nil {
		w.Fatal(err)
	}
	return o
}

// challenge opens a new challenge and returns its id.
func (w *world) challenge() string {
	w.Helper()
	return w.open(w.interruption(fmt.Sprint("request ", *w.opened))).Pending.ID
}

// texted opens a challenge for which an SMS code was sent, and returns its id and
// the code.
func (w *world) texted() (id, code string) {
	w.Helper()
	id, err := w.challenges.NewID()
	if err != nil {
		w.Fatal(err)
	}
	in := w.interruption("texted " + id)
	in.ID = id
	p := w.open(in).Pending
	_, err = w.challenges.Ensure(w.Context(), &challenge.Challenge{
		ID: id, Account: string(w.id), Factors: []policy.Factor{policy.SMS}, Phone: phone, Opened: p.Opened, Expires: p.Expires,
	})
	if err != nil {
		w.Fatal(err)
	}
	return id, w.text(id)
}

func (w *world) text(id string) string {
	w.Helper()
	s, err := w.challenges.ReserveSend(w.Context(), id, delivery.Wanted{})
	if err != nil || !s.Granted {
		w.Fatalf("ReserveSend() = %v, %v", s.Granted, err)
	}
	return s.Code
}

// asker is who answers for a purpose.
func (w *world) asker(purpose account.Purpose) account.Asker {
	return account.Asker{Device: w.browser, Purpose: purpose}
}

// answer gives an answer, to a request unless it says for what.
func (w *world) answer(in account.Answer) account.Result {
	w.Helper()
	r, err := w.book.Answer(w.Context(), w.id, to(in))
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func to(in account.Answer) account.Answer {
	if in.Purpose == "" {
		in.Purpose = account.ForRequest
	}
	return in
}

func (w *world) want(in account.Answer, want account.Verdict) account.Result {
	w.Helper()
	r := w.answer(in)
	if r.Verdict != want {
		w.Fatalf("Answer() by %s = verdict %d, want %d", in.Factor, r.Verdict, want)
	}
	return r
}

// fail spends n attempts, over as many challenges as it takes, and waits out each
// delay.
func (w *world) fail(wrong account.Answer, n int) account.Result {
	w.Helper()
	var last account.Result
	who := w.asker(to(wrong).Purpose)
	for range n {
		if until := w.account().NotBefore(wrong.Factor, who); w.clock.now().Before(until) {
			w.clock.add(until.Sub(w.clock.now()))
		}
		if w.account().AttemptsLeft(wrong.Challenge) == 0 {
			wrong.Challenge = w.challenge()
		}
		last = w.answer(wrong)
		if last.Verdict != account.Wrong && last.Verdict != account.UsedUp {
			w.Fatalf("Answer() = verdict %d, want wrong", last.Verdict)
		}
	}
	return last
}

// events returns the audit log.
func (w *world) events() []audit.Event {
	w.Helper()
	entries, err := w.store.Audit(w.Context(), 0, 10_000)
	if err != nil {
		w.Fatal(err)
	}
	var events []audit.Event
	for _, entry := range entries {
		var e audit.Event
		if err := json.Unmarshal(entry.Body, &e); err != nil {
			w.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

func (w *world) count(name audit.Name) int {
	w.Helper()
	n := 0
	for _, e := range w.events() {
		if e.Name == name {
			n++
		}
	}
	return n
}

// verdicts counts the results of answers that are given at the same moment, on
// both nodes in turn.
func (w *world) verdicts(n int, in func(i int) account.Answer) map[account.Verdict]int {
	w.Helper()
	var mu sync.Mutex
	counts := map[account.Verdict]int{}
	atOnce(n, func(i int) {
		book := w.book
		if i%2 == 1 {
			book = w.node2
		}
		r, err := book.Answer(w.Context(), w.id, to(in(i)))
		if err != nil {
			w.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		counts[r.Verdict]++
	})
	return counts
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
