package grant

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/securecookie"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newRing(t testing.TB) *seal.Ring {
	t.Helper()
	ring, err := seal.NewRing(rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	ring.Clock = func() time.Time { return noon }
	return ring
}

func rotate(t testing.TB, ring *seal.Ring) *seal.Ring {
	t.Helper()
	next, err := ring.Rotate(rand.Reader, noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func newCodec(t testing.TB, ring *seal.Ring) *Codec {
	t.Helper()
	c, err := NewCodec(ring)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bound() Bound {
	return Bound{Subject: HashOf("id-budi"), Binding: HashOf("session 1"), Audience: HashOf("casino.example"), Epoch: 7}
}

// example opens n groups by the factors in turn.
func example(n int) *Grant {
	g := &Grant{Bound: bound()}
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Second)
		g.Entries = append(g.Entries, Entry{
			Group: HashOf(fmt.Sprint("group ", i)), Factor: policy.DefaultFactors[i%3], At: at, Expires: at.Add(5 * time.Minute),
		})
	}
	return g
}

func encode(t testing.TB, c *Codec, g *Grant) string {
	t.Helper()
	v, err := c.Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAGrantIsReadAsItWasWritten(t *testing.T) {
	c := newCodec(t, newRing(t))
	for _, n := range []int{0, 1, 2, MaxEntries} {
		want, got := example(n), new(Grant)
		if err := c.Decode(encode(t, c, want), got); err != nil {
			t.Fatalf("Decode() of %d entries = %v", n, err)
		}
		if diff := cmp.Diff(append([]Entry{}, want.Entries...), got.Entries); diff != "" || got.Bound != want.Bound {
			t.Errorf("%d entries: %v, want %v; entries differ (-want +got):\n%s", n, got.Bound, want.Bound, diff)
		}
	}
}

func TestAnEntryIsCutToTheSecondAndNeverLengthened(t *testing.T) {
	c := newCodec(t, newRing(t))
	g, got := example(1), new(Grant)
	g.Entries[0].At, g.Entries[0].Expires = noon.Add(999*time.Millisecond), noon.Add(time.Minute+999*time.Millisecond)
	if err := c.Decode(encode(t, c, g), got); err != nil {
		t.Fatal(err)
	}
	if e := got.Entries[0]; !e.At.Equal(noon) || !e.Expires.Equal(noon.Add(time.Minute)) {
		t.Errorf("read back from %s to %s, want whole seconds, downwards", e.At, e.Expires)
	}
}

// I9, R39: whatever is altered, nothing that was not signed is read.
func TestInvariantI9AGrantWithAnyByteAlteredIsInvalid(t *testing.T) {
	c := newCodec(t, newRing(t))
	for _, n := range []int{1, 2, 3} { // every length of base64 padding
		value := encode(t, c, example(n))
		signed, err := base64.URLEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		invalid(t, c, signed, value[:len(value)-1], value+"A", value+value, value[1:], "", "=", strings.ToLower(value))
		for i := range value {
			for _, b := range []byte("AZaz09-_=|+/ %\x00\xff") {
				if b != value[i] {
					invalid(t, c, signed, value[:i]+string([]byte{b})+value[i+1:])
				}
			}
			invalid(t, c, signed, value[:i]+value[i+1:], value[:i]+"A"+value[i:])
		}
		for i := range signed {
			for bit := range 8 {
				altered := append([]byte(nil), signed...)
				altered[i] ^= 1 << bit
				invalid(t, c, signed, base64.URLEncoding.EncodeToString(altered))
			}
		}
	}
}

// invalid checks that values are refused, unless they are another spelling in
// base64 of exactly the bytes that were signed.
func invalid(t *testing.T, c *Codec, signed []byte, values ...string) {
	t.Helper()
	for _, v := range values {
		err := c.Decode(v, new(Grant))
		if errors.Is(err, ErrInvalid) {
			continue
		}
		if b, bad := base64.URLEncoding.DecodeString(v); err != nil || bad != nil || string(b) != string(signed) {
			t.Fatalf("Decode(%q) = %v, want ErrInvalid", v, err)
		}
	}
}

// I9: what another key, another purpose or another cookie vouches for is no grant.
func TestInvariantI9OnlyTheGrantKeyUnderTheGrantsNameCounts(t *testing.T) {
	ring := newRing(t)
	c := newCodec(t, ring)
	sign := func(ring *seal.Ring, p seal.Purpose, name string) string {
		key, err := ring.Key(ring.Current(), p)
		if err != nil {
			t.Fatal(err)
		}
		sc := securecookie.New(key, nil)
		sc.SetSerializer(serializer{})
		v, err := sc.Encode(name, example(1))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if err := c.Decode(sign(ring, seal.Cookie, cookieName), new(Grant)); err != nil {
		t.Fatalf("Decode() of a grant signed by hand = %v: the other cases prove nothing", err)
	}
	for name, v := range map[string]string{
		"another site's ring": sign(newRing(t), seal.Cookie, cookieName),
		"another purpose":     sign(ring, seal.Code, cookieName),
		"another cookie":      sign(ring, seal.Cookie, "stepgate-browser"),
		"no name":             sign(ring, seal.Cookie, ""),
	} {
		if err := c.Decode(v, new(Grant)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Decode() = %v, want ErrInvalid", name, err)
		}
	}
}

func TestRotationDropsNobodyAndRetirementEverybody(t *testing.T) {
	first := newRing(t)
	second := rotate(t, first)
	third := rotate(t, second)
	old := encode(t, newCodec(t, first), example(1))
	if err := newCodec(t, third).Decode(old, new(Grant)); err != nil {
		t.Errorf("a grant under the oldest of three keys: Decode() = %v", err)
	}
	fresh := encode(t, newCodec(t, third), example(1))
	if err := newCodec(t, second).Decode(fresh, new(Grant)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a new grant on a node that does not have the key yet: Decode() = %v, want ErrInvalid", err)
	}
	if err := newCodec(t, retire(t, third)).Decode(old, new(Grant)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a grant under a retired key: Decode() = %v, want ErrInvalid", err)
	}
	if err := newCodec(t, retire(t, third)).Decode(fresh, new(Grant)); err != nil {
		t.Errorf("a new grant after the old keys were retired: Decode() = %v", err)
	}
}

// retire takes every key but the current one from a ring.
func retire(t *testing.T, ring *seal.Ring) *seal.Ring {
	t.Helper()
	var doc struct {
		Format int               `json:"format"`
		Lookup string            `json:"lookup"`
		Keys   []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(ring.Marshal(), &doc); err != nil {
		t.Fatal(err)
	}
	doc.Keys = doc.Keys[:1]
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := seal.ParseRing(b)
	if err != nil {
		t.Fatal(err)
	}
	return retired
}

// A rotation drops nobody, and a key that was retired because it leaked vouches for
// nothing any more, not even for a cookie that was seen before.
func TestACodecFollowsItsRing(t *testing.T) {
	now := noon
	first := newRing(t)
	first.Clock = func() time.Time { return now }
	second, err := first.Rotate(rand.Reader, noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := NewCodec(second)
	if err != nil {
		t.Fatal(err)
	}
	c := newCodec(t, first)
	old := encode(t, c, example(1))
	if err := c.Decode(old, new(Grant)); err != nil {
		t.Fatal(err)
	}
	adopt := func(next *seal.Ring) {
		t.Helper()
		if changed, err := first.Adopt(next); err != nil || !changed {
			t.Fatalf("Adopt() = %v, %v", changed, err)
		}
	}
	adopt(second)
	if err := ahead.Decode(encode(t, c, example(1)), new(Grant)); err != nil {
		t.Errorf("before its time a key signs: %v", err)
	}
	now = noon.Add(time.Hour)
	fresh := encode(t, c, example(1))
	for name, value := range map[string]string{"of before the rotation": old, "of after it": fresh, "of a node that is ahead": encode(t, ahead, example(1))} {
		if err := c.Decode(value, new(Grant)); err != nil {
			t.Errorf("Decode() of a cookie %s = %v", name, err)
		}
	}
	retired, err := second.Retire(1, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	adopt(retired)
	if err := c.Decode(old, new(Grant)); !errors.Is(err, ErrInvalid) {
		t.Errorf("Decode() under a retired key = %v, want ErrInvalid", err)
	}
	if err := c.Decode(fresh, new(Grant)); err != nil {
		t.Errorf("Decode() under the current key = %v", err)
	}
}

func TestACodecIsUsedWhileItsRingChanges(t *testing.T) {
	ring := newRing(t)
	states := []*seal.Ring{rotate(t, ring)}
	next, err := states[0].Rotate(rand.Reader, noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	states = append(states, next)
	c := newCodec(t, ring)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, next := range states {
			if _, err := ring.Adopt(next); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		wg.Go(func() {
			for range 50 {
				v, err := c.Encode(example(1))
				if err == nil {
					err = c.Decode(v, new(Grant))
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// R40: name, value and attributes of the cookie stay below what browsers keep.
func TestTheLargestGrantFitsIntoACookie(t *testing.T) {
	g := example(MaxEntries)
	g.Epoch = 1<<64 - 1
	const around = len("__Host-stepgate-grant=; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax")
	if n := len(encode(t, newCodec(t, newRing(t)), g)) + around; n >= 4096 {
		t.Errorf("the cookie has %d bytes, want less than 4096", n)
	}
}

func TestWhatIsNoGrantIsNotEncoded(t *testing.T) {
	c := newCodec(t, newRing(t))
	unknown := example(1)
	unknown.Entries[0].Factor = "email"
	for name, g := range map[string]*Grant{"too many entries": example(MaxEntries + 1), "an unknown factor": unknown} {
		if v, err := c.Encode(g); err == nil {
			t.Errorf("%s: Encode() = %d bytes, want an error", name, len(v))
		}
	}
	if _, err := (serializer{}).Serialize("a text"); err == nil {
		t.Error("Serialize() of a text = nil, want an error")
	}
	var text string
	if err := (serializer{}).Deserialize(make([]byte, headLength), &text); !errors.Is(err, ErrInvalid) {
		t.Errorf("Deserialize() into a text = %v, want ErrInvalid", err)
	}
}

func TestACodecServesManyAtOnce(t *testing.T) {
	c := newCodec(t, rotate(t, newRing(t)))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			want, got := example(i%MaxEntries), new(Grant)
			want.Epoch = uint64(i)
			v, err := c.Encode(want)
			if err == nil {
				err = c.Decode(v, got)
			}
			if err != nil || got.Bound != want.Bound || len(got.Entries) != len(want.Entries) {
				t.Errorf("goroutine %d: %v, %v", i, got.Bound, err)
			}
		})
	}
	wg.Wait()
}

func TestACodecRemembersOnlySoManyCookies(t *testing.T) {
	c, err := NewCodec(newRing(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxVerified + 10 {
		value, err := c.Encode(&Grant{Bound: Bound{Epoch: uint64(i)}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var g Grant
			if err := c.Decode(value, &g); err != nil || g.Epoch != uint64(i) {
				t.Fatalf("Decode = epoch %d, %v, want %d", g.Epoch, err, i)
			}
		}
	}
	if n := len(c.keys.Load().grants.known); n != maxVerified {
		t.Errorf("%d cookies are remembered, want %d", n, maxVerified)
	}
	var g Grant
	if err := c.Decode("forged", &g); err == nil || len(c.keys.Load().grants.known) != maxVerified {
		t.Error("a cookie that is none of ours is remembered")
	}
}
