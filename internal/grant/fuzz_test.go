package grant

import (
	"bytes"
	"errors"
	"testing"
)

// What is signed has one encoding: bytes are either refused or exactly those that
// the grant they mean is written as.
func FuzzDeserializeTakesOneEncodingOnly(f *testing.F) {
	for _, n := range []int{0, 1, MaxEntries} {
		b, err := serializer{}.Serialize(example(n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, 0))
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var g Grant
		if err := (serializer{}).Deserialize(b, &g); err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("Deserialize() = %v, want ErrInvalid", err)
			}
			return
		}
		again, err := serializer{}.Serialize(&g)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read %x, but it is written %x, %v", b, again, err)
		}
	})
}

// Nothing that was not signed here is a grant.
func FuzzDecodeRefusesWhatWasNotSigned(f *testing.F) {
	f.Add(encode(f, newCodec(f, newRing(f)), example(1))) // of another ring
	f.Add("")
	c := newCodec(f, newRing(f))
	f.Fuzz(func(t *testing.T, value string) {
		if err := c.Decode(value, new(Grant)); !errors.Is(err, ErrInvalid) {
			t.Errorf("Decode(%q) = %v, want ErrInvalid", value, err)
		}
	})
}
