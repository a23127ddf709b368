package factor

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"math"
)

// minSMSKey is the shortest key that SMSCode takes, in bytes.
const minSMSKey = 32

// SMSCode returns the six-digit code of one challenge, sent in the given
// generation to the given number (E.164). It is derived with HMAC-SHA-256 from
// key, so that no store needs to hold it, and a resend within a generation sends
// the same code. Without the key nothing can be said about it; codes of other
// challenges, generations and numbers tell nothing.
//
// key is the purpose's own key of the ring, at least 256 bits; SMSCode panics on
// a shorter one, since the codes would be anybody's to compute.
func SMSCode(key []byte, challengeID string, generation int, number string) string {
	if len(key) < minSMSKey {
		panic("factor: the key for SMS codes is too short")
	}
	// Lengths go before the texts, so that no part of one can pass for the other's.
	input := []byte("stepgate sms code v1\x00")
	input = binary.BigEndian.AppendUint64(input, uint64(len(challengeID)))
	input = append(input, challengeID...)
	input = binary.BigEndian.AppendUint64(input, uint64(generation))
	input = binary.BigEndian.AppendUint64(input, uint64(len(number)))
	input = append(input, number...)
	for round := uint64(0); ; round++ {
		mac := hmac.New(sha256.New, key)
		mac.Write(binary.BigEndian.AppendUint64(input, round))
		if code, ok := uniformCode(mac.Sum(nil)); ok {
			return code
		}
	}
}

// uniformCode turns uniform bits into a uniform code. It takes them 32 at a time
// and refuses what lies over the last full million, which would make small codes
// more likely than large ones; ok is false if all of them do.
func uniformCode(sum []byte) (code string, ok bool) {
	const codes = 1_000_000
	const limit = math.MaxUint32 / codes * codes
	for ; len(sum) >= 4; sum = sum[4:] {
		if v := binary.BigEndian.Uint32(sum); v < limit {
			return fmt.Sprintf("%0*d", Digits, v%codes), true
		}
	}
	return "", false
}

// VerifySMSCode compares what the player typed, as NormalizeCode returns it, with
// the code of the challenge in constant time. A want that is not a code matches
// nothing.
func VerifySMSCode(want, got string) bool {
	return len(want) == Digits && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
