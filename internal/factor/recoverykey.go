package factor

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRecoveryInput is the longest text that is read as a recovery key, in bytes:
// 26 characters with a separator of three bytes between all of them.
const maxRecoveryInput = 128

const recoveryGroup = 4 // characters between two dashes

var errRecoveryKey = errors.New("not a recovery key")

// RecoveryKey is a secret of 128 bits with which a player who lost the other
// factors proves to be the account holder (a look-up secret in the sense of NIST
// SP 800-63B-4, 3.1.2, and strong enough to be stored as a keyed hash).
//
// It prints as REDACTED and encodes to JSON so; only [RecoveryKey.Text] shows it.
type RecoveryKey [16]byte

// NewRecoveryKey takes a key from rand, which must be cryptographically secure.
func NewRecoveryKey(rand io.Reader) (RecoveryKey, error) {
	var k RecoveryKey
	if _, err := io.ReadFull(rand, k[:]); err != nil {
		return RecoveryKey{}, fmt.Errorf("making a recovery key: %w", err)
	}
	return k, nil
}

// Text returns the key for the player to write down: 26 characters of base32
// (RFC 4648) in groups of four, "ABCD-EFGH-…-YZ".
func (k RecoveryKey) Text() string {
	s := base32NoPadding.EncodeToString(k[:])
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && i%recoveryGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ParseRecoveryKey reads a key as a player types it: case, spaces and dashes do
// not matter, and 0, 1 and 8, which the alphabet does not have, count as the
// letters O, I and B that they were mistaken for. Nothing else is forgiven, and
// one key has one spelling apart from these. The error says nothing about the
// input.
func ParseRecoveryKey(s string) (RecoveryKey, error) {
	if len(s) > maxRecoveryInput {
		return RecoveryKey{}, errRecoveryKey
	}
	s = strings.Map(recoveryLetter, s)
	decoded, err := base32NoPadding.DecodeString(s)
	if err != nil || len(decoded) != len(RecoveryKey{}) {
		return RecoveryKey{}, errRecoveryKey
	}
	k := RecoveryKey(decoded)
	// 26 characters carry 130 bits. The decoder ignores the last two, so that four
	// texts would read as the same key; only the one that we print is taken.
	if base32NoPadding.EncodeToString(k[:]) != s {
		return RecoveryKey{}, errRecoveryKey
	}
	return k, nil
}

// recoveryLetter maps one character of what was typed to the alphabet, or drops
// it. It does so for ASCII alone: unicode.ToUpper would also turn "ı" and "ſ" into
// letters of the alphabet.
func recoveryLetter(r rune) rune {
	switch {
	case separator(r):
		return -1
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case r == '0':
		return 'O'
	case r == '1':
		return 'I'
	case r == '8':
		return 'B'
	default:
		return r
	}
}

// String keeps the key out of logs.
func (RecoveryKey) String() string { return "REDACTED" }

// Format keeps the key out of logs under every verb; fmt would print an array of
// bytes for %d without asking String.
func (k RecoveryKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// MarshalText keeps the key out of JSON.
func (k RecoveryKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
