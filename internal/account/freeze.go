package account

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
)

const (
	// NoticeLifetime is how long the link of a notice can be used.
	NoticeLifetime = 7 * 24 * time.Hour
	// maxNotices and maxFailureNotices are how many links of an account are good at a
	// time, to freeze it after a change and after wrong answers.
	maxNotices, maxFailureNotices = 20, 5

	nonceLength = 6  // bytes: what tells the notices of an account apart
	tagLength   = 10 // bytes of the MAC: 80 bits that can only be guessed online
)

// Notice is an alert whose link can still be used.
type Notice struct {
	Nonce []byte    `json:"nonce"`
	Kind  Kind      `json:"kind"`
	At    time.Time `json:"at"`
	// Root is At, or when that began on which it rests; see below.
	Root time.Time `json:"root"`
}

// Freeze says that the account was frozen by the link of a notice.
type Freeze struct {
	At time.Time `json:"at"`
	// Event is when that began which the player says was not them. What was bound from
	// then on does not lift the freeze.
	Event time.Time `json:"event"`
}

// # Roots
//
// A thief who has added an authenticator can remove the owner's with it. The owner may
// follow the link of that second change alone, and the authenticator of the first must
// not lift the freeze. So each factor, key and notice carries a root: when that began on
// which it rests. What was done under a factor that is younger than a notice lives has
// the factor's root, and not its own instant; a factor that has stood longer without an
// objection is its holder's.

// young returns the root of a factor, or the zero time if it has stood long enough.
func young(since, root, now time.Time) time.Time {
	if now.Sub(since) >= NoticeLifetime {
		return time.Time{}
	}
	return root
}

// earlier returns the earlier of two instants, of which each may be the zero time for
// none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// counts reports whether a factor of that age answers anything now, and its phone is
// told anything.
func (a *Account) counts(since time.Time) bool {
	return a.Frozen == nil || since.Before(a.Frozen.Event)
}

// Liftable reports whether the account has a factor that can lift the freeze.
func (a *Account) Liftable() bool {
	return a.Frozen != nil && (a.Recovery != nil && a.counts(a.Recovery.Since) ||
		slices.ContainsFunc(a.Enrolments, func(e Enrolment) bool { return a.counts(e.Since) }))
}

// drawn is what a change may need of randomness. It is drawn before the update,
// because a change function may run several times.
type drawn struct {
	// at is the instant of the update.
	at    time.Time
	key   factor.RecoveryKey
	nonce []byte
	tag   func(id ID, nonce []byte) []byte
}

func (b *Book) draw() (drawn, error) {
	d := drawn{nonce: make([]byte, nonceLength), tag: b.tag}
	var err error
	if d.key, err = factor.NewRecoveryKey(b.rand); err != nil {
		return drawn{}, err
	}
	if _, err := io.ReadFull(b.rand, d.nonce); err != nil {
		return drawn{}, fmt.Errorf("drawing the link of a notice: %w", err)
	}
	return d, nil
}

// token returns the secret of a notice's link: whose account, which notice, and the
// MAC over both, in 43 characters that fit an SMS.
func (d drawn) token(id ID) string {
	hash := id.Hash()
	return base64.RawURLEncoding.EncodeToString(slices.Concat(hash[:], d.nonce, d.tag(id, d.nonce)))
}

func (b *Book) tag(id ID, nonce []byte) []byte {
	sum := b.ring.MAC(seal.Notice, string(id), string(nonce))
	return sum[:tagLength]
}

// open returns what a token says, or false if it is none of ours.
func (b *Book) open(token string) (id ID, nonce []byte, ok bool) {
	const idLength = 16
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != idLength+nonceLength+tagLength || len(token) != base64.RawURLEncoding.EncodedLen(len(raw)) {
		return "", nil, false
	}
	id = ID(base64.RawURLEncoding.EncodeToString(raw[:idLength]))
	nonce = raw[idLength : idLength+nonceLength]
	return id, nonce, subtle.ConstantTimeCompare(b.tag(id, nonce), raw[idLength+nonceLength:]) == 1
}

// Notice returns what the link of a notice told of. It is not ok if the link was
// used, is too old, or is none.
func (b *Book) Notice(ctx context.Context, token string) (n Notice, ok bool, err error) {
	id, nonce, ok := b.open(token)
	if !ok {
		return Notice{}, false, nil
	}
	a, err := b.Get(ctx, id)
	if err != nil {
		return Notice{}, false, err
	}
	i := a.notice(nonce)
	if i < 0 {
		return Notice{}, false, nil
	}
	return a.Notices[i], true, nil
}

func (a *Account) notice(nonce []byte) int {
	return slices.IndexFunc(a.Notices, func(n Notice) bool { return bytes.Equal(n.Nonce, nonce) })
}

// Freeze uses the link of a notice: until it is lifted every protected route and
// every change of a factor is closed, and all grants end. It reports false, and
// changes nothing, if the link was used, is too old, or is none.
func (b *Book) Freeze(ctx context.Context, token string, c Client) (id ID, ok bool, err error) {
	id, nonce, ok := b.open(token)
	if !ok {
		return "", false, nil
	}
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		i := a.notice(nonce)
		if ok = i >= 0; !ok {
			return nil, errUnchanged
		}
		event := a.Notices[i].Root
		a.Notices = slices.Delete(a.Notices, i, i+1)
		if a.Frozen == nil {
			a.Frozen = &Freeze{At: now, Event: event}
		} else if event.Before(a.Frozen.Event) {
			a.Frozen.Event = event
		}
		a.revoke()
		a.note(KindFrozen, c, "", now)
		return []audit.Event{{Name: audit.AccountFrozen}, {Name: audit.AccountGrantsRevoked}}, nil
	})
	if err != nil {
		return "", false, fmt.Errorf("freezing account: %w", err)
	}
	return id, ok, nil
}

// Lift ends a freeze, under a factor from before the change that was objected to;
// while the account is frozen no other answers. What was bound or trusted since that
// change goes with it, and so do the links of notices since then: they may have gone
// to a phone that goes, and would freeze the account against what its owner binds
// next.
func (b *Book) Lift(ctx context.Context, id ID, c Change) (Alert, error) {
	return b.change(ctx, id, "lifting freeze", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen == nil || !c.current(a) {
			return nil, "", ErrNotProved
		}
		events := append(a.thaw(), audit.Event{Name: audit.AccountGrantsRevoked})
		a.revoke()
		return events, KindLifted, nil
	}, c)
}

// thaw ends a freeze, with all that was bound or trusted since the change that was
// objected to.
func (a *Account) thaw() []audit.Event {
	if a.Frozen == nil {
		return nil
	}
	events := []audit.Event{{Name: audit.AccountLifted}}
	a.Enrolments = slices.DeleteFunc(a.Enrolments, func(e Enrolment) bool {
		if a.counts(e.Since) {
			return false
		}
		events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(e.Factor), Reason: "frozen"})
		return true
	})
	a.Devices = slices.DeleteFunc(a.Devices, func(d Device) bool { return !a.counts(d.Since) })
	a.Notices = slices.DeleteFunc(a.Notices, func(n Notice) bool { return !a.counts(n.At) })
	if a.Recovery != nil && !a.counts(a.Recovery.Since) {
		a.Recovery = nil
	}
	a.Frozen = nil
	return events
}
