package account_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/delivery"
)

// resend asks for another SMS of a set-up, where it was begun.
func (w *world) resend(setup string) account.SetupSend {
	w.Helper()
	send, err := w.book.ResendSetup(w.Context(), w.id, unproved(), setup, "")
	if err != nil {
		w.Fatal(err)
	}
	return send
}

// R31, R45: three SMS a set-up, after 30 and 60 seconds.
func TestASetUpSendsThreeSMSAtMostAndWaitsBetweenThem(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	if !send.Granted || len(send.Code) != 6 || send.Validity != delivery.CodeLifetime {
		t.Fatalf("BeginSMS() = %v with a code of %d digits for %s", send.Granted, len(send.Code), send.Validity)
	}
	id, sent := send.Setup.ID, 1
	for i, step := range []struct {
		after   time.Duration
		granted bool
	}{
		{0, false}, {30*time.Second - 1, false}, {1, true}, {60*time.Second - 1, false}, {1, true}, {0, false}, {5 * time.Minute, false},
	} {
		w.clock.add(step.after)
		again := w.resend(id)
		if again.Granted {
			sent++
		}
		if again.Granted != step.granted || (again.Code != "") != step.granted || again.Granted && again.Code != send.Code || again.Setup == nil || again.Setup.Sends != sent {
			t.Errorf("step %d: granted %v with the same code %v", i, again.Granted, again.Code == send.Code)
		}
	}
	if w.account().Setup.ResendAt() != (time.Time{}) {
		t.Error("the player is told to wait for an SMS that never comes")
	}
}

// R45, I5: a double click, and fifty at once, are one SMS.
func TestFiftyResendsAtOnceAreOneSMS(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	w.clock.add(30 * time.Second)
	var granted atomic.Int32
	atOnce(50, func(i int) {
		again, err := []*account.Book{w.book, w.node2}[i%2].ResendSetup(t.Context(), w.id, unproved(), send.Setup.ID, "")
		if err != nil {
			t.Error(err)
		}
		if again.Granted {
			granted.Add(1)
		}
	})
	if granted.Load() != 1 {
		t.Errorf("%d SMS were granted, want 1", granted.Load())
	}
}

// R26, R50: a code of a set-up lives five minutes, from when it was first sent.
func TestACodeOfASetUpEndsAfterFiveMinutes(t *testing.T) {
	for late, want := range map[time.Duration]account.Verdict{-1: account.Right, 0: account.Wrong} {
		w := newWorld(t)
		send := w.beginSMS(unproved(), phone)
		w.clock.add(time.Minute)
		w.resend(send.Setup.ID)
		w.clock.add(4*time.Minute + late)
		if done := w.confirm(send.Setup, send.Code); done.Verdict != want {
			t.Errorf("Confirm() %s after five minutes = %d, want %d", late, done.Verdict, want)
		}
	}
}

// R22, R30: a new code ends the one before, which may be on a lost phone.
func TestTheCodeBeforeTheNewestConfirmsNothing(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	w.clock.add(4 * time.Minute)
	again := w.resend(send.Setup.ID)
	if !again.Granted || again.Code == send.Code || again.Validity != delivery.CodeLifetime {
		t.Fatalf("ResendSetup() = %v, the same code %v, good for %s", again.Granted, again.Code == send.Code, again.Validity)
	}
	if done := w.confirm(send.Setup, send.Code); done.Verdict != account.Wrong {
		t.Errorf("Confirm() by the code before = %d, want wrong", done.Verdict)
	}
	if done := w.confirm(send.Setup, again.Code); done.Verdict != account.Right {
		t.Errorf("Confirm() by the newest code = %d, want right", done.Verdict)
	}
}

func TestACodeThatIsSentLateIsGoodUntilTheSetUpEnds(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	w.clock.add(6 * time.Minute)
	if again := w.resend(send.Setup.ID); !again.Granted || again.Validity != 4*time.Minute {
		t.Errorf("granted %v, good for %s, want 4m", again.Granted, again.Validity)
	}
}

// I6, R45: who did not begin a set-up makes nobody pay for SMS, and an authenticator
// has none.
func TestASetUpIsSentAgainOnlyWhereItBegan(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	w.clock.add(time.Minute)
	for name, c := range map[string]account.Change{
		"another session": {Binding: "session 2", Browser: "browser"}, "another browser": {Binding: "session", Browser: "browser 2"},
		"no browser": {Binding: "session"},
	} {
		if again, err := w.book.ResendSetup(t.Context(), w.id, c, send.Setup.ID, ""); again.Granted || again.Setup != nil || again.Code != "" || err != nil {
			t.Errorf("from %s: %v, %v", name, again, err)
		}
	}
	if again := w.resend("another"); again.Granted || again.Setup != nil {
		t.Errorf("of another set-up: %v", again)
	}
	s := w.beginTOTP(unproved())
	if again := w.resend(s.ID); again.Granted || again.Setup != nil {
		t.Errorf("of an authenticator: %v", again)
	}
}

func TestAnSMSThatWasNotSentIsNotedAtItsSetUp(t *testing.T) {
	w := newWorld(t)
	send := w.beginSMS(unproved(), phone)
	for range 2 {
		if err := w.book.SetupNotSent(t.Context(), w.id, "another", 1); err != nil {
			t.Fatal(err)
		}
	}
	if s := w.account().Setup; s.NotSent || !s.Sent() {
		t.Error("another set-up's SMS was noted at this one")
	}
	if err := w.book.SetupNotSent(t.Context(), w.id, send.Setup.ID, 1); err != nil {
		t.Fatal(err)
	}
	if s := w.account().Setup; !s.NotSent || s.Sent() || s.Sends != 1 {
		t.Errorf("not sent %v, may have a code %v, %d sends", s.NotSent, s.Sent(), s.Sends)
	}
	w.clock.add(30 * time.Second)
	if again := w.resend(send.Setup.ID); !again.Granted || again.Setup.NotSent || !again.Setup.Sent() {
		t.Error("the next one is not granted, or still says that nothing was sent")
	}
}
