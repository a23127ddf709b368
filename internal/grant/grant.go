// Package grant is the step-up cookie: a signed, short-lived statement that one
// subject has passed a challenge in one session, on one site.
//
// A grant stands for nothing by itself. Whoever reads one must compare its
// subject, binding, audience and epoch with those of the request at hand
// ([Grant.Fits]) and only then ask for a rule ([Grant.Opens]); invariant I9
// rests on that comparison. A grant carries no personal data: subject and
// binding are keyed hashes.
package grant

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/securecookie"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
)

// MaxEntries is how many groups one grant opens at most; the oldest gives way.
const MaxEntries = 16

// cookieName is signed with the value, so that no other cookie under the same
// key can stand in for a grant.
const cookieName = "stepgate-grant"

// version leads each encoded grant; a later format takes another.
const version = 1

// ErrInvalid says that a cookie is no grant of ours, for whatever reason.
var ErrInvalid = errors.New("no valid grant")

// Hash is a shortened keyed or plain hash that identifies one party of a grant.
type Hash [16]byte

// HashOf returns the hash of a string that needs no secrecy: a host, a group.
func HashOf(s string) Hash {
	sum := sha256.Sum256([]byte(s))
	return Hash(sum[:16])
}

// Bound is what a grant is bound to. A grant whose Bound differs in any part
// from that of the request at hand is worthless.
type Bound struct {
	// Subject and Binding are keyed hashes of the account and of the session
	// credential.
	Subject, Binding Hash
	// Audience is the hash of the host.
	Audience Hash
	// Epoch is the account's count of revocations.
	Epoch uint64
}

// Entry opens one group of rules.
type Entry struct {
	Group Hash
	// Factor is the one that was used.
	Factor policy.Factor
	// At is when the challenge was passed; Expires is when the entry ends. Both are
	// kept to the second.
	At, Expires time.Time
}

// Grant is the content of the step-up cookie.
type Grant struct {
	Bound
	Entries []Entry
}

// Opens reports whether g has an entry for group, by one of factors, that is not
// older than maxAge and has not ended.
func (g *Grant) Opens(group Hash, factors []policy.Factor, maxAge time.Duration, now time.Time) bool {
	for i := range g.Entries {
		e := &g.Entries[i]
		if e.Group != group || !now.Before(e.Expires) || now.Sub(e.At) > maxAge || e.At.After(now.Add(time.Minute)) {
			continue
		}
		for _, f := range factors {
			if f == e.Factor {
				return true
			}
		}
	}
	return false
}

// Fits reports whether g is bound to b.
func (g *Grant) Fits(b *Bound) bool {
	same := subtle.ConstantTimeCompare(g.Subject[:], b.Subject[:]) &
		subtle.ConstantTimeCompare(g.Binding[:], b.Binding[:]) &
		subtle.ConstantTimeCompare(g.Audience[:], b.Audience[:])
	return same == 1 && g.Epoch == b.Epoch
}

// Add puts an entry into g, in place of an older one for the same group, and
// drops what has ended.
func (g *Grant) Add(e Entry, now time.Time) {
	live := g.Entries[:0]
	for _, old := range g.Entries {
		if old.Group != e.Group && now.Before(old.Expires) {
			live = append(live, old)
		}
	}
	if len(live) >= MaxEntries {
		live = live[1:]
	}
	g.Entries = append(live, e)
}

// Ends returns when the last of g's entries ends.
func (g *Grant) Ends() time.Time {
	var end time.Time
	for _, e := range g.Entries {
		if e.Expires.After(end) {
			end = e.Expires
		}
	}
	return end
}

// maxVerified bounds how many verified cookies a codec remembers, about a
// kilobyte each.
const maxVerified = 1 << 12

// Codec signs and opens grants. It is safe for concurrent use.
//
// A cookie that was found good is remembered by its whole value, because a player
// sends the same one with each request and checking it is half of what the gate
// costs them. Only the signature is remembered: what the grant is worth is asked
// of [Grant.Fits] and [Grant.Opens] each time. Only cookies that we have signed get
// in, so nobody can fill the memory with others.
//
// When the ring's keys change, what was remembered is forgotten: a cookie under a
// key that was retired is worthless from that moment.
type Codec struct {
	ring *seal.Ring
	keys atomic.Pointer[keyed]
}

// keyed is what a codec has made of one generation of the ring's keys.
type keyed struct {
	generation uint64
	signers    []signer // one per key of the ring

	mu       sync.RWMutex
	verified map[string]Grant // guarded by mu; the entries are never changed
}

type signer struct {
	id seal.KeyID
	*securecookie.SecureCookie
}

// NewCodec returns the codec for the keys of a ring, and for those that the ring
// takes over later ([seal.Ring.Adopt]).
func NewCodec(ring *seal.Ring) (*Codec, error) {
	c := &Codec{ring: ring}
	if _, err := c.renew(ring.Generation()); err != nil {
		return nil, err
	}
	return c, nil
}

// present returns what was made of the keys that the ring has now.
func (c *Codec) present() (*keyed, error) {
	generation := c.ring.Generation()
	if k := c.keys.Load(); k.generation == generation {
		return k, nil
	}
	return c.renew(generation)
}

// renew makes everything of the ring's keys. The generation was read before them:
// if they change meanwhile, the next call makes it again.
func (c *Codec) renew(generation uint64) (*keyed, error) {
	k := &keyed{generation: generation, verified: map[string]Grant{}}
	for _, id := range c.ring.IDs() {
		key, err := c.ring.Key(id, seal.Cookie)
		if errors.Is(err, seal.ErrUnknownKey) {
			continue // retired in this moment
		}
		if err != nil {
			return nil, fmt.Errorf("deriving cookie key: %w", err)
		}
		sc := securecookie.New(key, nil)
		sc.SetSerializer(serializer{})
		// The grant carries its own ends, checked against an injected clock.
		sc.MaxAge(0)
		sc.MaxLength(2048)
		k.signers = append(k.signers, signer{id, sc})
	}
	c.keys.Store(k)
	return k, nil
}

// Encode returns the cookie value for g, signed under the key that is current now.
func (c *Codec) Encode(g *Grant) (string, error) {
	// Before the signers: a current key is never taken from a ring, so they have it.
	current := c.ring.Current()
	k, err := c.present()
	if err != nil {
		return "", fmt.Errorf("encoding grant: %w", err)
	}
	for _, s := range k.signers {
		if s.id != current {
			continue
		}
		v, err := s.Encode(cookieName, g)
		if err != nil {
			return "", fmt.Errorf("encoding grant: %w", err)
		}
		return v, nil
	}
	return "", fmt.Errorf("encoding grant: %w", seal.ErrUnknownKey)
}

// Decode reads a cookie value into g. Every failure is ErrInvalid. Nothing of g
// may be used before [Grant.Fits] has said yes, and its entries must not be
// changed: other calls share them.
func (c *Codec) Decode(value string, g *Grant) error {
	k, err := c.present()
	if err != nil {
		return ErrInvalid
	}
	k.mu.RLock()
	known, ok := k.verified[value]
	k.mu.RUnlock()
	if ok {
		*g = known
		return nil
	}
	for _, s := range k.signers {
		if s.Decode(cookieName, value, g) == nil {
			k.remember(value, *g)
			return nil
		}
	}
	return ErrInvalid
}

func (k *keyed) remember(value string, g Grant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.verified) >= maxVerified {
		for old := range k.verified {
			delete(k.verified, old)
			break
		}
	}
	// The value is a part of a request's header, which must not be kept alive whole.
	k.verified[strings.Clone(value)] = g
}

// serializer is the compact binary form under securecookie's signature:
//
//	version 1 | subject 16 | binding 16 | audience 16 | epoch 8 | entries…
//	entry: group 16 | factor 1 | at 8 | expires 8
//
// Integers are big-endian, times are Unix seconds. There is one encoding of a
// grant and no other is accepted.
type serializer struct{}

const (
	headLength  = 1 + 3*16 + 8
	entryLength = 16 + 1 + 8 + 8
)

// factorBytes are the wire names of the factors; never reuse one.
var factorBytes = map[policy.Factor]byte{policy.TOTP: 1, policy.SMS: 2, policy.RecoveryKey: 3}

func factorOf(b byte) (policy.Factor, bool) {
	switch b {
	case 1:
		return policy.TOTP, true
	case 2:
		return policy.SMS, true
	case 3:
		return policy.RecoveryKey, true
	default:
		return "", false
	}
}

// Serialize implements securecookie.Serializer for *Grant.
func (serializer) Serialize(src any) ([]byte, error) {
	g, ok := src.(*Grant)
	if !ok || len(g.Entries) > MaxEntries {
		return nil, errors.New("serializing: not a grant")
	}
	b := make([]byte, 0, headLength+len(g.Entries)*entryLength)
	b = append(b, version)
	b = append(b, g.Subject[:]...)
	b = append(b, g.Binding[:]...)
	b = append(b, g.Audience[:]...)
	b = binary.BigEndian.AppendUint64(b, g.Epoch)
	for _, e := range g.Entries {
		f, ok := factorBytes[e.Factor]
		if !ok {
			return nil, errors.New("serializing: unknown factor")
		}
		b = append(b, e.Group[:]...)
		b = append(b, f)
		b = binary.BigEndian.AppendUint64(b, uint64(e.At.Unix()))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Expires.Unix()))
	}
	return b, nil
}

// Deserialize implements securecookie.Serializer for *Grant. It is reached only
// after the signature was found good, and is strict all the same.
func (serializer) Deserialize(b []byte, dst any) error {
	g, ok := dst.(*Grant)
	if !ok || len(b) < headLength || (len(b)-headLength)%entryLength != 0 || b[0] != version {
		return ErrInvalid
	}
	n := (len(b) - headLength) / entryLength
	if n > MaxEntries {
		return ErrInvalid
	}
	copy(g.Subject[:], b[1:17])
	copy(g.Binding[:], b[17:33])
	copy(g.Audience[:], b[33:49])
	g.Epoch = binary.BigEndian.Uint64(b[49:])
	g.Entries = make([]Entry, n)
	for i := range g.Entries {
		e, p := &g.Entries[i], b[headLength+i*entryLength:]
		copy(e.Group[:], p)
		f, ok := factorOf(p[16])
		if !ok {
			return ErrInvalid
		}
		e.Factor = f
		e.At = time.Unix(int64(binary.BigEndian.Uint64(p[17:])), 0)
		e.Expires = time.Unix(int64(binary.BigEndian.Uint64(p[25:])), 0)
	}
	return nil
}
