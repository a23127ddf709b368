package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("WIB", 7*3600))

// testRandom is the same for the same seed.
func testRandom(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func newTestRing(t testing.TB, seed byte) *Ring {
	t.Helper()
	r, err := NewRing(testRandom(seed), testTime)
	if err != nil {
		t.Fatal(err)
	}
	r.Clock = func() time.Time { return testTime.Add(24 * time.Hour) }
	return r
}

func rotate(t testing.TB, r *Ring, seed byte) *Ring {
	t.Helper()
	next, err := r.Rotate(testRandom(seed), testTime.Add(time.Hour), testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestRotationAddsACurrentKeyAndKeepsTheOthers(t *testing.T) {
	first := newTestRing(t, 1)
	second := rotate(t, first, 2)
	third := rotate(t, second, 3)
	if got, want := third.IDs(), []KeyID{3, 2, 1}; !slices.Equal(got, want) || third.Current() != 3 {
		t.Errorf("IDs(), Current() = %v, %d, want %v, 3", got, third.Current(), want)
	}
	if got := first.IDs(); !slices.Equal(got, []KeyID{1}) {
		t.Errorf("IDs() of the ring that was rotated = %v, want it unchanged", got)
	}
	for _, p := range purposes {
		old, err := first.Key(1, p)
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := third.Key(1, p); err != nil || !bytes.Equal(kept, old) {
			t.Errorf("Key(1, %q) has changed, %v", p, err)
		}
		if first.MAC(p, "part") != third.MAC(p, "part") {
			t.Errorf("MAC(%q) has changed: no record would be found again", p)
		}
	}
}

func TestUnknownKeysAreErrUnknownKey(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	for _, id := range []KeyID{0, 3, math.MaxUint32} {
		if key, err := r.Key(id, Cookie); !errors.Is(err, ErrUnknownKey) || key != nil {
			t.Errorf("Key(%d) = %d bytes, %v, want ErrUnknownKey", id, len(key), err)
		}
	}
	if key, err := r.Key(1, "cookies"); err == nil || key != nil {
		t.Errorf("Key of a purpose that is none = %d bytes, %v, want an error", len(key), err)
	}
}

func TestEveryKeyAndPurposeHasAKeyOfItsOwn(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	seen := map[string]string{}
	note := func(name string, key []byte) {
		if other, ok := seen[string(key)]; ok {
			t.Errorf("%s is the same as %s", name, other)
		}
		seen[string(key)] = name
	}
	note("lookup secret", r.secrets().lookup)
	for _, k := range r.secrets().keys {
		note(fmt.Sprintf("secret %d", k.id), k.secret)
	}
	for _, p := range purposes {
		for _, id := range r.IDs() {
			key, err := r.Key(id, p)
			if err != nil || len(key) != 32 {
				t.Fatalf("Key(%d, %q) = %d bytes, %v, want 32", id, p, len(key), err)
			}
			note(fmt.Sprintf("Key(%d, %q)", id, p), key)
		}
		sum := r.MAC(p, "part")
		note(fmt.Sprintf("MAC(%q)", p), sum[:])
	}
}

// A change of these values loses every account, grant and held request of every
// gateway that is updated. They were computed apart from this package.
func TestDerivationNeverChanges(t *testing.T) {
	r, err := ParseRing([]byte(`{"format":1,"lookup":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"keys":[{"id":1,"created":"2026-01-02T03:04:05Z","secret":"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="}]}`))
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.Key(1, Cookie)
	if err != nil {
		t.Fatal(err)
	}
	sum := r.MAC(Subject, "budi", "x")
	sealed, err := r.Seal(strings.NewReader("@ABCDEFGHIJK"), "account/x", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"cookie key", key, "01833751a25c0bc952438f8478452edb8e5b4d8e7b078974a2a4e57628ce5efc"},
		{"hash of a subject", sum[:], "81a7bdf6553883b5a3eddb333b722d9a50ed4f16933e7c47e58acb6e866607ab"},
		{"sealed record", sealed, "0100000001404142434445464748494a4b824c48ef2a1cd10b388828c0d04859c66b535c6adb"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRingStopsBeforeItsIDsStartAgain(t *testing.T) {
	k, err := newRingKey(math.MaxUint32, testTime, testTime, bytes.Repeat([]byte{1, 2}, 16))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRing(bytes.Repeat([]byte{3, 4}, 16), []*ringKey{k})
	if err != nil {
		t.Fatal(err)
	}
	if next, err := r.Rotate(testRandom(1), testTime, testTime); err == nil {
		t.Errorf("Rotate() = %v, want an error: key 0 would follow", next)
	}
}

func TestShortRandomnessIsAnError(t *testing.T) {
	for n := range 64 {
		if _, err := NewRing(bytes.NewReader(make([]byte, n)), testTime); err == nil {
			t.Errorf("NewRing() with %d random bytes = nil, want an error", n)
		}
	}
	r := newTestRing(t, 1)
	if _, err := r.Rotate(bytes.NewReader(make([]byte, 31)), testTime, testTime); err == nil {
		t.Error("Rotate() with 31 random bytes = nil, want an error")
	}
	if _, err := r.Seal(bytes.NewReader(make([]byte, 11)), "a", nil); err == nil {
		t.Error("Seal() with 11 random bytes = nil, want an error")
	}
}

// I8: no key in any log, error text or config dump.
func TestInvariantI8FormattingARingShowsNoKey(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	var logged bytes.Buffer
	slog.New(slog.NewTextHandler(&logged, nil)).Info("ring", "ring", r, "in", struct{ R *Ring }{r})
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("ring", "ring", r, "in", struct{ R *Ring }{r})
	printed := []string{logged.String()}
	for _, v := range []any{r, *r, struct{ R *Ring }{r}, struct{ R Ring }{*r}, struct{ r *Ring }{r}, struct{ r Ring }{*r}, []Ring{*r}, map[string]any{"ring": *r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%t", "%p"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("Marshal(%T) = %v", v, err)
		}
		printed = append(printed, string(b))
	}
	secrets := [][]byte{r.secrets().lookup}
	for _, k := range r.secrets().keys {
		secrets = append(secrets, k.secret)
		for _, derived := range k.derived {
			secrets = append(secrets, derived)
		}
	}
	for _, s := range printed {
		lower := strings.ToLower(s)
		for _, secret := range secrets {
			start := secret[:6]
			for _, form := range []string{
				string(start), hex.EncodeToString(start), base64.StdEncoding.EncodeToString(start),
				strings.Trim(fmt.Sprint(start), "[]"), strings.Trim(fmt.Sprintf("%#v", start), "[]byte{}"),
				strings.Trim(fmt.Sprintf("%b", start), "[]"), strings.Trim(fmt.Sprintf("%o", start), "[]"),
			} {
				if strings.Contains(s, form) || strings.Contains(lower, form) {
					t.Fatalf("a key shows in %q", s)
				}
			}
		}
	}
	if got, want := fmt.Sprint(r), "seal.Ring(current key 2 of 2)"; got != want {
		t.Errorf("Sprint() = %q, want %q", got, want)
	}
	if got, want := fmt.Sprint(Ring{}), "seal.Ring(empty)"; got != want {
		t.Errorf("Sprint() of an empty ring = %q, want %q", got, want)
	}
}
