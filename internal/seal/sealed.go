package seal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrOpen says that something is not sealed under a key of the ring for the place
// where it was found. It does not say why: cut off, altered, moved and sealed by
// another are all the same to whoever asks.
var ErrOpen = errors.New("not sealed by this key ring for this place")

// A sealed thing is its version, the id of its key in big-endian, the nonce, and
// what AES-256-GCM (NIST SP 800-38D) makes of the plain bytes, with its tag.
const (
	sealVersion  = 1
	idLength     = 4
	nonceLength  = 12
	tagLength    = 16
	headerLength = 1 + idLength
)

// Overhead is how much longer a sealed thing is than what is in it, in bytes.
const Overhead = headerLength + nonceLength + tagLength

// Seal encrypts plain under the current key with AES-256-GCM and a nonce from rand,
// which must be [crypto/rand.Reader] outside of tests. aad says where the result
// belongs, such as the key of a record; it opens nowhere else.
//
// The nonce is random: a counter would have to survive a crash and be shared by all
// nodes, and one that was restored from a backup would repeat itself, which breaks
// GCM. With 96 random bits NIST SP 800-38D (section 8.3) allows 2^32 sealings under
// one key, at which the odds of any repetition are 2^-33. A challenge costs about
// ten, so a site with a million challenges a day gets there in 14 months; it should
// rotate once a year.
func (r *Ring) Seal(rand io.Reader, aad string, plain []byte) ([]byte, error) {
	k := r.secrets().current(r.now())
	sealed := make([]byte, headerLength+nonceLength, Overhead+len(plain))
	sealed[0] = sealVersion
	binary.BigEndian.PutUint32(sealed[1:], uint32(k.id))
	nonce := sealed[headerLength:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, fmt.Errorf("sealing: reading random bytes: %w", err)
	}
	return k.sealing.Seal(sealed, nonce, plain, place(sealed, aad)), nil
}

// Open returns what Seal sealed for the same aad under any key of the ring, and
// ErrOpen for everything else.
func (r *Ring) Open(aad string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	k := r.secrets().key(KeyID(binary.BigEndian.Uint32(sealed[1:])))
	if k == nil {
		return nil, ErrOpen
	}
	nonce, ciphertext := sealed[headerLength:headerLength+nonceLength], sealed[headerLength+nonceLength:]
	plain, err := k.sealing.Open(make([]byte, 0, len(ciphertext)), nonce, ciphertext, place(sealed, aad))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// place is what GCM authenticates beside the ciphertext: the header and aad.
func place(sealed []byte, aad string) []byte {
	return append(append(make([]byte, 0, headerLength+len(aad)), sealed[:headerLength]...), aad...)
}
