package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"time"
)

// secretLength is the length of every key and secret, in bytes: 256 bits.
const secretLength = 32

// ErrUnknownKey says that the ring has no key of an id, or none any more.
var ErrUnknownKey = errors.New("no such key in the key ring")

// KeyID numbers the keys of a ring, from 1 in the order in which they were added.
type KeyID uint32

// Ring is a key ring. It is safe for concurrent use. It is neither stored nor
// rotated here: whoever holds the ring's document does that. What holds a ring
// holds on to it: [Ring.Adopt] puts the keys of a later document in place under
// everybody who uses it.
//
// What lives for minutes (cookies, codes) or can be written again (records) names
// its key and stands under the current one. [Ring.Rotate] adds a key with a time
// from which it is current. Until then it only opens, so that every node can have
// read it before any node makes something with it. The old ones keep opening until
// they are taken from the document, by which time all that stands under them must
// have expired or been sealed again. The lookup secret stays for ever: with another
// one no account would be found again, and every player would be without a second
// factor.
//
// Neither a key nor the lookup secret is used itself, only what is derived from it
// for a [Purpose]: a key that one algorithm leaks about is then not another's too.
//
// A ring prints as the number of its keys, by every verb of package fmt, as text
// and as JSON.
type Ring struct {
	// Clock tells which key is current. Nil means time.Now. It must be set before
	// the ring is used.
	Clock func() time.Time

	// A function, because fmt and its like look behind every pointer that they meet
	// in somebody's struct, but behind no function.
	held func() *atomic.Pointer[secrets]
}

// secrets are what a ring holds at one time. They are never changed.
type secrets struct {
	generation uint64
	lookup     []byte
	macs       map[Purpose]*macs // under keys derived from lookup
	keys       []*ringKey        // the newest first; ids fall from there
}

type ringKey struct {
	id            KeyID
	created, from time.Time // UTC, to the second
	secret        []byte
	derived       map[Purpose][]byte
	sealing       cipher.AEAD
}

// NewRing returns a ring with one key and a lookup secret, both read from rand,
// which must be [crypto/rand.Reader] outside of tests.
func NewRing(rand io.Reader, now time.Time) (*Ring, error) {
	lookup, err := draw(rand)
	if err != nil {
		return nil, fmt.Errorf("making key ring: %w", err)
	}
	key, err := drawKey(rand, 1, now, now)
	if err != nil {
		return nil, fmt.Errorf("making key ring: %w", err)
	}
	return newRing(lookup, []*ringKey{key})
}

// Rotate returns a ring with one more key, read from rand, which becomes the
// current one at a time that is not before now. The others stay behind it; the
// lookup secret stays what it is. While a key waits to become current there is no
// other: the nodes would not agree in which order the two come.
func (r *Ring) Rotate(rand io.Reader, now, from time.Time) (*Ring, error) {
	s := r.secrets()
	newest := s.keys[0]
	now, from = second(now), second(from)
	switch {
	case newest.id == math.MaxUint32:
		return nil, errors.New("rotating key ring: no key id is left")
	case from.Before(now):
		return nil, errors.New("rotating key ring: the new key would have been current in the past")
	case newest.from.After(now) && len(s.keys) > 1:
		return nil, fmt.Errorf("rotating key ring: key %d is still to become current, at %s: rotate after that", newest.id, newest.from.Format(stampLayout))
	}
	key, err := drawKey(rand, newest.id+1, now, from)
	if err != nil {
		return nil, fmt.Errorf("rotating key ring: %w", err)
	}
	return r.with(append([]*ringKey{key}, s.keys...))
}

// with returns a ring with other keys and the same of everything else.
func (r *Ring) with(keys []*ringKey) (*Ring, error) {
	next, err := newRing(r.secrets().lookup, keys)
	if err != nil {
		return nil, err
	}
	next.Clock = r.Clock
	return next, nil
}

// second is a time as a document tells it.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func draw(rand io.Reader) ([]byte, error) {
	secret := make([]byte, secretLength)
	if _, err := io.ReadFull(rand, secret); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	return secret, nil
}

func drawKey(rand io.Reader, id KeyID, now, from time.Time) (*ringKey, error) {
	secret, err := draw(rand)
	if err != nil {
		return nil, err
	}
	return newRingKey(id, now, from, secret)
}

func newRingKey(id KeyID, created, from time.Time, secret []byte) (*ringKey, error) {
	k := &ringKey{
		id:      id,
		created: second(created),
		from:    second(from),
		secret:  secret,
		derived: make(map[Purpose][]byte, len(purposes)),
	}
	for _, p := range purposes {
		key, err := derive(secret, "key", p)
		if err != nil {
			return nil, err
		}
		k.derived[p] = key
	}
	block, err := aes.NewCipher(k.derived[Sealing])
	if err != nil {
		return nil, fmt.Errorf("preparing key: %w", err)
	}
	if k.sealing, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("preparing key: %w", err)
	}
	return k, nil
}

// newRing returns the ring of these secrets; keys has the newest one first.
func newRing(lookup []byte, keys []*ringKey) (*Ring, error) {
	s := &secrets{lookup: lookup, keys: keys, macs: make(map[Purpose]*macs, len(purposes))}
	for _, p := range purposes {
		key, err := derive(lookup, "lookup", p)
		if err != nil {
			return nil, err
		}
		s.macs[p] = newMACs(key)
	}
	return hold(s), nil
}

func hold(s *secrets) *Ring {
	at := new(atomic.Pointer[secrets])
	at.Store(s)
	return &Ring{held: func() *atomic.Pointer[secrets] { return at }}
}

func (r *Ring) secrets() *secrets { return r.held().Load() }

// derive gives a purpose its own key. The secret is uniformly random, so HKDF
// needs no salt (RFC 5869, section 3.1); the info keeps keys and lookup apart even
// if somebody gives them the same secret.
func derive(secret []byte, kind string, p Purpose) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "stepgate/1/"+kind+"/"+string(p), secretLength)
	if err != nil {
		return nil, fmt.Errorf("deriving key: %w", err)
	}
	return key, nil
}

func (r *Ring) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock()
}

// Current returns the id of the key under which new things are made now.
func (r *Ring) Current() KeyID { return r.secrets().current(r.now()).id }

// current returns the newest key whose time has come. The oldest one needs none:
// on a machine whose clock is behind, something must be made under a key that
// every node has, and the oldest is what they have had longest.
func (s *secrets) current(now time.Time) *ringKey {
	for _, k := range s.keys {
		if !k.from.After(now) {
			return k
		}
	}
	return s.keys[len(s.keys)-1]
}

// IDs returns the ids of all keys, the newest first.
func (r *Ring) IDs() []KeyID {
	keys := r.secrets().keys
	ids := make([]KeyID, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	return ids
}

// Key returns the 32-byte key of a purpose that is derived from the ring's key id,
// or ErrUnknownKey. The caller must not alter it.
func (r *Ring) Key(id KeyID, p Purpose) ([]byte, error) {
	k := r.secrets().key(id)
	if k == nil {
		return nil, ErrUnknownKey
	}
	key, ok := k.derived[p]
	if !ok {
		return nil, errors.New("no such purpose of a key")
	}
	return key, nil
}

// key returns the key of an id or nil. A ring has a handful of them.
func (s *secrets) key(id KeyID) *ringKey {
	for _, k := range s.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// String says how many keys the ring has and which is current.
func (r Ring) String() string {
	if r.held == nil {
		return "seal.Ring(empty)"
	}
	return fmt.Sprintf("seal.Ring(current key %d of %d)", r.Current(), len(r.secrets().keys))
}

// Format implements [fmt.Formatter] for every verb, of which most would print the
// bytes of the keys.
func (r Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// MarshalText returns what String does, so that a ring in a log entry or a config
// dump shows no key. [Ring.Marshal] is what a ring is kept as.
func (r Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
