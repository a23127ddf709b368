package factor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

var testRecoveryKey = RecoveryKey{0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}

const testRecoveryText = "32W3-53YB-AIBQ-IBIG-A4EA-SCQL-BQ"

func TestRecoveryKeyReadsBackAsItIsWritten(t *testing.T) {
	if got := testRecoveryKey.Text(); got != testRecoveryText {
		t.Fatalf("Text() = %s, want %s", got, testRecoveryText)
	}
	for _, k := range []RecoveryKey{{}, testRecoveryKey, RecoveryKey(bytes.Repeat([]byte{0xff}, 16))} {
		if !regexp.MustCompile(`^([A-Z2-7]{4}-){6}[A-Z2-7]{2}$`).MatchString(k.Text()) {
			t.Errorf("Text() = %s, want groups of four", k.Text())
		}
		if got, err := ParseRecoveryKey(k.Text()); err != nil || got != k {
			t.Errorf("ParseRecoveryKey(%s) = %s, %v", k.Text(), got.Text(), err)
		}
	}
}

func TestParseRecoveryKeyForgivesHowPlayersType(t *testing.T) {
	plain := strings.ReplaceAll(testRecoveryText, "-", "")
	for _, in := range []string{
		plain, strings.ToLower(testRecoveryText), " " + testRecoveryText + "\n", strings.ReplaceAll(testRecoveryText, "-", " "),
		strings.ReplaceAll(testRecoveryText, "-", " – "), strings.ReplaceAll(testRecoveryText, "-", "\u00a0"),
		"32W3-53YB-A1BQ-1BIG-A4EA-SCQL-BQ", // 1 for I
		"32W3-53Y8-AIBQ-I8IG-A4EA-SCQL-8Q", // 8 for B
		"32w3 53yb-aibqibig a4ea scqlbq",
		"\u202a" + testRecoveryText + "\u202c",
	} {
		if got, err := ParseRecoveryKey(in); err != nil || got != testRecoveryKey {
			t.Errorf("ParseRecoveryKey(%q) = %s, %v", in, got.Text(), err)
		}
	}
	o, err := ParseRecoveryKey("OOOO-OOOO-OOOO-OOOO-OOOO-OOOO-OA")
	if zero, err0 := ParseRecoveryKey("0000-0000-0000-0000-0000-0000-0A"); err != nil || err0 != nil || zero != o {
		t.Errorf("0 does not count as O: %v, %v", err, err0)
	}
}

func TestParseRecoveryKeyForgivesNothingElse(t *testing.T) {
	for _, in := range []string{
		"", "-", "32W3", testRecoveryText[:len(testRecoveryText)-1], testRecoveryText + "A", testRecoveryText + "=",
		strings.TrimSuffix(testRecoveryText, "Q") + "R", // the same 128 bits, and one beyond them
		strings.Replace(testRecoveryText, "W", "9", 1),
		strings.Replace(testRecoveryText, "A", "Á", 1),
		strings.Replace(testRecoveryText, "I", "ı", 1), // upper case: I
		strings.Replace(testRecoveryText, "S", "ſ", 1), // upper case: S
		strings.Replace(testRecoveryText, "3", "３", 1), // full-width
		strings.Replace(testRecoveryText, "-", ".", 1),
		testRecoveryText + "\x00", testRecoveryText + "\xff", strings.Repeat(testRecoveryText, 2),
		testRecoveryText + strings.Repeat(" ", maxRecoveryInput),
	} {
		got, err := ParseRecoveryKey(in)
		if err == nil || got != (RecoveryKey{}) {
			t.Errorf("ParseRecoveryKey(%q) = %s, %v, want an error and no key", in, got.Text(), err)
		} else if err.Error() != "not a recovery key" {
			t.Errorf("ParseRecoveryKey(%q): the error %q may tell about the input", in, err)
		}
	}
}

// R23, R24: 128 bits, so a keyed hash will do; the key is all of what the source gave, and
// none is made of less.
func TestNewRecoveryKeyTakes128BitsOrFails(t *testing.T) {
	source := []byte("abcdefghijklmnopqrstuvwxyz")
	if got, err := NewRecoveryKey(bytes.NewReader(source)); err != nil || string(got[:]) != string(source[:16]) {
		t.Errorf("NewRecoveryKey = %x, %v, want the source's first 16 bytes", got[:], err)
	}
	if got, err := NewRecoveryKey(bytes.NewReader(source[:15])); !errors.Is(err, io.ErrUnexpectedEOF) || got != (RecoveryKey{}) {
		t.Errorf("NewRecoveryKey of a dry source = %x, %v, want an error and no part of a key", got[:], err)
	}
}

func TestInvariantI8ARecoveryKeyPrintsRedacted(t *testing.T) {
	encoded, err := json.Marshal(map[string]any{"key": testRecoveryKey})
	if err != nil || string(encoded) != `{"key":"REDACTED"}` {
		t.Errorf("json.Marshal = %s, %v", encoded, err)
	}
	record := struct{ Key RecoveryKey }{testRecoveryKey}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%c", "%U"} {
		for _, v := range []any{testRecoveryKey, &testRecoveryKey, record} {
			if got := fmt.Sprintf(format, v); !strings.Contains(got, "REDACTED") || strings.Contains(got, "222") || strings.Contains(strings.ToLower(got), "dead") {
				t.Errorf("%s of %T prints %s", format, v, got)
			}
		}
	}
	if got := testRecoveryKey.String(); got != "REDACTED" {
		t.Errorf("String() = %s", got)
	}
}

// FuzzParseRecoveryKey holds that a key has one canonical form: what is accepted
// reads back as the same key, and differs from the input in what is forgiven only.
func FuzzParseRecoveryKey(f *testing.F) {
	for _, s := range []string{
		testRecoveryText, strings.ToLower(testRecoveryText), "OOOO-0000-1111-IIII-8888-BBBB-OA",
		strings.TrimSuffix(testRecoveryText, "Q") + "R", "32W3\r\n53YB", "================", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseRecoveryKey(s)
		if err != nil {
			if k != (RecoveryKey{}) {
				t.Fatalf("ParseRecoveryKey(%q) gives a key with its error", s)
			}
			return
		}
		if again, err := ParseRecoveryKey(k.Text()); err != nil || again != k {
			t.Fatalf("ParseRecoveryKey(%q) = %s, which reads back as %s, %v", s, k.Text(), again.Text(), err)
		}
		if plain := strings.ReplaceAll(k.Text(), "-", ""); plain != strings.Map(recoveryLetter, s) {
			t.Fatalf("ParseRecoveryKey(%q) = %s", s, k.Text())
		}
	})
}
