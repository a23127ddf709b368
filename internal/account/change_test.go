package account_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// A way to change a factor, or to begin with it.
type way struct {
	do func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error
	// first tells that it is open to an account that has none, with the session alone;
	// frozen, that it is open to a frozen account only.
	first, frozen bool
}

// only drops all but the error.
func only[T any](_ T, err error) error { return err }

// changes are all of them but BindPhone, which needs no factor but a phone.
var changes = map[string]way{
	"begin TOTP": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.BeginTOTP(ctx, id, c))
	}, first: true},
	"begin SMS": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.BeginSMS(ctx, id, c, otherPhone, ""))
	}, first: true},
	"switch off": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.SwitchOff(ctx, id, c))
	}},
	"remove": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		a, err := b.Get(ctx, id)
		if err != nil {
			return err
		}
		for _, e := range a.Enrolments[:min(1, len(a.Enrolments))] {
			return only(b.Remove(ctx, id, c, e.ID))
		}
		return only(b.Remove(ctx, id, c, "none"))
	}},
	"issue a recovery key": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		_, _, err := b.IssueRecoveryKey(ctx, id, c)
		return err
	}},
	"unlock": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.Unlock(ctx, id, c))
	}},
	"forget a device": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.ForgetDevice(ctx, id, c, "browser"))
	}},
	"lift": {do: func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		return only(b.Lift(ctx, id, c))
	}, frozen: true},
}

// accounts are the states in which an account can be met.
var accounts = map[string]func(w *world){
	"no factor":          func(*world) {},
	"an authenticator":   func(w *world) { w.enrolTOTP() },
	"two authenticators": func(w *world) { w.enrolTOTP(); w.enrolTOTP() },
	"a phone":            func(w *world) { w.enrolSMS() },
	"a disabled factor":  func(w *world) { w.fail(wrongs[policy.TOTP](w), account.DisableAfter) },
	"switched off again": func(w *world) { w.enrolSMS(); w.switchOff() },
	"frozen":             func(w *world) { w.enrolSMS(); w.freeze(w.keyMade().Token) },
	"nothing but a recovery key": func(w *world) {
		key := w.stolenSwitch()
		w.want(w.recover(key), account.Right)
		w.lift(account.ProofRecovery)
	},
}

// I6, R2, R3, R34: a session alone changes nothing on an account that has a factor,
// and what was proved before the last change proves nothing any more.
func TestInvariantI6NoFactorChangesWithoutACurrentOne(t *testing.T) {
	for accountName, prepare := range accounts {
		t.Run(accountName, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			a := w.account()
			for changeName, change := range changes {
				refused := []account.Change{w.under("admin")}
				for _, proof := range []account.Proof{account.ProofFactor, account.ProofRecovery, account.ProofPhone} {
					stale, future := w.under(proof), w.under(proof)
					stale.Epoch--
					future.Epoch++
					refused = append(refused, stale, future)
				}
				if a.Enrolled() || !change.first {
					refused = append(refused, unproved(), w.under(account.ProofNone), w.under(account.ProofLogin), w.under(account.ProofPhone))
				}
				if (a.Frozen != nil) != change.frozen {
					refused = append(refused, w.under(account.ProofFactor), w.under(account.ProofRecovery))
				}
				for _, c := range refused {
					before, events := w.account(), len(w.events())
					if err := change.do(w.book, t.Context(), w.id, c); !errors.Is(err, account.ErrNotProved) {
						t.Errorf("%s under %q of epoch %d in epoch %d: %v, want ErrNotProved", changeName, c.Proof, c.Epoch, a.Epoch, err)
					}
					if diff := cmp.Diff(before, w.account()); diff != "" || len(w.events()) != events {
						t.Errorf("%s under %q was refused and changed (-before +after):\n%s", changeName, c.Proof, diff)
					}
				}
			}
		})
	}
}

func TestEveryChangeIsOpenToWhoeverProvedACurrentFactor(t *testing.T) {
	for name, change := range changes {
		for _, proof := range []account.Proof{account.ProofFactor, account.ProofRecovery} {
			w := newWorld(t)
			w.enrolTOTP()
			w.enrolTOTP()
			if change.frozen {
				w.freeze(w.keyMade().Token)
			}
			if err := change.do(w.book, t.Context(), w.id, w.under(proof)); err != nil {
				t.Errorf("%s under %s = %v", name, proof, err)
			}
		}
		w := newWorld(t)
		if err := change.do(w.book, t.Context(), w.id, unproved()); (err == nil) != change.first {
			t.Errorf("%s on an account without factors, by the session alone = %v, want nil: %v", name, err, change.first)
		}
	}
}

// I6: the phone that the site knows speaks for an account without a factor only, and
// only in the epoch in which it was shown.
func TestInvariantI6ARegisteredPhoneIsBoundToAnAccountWithoutAFactorOnly(t *testing.T) {
	for name, prepare := range accounts {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			before := w.account()
			refused := []account.Change{unproved(), w.under(account.ProofLogin), w.under(account.ProofFactor), w.under(account.ProofRecovery)}
			stale := w.under(account.ProofPhone)
			stale.Epoch--
			refused = append(refused, stale)
			if before.Enrolled() || before.Frozen != nil {
				refused = append(refused, w.under(account.ProofPhone))
			}
			for _, c := range refused {
				if done, err := w.book.BindPhone(t.Context(), w.id, c, otherPhone); !errors.Is(err, account.ErrNotProved) || done.RecoveryKey != "" {
					t.Errorf("BindPhone() under %q = %v, want ErrNotProved", c.Proof, err)
				}
			}
			if diff := cmp.Diff(before, w.account()); diff != "" {
				t.Errorf("what was refused changed (-before +after):\n%s", diff)
			}
		})
	}
}

// I3, I6: one proof, one change. Of two changes that were proved at the same
// time, the second meets other factors than those that were shown.
func TestInvariantI6OfFiftyChangesUnderOneProofOneIsMade(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.enrolTOTP()
	}
	c, has := w.proved(), w.account().Enrolments
	var made, refused atomic.Int32
	atOnce(50, func(i int) {
		_, err := []*account.Book{w.book, w.node2}[i%2].Remove(t.Context(), w.id, c, has[i%3].ID)
		switch {
		case err == nil:
			made.Add(1)
		case errors.Is(err, account.ErrNotProved):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	if made.Load() != 1 || refused.Load() != 49 || w.account().Epoch != c.Epoch+1 || len(w.account().Enrolments) != 2 {
		t.Errorf("%d made and %d refused, epoch %d after %d, want one", made.Load(), refused.Load(), w.account().Epoch, c.Epoch)
	}
}

// I6, R3, R57: a phone takes the place of all authenticators and ends every
// challenge, set-up and grant in one write; the recovery key stays; I7: durably.
func TestInvariantI6BindingAPhoneReplacesEveryAuthenticator(t *testing.T) {
	w := newWorld(t)
	secret, key := w.enrolTOTP()
	w.enrolTOTP()
	w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, 1)
	w.fail(account.Answer{Factor: policy.RecoveryKey, Code: "nonsense"}, 1)
	open := w.challenge()
	c := w.proved()
	send := w.beginSMS(c, phone)
	done := w.bound(send.Setup, send.Code)
	w.reopen()
	a := w.account()
	want := []account.Enrolment{{ID: a.Enrolments[0].ID, Name: "phone", Factor: policy.SMS, Phone: phone, Since: w.clock.now(), Root: w.clock.now(), Used: w.clock.now()}}
	if diff := cmp.Diff(want, a.Enrolments); diff != "" {
		t.Errorf("enrolments differ (-want +got):\n%s", diff)
	}
	if a.Epoch != c.Epoch+1 || len(a.Pending) != 0 || a.Setup != nil || !a.HeldUntil.IsZero() {
		t.Errorf("epoch %d after %d, %d open, set-up %v, held until %s", a.Epoch, c.Epoch, len(a.Pending), a.Setup, a.HeldUntil)
	}
	if w.failures(policy.RecoveryKey) != 1 || w.failures(policy.TOTP) != 1 {
		t.Errorf("failures = %v, want what was spent on the factors that were not bound anew", a.Failures)
	}
	if done.Alert.Kind != account.KindSwitchedSMS || done.RecoveryKey != "" {
		t.Errorf("Confirm() = %s, recovery key %v, want a switch that leaves the key", done.Alert.Kind, done.RecoveryKey != "")
	}
	w.want(account.Answer{Challenge: open, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Gone)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Unusable)
	w.want(w.recover(key), account.Right)
}

// I6, R27.
func TestInvariantI6SwitchingOffRemovesFactorsAndKeepsBudgetsAndHolds(t *testing.T) {
	w := newWorld(t)
	s := w.beginTOTP(unproved())
	w.bound(s, w.totp(s.Secret, 0))
	held := w.account().HeldUntil
	w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(s.Secret)}, 7)
	w.challenge()
	c := w.proved()
	alert := w.switchOff()
	w.reopen()
	a := w.account()
	if a.Enrolled() || a.Recovery != nil || a.Epoch != c.Epoch+1 || len(a.Pending) != 0 || alert.Kind != account.KindOff {
		t.Errorf("enrolled %v, recovery key %v, epoch %d after %d, %d open", a.Enrolled(), a.Recovery != nil, a.Epoch, c.Epoch, len(a.Pending))
	}
	if n := w.failures(policy.TOTP); n != 7 || a.NotBefore(policy.TOTP, w.asker(account.ForRequest)).IsZero() {
		t.Errorf("%d failures, want the seven before: off and on again gives nobody new attempts (I5)", n)
	}
	if held.IsZero() || !a.HeldUntil.Equal(held) {
		t.Errorf("held until %s, want still until %s", a.HeldUntil, held)
	}
	if w.count(audit.AccountSwitchedOff) != 1 || w.count(audit.EnrolmentRemoved) != 1 || w.count(audit.AccountGrantsRevoked) != 2 {
		t.Errorf("events: %v", w.events())
	}
}

// I6: whatever a thief of a session does after binding a factor of his own, the
// hold that it brought stays.
func TestInvariantI6AHoldFollowsAnUnprovedBindingAndNothingEndsIt(t *testing.T) {
	for name, tt := range map[string]struct {
		begin account.Change
		want  time.Duration
	}{
		"unproved":               {unproved(), 24 * time.Hour},
		"unproved, without hold": {account.Change{Binding: "session", Browser: "browser"}, 0},
		"fresh from the login":   {account.Change{Binding: "session", Browser: "browser", Hold: 24 * time.Hour, Proof: account.ProofLogin}, 0},
		"the registered phone":   {account.Change{Binding: "session", Browser: "browser", Hold: 24 * time.Hour, Proof: account.ProofPhone}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			send := w.beginSMS(tt.begin, phone)
			// What counts is how the set-up was begun, not what its confirmation claims.
			claim := tt.begin
			if claim.Proof = account.ProofNone; tt.begin.Proof == account.ProofNone {
				claim.Proof = account.ProofFactor
			}
			done, err := w.book.Confirm(t.Context(), w.id, claim, send.Setup.ID, send.Code, "")
			if err != nil || done.Verdict != account.Right {
				t.Fatalf("Confirm() = %d, %v", done.Verdict, err)
			}
			want := time.Time{}
			if tt.want > 0 {
				want = w.clock.now().Add(tt.want)
			}
			if n := w.count(audit.AccountHeld); !w.account().HeldUntil.Equal(want) || (n == 1) != (tt.want > 0) {
				t.Fatalf("held until %s with %d events, want until %s", w.account().HeldUntil, n, want)
			}
			w.clock.add(time.Minute)
			w.enrolTOTP()
			w.enrolSMS()
			w.switchOff()
			if got := w.account().HeldUntil; !got.Equal(want) {
				t.Errorf("held until %s after proved changes, want %s", got, want)
			}
		})
	}
}
