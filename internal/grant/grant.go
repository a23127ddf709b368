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
// older than maxAge, has not ended, and is from after the session was last ended.
func (g *Grant) Opens(group Hash, factors []policy.Factor, maxAge time.Duration, now, ended time.Time) bool {
	for i := range g.Entries {
		e := &g.Entries[i]
		if e.Group != group || !now.Before(e.Expires) || now.Sub(e.At) > maxAge || e.At.After(now.Add(maxSkew)) || !e.At.After(ended) {
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

// maxSkew is how far the clock of another gateway may be ahead.
const maxSkew = time.Minute

// Fits reports whether g is bound to b.
func (g *Grant) Fits(b *Bound) bool {
	return equal(&g.Subject, &b.Subject) && equal(&g.Binding, &b.Binding) && equal(&g.Audience, &b.Audience) && g.Epoch == b.Epoch
}

func equal(a, b *Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

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

	grants memory[Grant]
	passes memory[Pass]
}

// memory holds the verified cookies of one kind, which are never changed.
type memory[T any] struct {
	mu    sync.RWMutex
	known map[string]T // guarded by mu
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
	k := &keyed{generation: generation}
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
func (c *Codec) Encode(g *Grant) (string, error) { return c.encode(cookieName, g) }

// Decode reads a cookie value into g. Every failure is ErrInvalid. Nothing of g
// may be used before [Grant.Fits] has said yes, and its entries must not be
// changed: other calls share them.
func (c *Codec) Decode(value string, g *Grant) error {
	k, err := c.present()
	if err != nil {
		return ErrInvalid
	}
	return decode(k, &k.grants, cookieName, value, g)
}

func (c *Codec) encode(name string, content any) (string, error) {
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
		v, err := s.Encode(name, content)
		if err != nil {
			return "", fmt.Errorf("encoding grant: %w", err)
		}
		return v, nil
	}
	return "", fmt.Errorf("encoding grant: %w", seal.ErrUnknownKey)
}

// decode reads a cookie value of one kind.
func decode[T any](k *keyed, m *memory[T], name, value string, into *T) error {
	m.mu.RLock()
	known, ok := m.known[value]
	m.mu.RUnlock()
	if ok {
		*into = known
		return nil
	}
	for _, s := range k.signers {
		if s.Decode(name, value, into) == nil {
			m.remember(value, *into)
			return nil
		}
	}
	return ErrInvalid
}

func (m *memory[T]) remember(value string, content T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]T{}
	}
	if len(m.known) >= maxVerified {
		for old := range m.known {
			delete(m.known, old)
			break
		}
	}
	// The value is a part of a request's header, which must not be kept alive whole.
	m.known[strings.Clone(value)] = content
}

// serializer is the compact binary form under securecookie's signature:
//
//	version 1 | subject 16 | binding 16 | audience 16 | epoch 8 | entries…
//	entry: group 16 | factor 1 | at 8 | expires 8
//
// and that of a pass:
//
//	version 1 | subject 16 | binding 16 | audience 16 | epoch 8 | borne 16 | at 8
//
// Integers are big-endian, times are Unix seconds, that of a pass nanoseconds. There is one encoding of each
// and no other is accepted; the cookie's name tells them apart, which is signed too.
type serializer struct{}

const (
	headLength  = 1 + 3*16 + 8
	entryLength = 16 + 1 + 8 + 8
	passLength  = headLength + 16 + 8
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

// Serialize implements securecookie.Serializer for *Grant and *Pass.
func (serializer) Serialize(src any) ([]byte, error) {
	if p, ok := src.(*Pass); ok {
		return p.append(make([]byte, 0, passLength)), nil
	}
	g, ok := src.(*Grant)
	if !ok || len(g.Entries) > MaxEntries {
		return nil, errors.New("serializing: not a grant")
	}
	b := g.Bound.append(make([]byte, 0, headLength+len(g.Entries)*entryLength))
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

// append adds the head of the encoding.
func (o *Bound) append(b []byte) []byte {
	b = append(b, version)
	b = append(b, o.Subject[:]...)
	b = append(b, o.Binding[:]...)
	b = append(b, o.Audience[:]...)
	return binary.BigEndian.AppendUint64(b, o.Epoch)
}

// read is the reverse of append.
func (o *Bound) read(b []byte) {
	copy(o.Subject[:], b[1:17])
	copy(o.Binding[:], b[17:33])
	copy(o.Audience[:], b[33:49])
	o.Epoch = binary.BigEndian.Uint64(b[49:])
}

// Deserialize implements securecookie.Serializer for *Grant and *Pass. It is reached
// only after the signature was found good, and is strict all the same.
func (serializer) Deserialize(b []byte, dst any) error {
	if p, ok := dst.(*Pass); ok {
		return p.read(b)
	}
	g, ok := dst.(*Grant)
	if !ok || len(b) < headLength || (len(b)-headLength)%entryLength != 0 || b[0] != version {
		return ErrInvalid
	}
	n := (len(b) - headLength) / entryLength
	if n > MaxEntries {
		return ErrInvalid
	}
	g.Bound.read(b)
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
