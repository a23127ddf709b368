package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"
)

func sealFor(t testing.TB, r *Ring, aad, plain string) []byte {
	t.Helper()
	sealed, err := r.Seal(testRandom(7), aad, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	r := newTestRing(t, 1)
	for _, plain := range []string{"", "x", "a record", string(make([]byte, 1<<20))} {
		for _, aad := range []string{"", "account/x"} {
			sealed := sealFor(t, r, aad, plain)
			if len(sealed) != len(plain)+Overhead {
				t.Errorf("Seal() of %d bytes = %d bytes, want %d more", len(plain), len(sealed), Overhead)
			}
			if got, err := r.Open(aad, sealed); err != nil || string(got) != plain {
				t.Errorf("Open() = %d bytes, %v, want the %d that were sealed", len(got), err, len(plain))
			}
		}
	}
}

func TestOldKeysKeepOpeningAndTheCurrentOneSeals(t *testing.T) {
	first := newTestRing(t, 1)
	sealed := sealFor(t, first, "a", "plain")
	second := rotate(t, first, 2)
	if got, err := second.Open("a", sealed); err != nil || string(got) != "plain" {
		t.Errorf("Open() under the rotated ring = %q, %v", got, err)
	}
	resealed := sealFor(t, second, "a", "plain")
	if id := binary.BigEndian.Uint32(resealed[1:]); id != 2 {
		t.Errorf("Seal() used key %d, want the current one, 2", id)
	}
	if _, err := first.Open("a", resealed); err != ErrOpen {
		t.Errorf("Open() by a ring without that key = %v, want ErrOpen", err)
	}
}

func TestOpenRefusesEveryAlteration(t *testing.T) {
	r := rotate(t, newTestRing(t, 1), 2)
	sealed := sealFor(t, r, "account/a", "a sealed record")
	for i := range sealed {
		for bit := range 8 {
			altered := bytes.Clone(sealed)
			altered[i] ^= 1 << bit
			wantErrOpen(t, r, "account/a", altered, "byte %d with bit %d turned", i, bit)
		}
	}
	for n := range sealed {
		wantErrOpen(t, r, "account/a", sealed[:n], "cut to %d bytes", n)
		wantErrOpen(t, r, "account/a", sealed[n+1:], "the first %d bytes cut off", n+1)
	}
	wantErrOpen(t, r, "account/a", append(bytes.Clone(sealed), 0), "one byte more")
	wantErrOpen(t, r, "account/a", append(bytes.Clone(sealed), sealed...), "twice")
	wantErrOpen(t, r, "account/a", nil, "nothing")
}

func TestOpenRefusesWhatBelongsElsewhere(t *testing.T) {
	r := newTestRing(t, 1)
	sealed := sealFor(t, r, "account/a", "plain")
	for _, aad := range []string{"", "account/b", "account/", "account/a ", "challenge/a", "xaccount/a"} {
		wantErrOpen(t, r, aad, sealed, "opened as %q", aad)
	}
	wantErrOpen(t, newTestRing(t, 2), "account/a", sealed, "opened by another ring")
	for _, id := range []uint32{0, 2, 1 << 31} {
		moved := bytes.Clone(sealed)
		binary.BigEndian.PutUint32(moved[1:], id)
		wantErrOpen(t, r, "account/a", moved, "under key %d", id)
	}
	// The header is not part of what was sealed for another place.
	wantErrOpen(t, r, string(sealed[:headerLength])+"account/a", sealed, "with the header in front of its place")
}

func wantErrOpen(t *testing.T, r *Ring, aad string, sealed []byte, what string, args ...any) {
	t.Helper()
	if plain, err := r.Open(aad, sealed); err != ErrOpen || plain != nil {
		t.Errorf("Open() = %q, %v, want ErrOpen: "+what, append([]any{plain, err}, args...)...)
	}
}

func TestNoTwoSealingsAreAlike(t *testing.T) {
	r := newTestRing(t, 1)
	seen := map[string]bool{}
	for range 1000 {
		sealed, err := r.Seal(rand.Reader, "a", []byte("plain"))
		if err != nil {
			t.Fatal(err)
		}
		nonce := string(sealed[headerLength : headerLength+nonceLength])
		if seen[nonce] {
			t.Fatal("Seal() used a nonce twice")
		}
		seen[nonce] = true
	}
}

// FuzzOpen checks that nothing opens but what Seal makes, and that what opens has
// one form only.
func FuzzOpen(f *testing.F) {
	r := rotate(f, newTestRing(f, 1), 2)
	f.Add("account/a", sealFor(f, r, "account/a", "plain"))
	f.Add("account/a", sealFor(f, newTestRing(f, 1), "account/a", "plain"))
	f.Add("", sealFor(f, r, "", ""))
	f.Fuzz(func(t *testing.T, aad string, sealed []byte) {
		plain, err := r.Open(aad, sealed)
		if err != nil {
			if err != ErrOpen || plain != nil {
				t.Errorf("Open(%q, %x) = %q, %v, want ErrOpen alone", aad, sealed, plain, err)
			}
			return
		}
		under := r
		if binary.BigEndian.Uint32(sealed[1:]) == 1 {
			under = newTestRing(t, 1)
		}
		again, err := under.Seal(bytes.NewReader(sealed[headerLength:]), aad, plain)
		if err != nil || !bytes.Equal(again, sealed) {
			t.Errorf("Seal(Open(%q, %x)) = %x, %v", aad, sealed, again, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := newTestRing(b, 1)
	plain := make([]byte, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Seal(rand.Reader, "account/0123456789abcdef012345", plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := newTestRing(b, 1)
	sealed := sealFor(b, r, "account/0123456789abcdef012345", string(make([]byte, 1000)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open("account/0123456789abcdef012345", sealed); err != nil {
			b.Fatal(err)
		}
	}
}
