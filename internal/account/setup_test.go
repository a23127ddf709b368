package account_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/store"
)

// setups begin a set-up and return the code that confirms it and one that does
// not.
var setups = map[policy.Factor]func(w *world, c account.Change) (s *account.Setup, right, wrong string){
	policy.TOTP: func(w *world, c account.Change) (*account.Setup, string, string) {
		s := w.beginTOTP(c)
		return s, w.totp(s.Secret, 0), w.wrongTOTP(s.Secret)
	},
	policy.SMS: func(w *world, c account.Change) (*account.Setup, string, string) {
		send := w.beginSMS(c, phone)
		return send.Setup, send.Code, other(send.Code)
	},
}

// other returns a code that is not the given one.
func other(code string) string { return fmt.Sprintf("%c%s", '0'+(code[0]-'0'+1)%10, code[1:]) }

func TestAFactorIsBoundByItsFirstCode(t *testing.T) {
	for f, begin := range setups {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			s, right, _ := begin(w, unproved())
			if w.account().Enrolled() || w.account().Enrolment(f) != nil {
				t.Fatal("the factor is bound before its first code")
			}
			w.clock.add(25 * time.Second)
			done := w.confirm(s, right)
			if done.Verdict != account.Right || done.RecoveryKey == "" || done.Setup == nil {
				t.Fatalf("Confirm() = %d, recovery key %v", done.Verdict, done.RecoveryKey != "")
			}
			w.reopen() // I7
			e := w.account().Enrolment(f)
			if e == nil || e.Phone != s.Phone || string(e.Secret) != string(s.Secret) || !e.Since.Equal(w.clock.now()) || (e.LastStep > 0) != (f == policy.TOTP) {
				t.Errorf("bound %+v, want what was set up", e)
			}
			if a := w.account(); a.Setup != nil || a.Epoch != 1 || a.Recovery == nil {
				t.Errorf("set-up %v, epoch %d, recovery key %v", a.Setup, a.Epoch, a.Recovery != nil)
			}
			w.want(w.recover(done.RecoveryKey), account.Right)
			if again := w.confirm(s, right); again.Verdict != account.Gone || again.RecoveryKey != "" {
				t.Errorf("confirming again = %d, want gone", again.Verdict)
			}
		})
	}
}

func TestTheClocksMayDifferByOneStepAtTheFirstCodeAndNotByTwo(t *testing.T) {
	for steps, want := range map[int]account.Verdict{-2: account.Wrong, -1: account.Right, 0: account.Right, 1: account.Right, 2: account.Wrong} {
		w := newWorld(t)
		s, _, _ := setups[policy.TOTP](w, unproved())
		if done := w.confirm(s, w.totp(s.Secret, steps)); done.Verdict != want {
			t.Errorf("the code of %d steps away: verdict %d, want %d", steps, done.Verdict, want)
		}
	}
}

// I6: who began it confirms it, in the same session and browser.
func TestInvariantI6ASetUpIsConfirmedOnlyWhereItBegan(t *testing.T) {
	w := newWorld(t)
	s, right, _ := setups[policy.SMS](w, unproved())
	try := func(name, id string, c account.Change, on account.ID) {
		t.Helper()
		done, err := w.book.Confirm(t.Context(), on, c, id, right, "")
		if err != nil || done.Verdict != account.Gone || done.Setup != nil || done.RecoveryKey != "" {
			t.Errorf("%s: verdict %d, %v, want gone", name, done.Verdict, err)
		}
	}
	try("another session", s.ID, account.Change{Binding: "session 2", Browser: "browser"}, w.id)
	try("another browser", s.ID, account.Change{Binding: "session", Browser: "browser 2"}, w.id)
	try("no browser", s.ID, account.Change{Binding: "session"}, w.id)
	try("proved, from another session", s.ID, account.Change{Binding: "session 2", Browser: "browser", Proof: account.ProofFactor}, w.id)
	try("another set-up", s.ID+"A", unproved(), w.id)
	try("no set-up", "", unproved(), w.id)
	try("another account", s.ID, unproved(), w.book.ID("mallory"))
	if left := w.account().Setup; left == nil || left.Wrong != 0 {
		t.Errorf("set-up %v afterwards, want it untouched", left)
	}
	if done := w.confirm(s, right); done.Verdict != account.Right {
		t.Errorf("where it began: verdict %d, want right", done.Verdict)
	}
}

// I5: the fifth wrong code ends a set-up, also when they come at once.
func TestInvariantI5ASetUpEndsWithItsFifthWrongCode(t *testing.T) {
	for f, begin := range setups {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			s, right, wrong := begin(w, unproved())
			for i := range 4 {
				done := w.confirm(s, wrong)
				if done.Verdict != account.Wrong || done.AttemptsLeft != 4-i || done.Setup == nil || done.Setup.ID != s.ID {
					t.Fatalf("wrong code %d: verdict %d, %d left", i+1, done.Verdict, done.AttemptsLeft)
				}
				w.reopen()
			}
			if done := w.confirm(s, wrong); done.Verdict != account.UsedUp || done.Setup != nil {
				t.Fatalf("the fifth wrong code: verdict %d, want used up", done.Verdict)
			}
			if done := w.confirm(s, right); done.Verdict != account.Gone || w.account().Enrolled() {
				t.Errorf("the right code afterwards: verdict %d, want gone", done.Verdict)
			}
		})
		t.Run(string(f)+" at once", func(t *testing.T) {
			w := newWorld(t)
			s, _, wrong := begin(w, unproved())
			var counts [account.Unusable + 1]atomic.Int32
			atOnce(200, func(i int) {
				done, err := []*account.Book{w.book, w.node2}[i%2].Confirm(t.Context(), w.id, unproved(), s.ID, wrong, "")
				if err != nil {
					t.Error(err)
				}
				counts[done.Verdict].Add(1)
			})
			if a, b, c := counts[account.Wrong].Load(), counts[account.UsedUp].Load(), counts[account.Gone].Load(); a != 4 || b != 1 || c != 195 {
				t.Errorf("%d wrong, %d used up, %d gone, want 4, 1, 195", a, b, c)
			}
		})
	}
}

// I3, I6.
func TestInvariantI3FiftyCopiesOfARightConfirmationBindOnce(t *testing.T) {
	for f, begin := range setups {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			s, right, _ := begin(w, unproved())
			var bound, keys atomic.Int32
			atOnce(50, func(i int) {
				done, err := []*account.Book{w.book, w.node2}[i%2].Confirm(t.Context(), w.id, unproved(), s.ID, right, "")
				if err != nil {
					t.Error(err)
				}
				if done.Verdict == account.Right {
					bound.Add(1)
				}
				if done.RecoveryKey != "" {
					keys.Add(1)
				}
			})
			if bound.Load() != 1 || keys.Load() != 1 || w.account().Epoch != 1 || w.count(audit.EnrolmentBound) != 1 {
				t.Errorf("%d bound, %d recovery keys, epoch %d, want one each", bound.Load(), keys.Load(), w.account().Epoch)
			}
		})
	}
}

func TestASetUpExpires(t *testing.T) {
	w := newWorld(t)
	s, _, _ := setups[policy.TOTP](w, unproved())
	w.clock.add(account.SetupLifetime - 1)
	if w.account().Setup == nil {
		t.Error("the set-up is gone before its end")
	}
	w.clock.add(1)
	if w.account().Setup != nil {
		t.Error("the set-up is still there at its end")
	}
	if done := w.confirm(s, w.totp(s.Secret, 0)); done.Verdict != account.Gone || w.account().Enrolled() {
		t.Errorf("Confirm() at its end = %d, want gone", done.Verdict)
	}
	s = w.beginTOTP(unproved())
	w.clock.add(account.SetupLifetime - 1)
	if done := w.confirm(s, w.totp(s.Secret, 0)); done.Verdict != account.Right {
		t.Errorf("Confirm() a moment before = %d, want right", done.Verdict)
	}
}

func TestASetUpTakesThePlaceOfTheOneBefore(t *testing.T) {
	w := newWorld(t)
	first, firstCode, _ := setups[policy.SMS](w, unproved())
	second, secondCode, _ := setups[policy.SMS](w, unproved())
	if first.ID == second.ID || firstCode == secondCode {
		t.Fatal("two set-ups have the same id or the same code")
	}
	if done := w.confirm(first, firstCode); done.Verdict != account.Gone {
		t.Errorf("the first: verdict %d, want gone", done.Verdict)
	}
	if done := w.confirm(second, firstCode); done.Verdict != account.Wrong {
		t.Errorf("the second with the code of the first: verdict %d, want wrong (R30)", done.Verdict)
	}
	if done := w.confirm(second, secondCode); done.Verdict != account.Right {
		t.Errorf("the second: verdict %d, want right", done.Verdict)
	}
}

// I6: what was begun on an account without factors cannot be confirmed once it
// has one, and what was proved by a factor not once that is another.
func TestInvariantI6ASetUpEndsWhenTheFactorsChange(t *testing.T) {
	for name, tt := range map[string]struct {
		before, between func(w *world)
		begin           func(w *world) account.Change
	}{
		"unproved": {
			func(*world) {}, func(w *world) { w.enrolSMS() },
			func(*world) account.Change { return unproved() },
		},
		"proved, then an authenticator removed": {
			func(w *world) { w.enrolTOTP(); w.enrolTOTP() },
			func(w *world) {
				if _, err := w.book.Remove(w.Context(), w.id, w.proved(), w.account().Enrolments[0].ID); err != nil {
					w.Fatal(err)
				}
			},
			func(w *world) account.Change { return w.proved() },
		},
		"proved, then switched off": {
			func(w *world) { w.enrolTOTP() }, func(w *world) { w.switchOff() },
			func(w *world) account.Change { return w.proved() },
		},
		"proved, then the recovery key used": {
			func(w *world) { w.enrolTOTP() },
			func(w *world) {
				key, _, err := w.book.IssueRecoveryKey(w.Context(), w.id, w.proved())
				if err != nil {
					w.Fatal(err)
				}
				w.want(w.recover(key), account.Right)
			},
			func(w *world) account.Change { return w.proved() },
		},
		"proved, then frozen": {
			func(w *world) { w.enrolTOTP() }, func(w *world) { w.freeze(w.keyMade().Token) },
			func(w *world) account.Change { return w.proved() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tt.before(w)
			send := w.beginSMS(tt.begin(w), otherPhone)
			tt.between(w)
			before := w.account().Enrolments
			if done := w.confirm(send.Setup, send.Code); done.Verdict != account.Gone {
				t.Errorf("Confirm() = %d, want gone", done.Verdict)
			}
			if diff := cmp.Diff(before, w.account().Enrolments); diff != "" {
				t.Errorf("the factors changed (-before +after):\n%s", diff)
			}
		})
	}
}

// failing is a store that does not write while down is set.
type failing struct {
	store.Store
	down error
}

func (f *failing) Update(ctx context.Context, key store.Key, change store.Change) error {
	if f.down != nil {
		return f.down
	}
	return f.Store.Update(ctx, key, change)
}

// I6, I7: a crash leaves the old factor or the new one, never both or none.
func TestInvariantI6ConfirmingReplacesTheOldFactorInOneWrite(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	s := w.beginTOTP(w.proved())
	before := w.account()
	w.reopen()
	if diff := cmp.Diff(before, w.account()); diff != "" {
		t.Errorf("a crash before the confirmation changed (-before +after):\n%s", diff)
	}
	broken := w.another(&failing{Store: w.store, down: errors.New("disk on fire")})
	if done, err := broken.Confirm(t.Context(), w.id, unproved(), s.ID, w.totp(s.Secret, 0), ""); err == nil || done.Verdict == account.Right || done.RecoveryKey != "" {
		t.Errorf("Confirm() on a store that does not write = %d, %v, want an error and nothing else", done.Verdict, err)
	}
	if diff := cmp.Diff(before, w.account()); diff != "" {
		t.Errorf("a write that failed changed (-before +after):\n%s", diff)
	}

	// One event batch stands for one write: what is in it happened together.
	events := len(w.events())
	if done := w.bound(s, w.totp(s.Secret, 0)); done.Alert.Kind != account.KindSwitchedTOTP || done.RecoveryKey != "" {
		t.Errorf("Confirm() = %s, new recovery key %v, want a switch that leaves the key", done.Alert.Kind, done.RecoveryKey != "")
	}
	w.reopen()
	record, err := w.store.Get(t.Context(), store.NewKey("account", string(w.id)))
	if err != nil || record.Version != 3 {
		t.Errorf("the record was written %d times, %v, want 3: bound, begun, confirmed", record.Version, err)
	}
	var names []audit.Name
	for _, e := range w.events()[events:] {
		names = append(names, e.Name)
	}
	want := []audit.Name{audit.EnrolmentRemoved, audit.EnrolmentBound, audit.AccountGrantsRevoked}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("events differ (-want +got):\n%s", diff)
	}
	a := w.account()
	if len(a.Enrolments) != 1 || a.Enrolment(policy.TOTP) == nil || a.Epoch != before.Epoch+1 || !a.HeldUntil.IsZero() {
		t.Errorf("%v with %d enrolments, held until %s", a, len(a.Enrolments), a.HeldUntil)
	}
	w.want(w.recover(key), account.Right)
}

func TestASetUpCodeSurvivesARotation(t *testing.T) {
	w := newWorld(t)
	s, code, _ := setups[policy.SMS](w, unproved())
	var err error
	if w.ring, err = w.ring.Rotate(w.rand, w.clock.now(), w.clock.now()); err != nil {
		t.Fatal(err)
	}
	w.book = w.another(w.store)
	if done := w.confirm(s, code); done.Verdict != account.Right {
		t.Errorf("Confirm() after a rotation = %d, want right", done.Verdict)
	}
}

func TestASetUpWhoseKeyWasRetiredHasExpired(t *testing.T) {
	w := newWorld(t)
	s, code, _ := setups[policy.SMS](w, unproved())
	rotated, err := w.ring.Rotate(w.rand, w.clock.now(), w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	// A wrong answer seals the account again.
	w.ring = rotated
	w.book = w.another(w.store)
	if done := w.confirm(s, other(code)); done.Verdict != account.Wrong {
		t.Fatalf("Confirm() of a wrong code = %d, want wrong", done.Verdict)
	}
	if w.ring, err = rotated.Retire(1, w.clock.now(), 0); err != nil {
		t.Fatal(err)
	}
	w.book = w.another(w.store)
	if done := w.confirm(s, code); done.Verdict != account.Gone {
		t.Errorf("Confirm() = %d, want gone", done.Verdict)
	}
	if a := w.account(); a.Setup != nil || len(a.Enrolments) != 0 {
		t.Errorf("the set-up is still there, or %d factors are bound", len(a.Enrolments))
	}
}

// R24: without randomness nothing is begun, bound, issued or answered.
func TestWithoutRandomnessNothingIsMade(t *testing.T) {
	w := newWorld(t)
	in := ways[policy.SMS](w)
	c, before := w.proved(), w.account()
	broken := account.NewBook(w.store, w.ring, iotest.ErrReader(errors.New("no entropy")), w.clock.now)
	for name, change := range changes {
		if err := change.do(broken, t.Context(), w.id, c); err == nil {
			t.Errorf("%s without randomness = nil, want an error", name)
		}
	}
	if r, err := broken.Answer(t.Context(), w.id, in); err == nil || r.Verdict == account.Right {
		t.Errorf("Answer() without randomness = %d, %v, want an error", r.Verdict, err)
	}
	if diff := cmp.Diff(before, w.account()); diff != "" {
		t.Errorf("the account changed (-before +after):\n%s", diff)
	}
}
