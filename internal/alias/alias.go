// Package alias is the directory of the names under which players are known to the site:
// login name, e-mail address and phone number. It says whose a password reset is, which
// bears no session.
//
// # Who claims a name
//
// Names are learned from what the site says of the holder of a session ([Book.Learn]), and
// from the operator ([Book.Import]). At a sloppy site a player can set the own e-mail
// address to somebody else's. If the last one to claim a name had it, the thief's own
// factor would be asked for at the victim's password reset. So a name that two players
// claim is nobody's until one of them is known under another, or the operator has said
// whose it is. For the same reason claims do not expire: the victim may not have logged in
// for a year.
//
// A name that is one player's login and another's e-mail address is nobody's either.
//
// # Spellings
//
// A name stands for its player as the site gives it, without regard to case, to blanks
// around it and to how accents are encoded (Unicode's form NFC).
//
// A site's database may take more names for one: for most collations é is e, and some do
// not see what is invisible. Then a player with such a look-alike of somebody's name could
// answer for them. So names are claimed by what is left of them when all of that is taken
// away, and those of two players that are the same by then are nobody's, however each is
// spelled. Where a site tells them apart the operator can: an import is for one spelling.
//
// # Changes at once
//
// Several gateways may learn of one player at once. One write of the player's record changes
// all names, and its number stands in the claims that were made for it; whoever was
// overtaken by another change begins anew. What takes a claim back takes none that a later
// change made: else a player's record could have a name that is claimed by a thief alone. A
// claim counts only if the player's own record has the name as well, so one that was left
// behind by a kill makes nobody answer for a name that is theirs no more.
//
// # What is kept
//
// Records stand under keyed hashes and are sealed: nobody who reads the store learns a name,
// or finds the record of one that they know.
package alias

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
)

// ErrUnknown says that a name is nobody's, or that two players claim it.
var ErrUnknown = errors.New("nobody's name")

// Names are those of one player, as the site gives them; each may be empty. Phone is in
// E.164, so that one number has one spelling.
type Names struct {
	Login string `json:"login,omitempty"`
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// String keeps names out of logs, GoString out of %#v.
func (Names) String() string   { return "names(REDACTED)" }
func (Names) GoString() string { return "names(REDACTED)" }

// Player is whom a name stands for.
type Player struct {
	Subject string `json:"subject"`
	Names
}

// known is the record of a player. Claimed are the names of which a record may say that
// they are the player's: more than Names has while those are being changed.
type known struct {
	Player
	Claimed []name `json:"claimed,omitempty"`
	// Change counts the changes of Names, Begun what was begun to change them.
	Change uint64 `json:"change"`
	Begun  uint64 `json:"begun"`
}

// claims is the record of a name.
type claims struct {
	Claims []claim `json:"claims"`
}

// claim says that a player is known under a name.
type claim struct {
	Subject string `json:"subject"`
	// As is how the player spells it, folded.
	As string `json:"as"`
	// Ruled tells that the operator has said so of this spelling, which outweighs what
	// others claim.
	Ruled bool `json:"ruled,omitempty"`
	// Change is the number of the player's change that made the claim.
	Change uint64 `json:"change"`
}

// holder returns whose a name is, as somebody spells it; empty if it is nobody's.
func (c *claims) holder(as string) string {
	for _, one := range c.Claims {
		if one.As == as && (one.Ruled || len(c.Claims) == 1) {
			return one.Subject
		}
	}
	return ""
}

// Book is the directory. It is safe for concurrent use.
type Book struct {
	names   seal.Records[claims]
	players seal.Records[known]
	ring    *seal.Ring
	now     func() time.Time

	mu sync.Mutex
	// learned is what was learned lately, by the digests of subjects.
	learned map[digest]lately
}

// digest is that of a subject, or of names.
type digest [sha256.Size]byte

func digestOf(parts ...string) digest { return sha256.Sum256([]byte(strings.Join(parts, "\x00"))) }

// lately is what was learned of a player. It is of one change, because what was learned
// before that is news when the site says it again.
type lately struct {
	change uint64
	at     time.Time
	// names are the digests of two answers, because a site may say less here than there.
	names [2]digest
}

const (
	// relearn is after how long the store is looked at again for what was learned.
	relearn = 10 * time.Minute
	// maxLearned bounds the memory, at some 150 bytes each.
	maxLearned = 1 << 16
	// maxTries is how often a change begins anew because another came first.
	maxTries = 8
)

// ErrBusy says that the names of a player kept changing under the hands of whoever noted
// them. The next try puts right what is left.
var ErrBusy = errors.New("the names of the player are being changed by others")

// NewBook returns the directory in a store.
func NewBook(s store.Store, ring *seal.Ring, rand io.Reader, now func() time.Time) *Book {
	return &Book{
		names:   seal.Records[claims]{Store: s, Ring: ring, Rand: rand, Kind: "alias"},
		players: seal.Records[known]{Store: s, Ring: ring, Rand: rand, Kind: "named"},
		ring:    ring, now: now, learned: map[digest]lately{},
	}
}

// nameID and playerID are the keyed hashes under which records are kept.
func (b *Book) nameID(n name) string { return b.hash(string(n.Kind), n.Text) }

func (b *Book) playerID(subject string) string { return b.hash("player", subject) }

func (b *Book) hash(parts ...string) string {
	sum := b.ring.MAC(seal.Alias, parts...)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// Learn notes under which names the site knows a player now. Of a kind of which it says
// nothing the last name stays: the source that was asked may not give it. It costs nothing
// but a look into memory where that was noted before.
func (b *Book) Learn(ctx context.Context, subject string, n Names) error {
	who, what := digestOf(subject), digestOf(n.Login, n.Email, n.Phone)
	if b.knows(who, what) {
		return nil
	}
	change, err := b.note(ctx, subject, n, false)
	if err != nil {
		return err
	}
	b.remember(who, what, change)
	return nil
}

// Import notes under which names a player is known, and under no others, on the operator's
// word: whoever else claims one of them does not have it.
func (b *Book) Import(ctx context.Context, subject string, n Names) error {
	change, err := b.note(ctx, subject, n, true)
	if err != nil {
		return err
	}
	b.remember(digestOf(subject), digest{}, change) // what the site says is news
	return nil
}

func (b *Book) knows(who, what digest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.learned[who]
	return ok && b.now().Sub(l.at) < relearn && slices.Contains(l.names[:], what)
}

// remember notes that what the site says agrees with the record of a player as of a change,
// unless a later one is known.
func (b *Book) remember(who, what digest, change uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	old, ok := b.learned[who]
	fresh := ok && now.Sub(old.at) < relearn
	switch {
	case fresh && old.change > change:
		return
	case fresh && old.change == change && !slices.Contains(old.names[:], what):
		b.learned[who] = lately{change, old.at, [2]digest{what, old.names[0]}}
		return
	case !ok && len(b.learned) >= maxLearned:
		clear(b.learned)
	}
	b.learned[who] = lately{change, now, [2]digest{what}}
}

// errOvertaken says that another change of the player came first.
var errOvertaken = errors.New("another change came first")

// note brings the records to what is known of a player, and returns the number of the
// change that they stand by.
func (b *Book) note(ctx context.Context, subject string, n Names, ruled bool) (uint64, error) {
	for range maxTries {
		change, err := b.noteOnce(ctx, subject, n, ruled)
		if !errors.Is(err, errOvertaken) {
			return change, err
		}
	}
	return 0, ErrBusy
}

// noteOnce first writes down which names may be claimed from then on, so that a crash leaves
// no claim that the next change does not take back. It claims the new names before the
// player has them, and takes the old ones back only after: of two players who have a name
// both claim it at any time.
func (b *Book) noteOnce(ctx context.Context, subject string, n Names, ruled bool) (uint64, error) {
	old, err := b.player(ctx, subject)
	if err != nil {
		return 0, err
	}
	if !ruled {
		n = Names{cmp.Or(n.Login, old.Login), cmp.Or(n.Email, old.Email), cmp.Or(n.Phone, old.Phone)}
	}
	if old.Names == n && !ruled {
		return old.Change, b.tidy(ctx, subject, old)
	}
	spellings, before := n.all(), old.all()
	if _, err := b.change(ctx, subject, old.Change, func(k *known) {
		for _, one := range spellings {
			if !slices.Contains(k.Claimed, one.name) {
				k.Claimed = append(k.Claimed, one.name)
			}
		}
		k.Begun++
	}); err != nil {
		return 0, err
	}
	change := old.Change + 1
	for _, one := range spellings {
		if !ruled && slices.Contains(before, one) {
			continue
		}
		if err := b.claim(ctx, one.name, claim{subject, one.as, ruled, change}); err != nil {
			return 0, err
		}
	}
	now, err := b.change(ctx, subject, old.Change, func(k *known) { k.Names, k.Change = n, change })
	if err != nil {
		return 0, err
	}
	return change, b.tidy(ctx, subject, now)
}

// tidy takes back what a player claims and has not, as of a state of the record.
func (b *Book) tidy(ctx context.Context, subject string, k known) error {
	var names, given []name
	for _, one := range k.all() {
		names = append(names, one.name)
	}
	for _, one := range k.Claimed {
		if !slices.Contains(names, one) {
			given = append(given, one)
		}
	}
	if len(given) == 0 {
		return nil
	}
	for _, one := range given {
		if err := b.release(ctx, one, subject, k.Change); err != nil {
			return err
		}
	}
	_, err := b.change(ctx, subject, k.Change, func(now *known) {
		// What was begun since may claim them again.
		if now.Begun == k.Begun {
			now.Claimed = names
		}
	})
	if errors.Is(err, errOvertaken) {
		return nil // whoever came first takes back what is left
	}
	return err
}

// change alters a player's record, if the last change of names is still the given one, and
// returns it as it is then. Otherwise it returns errOvertaken.
func (b *Book) change(ctx context.Context, subject string, last uint64, alter func(k *known)) (now known, err error) {
	err = b.players.Update(ctx, b.playerID(subject), func(k *known) (*seal.Next[known], error) {
		if k == nil {
			k = &known{Player: Player{Subject: subject}}
		}
		if k.Change != last {
			return nil, errOvertaken
		}
		alter(k)
		now = *k
		return &seal.Next[known]{Value: k}, nil
	})
	if err != nil {
		return known{}, fmt.Errorf("writing the names of a player: %w", err)
	}
	return now, nil
}

// Player returns under which names a player is known; no player of one who is not, or whose
// subject is empty.
func (b *Book) Player(ctx context.Context, subject string) (Player, error) {
	p, err := b.player(ctx, subject)
	return p.Player, err
}

// player returns what is known of a player; nothing of one who is new.
func (b *Book) player(ctx context.Context, subject string) (known, error) {
	p, err := b.players.Get(ctx, b.playerID(subject))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return known{}, nil
	case err != nil:
		return known{}, fmt.Errorf("reading the names of a player: %w", err)
	default:
		return *p, nil
	}
}

// claim notes a claim to a name. What the operator has said stays so as long as the
// spelling does, and until they say it of another player. The claims of others stay: once
// the operator's player gives the name up, it must not be the next thief's alone.
func (b *Book) claim(ctx context.Context, n name, mine claim) error {
	err := b.names.Update(ctx, b.nameID(n), func(c *claims) (*seal.Next[claims], error) {
		if c == nil {
			c = new(claims)
		}
		before := slices.Clone(c.Claims)
		i := slices.IndexFunc(c.Claims, func(other claim) bool { return other.Subject == mine.Subject })
		switch next := mine; {
		case i >= 0 && c.Claims[i].Change > mine.Change:
			return nil, nil // this change was overtaken, and begins anew
		case mine.Ruled:
			for k := range c.Claims {
				c.Claims[k].Ruled = c.Claims[k].Ruled && c.Claims[k].As != mine.As
			}
			if i < 0 {
				c.Claims = append(c.Claims, mine)
			} else {
				c.Claims[i] = mine
			}
		case i >= 0:
			next.Ruled = c.Claims[i].Ruled && c.Claims[i].As == mine.As
			c.Claims[i] = next
		case len(c.Claims) < maxClaims: // or else it is nobody's anyway
			c.Claims = append(c.Claims, mine)
		}
		if slices.Equal(before, c.Claims) {
			return nil, nil
		}
		return &seal.Next[claims]{Value: c}, nil
	})
	if err != nil {
		return fmt.Errorf("writing a name: %w", err)
	}
	return nil
}

// maxClaims bounds the record of a name that many players claim.
const maxClaims = 16

// release takes a player's claim to a name back, unless a later change made it.
func (b *Book) release(ctx context.Context, n name, subject string, change uint64) error {
	err := b.names.Update(ctx, b.nameID(n), func(c *claims) (*seal.Next[claims], error) {
		if c == nil {
			return nil, nil
		}
		i := slices.IndexFunc(c.Claims, func(other claim) bool { return other.Subject == subject })
		switch {
		case i < 0 || c.Claims[i].Change > change:
			return nil, nil
		case len(c.Claims) >= maxClaims:
			// Whom the record has no room for may claim it still.
			c.Claims[i].Ruled = false
		default:
			c.Claims = slices.Delete(c.Claims, i, i+1)
		}
		return &seal.Next[claims]{Value: c, Delete: len(c.Claims) == 0}, nil
	})
	if err != nil {
		return fmt.Errorf("taking a name back: %w", err)
	}
	return nil
}

// Resolve returns the player whose name it is, or ErrUnknown. It reads as much and computes
// as much for a name that nobody has (invariant I11).
func (b *Book) Resolve(ctx context.Context, q Query) (Player, error) {
	var holders []string
	var held []spelled // that somebody claims
	for _, one := range []spelled{spell(login, q.Text), spell(email, q.Text), spell(phone, q.Phone)} {
		c, err := b.names.Get(ctx, b.nameID(one.name))
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return Player{}, fmt.Errorf("reading a name: %w", err)
		}
		// One that two claim counts as a holder that nobody is.
		if h := c.holder(one.as); !slices.Contains(holders, h) {
			holders = append(holders, h)
		}
		held = append(held, one)
	}
	subject := ""
	if len(holders) == 1 {
		subject = holders[0]
	}
	p, err := b.player(ctx, subject)
	has := func(one spelled) bool { return slices.Contains(held, one) }
	switch {
	case err != nil:
		return Player{}, err
	case subject == "" || p.Subject != subject || !slices.ContainsFunc(p.all(), has):
		return Player{}, ErrUnknown
	default:
		return p.Player, nil
	}
}
