package account_test

import (
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/sms"
)

// proved is a change under a current factor, from the session and browser in
// which all of these tests happen.
func (w *world) proved() account.Change { return w.under(account.ProofFactor) }

// under is a change for which something was shown just now.
func (w *world) under(proof account.Proof) account.Change {
	w.Helper()
	return account.Change{Binding: "session", Browser: w.browser, Proof: proof, Epoch: w.account().Epoch}
}

func unproved() account.Change {
	return account.Change{Binding: "session", Browser: "browser", Hold: 24 * time.Hour}
}

// enrolSMS binds the phone, in the place of what there is, and returns the recovery
// key that came with it; empty if the account has one.
func (w *world) enrolSMS() string {
	w.Helper()
	if !w.account().Enrolled() {
		done, err := w.book.BindPhone(w.Context(), w.id, w.under(account.ProofPhone), phone)
		if err != nil {
			w.Fatal(err)
		}
		return done.RecoveryKey
	}
	send := w.beginSMS(w.proved(), phone)
	return w.bound(send.Setup, send.Code).RecoveryKey
}

func (w *world) beginSMS(c account.Change, to sms.Number) account.SetupSend {
	w.Helper()
	send, err := w.book.BeginSMS(w.Context(), w.id, c, to, "")
	if err != nil {
		w.Fatal(err)
	}
	return send
}

func (w *world) beginTOTP(c account.Change) *account.Setup {
	w.Helper()
	s, err := w.book.BeginTOTP(w.Context(), w.id, c)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// enrolTOTP binds an authenticator. The code that bound it is over.
func (w *world) enrolTOTP() (secret []byte, recovery string) {
	w.Helper()
	c := w.under(account.ProofLogin)
	if w.account().Enrolled() {
		c = w.proved()
	}
	s := w.beginTOTP(c)
	done := w.bound(s, w.totp(s.Secret, 0))
	w.clock.add(30 * time.Second)
	return s.Secret, done.RecoveryKey
}

func (w *world) confirm(s *account.Setup, code string) account.Bound {
	w.Helper()
	done, err := w.book.Confirm(w.Context(), w.id, unproved(), s.ID, code, "phone")
	if err != nil {
		w.Fatal(err)
	}
	return done
}

// bound confirms a set-up with the right code.
func (w *world) bound(s *account.Setup, code string) account.Bound {
	w.Helper()
	done := w.confirm(s, code)
	if done.Verdict != account.Right {
		w.Fatalf("Confirm() = %v, want right", done.Verdict)
	}
	return done
}

func (w *world) switchOff() account.Alert {
	w.Helper()
	alert, err := w.book.SwitchOff(w.Context(), w.id, w.proved())
	if err != nil {
		w.Fatal(err)
	}
	return alert
}

// keyMade makes the recovery key anew, of which the player is told.
func (w *world) keyMade() account.Alert {
	w.Helper()
	w.clock.add(time.Minute)
	_, alert, err := w.book.IssueRecoveryKey(w.Context(), w.id, w.proved())
	if err != nil {
		w.Fatal(err)
	}
	w.clock.add(time.Minute)
	return alert
}

func (w *world) freeze(token string) {
	w.Helper()
	if id, ok, err := w.book.Freeze(w.Context(), token, account.Client{}); id != w.id || !ok || err != nil {
		w.Fatalf("Freeze() = %q, %v, %v", id, ok, err)
	}
}

func (w *world) lift(proof account.Proof) account.Alert {
	w.Helper()
	alert, err := w.book.Lift(w.Context(), w.id, w.under(proof))
	if err != nil {
		w.Fatal(err)
	}
	return alert
}

// stolenSwitch is the owner's account after a thief switched it to a phone of his
// own and the owner froze it: nothing but the recovery key is left to lift that.
func (w *world) stolenSwitch() (recovery string) {
	w.Helper()
	_, recovery = w.enrolTOTP()
	send := w.beginSMS(w.proved(), otherPhone)
	stolen := w.bound(send.Setup, send.Code)
	w.clock.add(time.Minute)
	w.freeze(stolen.Alert.Token)
	return recovery
}
