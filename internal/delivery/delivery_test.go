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
