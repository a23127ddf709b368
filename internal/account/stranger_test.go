package account_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// stranger opens a challenge for somebody who has given a name.
func (w *world) stranger(name, request string) string {
	w.Helper()
	in := w.interruption(request)
	in.Binding, in.Stranger, in.Device, in.Browser = "binding of "+name, name, "", "browser of "+request
	return w.open(in).Pending.ID
}

// I11: what is done to one name of an account shows at no other.
func TestInvariantI11NamesOfOneAccountAreApart(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	first := w.stranger("sari", "first")
	for i := range account.MaxPending {
		id := w.stranger("sari@example.com", fmt.Sprint(i))
		w.want(account.Answer{Challenge: id, Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, account.Wrong)
	}
	late := w.stranger("sari@example.com", "late")
	w.want(account.Answer{Challenge: late, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.TryLater)
	w.want(account.Answer{Challenge: first, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
}

// Two strangers who send the same request at once have a challenge each; the secret of a
// browser that is met first is not the other's.
func TestStrangersShareNoDoubleClick(t *testing.T) {
	w := newWorld(t)
	in := w.interruption("reset")
	in.Stranger, in.FirstMet, in.Browser = "sari", true, "one"
	one := w.open(in)
	in.Browser, in.ID = "other", in.ID[1:]+"x"
	if other := w.open(in); !other.New || other.Pending.ID == one.Pending.ID {
		t.Error("a stranger got the challenge of another")
	}
}

// Failures of strangers are forgotten after as many days as there are, also those that
// disabled the factor, and no others are.
func TestStrangersFailuresAreForgottenOneADay(t *testing.T) {
	for _, n := range []int{1, 7, account.DisableAfter} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			secret, _ := w.enrolTOTP()
			w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, 3)
			for i := range n {
				w.clock.add(time.Hour)
				id := w.stranger("sari", fmt.Sprint("guess ", i))
				w.want(account.Answer{Challenge: id, Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, account.Wrong)
			}
			w.clock.add(time.Duration(n)*24*time.Hour - 1)
			if a := w.account(); a.Strangers["sari"][policy.TOTP] == nil || a.Strangers["sari"][policy.TOTP].InARow != n {
				t.Errorf("after a moment less than %d days %v are remembered", n, a.Strangers)
			}
			w.clock.add(1)
			if a := w.account(); len(a.Strangers) != 0 || w.failures(policy.TOTP) != 3 {
				t.Errorf("after %d days %v are remembered, and %d of the session's, want none and 3", n, a.Strangers, w.failures(policy.TOTP))
			}
			w.want(account.Answer{Challenge: w.stranger("sari", "at last"), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
		})
	}
}

// What anybody but strangers has touched is kept for ever.
func TestOnlyWhatStrangersAloneTouchedExpires(t *testing.T) {
	w := newWorld(t)
	w.stranger("nobody", "reset")
	w.challenge() // a session's
	w.clock.add(time.Hour)
	if !w.stored() {
		t.Error("an account with a session's challenge was forgotten")
	}
	w = newWorld(t)
	id := w.stranger("nobody", "reset")
	w.want(account.Answer{Challenge: id, Factor: policy.TOTP, Code: "000000"}, account.Wrong)
	w.clock.add(24*time.Hour - 1)
	if !w.stored() {
		t.Error("an account is forgotten with failures that are not")
	}
	w.clock.add(1)
	if w.stored() {
		t.Error("an account is kept that nothing is known of")
	}
}

// stored reports whether the account has a record.
func (w *world) stored() bool {
	w.Helper()
	_, err := w.store.Get(w.Context(), store.NewKey("account", string(w.id)))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		w.Fatal(err)
	}
	return err == nil
}
