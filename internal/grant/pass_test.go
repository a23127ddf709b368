package grant

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stepgate/stepgate/policy"
)

func examplePass() *Pass { return &Pass{Bound: bound(), Borne: HashOf("session 1"), At: noon} }

// I9: a pass is good for the credentials that it was given for, all of them and no others,
// on its own site, for its time, and until the session is somebody else's.
func TestInvariantI9APassHoldsOnlyForWhatItWasGivenFor(t *testing.T) {
	c := newCodec(t, newRing(t))
	value, err := c.EncodePass(examplePass())
	if err != nil {
		t.Fatal(err)
	}
	var p Pass
	for range 2 { // the second time from memory
		if err := c.DecodePass(value, &p); err != nil {
			t.Fatal(err)
		}
	}
	const lifetime = 5 * time.Minute
	for name, tt := range map[string]struct {
		borne, audience string
		at, unsettled   time.Duration // after noon
		want            bool
	}{
		"as given":                        {"session 1", "casino.example", 0, -time.Hour, true},
		"to its end":                      {"session 1", "casino.example", lifetime - 1, -time.Hour, true},
		"at its end":                      {"session 1", "casino.example", lifetime, -time.Hour, false},
		"another session":                 {"session 2", "casino.example", 0, -time.Hour, false},
		"another site":                    {"session 1", "www.casino.example", 0, -time.Hour, false},
		"unsettled just before":           {"session 1", "casino.example", 0, -1, true},
		"unsettled in the same instant":   {"session 1", "casino.example", 0, 0, false},
		"unsettled in the same second":    {"session 1", "casino.example", time.Second, time.Nanosecond, false},
		"unsettled since":                 {"session 1", "casino.example", time.Second, time.Second / 2, false},
		"from a clock a minute ahead":     {"session 1", "casino.example", -time.Minute, -time.Hour, true},
		"from a clock more than that off": {"session 1", "casino.example", -time.Minute - 1, -time.Hour, false},
	} {
		if got := p.Holds(HashOf(tt.borne), HashOf(tt.audience), lifetime, noon.Add(tt.at), noon.Add(tt.unsettled)); got != tt.want {
			t.Errorf("%s: Holds() = %v, want %v", name, got, tt.want)
		}
	}
}

// I9: what silences the question for new devices is no step-up, and the other way round.
func TestInvariantI9APassIsNoGrant(t *testing.T) {
	c := newCodec(t, newRing(t))
	value, err := c.EncodePass(examplePass())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(value, new(Grant)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a pass read as a grant: %v", err)
	}
	if err := c.DecodePass(encode(t, c, example(1)), new(Pass)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a grant read as a pass: %v", err)
	}
	if err := newCodec(t, newRing(t)).DecodePass(value, new(Pass)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a pass of another ring: %v", err)
	}
}

// What was given to a session before it was ended opens nothing.
func TestAGrantFromBeforeALogoutOpensNothing(t *testing.T) {
	g := example(1)
	at := g.Entries[0].At
	opens := func(ended time.Time) bool {
		return g.Opens(g.Entries[0].Group, policy.DefaultFactors, time.Hour, at, ended)
	}
	if !opens(time.Time{}) || !opens(at.Add(-1)) || opens(at) || opens(at.Add(time.Second)) {
		t.Error("it opens what was given before, or not what was given after")
	}
}

// What is signed has one encoding, as that of a grant has.
func FuzzPassTakesOneEncodingOnly(f *testing.F) {
	b, err := serializer{}.Serialize(examplePass())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(b, 0))
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Pass
		if err := (serializer{}).Deserialize(b, &p); err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("Deserialize() = %v, want ErrInvalid", err)
			}
			return
		}
		if again, err := (serializer{}).Serialize(&p); err != nil || !bytes.Equal(again, b) {
			t.Errorf("read %x, but it is written %x, %v", b, again, err)
		}
	})
}
