package challenge_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// A double click is one SMS, however many clicks it has and wherever they arrive.
func TestFiftyAtOnceSendTheFirstSMSOnce(t *testing.T) {
	w := newWorld(t)
	nodes := []*challenge.Book{w.book, w.another(w.ring)}
	for name, reserve := range map[string]func(b *challenge.Book, c *challenge.Challenge) (challenge.Send, error){
		"the first one": func(b *challenge.Book, c *challenge.Challenge) (challenge.Send, error) {
			return b.ReserveSend(t.Context(), c.ID, delivery.Wanted{First: true})
		},
		"any": func(b *challenge.Book, c *challenge.Challenge) (challenge.Send, error) {
			return b.ReserveSend(t.Context(), c.ID, delivery.Wanted{})
		},
		"the one of a challenge that may be new": func(b *challenge.Book, c *challenge.Challenge) (challenge.Send, error) {
			return b.EnsureSent(t.Context(), c, "")
		},
	} {
		c := w.asked()
		if !strings.Contains(name, "new") {
			c = w.pending()
		}
		var granted atomic.Int32
		atOnce(50, func(i int) {
			s, err := reserve(nodes[i%2], c)
			if err != nil {
				t.Error(err)
			}
			if s.Granted {
				granted.Add(1)
			} else if s.Code != "" || s.Validity != 0 {
				t.Errorf("a refused send has code and validity")
			}
		})
		if got, sends := granted.Load(), w.get(c.ID).Sends; got != 1 || sends != 1 {
			t.Errorf("%s: %d of 50 were granted and %d counted, want 1", name, got, sends)
		}
	}
}

func TestSMSAreSentAgainAfterAWaitAndThreeTimesAtMost(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	if got := c.ResendAt(); !got.IsZero() {
		t.Errorf("ResendAt() before the first = %s, want zero", got)
	}
	steps := []struct {
		after   time.Duration
		granted bool
		wait    time.Duration // until the next, 0 for never
	}{
		{0, true, 30 * time.Second},
		{0, false, 30 * time.Second},
		{30*time.Second - 1, false, 1},
		{1, true, 60 * time.Second},
		{60*time.Second - 1, false, 1},
		{1, true, 0},
		{0, false, 0},
		{8 * time.Minute, false, 0},
	}
	sends := 0
	for i, step := range steps {
		w.clock.add(step.after)
		s := w.reserve(c.ID, false)
		if s.Granted {
			sends++
		}
		if s.Granted != step.granted || s.Challenge.Sends != sends || (s.Code != "") != step.granted {
			t.Fatalf("step %d: granted %v, %d sends, want %v", i, s.Granted, s.Challenge.Sends, step.granted)
		}
		at := s.Challenge.ResendAt()
		if step.wait == 0 && !at.IsZero() || step.wait != 0 && at.Sub(w.clock.now()) != step.wait {
			t.Errorf("step %d: ResendAt() = %s at %s", i, at, w.clock.now())
		}
	}
	if sends != delivery.MaxSends {
		t.Errorf("%d SMS, want %d", sends, delivery.MaxSends)
	}
}

func TestTheFirstSMSIsOnlyEverTheFirst(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	w.reserve(c.ID, true)
	w.clock.add(5 * time.Minute)
	if s := w.reserve(c.ID, true); s.Granted {
		t.Error("a page that was shown again sent a second SMS by itself")
	}
	if s := w.reserve(c.ID, false); !s.Granted {
		t.Error("the player cannot ask for a second SMS")
	}
}

func TestAResendCarriesTheSameCodeWhileThatHasLifeLeft(t *testing.T) {
	for _, tt := range []struct {
		name     string
		after    time.Duration
		same     bool
		validity time.Duration
	}{
		{"soon", 30 * time.Second, true, 270 * time.Second},
		{"90 seconds left", 210 * time.Second, true, 90 * time.Second},
		{"a moment less", 210*time.Second + 1, false, delivery.CodeLifetime},
		{"expired, and the challenge ends before the new code would", 6 * time.Minute, false, 4 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.pending()
			first := w.reserve(c.ID, true)
			if first.Validity != delivery.CodeLifetime {
				t.Errorf("the first code is good for %s, want %s", first.Validity, delivery.CodeLifetime)
			}
			w.clock.add(tt.after)
			again := w.reserve(c.ID, false)
			if !again.Granted || (again.Code == first.Code) != tt.same || again.Validity != tt.validity {
				t.Errorf("granted %v, the same code %v, good for %s, want %v, %s",
					again.Granted, again.Code == first.Code, again.Validity, tt.same, tt.validity)
			}
			if code, err := w.book.Code(again.Challenge); code != again.Code || err != nil {
				t.Errorf("the code that counts is not the one that was sent last, %v", err)
			}
		})
	}
}

// R26, R50: a code lives five minutes, from when it was first sent.
func TestACodeEndsFiveMinutesAfterItWasFirstSent(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	if code, err := w.book.Code(c); code != "" || err != nil || c.CodeExpired(w.clock.now()) {
		t.Errorf("Code() before any was sent = %d digits, %v, expired %v", len(code), err, c.CodeExpired(w.clock.now()))
	}
	sent := w.reserve(c.ID, true).Code
	w.clock.add(time.Minute)
	if again := w.reserve(c.ID, false); again.Code != sent {
		t.Fatal("the resend has another code")
	}
	w.clock.add(4*time.Minute - 1)
	c = w.get(c.ID)
	if code, err := w.book.Code(c); code != sent || err != nil || c.CodeExpired(w.clock.now()) {
		t.Errorf("Code() a moment before = %v, %v, want what was sent", code == sent, err)
	}
	w.clock.add(1)
	if code, err := w.book.Code(c); code != "" || err != nil || !c.CodeExpired(w.clock.now()) {
		t.Errorf("Code() after five minutes = %d digits, %v, want none", len(code), err)
	}
}

func TestNoSMSIsSentForWhatIsNotPendingOrNotAnsweredBySMS(t *testing.T) {
	w := newWorld(t)
	for _, state := range []challenge.State{
		challenge.Passed, challenge.Released, challenge.Cancelled, challenge.Replaced, challenge.UsedUp, challenge.Expired,
	} {
		if s := w.reserve(w.in(state).ID, true); s.Granted || s.Code != "" {
			t.Errorf("a challenge that is %s sends an SMS", state)
		}
	}
	c := w.asked()
	c.Factors = []policy.Factor{policy.TOTP, policy.RecoveryKey}
	if _, err := w.book.Ensure(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if s := w.reserve(c.ID, true); s.Granted {
		t.Error("a challenge without the SMS factor sends one (R7)")
	}
}

func TestAMessageThatWasNotSentIsNotedUntilTheNext(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	w.reserve(c.ID, true)
	got, err := w.book.MarkNotSent(t.Context(), c.ID, 1)
	if err != nil || !got.NotSent || !w.get(c.ID).NotSent || got.Sends != 1 {
		t.Fatalf("MarkNotSent() = %v with %d sends, %v; want it noted and still counted", got.NotSent, got.Sends, err)
	}
	if got.Sent() {
		t.Error("the player is taken to have a code that no provider took")
	}
	w.clock.add(30 * time.Second)
	if s := w.reserve(c.ID, false); !s.Granted || s.Challenge.NotSent || w.get(c.ID).NotSent || !s.Challenge.Sent() {
		t.Error("the next reservation is not granted or still says that nothing was sent")
	}
}

// The second message failed; the first may be on the phone, with the same code.
func TestAFailedResendLeavesTheFirstMessageCounting(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	w.reserve(c.ID, true)
	w.clock.add(30 * time.Second)
	w.reserve(c.ID, false)
	if got, err := w.book.MarkNotSent(t.Context(), c.ID, 2); err != nil || !got.NotSent || !got.Sent() {
		t.Errorf("MarkNotSent() = %v; not sent %t, may have a code %t, want both", err, got.NotSent, got.Sent())
	}
}

// R4, R30: a code is one challenge's and one number's.
func TestCodesOfTwoChallengesDiffer(t *testing.T) {
	w := newWorld(t)
	a, b := w.reserve(w.pending().ID, true), w.reserve(w.pending().ID, true)
	if a.Code == b.Code || len(a.Code) != 6 {
		t.Error("two challenges have the same code")
	}
	moved := *a.Challenge
	moved.Phone = "+6281298765432"
	if code, err := w.book.Code(&moved); err != nil || code == a.Code {
		t.Errorf("the code is the same for another number, %v", err)
	}
}

func TestACodeThatIsOnItsWaySurvivesARotation(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	sent := w.reserve(c.ID, true).Code
	rotated, err := w.ring.Rotate(w.rand, w.clock.now(), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	node := w.another(rotated)
	c, err = node.Get(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := node.Code(c); code != sent || err != nil {
		t.Errorf("Code() after a rotation is another, %v", err)
	}
	w.clock.add(30 * time.Second)
	if s, err := node.ReserveSend(t.Context(), c.ID, delivery.Wanted{}); err != nil || s.Code != sent {
		t.Errorf("ReserveSend() after a rotation has another code, %v", err)
	}
}

// The player who waits for a code while its key is retired gets another one, not an
// error page.
func TestACodeWhoseKeyWasRetiredHasExpired(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	sent := w.reserve(c.ID, true)
	rotated, err := w.ring.Rotate(w.rand, w.clock.now(), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	// Whatever is written is sealed again, so the challenge outlives the key of its
	// code.
	if _, err := w.another(rotated).MarkNotSent(t.Context(), c.ID, 1); err != nil {
		t.Fatal(err)
	}
	retired, err := rotated.Retire(1, w.clock.now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	node := w.another(retired)
	if c, err = node.Get(t.Context(), c.ID); err != nil {
		t.Fatal(err)
	}
	if code, err := node.Code(c); code != "" || err != nil {
		t.Errorf("Code() = %d digits, %v, want none and no error", len(code), err)
	}
	w.clock.add(30 * time.Second)
	again, err := node.ReserveSend(t.Context(), c.ID, delivery.Wanted{})
	if err != nil || !again.Granted || len(again.Code) != 6 || again.Code == sent.Code || again.Challenge.Sends != 2 {
		t.Fatalf("ReserveSend() = %v after %d sends, %v, want another code", again, again.Challenge.Sends, err)
	}
	if code, err := node.Code(again.Challenge); code != again.Code || err != nil {
		t.Errorf("Code() is not what was sent, %v", err)
	}
}

// managed returns a challenge to which a provider has sent a code of its own.
func (w *world) managed() *challenge.Challenge {
	w.Helper()
	s, err := w.book.EnsureSent(w.Context(), w.asked(), "verify")
	if err != nil || !s.Granted || s.Code != "" || s.Number != 1 || s.Validity != delivery.CodeLifetime {
		w.Fatalf("EnsureSent() = %v with a code of %d digits, SMS %d, %v", s, len(s.Code), s.Number, err)
	}
	return w.accepted(s.Challenge.ID, 1, "v-1")
}

func (w *world) accepted(id string, send int, verification string) *challenge.Challenge {
	w.Helper()
	c, waits, err := w.book.MarkSent(w.Context(), id, send, "verify", verification)
	if err != nil || !waits || c.Verification != verification || c.Provider != "verify" {
		w.Fatalf("MarkSent() = %q at %q, waits %v, %v", c.Verification, c.Provider, waits, err)
	}
	return c
}

// I3: what is not known here is not compared here, not even before the provider has
// answered or after a crash.
func TestInvariantI3NoCodeOfOursAnswersAManagedChallenge(t *testing.T) {
	w := newWorld(t)
	s, err := w.book.EnsureSent(t.Context(), w.asked(), "verify")
	if err != nil {
		t.Fatal(err)
	}
	id := s.Challenge.ID
	for _, when := range []string{"before", "after"} {
		w.reopen()
		if code, err := w.book.Code(w.get(id)); code != "" || err != nil {
			t.Errorf("%s the provider answered: a code of %d digits, %v", when, len(code), err)
		}
		w.accepted(id, 1, "v-1")
	}
	// The operator changes to codes of ours meanwhile, and back.
	w.clock.add(30 * time.Second)
	ours := w.reserve(id, false)
	if code, err := w.book.Code(ours.Challenge); code == "" || code != ours.Code || err != nil {
		t.Errorf("Code() = %d digits, %v, want what was sent", len(code), err)
	}
	if want := (delivery.Running{Provider: "verify", Verification: "v-1"}); ours.Replaced != want {
		t.Errorf("replaced %v, want %v", ours.Replaced, want)
	}
	w.clock.add(60 * time.Second)
	if s, err := w.book.ReserveSend(t.Context(), id, delivery.Wanted{Managed: "verify"}); err != nil || !s.Granted || s.Code != "" || s.Replaced != (delivery.Running{}) {
		t.Errorf("ReserveSend() = %v, replaced %v, %v", s, s.Replaced, err)
	}
	if code, _ := w.book.Code(w.get(id)); code != "" {
		t.Error("the code before still answers")
	}
}

func TestAResendEndsTheManagedCodeBefore(t *testing.T) {
	w := newWorld(t)
	c := w.managed()
	w.clock.add(30 * time.Second)
	s, err := w.book.ReserveSend(t.Context(), c.ID, delivery.Wanted{Managed: "verify"})
	if want := c.Running(); err != nil || s.Number != 2 || s.Replaced != want || s.Challenge.Running() != (delivery.Running{}) {
		t.Fatalf("SMS %d replaces %v, %v, and %v runs; want %v replaced", s.Number, s.Replaced, err, s.Challenge.Running(), want)
	}
	// What the first one was to be comes after all: it is over.
	if c, waits, err := w.book.MarkSent(t.Context(), c.ID, 1, "verify", "v-1"); waits || err != nil || c.Verification != "" {
		t.Errorf("MarkSent() of the first = %q, waits %v, %v", c.Verification, waits, err)
	}
	w.accepted(c.ID, 2, "v-2")
}

// A code for which nobody waits must be ended, or it blocks the next one to the number.
func TestACodeThatComesToAnEndedChallengeIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	for _, state := range []challenge.State{challenge.Cancelled, challenge.UsedUp, challenge.Replaced} {
		s, err := w.book.EnsureSent(t.Context(), w.asked(), "verify")
		if err != nil {
			t.Fatal(err)
		}
		w.end(s.Challenge.ID, state)
		if _, waits, err := w.book.MarkSent(t.Context(), s.Challenge.ID, 1, "verify", "v-1"); waits || err != nil {
			t.Errorf("a challenge that is %s waits: %v, %v", state, waits, err)
		}
	}
}

func TestWordThatComesTwiceIsWrittenOnce(t *testing.T) {
	w := newWorld(t)
	c := w.managed()
	version := func() uint64 {
		r, err := w.store.Get(t.Context(), store.NewKey("challenge", c.ID))
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	for i, mark := range []func() error{
		func() error { _, _, err := w.book.MarkSent(t.Context(), c.ID, 1, "verify", "v-1"); return err },
		func() error { _, err := w.book.MarkUndelivered(t.Context(), c.ID, 1); return err },
	} {
		before := version()
		for range 2 {
			if err := mark(); err != nil {
				t.Fatal(err)
			}
		}
		if got := version() - before; got != uint64(i) {
			t.Errorf("mark %d was written %d times, want %d", i, got, i)
		}
	}
	if s := w.reserve(c.ID, false); !s.Granted {
		t.Error("an SMS that did not arrive is not sent again at once")
	}
	if s := w.reserve(c.ID, false); s.Granted {
		t.Error("a third one does not wait")
	}
}
