package account_test

import (
	"errors"
	"testing"


	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
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
