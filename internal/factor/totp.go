package factor

import (
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"io"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// TOTP as every authenticator app speaks it: RFC 6238 with HMAC-SHA-1 and steps
// of 30 seconds from the Unix epoch. SHA-1's collisions do not touch HMAC (RFC
// 6238 section 5.1, RFC 2104), and apps ignore a request for another hash.
const (
	// TOTPStep is the time for which one code is shown.
	TOTPStep = 30 * time.Second
	// MaxTOTPSkew is the largest tolerance that VerifyTOTP grants, in steps to
	// either side. Each step adds a code that a guess may hit.
	MaxTOTPSkew = 2

	totpSecretLength = 20 // bytes: the length of the hash, as RFC 4226 section 4 recommends
	minTOTPSecret    = 16 // bytes: RFC 4226 section 4, R6
)

// Result is what checking a TOTP code found. The zero value is Wrong.
type Result byte

// The results of VerifyTOTP.
const (
	// Wrong: the code belongs to none of the steps that count now.
	Wrong Result = iota
	// Used: the code is right, but it or a later one was used already. Somebody
	// replays what was seen once (RFC 6238 section 5.2), or the player was too
	// quick; it must not be accepted.
	Used
	// Right: the code is right and was not used.
	Right
)

// String returns the result's name.
func (r Result) String() string {
	switch r {
	case Right:
		return "right"
	case Used:
		return "used"
	default:
		return "wrong"
	}
}

var base32NoPadding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret takes 160 bits from rand, which must be cryptographically secure.
func NewTOTPSecret(rand io.Reader) ([]byte, error) {
	secret := make([]byte, totpSecretLength)
	if _, err := io.ReadFull(rand, secret); err != nil {
		return nil, fmt.Errorf("making a TOTP secret: %w", err)
	}
	return secret, nil
}

// VerifyTOTP checks a code of six ASCII digits, as NormalizeCode returns it,
// against the step of now and skew steps to either side; a skew outside 0 to
// [MaxTOTPSkew] is moved to the nearer end. lastStep is the last step that was
// accepted from this secret, or a negative number if there was none.
//
// With Right it returns the step that the caller has to store as the new lastStep
// before it acts on the answer; with Used, the step that was tried again; with
// Wrong, 0. The result is never Right for a step that is not after lastStep. now
// must come from the gateway's own clock, never from the client.
//
// A secret shorter than 128 bits is always Wrong: a record that lost its secret
// must not turn into one whose codes anybody can compute.
func VerifyTOTP(secret []byte, code string, now time.Time, skew int, lastStep int64) (step int64, result Result) {
	if len(secret) < minTOTPSecret {
		return 0, Wrong
	}
	skew = min(max(skew, 0), MaxTOTPSkew)
	encoded := base32NoPadding.EncodeToString(secret)
	current := now.Unix() / int64(TOTPStep/time.Second)
	// Every candidate is computed and compared, from the oldest to the newest, so
	// that the time taken does not tell how far the player's clock is off. If two
	// steps have the same code, the newer one counts: storing the older would
	// leave the same code good for another use.
	matched := int64(-1)
	for s := max(current-int64(skew), 0); s <= current+int64(skew); s++ {
		want, err := hotp.GenerateCodeCustom(encoded, uint64(s), hotp.ValidateOpts{
			Digits:    otp.DigitsSix,
			Algorithm: otp.AlgorithmSHA1,
		})
		if err != nil {
			return 0, Wrong // unreachable: encoded is base32
		}
		hit := subtle.ConstantTimeCompare([]byte(want), []byte(code))
		matched = matched&int64(hit-1) | s&-int64(hit)
	}
	switch {
	case matched < 0:
		return 0, Wrong
	case matched <= lastStep:
		return matched, Used
	default:
		return matched, Right
	}
}
