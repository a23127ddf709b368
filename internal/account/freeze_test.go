package account_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// I6: a thief switched the account to his own phone; the owner froze it and lifted
// that with the recovery key, which is all that is left. The thief's session alone
// must not bind the next factor.
func TestInvariantI6WhereOnlyTheRecoveryKeyIsLeftNothingLessBindsAFactor(t *testing.T) {
	w := newWorld(t)
	key := w.stolenSwitch()
	key = w.want(w.recover(key), account.Right).RecoveryKey
	w.lift(account.ProofRecovery)
	a := w.account()
	if len(a.Enrolments) != 0 || a.Recovery == nil || !a.Enrolled() {
		t.Fatalf("%d enrolments, recovery key %v, enrolled %v; want the recovery key as the only factor", len(a.Enrolments), a.Recovery != nil, a.Enrolled())
	}
	for _, proof := range []account.Proof{account.ProofNone, account.ProofLogin, account.ProofPhone} {
		if _, err := w.book.BeginTOTP(t.Context(), w.id, w.under(proof)); !errors.Is(err, account.ErrNotProved) {
			t.Errorf("BeginTOTP() under %q = %v, want ErrNotProved", proof, err)
		}
	}
	w.want(w.recover(key), account.Right)
	send := w.beginSMS(w.under(account.ProofRecovery), phone)
	w.bound(send.Setup, send.Code)
	if a := w.account(); a.Changed[policy.CauseFactorChange] != w.clock.now() {
		t.Error("what is bound after it is taken for a first factor")
	}
}

// R62: what happens while the account is frozen, and its lifting, is not told to the
// phone that the freeze is about: its holder would get a link that freezes the account
// again, against what the owner binds next.
func TestThePhoneThatAFreezeIsAboutIsToldNothingAndItsLinksEnd(t *testing.T) {
	w := newWorld(t)
	_, key := w.enrolTOTP()
	send := w.beginSMS(w.proved(), otherPhone)
	stolen := w.bound(send.Setup, send.Code)
	w.clock.add(time.Minute)
	id, code := w.texted()
	trusted := w.want(account.Answer{Challenge: id, Factor: policy.SMS, Code: code, Expected: code, Trust: true}, account.Right)
	toThief := trusted.Alerts[0]
	if diff := cmp.Diff([]sms.Number{otherPhone}, toThief.Phones); diff != "" {
		t.Fatalf("phones (-want +got):\n%s", diff)
	}
	w.clock.add(time.Minute)
	w.freeze(stolen.Alert.Token)
	recovered := w.want(w.recover(key), account.Right)
	lifted := w.lift(account.ProofRecovery)
	if len(recovered.Alerts) != 1 || len(recovered.Alerts[0].Phones) != 0 || len(lifted.Phones) != 0 {
		t.Errorf("the thief's phone is told of %v and %v", recovered.Alerts, lifted)
	}
	if _, ok, err := w.book.Freeze(t.Context(), toThief.Token, account.Client{}); ok || err != nil {
		t.Errorf("the thief's link freezes the account again: %v, %v", ok, err)
	}
	if _, ok, err := w.book.Notice(t.Context(), toThief.Token); ok || err != nil {
		t.Errorf("the thief's link tells of something: %v, %v", ok, err)
	}
	w.freeze(lifted.Token) // the owner's still does
}

// I6: while the account is frozen, answers by what the freeze is about, and by the
// phone that the site knows, are not looked at.
func TestInvariantI6AFrozenAccountTakesAnswersByOlderFactorsOnly(t *testing.T) {
	w := newWorld(t)
	w.stolenSwitch()
	for _, in := range []account.Answer{
		{Factor: policy.SMS, Code: "123456", Expected: "123456"}, {Factor: policy.SMS, Code: "none", Expected: "123456"},
		{Factor: policy.TOTP, Code: "123456"},
	} {
		in.Challenge = w.challenge()
		w.want(in, account.Unusable)
	}
	if a := w.account(); len(a.Failures) != 0 || !a.Liftable() {
		t.Errorf("failures %v, liftable %v", a.Failures, a.Liftable())
	}
	w = newWorld(t)
	w.enrolSMS()
	off := w.switchOff()
	w.freeze(off.Token)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.SMS, Code: "123456", Expected: "123456"}, account.Unusable)
}

// I6, R7: the phone that the site knows answers for accounts without a factor only.
func TestInvariantI6ARegisteredPhoneAnswersNothingBesideAFactor(t *testing.T) {
	in := account.Answer{Factor: policy.SMS, Code: "123456", Expected: "123456"}
	w := newWorld(t)
	in.Challenge = w.challenge()
	w.want(in, account.Right)
	w.enrolTOTP()
	in.Challenge = w.challenge()
	w.want(in, account.Unusable)
}
