package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// plainMAC is MAC without its economies.
func plainMAC(key []byte, parts []string) (sum [32]byte) {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(binary.AppendUvarint(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	h.Sum(sum[:0])
	return sum
}

func TestMACIsHMACOfTheLengthPrefixedParts(t *testing.T) {
	r := newTestRing(t, 1)
	key, err := derive(r.secrets().lookup, "lookup", Digest)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	long := strings.Repeat("0123456789abcdef", 100)
	for range 2000 {
		var parts []string
		for range random.IntN(6) {
			// Lengths about where the buffer of 256 bytes is full.
			n := []int{0, 1, 7, 127, 128, 200, 243, 244, 245, 246, 247, 254, 255, 256, 257, 1000}[random.IntN(16)]
			parts = append(parts, long[random.IntN(100):][:n])
		}
		if got, want := r.MAC(Digest, parts...), plainMAC(key, parts); got != want {
			t.Fatalf("MAC of %d parts %q = %x, want %x", len(parts), parts, got, want)
		}
	}
}

func TestMACTellsListsOfPartsApart(t *testing.T) {
	r := newTestRing(t, 1)
	seen := map[[32]byte][]string{}
	for _, parts := range [][]string{
		nil, {""}, {"", ""}, {"ab", "c"}, {"a", "bc"}, {"abc"}, {"abc", ""}, {"", "abc"}, {"a", "b", "c"},
		{"ab\x01c"}, {"\x00"}, {"\x00", "\x00"}, {"\x02ab\x01c"},
	} {
		sum := r.MAC(Digest, parts...)
		if other, ok := seen[sum]; ok {
			t.Errorf("MAC(%q) = MAC(%q)", parts, other)
		}
		seen[sum] = parts
	}
}

func TestMACIsSafeForConcurrentUse(t *testing.T) {
	r := newTestRing(t, 1)
	want := r.MAC(Binding, "cookie", "casino_session", "value")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 500 {
				r.MAC(Binding, strings.Repeat("x", i))
				if got := r.MAC(Binding, "cookie", "casino_session", "value"); got != want {
					t.Errorf("MAC() = %x, want %x", got, want)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestMACOfAnUndeclaredPurposePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("MAC() of a purpose that is none = no panic")
		}
	}()
	newTestRing(t, 1).MAC("subjects", "budi")
}

func BenchmarkMAC(b *testing.B) {
	r := newTestRing(b, 1)
	session := strings.Repeat("s", 32)
	for _, bench := range []struct {
		name  string
		parts []string
	}{
		{"subject", []string{"1234567"}},
		{"binding", []string{"cookie", "casino_session", session}},
		{"body of 1 MiB", []string{strings.Repeat("b", 1<<20)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.MAC(Binding, bench.parts...)
			}
		})
	}
}
