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
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stepgate/stepgate/internal/recall"
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

// claim notes that names may be claimed for the player.
func (k *known) claim(spellings []spelled) {
	for _, one := range spellings {
		if !slices.Contains(k.Claimed, one.name) {
			k.Claimed = append(k.Claimed, one.name)
		}
	}
}

// given returns the names that may be claimed for a player who has them no more.
func (k *known) given() []name {
	return slices.DeleteFunc(slices.Clone(k.Claimed), func(claimed name) bool {
		return slices.ContainsFunc(k.all(), func(has spelled) bool { return has.name == claimed })
	})
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
	// settled are the names of players for whom nothing is left to do, by their ids; others
	// are in it without.
	settled *recall.Memory[*Names]
}

const (
	playerKind = "alias_player"
	// maxSettled bounds the memory, at some 200 bytes each.
	maxSettled = 1 << 16
	// maxTries is how often a change begins anew because another came first.
	maxTries = 8
)

// errBusy says that the names of a player kept changing under the hands of whoever noted
// them. The next try puts right what is left.
var errBusy = errors.New("the names of the player are being changed by others")

// NewBook returns the directory in a store. Close ends its watch of the store.
func NewBook(s store.Store, ring *seal.Ring, rand io.Reader) *Book {
	return &Book{
		names:   seal.Records[claims]{Store: s, Ring: ring, Rand: rand, Kind: "alias"},
		players: seal.Records[known]{Store: s, Ring: ring, Rand: rand, Kind: playerKind},
		ring:    ring, settled: recall.New[*Names](s, playerKind, maxSettled),
	}
}

// Close ends the book's watch of the store. The book can still be used; it then reads
// what it would remember.
func (b *Book) Close() { b.settled.Close() }

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
	known, err := b.settled.Get(b.playerID(subject), func() (*Names, error) {
		k, err := b.player(ctx, subject)
		if err != nil || len(k.given()) > 0 {
			return nil, err
		}
		return &k.Names, nil
	})
	if err != nil || known != nil && n.over(*known) == *known {
		return err
	}
	return b.note(ctx, subject, n, false)
}

// over returns the names with those of old where the site says nothing.
func (n Names) over(old Names) Names {
	return Names{cmp.Or(n.Login, old.Login), cmp.Or(n.Email, old.Email), cmp.Or(n.Phone, old.Phone)}
}

// Import notes under which names a player is known, and under no others, on the operator's
// word: whoever else claims one of them does not have it.
func (b *Book) Import(ctx context.Context, subject string, n Names) error {
	return b.note(ctx, subject, n, true)
}

// errOvertaken says that another change of the player came first.
var errOvertaken = errors.New("another change came first")

// note brings the records to what is known of a player.
func (b *Book) note(ctx context.Context, subject string, n Names, ruled bool) error {
	for range maxTries {
		if err := b.noteOnce(ctx, subject, n, ruled); !errors.Is(err, errOvertaken) {
			return err
		}
	}
	return errBusy
}

// noteOnce first writes down which names may be claimed from then on, so that a crash leaves
// no claim that the next change does not take back. It claims the new names before the
// player has them, and takes the old ones back only after: of two players who have a name
// both claim it at any time.
func (b *Book) noteOnce(ctx context.Context, subject string, n Names, ruled bool) error {
	old, err := b.player(ctx, subject)
	if err != nil {
		return err
	}
	if !ruled {
		n = n.over(old.Names)
	}
	if old.Names == n && !ruled {
		return b.tidy(ctx, subject, old)
	}
	spellings, before := n.all(), old.all()
	if _, err := b.change(ctx, subject, old.Change, func(k *known) {
		k.claim(spellings)
		k.Begun++
	}); err != nil {
		return err
	}
	change := old.Change + 1
	for _, one := range spellings {
		if !ruled && slices.Contains(before, one) {
			continue
		}
		if err := b.claim(ctx, one.name, claim{subject, one.as, ruled, change}); err != nil {
			return err
		}
	}
	now, err := b.change(ctx, subject, old.Change, func(k *known) {
		k.Names, k.Change = n, change
		k.claim(spellings) // once more: somebody may have tidied up since
	})
	if err != nil {
		return err
	}
	return b.tidy(ctx, subject, now)
}

// tidy takes back what a player claims and has not, as of a state of the record.
func (b *Book) tidy(ctx context.Context, subject string, k known) error {
	given := k.given()
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
			now.Claimed = slices.DeleteFunc(now.Claimed, func(one name) bool { return slices.Contains(given, one) })
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
		return &seal.Next[known]{Value: k, Announce: true}, nil
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
