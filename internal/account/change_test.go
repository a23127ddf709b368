package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// changes are all the ways to begin a change of a factor. first tells which are
// open to an account that has none, without proof.
var changes = map[string]struct {
	do    func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error
	first bool
}{
	"begin TOTP": {func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		_, err := b.BeginTOTP(ctx, id, c)
		return err
	}, true},
	"begin SMS": {func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		_, err := b.BeginSMS(ctx, id, c, otherPhone)
		return err
	}, true},
	"bind a phone": {func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		_, err := b.BindPhone(ctx, id, c, otherPhone)
		return err
	}, false},
	"switch off": {(*account.Book).SwitchOff, false},
	"issue a recovery key": {func(b *account.Book, ctx context.Context, id account.ID, c account.Change) error {
		_, err := b.IssueRecoveryKey(ctx, id, c)
		return err
	}, false},
}

// I6, R2, R3: a session alone changes nothing on an account that has a factor,
// and what was proved before the last change proves nothing any more.
func TestInvariantI6NoFactorChangesWithoutACurrentOne(t *testing.T) {
	accounts := map[string]func(w *world){
		"no factor":         func(*world) {},
		"an authenticator":  func(w *world) { w.enrolTOTP() },
		"a phone":           func(w *world) { w.enrolSMS() },
		"a disabled factor": func(w *world) { w.fail(wrongs[policy.TOTP](w), account.DisableAfter) },
		"switched off again": func(w *world) {
			w.enrolSMS()
			if err := w.book.SwitchOff(w.Context(), w.id, w.proved()); err != nil {
				w.Fatal(err)
			}
		},
	}
	for accountName, prepare := range accounts {
		t.Run(accountName, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			epoch, has := w.account().Epoch, w.account().Enrolled()
			for changeName, change := range changes {
				refused := map[string]account.Change{
					"proved before the last change": {Binding: "session", Browser: "browser", Proved: true, Epoch: epoch - 1},
					"proved in times to come":       {Binding: "session", Browser: "browser", Proved: true, Epoch: epoch + 1},
				}
				if has || !change.first {
					refused["the session alone"] = unproved()
				}
				for name, c := range refused {
					before, events := w.account(), len(w.events())
					if err := change.do(w.book, t.Context(), w.id, c); !errors.Is(err, account.ErrNotProved) {
						t.Errorf("%s, %s: %v, want ErrNotProved", changeName, name, err)
					}
					if diff := cmp.Diff(before, w.account()); diff != "" || len(w.events()) != events {
						t.Errorf("%s, %s was refused and changed (-before +after):\n%s", changeName, name, diff)
					}
				}
			}
		})
	}
}

func TestEveryChangeIsOpenToWhoeverProvedACurrentFactor(t *testing.T) {
	for name, change := range changes {
		w := newWorld(t)
		w.enrolTOTP()
		if err := change.do(w.book, t.Context(), w.id, w.proved()); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		w = newWorld(t)
		if err := change.do(w.book, t.Context(), w.id, unproved()); (err == nil) != change.first {
			t.Errorf("%s on an account without factors, by the session alone = %v, want nil: %v", name, err, change.first)
		}
	}
}

// I3, I6: one proof, one change. Of two changes that were proved at the same
// time, the second meets other factors than those that were shown.
func TestInvariantI6OfFiftyChangesUnderOneProofOneIsMade(t *testing.T) {
	w := newWorld(t)
	w.enrolTOTP()
	c := w.proved()
	var made, refused atomic.Int32
	atOnce(50, func(i int) {
		number := sms.Number(fmt.Sprintf("+62812345678%02d", i))
		_, err := []*account.Book{w.book, w.node2}[i%2].BindPhone(t.Context(), w.id, c, number)
		switch {
		case err == nil:
			made.Add(1)
		case errors.Is(err, account.ErrNotProved):
			refused.Add(1)
		default:
			t.Error(err)
		}
	})
	if made.Load() != 1 || refused.Load() != 49 || w.account().Epoch != c.Epoch+1 {
		t.Errorf("%d made and %d refused, epoch %d after %d, want one", made.Load(), refused.Load(), w.account().Epoch, c.Epoch)
	}
}

// I6, R57: the new factor takes the place of all old ones, with a new recovery
// key, and ends every challenge, set-up and grant; I7: durably.
func TestInvariantI6BindingAPhoneReplacesEverythingOfTheOldFactor(t *testing.T) {
	w := newWorld(t)
	secret, oldKey := w.enrolTOTP()
	w.fail(account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}, 1)
	w.fail(account.Answer{Factor: policy.RecoveryKey, Code: "nonsense"}, 1)
	w.fail(account.Answer{Factor: policy.SMS, Code: "none"}, 1)
	open := w.challenge()
	if _, err := w.book.BeginTOTP(t.Context(), w.id, w.proved()); err != nil {
		t.Fatal(err)
	}
	c := w.proved()
	key, err := w.book.BindPhone(t.Context(), w.id, c, phone)
	if err != nil {
		t.Fatal(err)
	}
	w.reopen()
	a := w.account()
	want := []account.Enrolment{{Factor: policy.SMS, Phone: phone, Since: w.clock.now()}}
	if diff := cmp.Diff(want, a.Enrolments); diff != "" {
		t.Errorf("enrolments differ (-want +got):\n%s", diff)
	}
	if a.Epoch != c.Epoch+1 || len(a.Pending) != 0 || a.Setup != nil || !a.HeldUntil.IsZero() {
		t.Errorf("epoch %d after %d, %d open, set-up %v, held until %s", a.Epoch, c.Epoch, len(a.Pending), a.Setup, a.HeldUntil)
	}
	if w.failures(policy.SMS) != 0 || w.failures(policy.RecoveryKey) != 0 || w.failures(policy.TOTP) != 1 {
		t.Errorf("failures = %v, want those of the factor that is gone only", a.Failures)
	}
	w.want(account.Answer{Challenge: open, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Gone)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Unusable)
	w.want(w.recover(oldKey), account.Wrong)
	w.want(w.recover(key), account.Right)
}

// I6, R27.
func TestInvariantI6SwitchingOffRemovesFactorsAndKeepsBudgetsAndHolds(t *testing.T) {
	w := newWorld(t)
	s, err := w.book.BeginTOTP(t.Context(), w.id, unproved())
	if err != nil {
		t.Fatal(err)
	}
	w.confirm(s, w.totp(s.Secret, 0))
	held := w.account().HeldUntil
	w.fail(account.Answer{Factor: policy.SMS, Code: "none"}, 7)
	w.challenge()
	c := w.proved()
	if err := w.book.SwitchOff(t.Context(), w.id, c); err != nil {
		t.Fatal(err)
	}
	w.reopen()
	a := w.account()
	if a.Enrolled() || a.Recovery != nil || a.Epoch != c.Epoch+1 || len(a.Pending) != 0 {
		t.Errorf("enrolled %v, recovery key %v, epoch %d after %d, %d open", a.Enrolled(), a.Recovery != nil, a.Epoch, c.Epoch, len(a.Pending))
	}
	if n := w.failures(policy.SMS); n != 7 || a.NotBefore(policy.SMS).IsZero() {
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
		"proved":                 {account.Change{Binding: "session", Browser: "browser", Hold: 24 * time.Hour, Proved: true}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, err := w.book.BeginSMS(t.Context(), w.id, tt.begin, phone)
			if err != nil {
				t.Fatal(err)
			}
			code, err := w.book.SetupCode(s)
			if err != nil {
				t.Fatal(err)
			}
			// What counts is how the set-up was begun, not what its confirmation claims.
			claim := tt.begin
			claim.Proved = !claim.Proved
			done, err := w.book.Confirm(t.Context(), w.id, claim, s.ID, code)
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
			if err := w.book.SwitchOff(t.Context(), w.id, w.proved()); err != nil {
				t.Fatal(err)
			}
			if got := w.account().HeldUntil; !got.Equal(want) {
				t.Errorf("held until %s after proved changes, want %s", got, want)
			}
		})
	}
}
