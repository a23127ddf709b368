package factor

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"
)

// rfcSecret is the secret of the vectors in RFC 4226 appendix D and RFC 6238
// appendix B.
var rfcSecret = []byte("12345678901234567890")

// step returns an instant in the middle of a step.
func step(n int64) time.Time { return time.Unix(n*30+15, 0) }

func TestVerifyTOTPAgreesWithRFC6238(t *testing.T) {
	// Appendix B has codes of eight digits. A code is the truncated hash modulo a
	// power of ten (RFC 4226 section 5.3), so the code of six digits is made of the
	// last six.
	tests := []struct {
		unix int64
		code string
	}{
		{59, "94287082"}, {1111111109, "07081804"}, {1111111111, "14050471"},
		{1234567890, "89005924"}, {2000000000, "69279037"}, {20000000000, "65353130"},
	}
	for _, tt := range tests {
		gotStep, result := VerifyTOTP(rfcSecret, tt.code[2:], time.Unix(tt.unix, 0), 0, -1)
		if result != Right || gotStep != tt.unix/30 {
			t.Errorf("VerifyTOTP(%s at %d) = step %d, %v, want step %d, right", tt.code[2:], tt.unix, gotStep, result, tt.unix/30)
		}
	}
}

// rfc4226Codes are the codes of the steps 0 to 9 (RFC 4226 appendix D).
var rfc4226Codes = []string{
	"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489",
}

func TestVerifyTOTPAgreesWithRFC4226(t *testing.T) {
	for n, code := range rfc4226Codes {
		if got, result := VerifyTOTP(rfcSecret, code, step(int64(n)), 0, -1); result != Right || got != int64(n) {
			t.Errorf("VerifyTOTP(%s at step %d) = %d, %v, want right", code, n, got, result)
		}
	}
}

// R26: how far a code may be off is the caller's choice, and has an end.
func TestVerifyTOTPAcceptsExactlyTheStepsWithinSkew(t *testing.T) {
	const now = 5
	for _, tt := range []struct{ skew, want int }{{0, 0}, {1, 1}, {2, 2}, {3, MaxTOTPSkew}, {1 << 40, MaxTOTPSkew}, {-1, 0}} {
		for n, code := range rfc4226Codes {
			got, result := VerifyTOTP(rfcSecret, code, step(now), tt.skew, -1)
			within := n >= now-tt.want && n <= now+tt.want
			if within && (result != Right || got != int64(n)) {
				t.Errorf("skew %d: code of step %d at step %d = %d, %v, want right", tt.skew, n, now, got, result)
			}
			if !within && (result != Wrong || got != 0) {
				t.Errorf("skew %d: code of step %d at step %d = %d, %v, want wrong", tt.skew, n, now, got, result)
			}
		}
	}
}

// The step changes with the half minute, not with the time since the last code.
func TestVerifyTOTPStepsBeginOnTheHalfMinute(t *testing.T) {
	for _, tt := range []struct {
		now  time.Time
		want Result
	}{
		{time.Unix(29, 999_999_999), Wrong}, {time.Unix(30, 0), Right},
		{time.Unix(59, 999_999_999), Right}, {time.Unix(60, 0), Wrong},
	} {
		if _, result := VerifyTOTP(rfcSecret, "287082", tt.now, 0, -1); result != tt.want {
			t.Errorf("code of step 1 at %v is %v, want %v", tt.now.UTC(), result, tt.want)
		}
	}
}

// R22, R55, RFC 6238 section 5.2: a code is used once, and a used step takes
// those before it along.
func TestInvariantI3AUsedTOTPStepIsNeverRightAgain(t *testing.T) {
	last := int64(-1)
	accept := func(n int64) Result {
		got, result := VerifyTOTP(rfcSecret, rfc4226Codes[n], step(5), 1, last)
		if result == Right {
			last = got
		}
		return result
	}
	for i, tt := range []struct {
		step int64
		want Result
	}{{5, Right}, {5, Used}, {4, Used}, {6, Right}, {6, Used}, {5, Used}, {4, Used}, {7, Wrong}} {
		if got := accept(tt.step); got != tt.want {
			t.Errorf("try %d with the code of step %d is %v, want %v", i, tt.step, got, tt.want)
		}
	}
	for n, code := range rfc4226Codes {
		for lastStep := range int64(12) {
			if got, result := VerifyTOTP(rfcSecret, code, step(5), 2, lastStep); result == Right && got <= lastStep {
				t.Errorf("code of step %d is right though step %d was used", n, lastStep)
			}
		}
	}
}

// The secret of the RFC has the same code 911617 at two steps in a row. Were the
// older one stored, the code could be used a second time.
func TestInvariantI3ACodeOfTwoStepsIsUsedOnce(t *testing.T) {
	const older, newer, code = 910737, 910738, "911617"
	for _, now := range []int64{older, newer} {
		got, result := VerifyTOTP(rfcSecret, code, step(now), 1, older-1)
		if result != Right || got != newer {
			t.Errorf("at step %d: VerifyTOTP = %d, %v, want step %d, right", now, got, result, newer)
		}
		if _, again := VerifyTOTP(rfcSecret, code, step(now), 1, got); again != Used {
			t.Errorf("at step %d: the second use is %v, want used", now, again)
		}
	}
	// Used at the older step by a strict rule, it is a code of its own at the newer.
	if got, result := VerifyTOTP(rfcSecret, code, step(newer), 1, older); result != Right || got != newer {
		t.Errorf("VerifyTOTP after the older step = %d, %v, want step %d, right", got, result, newer)
	}
}

func TestVerifyTOTPRefusesWhatIsNotACode(t *testing.T) {
	for _, code := range []string{"", "87082", "287082 ", " 287082", "2870820", "94287082", "28708２", "abcdef", "287083"} {
		if got, result := VerifyTOTP(rfcSecret, code, time.Unix(59, 0), 0, -1); result != Wrong || got != 0 {
			t.Errorf("VerifyTOTP(%q) = %d, %v, want wrong", code, got, result)
		}
	}
}

// The code of an empty secret is known to everybody: 328482 at step 0, since an
// empty HMAC key is as good as a key of zeros.
func TestVerifyTOTPAcceptsNothingFromALostOrShortSecret(t *testing.T) {
	zeros := make([]byte, 20)
	if _, result := VerifyTOTP(zeros, "328482", step(0), 0, -1); result != Right {
		t.Fatalf("the code of a key of zeros at step 0 is %v, want right: the test is wrong", result)
	}
	for _, secret := range [][]byte{nil, {}, zeros[:1], zeros[:minTOTPSecret-1]} {
		if _, result := VerifyTOTP(secret, "328482", step(0), 0, -1); result != Wrong {
			t.Errorf("secret of %d bytes: %v, want wrong", len(secret), result)
		}
	}
}

func TestVerifyTOTPSurvivesAClockAtOrBeforeTheEpoch(t *testing.T) {
	if got, result := VerifyTOTP(rfcSecret, rfc4226Codes[0], time.Unix(0, 0), 2, -1); result != Right || got != 0 {
		t.Errorf("at the epoch: %d, %v, want step 0, right", got, result)
	}
	for _, code := range rfc4226Codes {
		if _, result := VerifyTOTP(rfcSecret, code, time.Unix(-3600, 0), 2, -1); result != Wrong {
			t.Errorf("an hour before the epoch %s is %v, want wrong", code, result)
		}
	}
	if _, result := VerifyTOTP(rfcSecret, rfc4226Codes[0], time.Time{}, 2, -1); result != Wrong {
		t.Errorf("at the zero time the code of step 0 is %v, want wrong", result)
	}
}

// R24: the secret is all of what the source gave, and nothing is made of less.
func TestNewTOTPSecretTakes160BitsOrFails(t *testing.T) {
	source := []byte("abcdefghijklmnopqrstuvwxyz")
	if got, err := NewTOTPSecret(bytes.NewReader(source)); err != nil || string(got) != string(source[:20]) {
		t.Errorf("NewTOTPSecret = %q, %v, want the source's first 20 bytes", got, err)
	}
	if got, err := NewTOTPSecret(bytes.NewReader(source[:19])); !errors.Is(err, io.ErrUnexpectedEOF) || got != nil {
		t.Errorf("NewTOTPSecret of a dry source = %q, %v, want an error", got, err)
	}
	if got, err := NewTOTPSecret(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) || got != nil {
		t.Errorf("NewTOTPSecret of a broken source = %q, %v, want its error", got, err)
	}
	a, errA := NewTOTPSecret(rand.Reader)
	b, errB := NewTOTPSecret(rand.Reader)
	if errA != nil || errB != nil || bytes.Equal(a, b) {
		t.Errorf("two secrets are equal, or failed: %v, %v", errA, errB)
	}
}
