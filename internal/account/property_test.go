package account_test

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

var (
	propertySeed  = flag.Uint64("seed", 1, "where the random steps of the property test begin")
	propertySteps = flag.Int("steps", 0, "how many random steps the property test makes; 0 for a million, fewer with -short or -race")
)

// stepsOfALife is how many steps an account lives: long enough to be bound, stolen,
// frozen and lifted, short enough to begin anew often.
const stepsOfALife = 150

// I6, I3, I9, R2, R3, R5: whatever an owner and a thief do, in any order and at the
// same time, a factor changes only in a step for which a current factor was shown, or
// what I6 asks of the first one.
func TestInvariantI6NoSequenceOfStepsChangesAFactorWithoutACurrentOne(t *testing.T) {
	steps := *propertySteps
	switch {
	case steps != 0:
	case testing.Short() || raceDetector:
		steps = 80_000
	default:
		steps = 1_000_000
	}
	ring, err := seal.NewRing(random(1), time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	var (
		life    atomic.Uint64
		made    atomic.Int64
		mu      sync.Mutex // guards did and failed
		did     = map[string]int{}
		failed  string
		workers sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for made.Load() < int64(steps) {
				n := life.Add(1)
				d := newDrive(ring, *propertySeed, n)
				made.Add(int64(d.live()))
				mu.Lock()
				for what, times := range d.did {
					did[what] += times
				}
				if d.wrong != "" && failed == "" {
					failed = fmt.Sprintf("-seed %d, life %d: %s\n%s", *propertySeed, n, d.wrong, strings.Join(d.log, "\n"))
					made.Store(int64(steps))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if failed != "" {
		t.Fatal(failed)
	}
	t.Logf("%d steps in %d lives", made.Load(), life.Load())
	for _, what := range slices.Sorted(maps.Keys(did)) {
		t.Logf("%9d %s", did[what], what)
	}
	wantDone(t, did)
}

// wantDone fails if the steps were not such as could show anything: each must have
// succeeded, by both, and been refused.
func wantDone(t *testing.T, did map[string]int) {
	t.Helper()
	for _, step := range []string{
		"answer totp", "answer sms", "answer recovery_key", "answer registered_phone", "begin totp", "begin sms", "resend", "confirm totp",
		"confirm sms", "bind phone", "switch off", "remove", "issue key", "unlock", "forget", "freeze", "lift",
		"settle factor", "settle registered_phone", "settle set-up",
	} {
		byThief := step != "answer registered_phone" && step != "settle registered_phone" && step != "bind phone"
		if did["owner: "+step] == 0 || byThief != (did["thief: "+step] > 0) {
			t.Errorf("%s: %d times by the owner and %d times by the thief", step, did["owner: "+step], did["thief: "+step])
		}
	}
	for _, step := range []string{"begin totp", "begin sms", "bind phone", "switch off", "remove", "issue key", "unlock", "forget", "freeze", "lift"} {
		if did["refused: "+step] == 0 {
			t.Errorf("%s was never refused", step)
		}
	}
}

// drive is one life of an account: the account, what it must be, and who acts.
type drive struct {
	*rand.Rand
	at     time.Time
	store  *memory
	nodes  []*account.Book
	id     account.ID
	key    store.Key
	people []*person // the owner and the thief
	model  model
	seen   uint64 // the version of the record that was looked at last
	ids    int
	// verified are the provider's codes, by its names for them.
	verified map[string]string
	did      map[string]int
	log      []string
	wrong    string
}

func newDrive(ring *seal.Ring, seed, life uint64) *drive {
	d := &drive{
		Rand: rand.New(rand.NewPCG(seed, life)), at: time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC), did: map[string]int{},
		verified: map[string]string{},
		model:    model{links: map[string]*link{}},
		people: []*person{
			{name: "owner", browser: "owner's", session: "session", phones: []sms.Number{phone, "+6281211111111"}},
			{name: "thief", browser: "thief's", session: "session", phones: []sms.Number{otherPhone, "+6281222222222"}},
		},
	}
	d.store = newMemory(func() bool { return d.IntN(8) == 0 })
	for range 2 {
		d.nodes = append(d.nodes, account.NewBook(d.store, ring, d.source(seed, life), func() time.Time { return d.at }))
	}
	d.id = d.nodes[0].ID("budi")
	d.key = store.NewKey("account", string(d.id))
	return d
}

// source is randomness for a book, of which two nodes draw different.
func (d *drive) source(seed, life uint64) io.Reader {
	var key [32]byte
	for i := range key[:24] {
		key[i] = byte(d.Uint32())
	}
	key[24], key[25], key[26] = byte(seed), byte(life), byte(life>>8)
	return &seeded{source: rand.NewChaCha8(key)}
}

// live makes the steps of a life and returns how many there were. It ends when
// something is wrong, and mostly when nobody can lift a freeze any more.
func (d *drive) live() (steps int) {
	for steps < stepsOfALife && d.wrong == "" && (d.model.liftable() || !d.one(20)) {
		d.step()
		steps++
	}
	for _, b := range d.nodes {
		b.Close()
	}
	return steps
}

func (d *drive) book() *account.Book { return d.nodes[d.IntN(len(d.nodes))] }

// bad ends the life: what must never happen has happened.
func (d *drive) bad(format string, args ...any) {
	if d.wrong == "" {
		d.wrong = fmt.Sprintf(format, args...)
	}
}

// note writes a step down.
func (d *drive) note(p *person, format string, args ...any) {
	d.log = append(d.log, d.at.Format("02 15:04:05 ")+p.name+": "+fmt.Sprintf(format, args...))
}

func (d *drive) done(p *person, what string) { d.did[p.name+": "+what]++ }

// one in n.
func (d *drive) one(n int) bool { return d.IntN(n) == 0 }

// trusting asks now and then to trust the browser of a person.
func (d *drive) trusting(p *person) account.Trust {
	if !d.one(6) {
		return account.Trust{}
	}
	return account.Trust{Device: p.browser, For: account.TrustLifetime}
}

func pick[T any](d *drive, from []T) (one T) {
	if len(from) > 0 {
		one = from[d.IntN(len(from))]
	}
	return one
}

// at least the last of a list, so that what people know stays small.
func kept[T any](list []T, more ...T) []T {
	const most = 12
	list = append(list, more...)
	return list[max(0, len(list)-most):]
}

// times is how often something is done at the same moment: mostly once.
func (d *drive) times() int {
	if d.one(24) {
		return 3
	}
	return 1
}

// copies does the same n times at once, on both nodes in turn.
func copies[T any](d *drive, n int, do func(b *account.Book) T) []T {
	out := make([]T, n)
	if n == 1 {
		out[0] = do(d.book())
		return out
	}
	atOnce(n, func(i int) { out[i] = do(d.nodes[i%len(d.nodes)]) })
	return out
}

// step makes one step and looks at what it changed.
func (d *drive) step() {
	p := d.people[0]
	if d.one(2) {
		p = d.people[1]
	}
	d.act(p)
	if version := d.store.version(d.key); version != d.seen && d.wrong == "" {
		d.seen = version
		a, err := d.nodes[0].Get(ctx, d.id)
		if err != nil {
			d.bad("reading the account: %v", err)
		} else if differs := d.model.differs(a); differs != "" {
			d.bad("the account is not as it must be: %s", differs)
		}
	}
	if d.one(16) && d.wrong == "" {
		if got, err := d.book().Standing(ctx, d.id); err != nil || got.Epoch != d.model.generation {
			d.bad("Standing() = %d, %v, want %d", got.Epoch, err, d.model.generation)
		}
	}
}

// act lets somebody do something, rather what leads somewhere.
func (d *drive) act(p *person) {
	m := &d.model
	ready := false
	if n := len(p.shown); n > 0 {
		last := p.shown[n-1]
		ready = m.current(last) || last.grade == account.ProofPhone && m.mayBind(last)
	}
	asked := slices.ContainsFunc(m.open, func(c asked) bool { return c.by == p && c.generation == m.generation && d.at.Before(c.expires) })
	switch {
	case d.one(7):
		d.tick(p)
	case m.setup != nil && d.at.Before(m.setup.expires) && d.one(2):
		pick(d, []func(*person){d.confirm, d.confirm, d.attemptSetup, d.attemptSetup, d.resend})(p)
	case m.frozen && ready && !d.one(4):
		d.lift(p)
	case len(m.inquiries) > 0 && d.one(3):
		d.settle(p)
	case ready && d.one(2) || !m.guarded() && d.one(3):
		pick(d, []func(*person){d.begin, d.begin, d.begin, d.bindPhone, d.remove, d.switchOff, d.issueKey, d.unlock, d.forget})(p)
	case d.one(5):
		pick(d, []func(*person){
			d.begin, d.bindPhone, d.switchOff, d.remove, d.issueKey, d.unlock, d.forget, d.freeze, d.look, d.lift, d.closeOne, d.resend, d.confirm,
			d.attemptSetup,
		})(p)
	case asked && !d.one(5):
		d.answer(p)
	default:
		d.open(p)
	}
}

func (d *drive) tick(p *person) {
	steps := []time.Duration{time.Second, 20 * time.Second, 31 * time.Second, 2 * time.Minute, 6 * time.Minute, 20 * time.Minute, 2 * time.Hour}
	by := pick(d, steps)
	if d.one(12) {
		// Long enough for a factor to have stood without an objection.
		by = time.Duration(1+d.IntN(10)) * 24 * time.Hour
	}
	d.at = d.at.Add(by)
	d.note(p, "waits %s", by)
}

// showingOf is what somebody claims for a change: what they have shown last, or some
// time, or nothing.
func (d *drive) showingOf(p *person) showing {
	var s showing
	switch n := d.IntN(10); {
	case n < 6 && len(p.shown) > 0:
		s = p.shown[len(p.shown)-1]
	case n < 8 && len(p.shown) > 0:
		s = pick(d, p.shown)
	case n == 8:
		// A challenge of the other one, from a time that is over.
		s = pick(d, d.people[d.IntN(2)].shown)
		if s.generation == d.model.generation {
			s = showing{}
		}
	default:
		s.grade = pick(d, []account.Proof{account.ProofNone, account.ProofLogin})
		s.generation = d.model.generation
	}
	return s
}

func (d *drive) change(p *person, s showing) account.Change {
	return account.Change{Binding: p.session, Browser: p.browser, Proof: s.grade, Epoch: s.generation, Root: s.root, Hold: time.Hour}
}

// tell gives the link of an alert to whom it goes: the owner, whose e-mail the site
// knows, and whoever holds a phone that is told. What it tells of rests on root.
func (d *drive) tell(root time.Time, alerts ...account.Alert) {
	for _, alert := range alerts {
		d.model.links[alert.Token] = &link{at: alert.At, root: first(alert.At, root)}
		for i, p := range d.people {
			if i == 0 || slices.ContainsFunc(alert.Phones, func(n sms.Number) bool { return slices.Contains(p.phones, n) }) {
				p.links = kept(p.links, alert.Token)
			}
		}
	}
}

// learn keeps a new recovery key.
func (d *drive) learn(p *person, key string, since, root time.Time) {
	if key == "" {
		d.bad("no new recovery key was given")
	}
	d.model.key, d.model.keySince, d.model.keyRoot, d.model.keyMAC = key, since, root, nil
	p.keys = kept(p.keys, key)
}

// digits is a code that may be any.
func (d *drive) digits() string { return fmt.Sprintf("%06d", d.IntN(1_000_000)) }

var everyFactor = []policy.Factor{policy.TOTP, policy.TOTP, policy.TOTP, policy.SMS, policy.SMS, policy.RecoveryKey, "email"}
