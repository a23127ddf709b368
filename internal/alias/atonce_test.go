package alias

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stepgate/stepgate/store"
)

// A player's address changes and changes back within minutes. What the site says then is
// news, though it was learned before: else somebody who claims the address meanwhile is the
// only one, and is asked in the player's reset.
func TestAttackAnAddressThatComesBackWithinMinutesIsNotAnothers(t *testing.T) {
	w := newWorld(t)
	old := Names{Login: "sari", Email: "sari@mail.example"}
	w.learn("victim", old)
	w.learn("victim", Names{Login: "sari", Email: "typo@mail.example"})
	w.learn("victim", old)
	w.want("sari@mail.example", "victim")
	w.learn("thief", Names{Login: "mallory", Email: "sari@mail.example"})
	w.want("sari@mail.example", "")
}

// The operator says something else than a gateway has learned, and then the site says again
// what it said before.
func TestWhatTheSiteSaysAfterAnImportIsNews(t *testing.T) {
	w := newWorld(t)
	old := Names{Email: "sari@mail.example"}
	w.learn("victim", old)
	if err := w.book.Import(t.Context(), "victim", Names{Email: "wrong@mail.example"}); err != nil {
		t.Fatal(err)
	}
	w.learn("victim", old)
	w.want("sari@mail.example", "victim")
}

// A site says less of a player here than there: neither answer is news after the other.
func TestTwoAnswersThatTakeTurnsCostNothing(t *testing.T) {
	w := newWorld(t)
	more, less := Names{Login: "budi", Email: "budi@mail.example"}, Names{Login: "budi"}
	w.learn("1", more)
	w.learn("1", less)
	w.learn("1", more)
	w.store.reads, w.store.writes = 0, 0
	for range 10 {
		w.learn("1", more)
		w.learn("1", less)
	}
	if w.store.reads+w.store.writes != 0 {
		t.Errorf("%d reads and %d writes", w.store.reads, w.store.writes)
	}
}

// The address changes at one gateway and changes back at another, which knew it before.
func TestAttackAnAddressThatComesBackAtAnotherGatewayIsNotAnothers(t *testing.T) {
	w := newWorld(t)
	old := Names{Login: "sari", Email: "sari@mail.example"}
	w.learn("victim", old)
	w.learn("victim", old)
	if err := w.another().Learn(t.Context(), "victim", Names{Login: "sari", Email: "typo@mail.example"}); err != nil {
		t.Fatal(err)
	}
	w.learn("victim", old)
	w.learn("thief", Names{Login: "mallory", Email: "sari@mail.example"})
	w.want("sari@mail.example", "")
}

// turns lets one of several gateways make a call at a time, in an order of its own.
type turns struct {
	mu      sync.Mutex // guards all below
	cond    *sync.Cond
	rand    *rand.Rand
	waiting map[int]bool
	running int // gateways that neither wait nor are done
	chosen  int
	check   func() // called before each call
}

func newTurns(seed uint64, gateways int, check func()) *turns {
	t := &turns{rand: rand.New(rand.NewPCG(seed, 1)), waiting: map[int]bool{}, running: gateways, chosen: -1, check: check}
	t.cond = sync.NewCond(&t.mu)
	return t
}

func (t *turns) wait(who int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[who] = true
	t.running--
	t.choose()
	for t.chosen != who {
		t.cond.Wait()
	}
	t.chosen = -1
	delete(t.waiting, who)
	t.running++
}

func (t *turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.choose()
}

// choose lets one go on when all wait.
func (t *turns) choose() {
	if t.running > 0 || len(t.waiting) == 0 {
		return
	}
	t.check()
	n := t.rand.IntN(len(t.waiting))
	for who := 0; ; who++ {
		if !t.waiting[who] {
			continue
		}
		if n == 0 {
			t.chosen = who
			t.cond.Broadcast()
			return
		}
		n--
	}
}

// node is a gateway that waits for its turn before each call, and is killed at one of them:
// before it, or right after it, so that nobody is told that it was made.
type node struct {
	store.Store
	turn  func()
	left  int // calls until then; negative: never
	after bool
}

// next reports whether a call is made, and whether that is told.
func (n *node) next() (made, told bool) {
	n.turn()
	switch {
	case n.left < 0:
		return true, true
	case n.left > 1:
		n.left--
		return true, true
	case n.left == 1:
		n.left = 0
		return n.after, false
	default:
		return false, false
	}
}

func (n *node) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if _, told := n.next(); !told {
		return store.Record{}, errDown
	}
	return n.Store.Get(ctx, key)
}

func (n *node) Update(ctx context.Context, key store.Key, change store.Change) error {
	made, told := n.next()
	var err error
	if made {
		err = n.Store.Update(ctx, key, change)
	}
	if !told {
		return errDown
	}
	return err
}

// claimed fails the test if a player has a name that is not claimed for them: then somebody
// else could be the only one who claims it.
func (w *world) claimed(subject, when string) {
	w.Helper()
	b := NewBook(w.store, w.ring, cryptorand.Reader)
	defer b.Close()
	p, err := b.player(w.Context(), subject)
	if err != nil {
		w.Error(err)
	}
	for _, one := range p.all() {
		c, err := b.names.Get(w.Context(), b.nameID(one.name))
		if err != nil || !slices.ContainsFunc(c.Claims, func(c claim) bool { return c.Subject == subject && c.As == one.as }) {
			w.Errorf("%s: %s has a name that is not claimed for them, %v", when, subject, err)
		}
	}
}

// Several gateways learn of one player at once, in any order of their calls, and some are
// killed. At no moment does the player have a name that is not claimed for them, and in the
// end what the site says for good is all that counts: a thief who claims the player's address
// is not the only one who does, and no address that was given up is the player's.
func TestAttackGatewaysThatLearnAtOnceOverlookNoClaim(t *testing.T) {
	w := newWorld(t)
	for seed := range uint64(300) {
		subject, when := fmt.Sprint("victim ", seed), fmt.Sprint("seed ", seed)
		address := func(i int) string { return fmt.Sprintf("%c%d@mail.example", 'a'+i, seed) }
		random := rand.New(rand.NewPCG(seed, 2))
		const gateways = 3
		order := newTurns(seed, gateways, func() { w.claimed(subject, when) })
		killed := false
		var all sync.WaitGroup
		for i := range gateways {
			n := &node{Store: w.store, turn: func() { order.wait(i) }, left: -1}
			if random.IntN(4) == 0 {
				n.left, n.after, killed = 1+random.IntN(8), random.IntN(2) == 0, true
			}
			said := []string{address(random.IntN(3)), address(random.IntN(3))}
			b := NewBook(n, w.ring, cryptorand.Reader)
			all.Go(func() {
				defer order.done()
				defer b.Close()
				for _, email := range said {
					if err := b.Learn(w.Context(), subject, Names{Email: email}); err != nil && !errors.Is(err, errDown) {
						t.Errorf("%s: %v", when, err)
					}
				}
			})
		}
		all.Wait()
		w.book.Close()
		w.book = NewBook(w.store, w.ring, cryptorand.Reader) // nothing is in mind
		p, err := w.book.Player(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		if p.Email == "" {
			p.Email = address(0)
		}
		w.learn(subject, Names{Email: p.Email}) // the site says the same again
		for i := range 3 {
			want := ""
			if p.Email == address(i) {
				want = subject
			}
			w.want(address(i), want)
		}
		// What was given up is free, unless one was killed right after another overtook it: its
		// claim then keeps an address from others, and makes it nobody's.
		for i := range 3 {
			if p.Email != address(i) && !killed {
				other := fmt.Sprint("other ", address(i))
				w.learn(other, Names{Email: address(i)})
				w.want(address(i), other)
			}
		}
		w.learn("thief", Names{Email: p.Email})
		w.want(p.Email, "")
		if t.Failed() {
			t.Fatalf("%s fails", when)
		}
	}
}
