package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

// MAC returns the keyed hash of parts for a purpose: HMAC-SHA256 under a key that
// is derived from the lookup secret, so it is the same before and after a rotation.
// Each part goes in with its length before it, as a uvarint, so no two lists of
// parts have the same input: ("ab", "c") is not ("a", "bc"). MAC panics if p is none of the
// declared purposes.
//
// Compare with [crypto/subtle.ConstantTimeCompare] where an attacker can choose
// what is hashed.
func (r *Ring) MAC(p Purpose, parts ...string) [32]byte {
	macs, ok := r.secrets().macs[p]
	if !ok {
		panic("seal: no such purpose of a keyed hash")
	}
	m := macs.pool.Get().(*mac)
	sum := m.of(parts)
	macs.pool.Put(m)
	return sum
}

// macs are the hashes under one key that wait to be used again: preparing an HMAC
// takes longer than using it, and every request that meets a rule needs some.
type macs struct{ pool sync.Pool }

func newMACs(key []byte) *macs {
	return &macs{sync.Pool{New: func() any { return &mac{hmac: hmac.New(sha256.New, key)} }}}
}

type mac struct {
	hmac hash.Hash
	// input collects what is hashed: a string reaches a hash only as bytes, and
	// here the bytes need no allocation.
	input [256]byte
	sum   [sha256.Size]byte
}

// of returns the hash of parts and leaves nothing of them behind.
func (m *mac) of(parts []string) [32]byte {
	n := 0
	for _, part := range parts {
		if len(m.input)-n < binary.MaxVarintLen64 {
			n = m.flush(n)
		}
		n += binary.PutUvarint(m.input[n:], uint64(len(part)))
		for len(part) > 0 {
			if n == len(m.input) {
				n = m.flush(n)
			}
			took := copy(m.input[n:], part)
			n, part = n+took, part[took:]
		}
	}
	m.flush(n)
	m.hmac.Sum(m.sum[:0])
	m.hmac.Reset()
	sum := m.sum
	clear(m.input[:])
	clear(m.sum[:])
	return sum
}

// flush hashes the first n bytes of the input and returns 0, where the next go.
func (m *mac) flush(n int) int {
	_, _ = m.hmac.Write(m.input[:n]) // a hash never returns an error
	return 0
}
