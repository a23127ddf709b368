package factor

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
)

var smsKey = bytes.Repeat([]byte{7}, minSMSKey)

const testNumber = "+6281234567890"

func TestSMSCodeIsTheSameForTheSameSendAndSixDigits(t *testing.T) {
	code := SMSCode(smsKey, "challenge-a", 0, testNumber)
	if got, ok := NormalizeCode(code); !ok || got != code {
		t.Fatalf("SMSCode = %q, want six digits", code)
	}
	if again := SMSCode(bytes.Clone(smsKey), "challenge-a", 0, testNumber); again != code {
		t.Errorf("SMSCode = %q, then %q: a resend would not repeat the code", code, again)
	}
}

// R30: a code is bound to its own challenge. R4: so one for a login is none for a
// withdrawal. A new generation, number or key makes another code as well.
func TestInvariantI3ACodeOfOneChallengeFailsInAllOthers(t *testing.T) {
	other := bytes.Repeat([]byte{8}, minSMSKey)
	const rounds = 2000
	collisions := 0
	for i := range rounds {
		id := fmt.Sprintf("challenge-%d", i)
		code := SMSCode(smsKey, id, 1, testNumber)
		for _, wrong := range []string{
			SMSCode(smsKey, id+"x", 1, testNumber),
			SMSCode(smsKey, id, 2, testNumber),
			SMSCode(smsKey, id, 1, "+6281234567891"),
			SMSCode(other, id, 1, testNumber),
		} {
			if VerifySMSCode(code, wrong) {
				collisions++
			}
		}
		if !VerifySMSCode(code, SMSCode(smsKey, id, 1, testNumber)) {
			t.Fatalf("the code of %s does not verify", id)
		}
	}
	// Of 8000 pairs of independent codes, 0.008 agree by chance.
	if collisions > 1 {
		t.Errorf("%d of %d codes are good elsewhere", collisions, 4*rounds)
	}
}

// Without lengths before the parts, an id that goes on like another one's
// generation would share its code.
func TestSMSCodePartsCannotRunIntoOneAnother(t *testing.T) {
	const eight = "\x00\x00\x00\x00\x00\x00\x00"
	for _, tt := range []struct {
		name                     string
		idA, numberA             string
		idB, numberB             string
		generationA, generationB int
	}{
		{"letters move from number to id", "ab", "c", "abc", "", 0, 0},
		{"letters move from id to number", "a", "bc", "", "abc", 0, 0},
		{"generation moves into the id", "X", eight + "\x01z", "X" + eight + "\x00", "z", 0, 9},
	} {
		a, b := SMSCode(smsKey, tt.idA, tt.generationA, tt.numberA), SMSCode(smsKey, tt.idB, tt.generationB, tt.numberB)
		if a == b {
			t.Errorf("%s: both codes are %s", tt.name, a)
		}
	}
}

// R24, R25, R50: every code is as likely as every other. The key is fixed, so the
// statistic is too.
func TestSMSCodesAreUniform(t *testing.T) {
	const n = 50_000
	var counts [Digits][10]int
	for i := range n {
		for pos, d := range []byte(SMSCode(smsKey, fmt.Sprint(i), 0, testNumber)) {
			counts[pos][d-'0']++
		}
	}
	for pos, c := range counts {
		chi := 0.0
		for _, got := range c {
			chi += math.Pow(float64(got)-n/10, 2) / (n / 10)
		}
		if chi > 33.7 { // 9 degrees of freedom, p = 0.0001
			t.Errorf("digit %d: chi square %.1f over %v", pos, chi, c)
		}
	}
}

func TestUniformCodeRefusesTheBiasedEndOfTheRange(t *testing.T) {
	word := func(v uint32) string { return string([]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}) }
	for _, tt := range []struct {
		name, sum, want string
		ok              bool
	}{
		{"zero", word(0), "000000", true},
		{"leading zeros stay", word(7), "000007", true},
		{"modulo a million", word(1_234_567), "234567", true},
		{"last of the last full million", word(4_293_999_999), "999999", true},
		{"first beyond it", word(4_294_000_000), "", false},
		{"largest", word(math.MaxUint32), "", false},
		{"the next word is taken", word(math.MaxUint32) + word(42), "000042", true},
		{"half a word is none", word(math.MaxUint32) + "\x00\x00", "", false},
		{"nothing", "", "", false},
	} {
		if got, ok := uniformCode([]byte(tt.sum)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: uniformCode = %q, %v, want %q, %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestVerifySMSCodeTakesTheCodeAndNothingElse(t *testing.T) {
	if !VerifySMSCode("012345", "012345") {
		t.Error("the right code is refused")
	}
	for _, tt := range [][2]string{
		{"012345", "012346"}, {"012345", "12345"}, {"012345", "0123456"}, {"012345", ""}, {"012345", "012345 "},
		{"", ""}, {"1", "1"}, {strings.Repeat("0", 7), strings.Repeat("0", 7)},
	} {
		if VerifySMSCode(tt[0], tt[1]) {
			t.Errorf("VerifySMSCode(%q, %q) = true", tt[0], tt[1])
		}
	}
}

func TestSMSCodeRefusesAKeyThatEverybodyKnows(t *testing.T) {
	for _, key := range [][]byte{nil, {}, smsKey[1:]} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a key of %d bytes gives codes", len(key))
				}
			}()
			SMSCode(key, "challenge-a", 0, testNumber)
		}()
	}
}
