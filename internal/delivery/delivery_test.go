package delivery_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/seal"
)

var start = time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)

func newRing(t *testing.T) *seal.Ring {
	t.Helper()
	ring, err := seal.NewRing(rand.NewChaCha8([32]byte{1}), start)
	if err != nil {
		t.Fatal(err)
	}
	ring.Clock = func() time.Time { return start }
	return ring
}

// R31, R45: three SMS, after 30 and 60 seconds, whoever asks and however often.
func TestThreeSMSAreGrantedAndEachWaits(t *testing.T) {
	ring := newRing(t)
	var s delivery.Sending
	if s.Sent() || !s.ResendAt().IsZero() || s.CodeExpired(start.Add(time.Hour)) {
		t.Fatal("something was sent before the first SMS")
	}
	for i, step := range []struct {
		after   time.Duration
		first   bool
		granted bool
		resend  time.Duration // after the start, 0 for never
	}{
		{0, true, true, 30 * time.Second},
		{0, true, false, 30 * time.Second},
		{time.Minute, true, false, 30 * time.Second}, // the first is only ever the first
		{30*time.Second - 1, false, false, 30 * time.Second},
		{30 * time.Second, false, true, 90 * time.Second},
		{90*time.Second - 1, false, false, 90 * time.Second},
		{90 * time.Second, false, true, 0},
		{time.Hour, false, false, 0},
	} {
		granted := s.Reserve(ring, start.Add(step.after), delivery.Wanted{First: step.first})
		if granted != step.granted {
			t.Errorf("step %d: granted %v, want %v", i, granted, step.granted)
		}
		if at := s.ResendAt(); at.IsZero() != (step.resend == 0) || step.resend != 0 && !at.Equal(start.Add(step.resend)) {
			t.Errorf("step %d: the next one at %s", i, at)
		}
	}
	if s.Sends != delivery.MaxSends {
		t.Errorf("%d were sent, want %d", s.Sends, delivery.MaxSends)
	}
}

// R26, R50: five minutes from the first SMS with the code; a resend of the same code
// does not make it live longer, and one with little life left is replaced.
func TestACodeIsSentAgainWhileItHasNinetySecondsToLive(t *testing.T) {
	ring := newRing(t)
	for after, generation := range map[time.Duration]int{
		30 * time.Second: 0, 210 * time.Second: 0, 210*time.Second + 1: 1, 5 * time.Minute: 1, time.Hour: 1,
	} {
		var s delivery.Sending
		s.Reserve(ring, start, delivery.Wanted{First: true})
		now := start.Add(after)
		if !s.Reserve(ring, now, delivery.Wanted{}) || s.Generation != generation {
			t.Errorf("after %s: code %d, want %d", after, s.Generation, generation)
		}
		ends := start.Add(delivery.CodeLifetime)
		if generation == 1 {
			ends = now.Add(delivery.CodeLifetime)
		}
		if s.CodeExpired(ends.Add(-1)) || !s.CodeExpired(ends) || s.Validity(now) != ends.Sub(now) {
			t.Errorf("after %s: good for %s, want %s", after, s.Validity(now), ends.Sub(now))
		}
	}
}

func TestACodeWhoseKeyIsGoneIsReplaced(t *testing.T) {
	ring := newRing(t)
	s := delivery.Sending{Key: 99}
	s.Reserve(ring, start, delivery.Wanted{First: true})
	if s.Key != ring.Current() || s.Generation != 0 {
		t.Errorf("the first code is derived under key %d as number %d", s.Key, s.Generation)
	}
	s.Key = 99
	if !s.Reserve(ring, start.Add(30*time.Second), delivery.Wanted{}) || s.Key != ring.Current() || s.Generation != 1 || !s.CodeFrom.Equal(start.Add(30*time.Second)) {
		t.Errorf("the next code is derived under key %d as number %d from %s", s.Key, s.Generation, s.CodeFrom)
	}
}

func TestWhatNoProviderTookIsNoCodeThatThePlayerMayHave(t *testing.T) {
	ring := newRing(t)
	var s delivery.Sending
	s.Reserve(ring, start, delivery.Wanted{First: true})
	s.Lose(s.Sends)
	if s.Sent() || !s.NotSent || s.Sends != 1 {
		t.Errorf("sent %v, not sent %v, %d sends; want it lost and still counted", s.Sent(), s.NotSent, s.Sends)
	}
	s.Reserve(ring, start.Add(30*time.Second), delivery.Wanted{})
	if !s.Sent() || s.NotSent {
		t.Error("the second is taken for lost, too")
	}
	s.Lose(s.Sends)
	if s.Sent() {
		t.Error("both are lost, and the player may have the code")
	}
	// A new code: what was sent of the old one does not count.
	s = delivery.Sending{}
	s.Reserve(ring, start, delivery.Wanted{First: true})
	s.Reserve(ring, start.Add(4*time.Minute), delivery.Wanted{})
	s.Lose(s.Sends)
	if s.Sent() || s.Generation != 1 {
		t.Errorf("the player may have code %d, of which nothing was sent", s.Generation)
	}
}

// A managed code is its provider's: nobody here can send it again, and whatever ran
// before must be named so that it can be ended.
func TestEachManagedSMSHasItsOwnCode(t *testing.T) {
	ring := newRing(t)
	running := func(v string) delivery.Running { return delivery.Running{Provider: "verify", Verification: v} }
	for _, tt := range []struct {
		name          string
		before, after string
		generation    int
		replaced      delivery.Running
	}{
		{"managed, then managed", "verify", "verify", 1, running("v-1")},
		{"managed, then made here", "verify", "", 1, running("v-1")},
		{"made here, then managed", "", "verify", 1, delivery.Running{}},
		{"made here twice", "", "", 0, delivery.Running{}},
	} {
		var s delivery.Sending
		s.Reserve(ring, start, delivery.Wanted{First: true, Managed: tt.before})
		if s.Managed != tt.before || s.Running() != (delivery.Running{}) {
			t.Errorf("%s: managed by %q, running %v, before the provider has answered", tt.name, s.Managed, s.Running())
		}
		if !s.Accept(1, "carrier", "v-1") || s.Running() != tt.replaced || s.Provider != "carrier" {
			t.Errorf("%s: running %v at %q", tt.name, s.Running(), s.Provider)
		}
		now := start.Add(30 * time.Second)
		if !s.Reserve(ring, now, delivery.Wanted{Managed: tt.after}) || s.Generation != tt.generation || s.Managed != tt.after {
			t.Errorf("%s: code %d, managed by %q, want %d, %q", tt.name, s.Generation, s.Managed, tt.generation, tt.after)
		}
		if s.Running() != (delivery.Running{}) || s.Provider != "carrier" || s.CodeFrom.Equal(now) != (tt.generation == 1) {
			t.Errorf("%s: still running %v, at %q, from %s", tt.name, s.Running(), s.Provider, s.CodeFrom)
		}
	}
}

func TestWordOfAnSMSThatComesLateOrTwiceChangesNothing(t *testing.T) {
	ring := newRing(t)
	var s delivery.Sending
	s.Reserve(ring, start, delivery.Wanted{First: true, Managed: "verify"})
	s.Accept(1, "verify", "v-1")
	same := s
	if !s.Accept(1, "verify", "v-1") || s != same {
		t.Error("the same word twice")
	}
	if s.Accept(1, "verify", "v-9") || s != same {
		t.Error("a second code for the same SMS took the place of the first")
	}
	s.Reserve(ring, start.Add(30*time.Second), delivery.Wanted{Managed: "verify"})
	same = s
	if s.Accept(1, "verify", "v-1") || s.Accept(0, "verify", "v-0") || s.Accept(3, "verify", "v-3") || s != same {
		t.Error("word of another SMS was taken")
	}
	s.Lose(1)
	s.Fail(1)
	if s != same {
		t.Error("word of the SMS before was taken")
	}
	s.Lose(2)
	same = s
	s.Lose(2)
	s.Fail(2)
	if s.Accept(2, "verify", "v-2") || s != same {
		t.Error("what was not handed over was carried, failed or lost twice")
	}
}

// A receipt that says no opens the next SMS at once, and no further one.
func TestASMSThatFailedMayBeSentAgainAtOnceAndNoOftener(t *testing.T) {
	ring := newRing(t)
	var s delivery.Sending
	s.Fail(0)
	s.Lose(0)
	if s.Accept(0, "carrier", "") || s != (delivery.Sending{}) || !s.Reserve(ring, start, delivery.Wanted{First: true}) {
		t.Fatal("it failed before it was sent")
	}
	again := delivery.Wanted{}
	for send, now := 1, start; send < delivery.MaxSends; send++ {
		now = now.Add(time.Second)
		if s.Reserve(ring, now, again) {
			t.Fatalf("SMS %d was sent again without a wait", send)
		}
		s.Fail(send)
		s.Fail(send)
		if at := s.ResendAt(); at.IsZero() || at.After(now) {
			t.Errorf("after SMS %d failed the next one is at %s", send, at)
		}
		if !s.Reserve(ring, now, again) || s.Failed || s.Generation != 0 {
			t.Errorf("after SMS %d failed: still failed %v, code %d", send, s.Failed, s.Generation)
		}
	}
	s.Fail(delivery.MaxSends)
	if !s.ResendAt().IsZero() || s.Reserve(ring, start.Add(time.Hour), again) {
		t.Error("a failure gave more SMS than there are")
	}
	if !s.Sent() {
		t.Error("what a receipt says is taken for certain")
	}
}
