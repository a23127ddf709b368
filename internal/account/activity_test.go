package account_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// notices counts the links that are good, by what they tell of.
func (w *world) notices() map[account.Kind]int {
	w.Helper()
	n := map[account.Kind]int{}
	for _, notice := range w.account().Notices {
		n[notice.Kind]++
	}
	return n
}

// tell causes n alerts of failures: many wrong answers and a right one, again and
// again.
func (w *world) tell(secret []byte, n int) {
	w.Helper()
	for range n {
		w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, account.ManyFailures)
		w.clock.add(account.MaxDelay)
		w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
		w.clock.add(time.Minute)
	}
}

// R18, R62: whoever fails as often as he likes takes no link from the player with
// which a change can be objected to.
func TestAFloodOfFailuresEndsNoLinkOfAChange(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	var changes []account.Alert
	for range 25 {
		changes = append(changes, w.keyMade())
	}
	if n := w.notices(); n[account.KindKeyMade] != 20 || n[account.KindTOTPAdded] != 0 {
		t.Errorf("notices %v, want the 20 newest", n)
	}
	w.tell(secret, 4)
	n := w.notices()
	if n[account.KindKeyMade] != 20 || n[account.KindFailures] != 5 {
		t.Errorf("notices %v, want the 20 of changes and the 5 newest of failures", n)
	}
	for i, alert := range changes {
		if _, ok, err := w.book.Notice(t.Context(), alert.Token); ok != (i >= 5) || err != nil {
			t.Errorf("the link of change %d is good: %v, %v", i, ok, err)
		}
	}
	w.freeze(changes[5].Token)
}

// R64: what a stranger can cause with a session pushes no change out of the player's
// sight.
func TestTheListOfActivitiesCannotBeFlushed(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	w.enrolSMS()
	w.tellOfEverything()
	for i := range 40 {
		id := w.challenge()
		if i%2 == 0 {
			if err := w.book.CloseChallenge(t.Context(), w.id, id, audit.ChallengeReported, account.Client{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	kinds := map[account.Kind]int{}
	for _, a := range w.account().Activities {
		kinds[a.Kind]++
	}
	if kinds[account.KindTOTPAdded] != 1 || kinds[account.KindSwitchedSMS] != 1 {
		t.Errorf("activities %v, want the two changes among them", kinds)
	}
	for kind, n := range kinds {
		if n > 5 {
			t.Errorf("%d activities of kind %s, want 5 at most", n, kind)
		}
	}
	if n := len(w.account().Activities); n > 30 {
		t.Errorf("%d activities are kept, want 30 at most", n)
	}
}

// tellOfEverything spends what there is to spend without a right answer: the phone's
// and the recovery key's budget, until both are disabled.
func (w *world) tellOfEverything() {
	w.Helper()
	for _, wrong := range []account.Answer{
		{Factor: policy.SMS, Code: "none", Expected: "123456"}, {Factor: policy.RecoveryKey, Code: "nonsense"},
	} {
		w.fail(wrong, account.DisableAfter)
	}
}

// R19, R57, R62, R63: the number that was there is told of what takes its place; the
// one that takes it is not.
func TestTheOldNumberIsToldAndTheNewOneIsNot(t *testing.T) {
	w := newWorld(t)
	first, err := w.book.BindPhone(t.Context(), w.id, w.under(account.ProofPhone), phone)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, alert account.Alert, kind account.Kind, except sms.Number, phones ...sms.Number) {
		t.Helper()
		if diff := cmp.Diff(phones, alert.Phones, cmpopts.EquateEmpty()); diff != "" || alert.Kind != kind || alert.Except != except || !alert.At.Equal(w.clock.now()) {
			t.Errorf("%s: told of %s at %s, except %v, phones (-want +got):\n%s", what, alert.Kind, alert.At, alert.Except, diff)
		}
	}
	want("the first phone", first.Alert, account.KindSMSAdded, phone)
	send := w.beginSMS(w.proved(), otherPhone)
	want("another number", w.bound(send.Setup, send.Code).Alert, account.KindSMSChanged, otherPhone, phone)
	s := w.beginTOTP(w.proved())
	want("to an authenticator", w.bound(s, w.totp(s.Secret, 0)).Alert, account.KindSwitchedTOTP, "", otherPhone)
	w.clock.add(30 * time.Second)
	s = w.beginTOTP(w.proved())
	want("a second authenticator", w.bound(s, w.totp(s.Secret, 0)).Alert, account.KindTOTPAdded, "")
	w.clock.add(30 * time.Second)
	send = w.beginSMS(w.proved(), phone)
	want("to a phone", w.bound(send.Setup, send.Code).Alert, account.KindSwitchedSMS, phone)
	want("off", w.switchOff(), account.KindOff, "", phone)
}

// R59, R62: every use of a recovery key and every new one is told.
func TestThePlayerIsToldOfEveryUseOfTheRecoveryKey(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	r := w.want(w.recover(key), account.Right)
	if len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindKeyUsed || len(r.Alerts[0].Phones) != 1 {
		t.Errorf("told of %v", r.Alerts)
	}
	if alert := w.keyMade(); alert.Kind != account.KindKeyMade || len(alert.Phones) != 1 {
		t.Errorf("told of %v", alert)
	}
}

// R18: the tenth wrong answer in a row, and a right one after five.
func TestThePlayerIsToldOfFailuresAndOfASuccessAfterThem(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	wrong := account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
	for i := range account.ManyFailures + 2 {
		r := w.fail(wrong, 1)
		if told := len(r.Alerts) == 1 && r.Alerts[0].Kind == account.KindFailures; told != (i+1 == account.ManyFailures) || len(r.Alerts) > 1 {
			t.Errorf("told of %v after %d failures", r.Alerts, i+1)
		}
	}
	w.clock.add(account.MaxDelay)
	right := account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}
	if r := w.want(right, account.Right); len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindFailures {
		t.Errorf("told of %v at a success after failures", r.Alerts)
	}
	w.clock.add(time.Minute)
	right = account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}
	if r := w.want(right, account.Right); len(r.Alerts) != 0 {
		t.Errorf("told of %v at a plain success", r.Alerts)
	}
}
