package alias

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

// counting is a store that counts reads and writes, and fails from the nth write on.
type counting struct {
	store.Store
	mu            sync.Mutex
	reads, writes int
	failFrom      int // 0: never
	seen          []string
}

var errDown = errors.New("down for the test")

func (c *counting) Get(ctx context.Context, key store.Key) (store.Record, error) {
	c.mu.Lock()
	c.reads++
	c.seen = append(c.seen, string(key))
	c.mu.Unlock()
	return c.Store.Get(ctx, key)
}

func (c *counting) Update(ctx context.Context, key store.Key, f store.Change) error {
	c.mu.Lock()
	c.writes++
	down := c.failFrom > 0 && c.writes >= c.failFrom
	c.mu.Unlock()
	if down {
		return errDown
	}
	return c.Store.Update(ctx, key, f)
}

type world struct {
	*testing.T
	store *counting
	ring  *seal.Ring
	book  *Book
	now   time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	s, err := bolt.Open(filepath.Join(t.TempDir(), "stepgate.db"), bolt.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if w.ring, err = seal.NewRing(rand.Reader, w.now); err != nil {
		t.Fatal(err)
	}
	w.ring.Clock = clock
	w.store = &counting{Store: s}
	w.book = w.another()
	return w
}

// another is the directory of another gateway.
func (w *world) another() *Book {
	b := NewBook(w.store, w.ring, rand.Reader)
	w.Cleanup(b.Close)
	return b
}

func (w *world) learn(subject string, n Names) {
	w.Helper()
	if err := w.book.Learn(w.Context(), subject, n); err != nil {
		w.Fatal(err)
	}
}

// want fails the test unless a name is the subject's; "" for nobody's.
func (w *world) want(typed, subject string) {
	w.Helper()
	q := Query{Text: typed}
	if strings.HasPrefix(typed, "+") {
		q.Phone = typed
	}
	p, err := w.book.Resolve(w.Context(), q)
	if p.Subject != subject || (err == nil) == (subject == "") || err != nil && !errors.Is(err, ErrUnknown) {
		w.Errorf("%q is %q's (%v), want %q", typed, p.Subject, err, subject)
	}
}

func TestANameIsFoundInEverySpellingOfItsOwn(t *testing.T) {
	w := newWorld(t)
	w.learn("1", Names{Login: "Budi", Email: "Budi.S@Example.com", Phone: "+6281234567890"})
	w.learn("2", Names{Login: "sari é"})
	for _, name := range []string{"budi", " BUDI\n", "budi.s@example.COM", "+6281234567890"} {
		w.want(name, "1")
	}
	w.want("SARI e\u0301", "2")
	// Look-alikes, parts and what is no name are nobody's.
	for _, name := range []string{"bud", "budi\x00", "b\u200budi", "bud\u0456", "budi.s@example.com.", "", " ", "+62812345678", "\xff", strings.Repeat("a", 1000)} {
		w.want(name, "")
	}
	if q := (Query{Text: strings.Repeat("a", 255)}); q.Canonical() != "" {
		t.Error("a name of any length is one")
	}
}

// A thief sets the own e-mail address at a sloppy site to the victim's, so that the
// victim's reset asks for the thief's factor.
func TestAttackANameThatTwoPlayersClaimIsNobodys(t *testing.T) {
	w := newWorld(t)
	w.learn("victim", Names{Login: "sari", Email: "sari@example.com"})
	w.learn("thief", Names{Login: "budi", Email: "Sari@example.com"})
	w.want("sari@example.com", "")
	w.want("sari", "victim")
	w.want("budi", "thief")
	// As the login name: the same.
	w.learn("thief", Names{Login: "sari@example.com", Email: "budi@example.com"})
	w.want("sari@example.com", "")
	w.want("budi@example.com", "thief")
	// Once the thief is known under another name it is the victim's again.
	w.learn("thief", Names{Login: "budi", Email: "budi@example.com"})
	w.want("sari@example.com", "victim")
	// The operator's word outweighs what a player claims later.
	if err := w.book.Import(t.Context(), "victim", Names{Login: "sari", Email: "sari@example.com"}); err != nil {
		t.Fatal(err)
	}
	w.learn("thief", Names{Login: "budi", Email: "sari@example.com"})
	w.want("sari@example.com", "victim")
	// A number of claims beyond what a record holds does not make room for one of them.
	for i := range 2 * maxClaims {
		w.learn(fmt.Sprint("crowd ", i), Names{Login: "everybody"})
	}
	for i := range 2*maxClaims - 1 {
		w.learn(fmt.Sprint("crowd ", i), Names{Login: fmt.Sprint("somebody ", i)})
	}
	w.want("everybody", "")
}

func TestAPlayerWhoChangesTheAddressTakesTheOldOneBack(t *testing.T) {
	w := newWorld(t)
	w.learn("1", Names{Email: "old@example.com"})
	w.learn("1", Names{Email: "new@example.com"})
	w.want("old@example.com", "")
	w.want("new@example.com", "1")
	w.learn("2", Names{Email: "old@example.com"})
	w.want("old@example.com", "2")
	// A source that gives no e-mail address takes none away.
	w.learn("2", Names{Login: "sari"})
	w.want("old@example.com", "2")
	w.want("sari", "2")
}

// Whatever write is the last before a crash, no name becomes another player's, and noting
// the same again repairs it.
func TestACrashWhileNamesAreNotedMakesNoNameAnothers(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(t)
		w.learn("1", Names{Login: "budi", Email: "old@example.com"})
		w.learn("2", Names{Login: "sari", Email: "sari@example.com"})
		w.store.writes, w.store.failFrom = 0, n
		err := w.book.Learn(t.Context(), "1", Names{Login: "budi", Email: "sari@example.com", Phone: "+6281234567890"})
		w.store.failFrom = 0
		for _, name := range []string{"budi", "sari", "old@example.com", "sari@example.com", "+6281234567890"} {
			p, resolved := w.book.Resolve(t.Context(), Query{Text: name, Phone: name})
			if want := map[string]string{"budi": "1", "sari": "2", "sari@example.com": "2"}[name]; resolved == nil && want != "" && p.Subject != want {
				t.Errorf("after %d writes %s is %s's", n-1, name, p.Subject)
			}
		}
		w.learn("1", Names{Login: "budi", Email: "new@example.com"})
		w.want("old@example.com", "")
		w.want("sari@example.com", "2")
		w.want("new@example.com", "1")
		if err == nil {
			break
		}
	}
}

// I11: the store is asked the same for a name that somebody has and one that nobody has.
func TestInvariantI11AnUnknownNameCostsAsMuch(t *testing.T) {
	w := newWorld(t)
	w.learn("1", Names{Login: "budi", Email: "budi@example.com", Phone: "+6281234567890"})
	w.learn("2", Names{Email: "budi"})
	for _, q := range []Query{{"budi@example.com", ""}, {"nobody@example.com", ""}, {"budi", ""}, {"0812", "+6281234567890"}, {"0899", "+62899999999"}} {
		w.store.reads = 0
		_, _ = w.book.Resolve(t.Context(), q)
		if w.store.reads != 4 {
			t.Errorf("%d reads for %+v, want 4", w.store.reads, q)
		}
	}
	for _, key := range w.store.seen {
		if strings.Contains(key, "budi") {
			t.Errorf("the key %s names somebody", key)
		}
	}
}

// What is known costs no look at the store, until another gateway says something else.
func TestWhatIsKnownCostsNothing(t *testing.T) {
	w := newWorld(t)
	n := Names{Login: "budi"}
	w.learn("1", n)
	w.learn("1", n) // reads what was written
	w.store.reads = 0
	for range 100 {
		w.learn("1", n)
	}
	if w.store.reads != 0 {
		t.Errorf("%d reads", w.store.reads)
	}
	if err := w.another().Learn(t.Context(), "1", Names{Login: "budiman"}); err != nil {
		t.Fatal(err)
	}
	w.learn("1", n)
	w.want("budi", "1")
	w.want("budiman", "")
}

// Two gateways that note two players under one name at once agree that it is nobody's.
func TestTwoGatewaysThatLearnAtOnce(t *testing.T) {
	w := newWorld(t)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if err := w.another().Learn(t.Context(), fmt.Sprint(i%2), Names{Email: "x@example.com"}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	w.want("x@example.com", "")
}

// I8: neither names nor subjects stand in what is printed.
func TestInvariantI8NamesStandInNoErrorAndNoLog(t *testing.T) {
	w := newWorld(t)
	n := Names{Login: "budi", Email: "budi@example.com"}
	w.store.failFrom = 1
	err := w.book.Learn(t.Context(), "player 1", n)
	text := fmt.Sprintf("%v %+v %#v %v", err, n, n, Player{Subject: "player 1", Names: n})
	if strings.Contains(text, "budi") {
		t.Errorf("printed: %s", text)
	}
}

// A thief sets the own name to something that the site's database takes for the victim's
// when it looks it up (collations that ignore accents, case, width and what cannot be seen;
// toUpperCase, which makes an I of a dotless one), and resets under that. If it were the
// thief's alone, the thief's factor would open the victim's account.
func TestAttackALookAlikeOfTheVictimsNameIsNobodys(t *testing.T) {
	for _, like := range []string{
		"mike@example.com ", "MIKE@EXAMPLE.COM", "míke@example.com", "mi\u0301ke@example.com", "mıke@example.com", "mİke@example.com",
		"mi\u212ae@example.com", "ｍｉｋｅ＠example.com", "mi\u200bke@example.com", "mi\u00adke@example.com", "mike\u00a0@example.com",
		"mi ke@example.com", "\ufeffmike@example.com", "mike@example\u3002com", "mi\ufe0fke@example.com", "mi\u3164ke@example.com",
	} {
		w := newWorld(t)
		w.learn("victim", Names{Email: "mike@example.com"})
		w.learn("thief", Names{Email: like})
		w.want(like, "")
		w.want("mike@example.com", "")
		// The operator's word is for one spelling, and gives nobody another.
		if err := w.book.Import(t.Context(), "victim", Names{Email: "mike@example.com"}); err != nil {
			t.Fatal(err)
		}
		w.want("mike@example.com", "victim")
		if fold(like) != "mike@example.com" {
			w.want(like, "")
		}
		// Nor does the thief have it who claims it as the login name.
		w = newWorld(t)
		w.learn("victim", Names{Email: "mike@example.com"})
		w.learn("thief", Names{Login: like})
		w.want(like, "")
	}
}

// Two players whose names differ by what some sites ignore have them both, if the operator
// says whose each is.
func TestTheOperatorTellsLookAlikesApart(t *testing.T) {
	w := newWorld(t)
	for subject, login := range map[string]string{"1": "jose", "2": "josé", "3": "JÓSÉ"} {
		if err := w.book.Import(t.Context(), subject, Names{Login: login}); err != nil {
			t.Fatal(err)
		}
	}
	w.want("jose", "1")
	w.want("José", "2")
	w.want("jósé", "3")
	w.want("jòse", "")
	// Who takes another spelling later loses the operator's word with the old one.
	w.learn("3", Names{Login: "jose"})
	w.want("jose", "1")
	w.want("jósé", "")
	w.learn("1", Names{Login: "pepe"})
	w.want("jose", "")
	w.want("josé", "2")
}

// What others claim is not forgotten because the operator has said whose a name is: once
// that player gives it up, it is not the next thief's alone.
func TestAttackAClaimOutlivesTheOperatorsWordForAnother(t *testing.T) {
	w := newWorld(t)
	w.learn("victim", Names{Email: "a@example.com"})
	imported := func(email string) {
		t.Helper()
		if err := w.book.Import(t.Context(), "other", Names{Email: email}); err != nil {
			t.Fatal(err)
		}
	}
	imported("a@example.com") // by mistake
	w.want("a@example.com", "other")
	imported("b@example.com")
	w.want("a@example.com", "victim")
	w.learn("thief", Names{Email: "a@example.com"})
	w.want("a@example.com", "")
	// Nor is a name that a crowd claims anybody's after that.
	for i := range 2 * maxClaims {
		w.learn(fmt.Sprint("crowd ", i), Names{Email: "c@example.com"})
	}
	imported("c@example.com")
	w.want("c@example.com", "other")
	imported("d@example.com")
	w.want("c@example.com", "")
}
