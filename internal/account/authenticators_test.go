package account_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
)

// R27, R63: up to five authenticators, each with a name, any of which answers.
func TestUpToFiveAuthenticatorsStandBesideEachOther(t *testing.T) {
	w := newWorld(t)
	var secrets [][]byte
	for i := range account.MaxAuthenticators {
		secret, key := w.enrolTOTP()
		secrets = append(secrets, secret)
		if (key != "") != (i == 0) {
			t.Errorf("authenticator %d came with a recovery key: %v", i+1, key != "")
		}
	}
	a := w.account()
	if len(a.Enrolments) != account.MaxAuthenticators || !a.Full() {
		t.Fatalf("%d authenticators, full %v", len(a.Enrolments), a.Full())
	}
	ids := map[string]bool{}
	for _, e := range a.Enrolments {
		ids[e.ID] = true
	}
	if len(ids) != account.MaxAuthenticators {
		t.Error("two authenticators have the same id")
	}
	for i, secret := range secrets {
		w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
		if e := w.account().Enrolments[i]; !e.Used.Equal(w.clock.now()) {
			t.Errorf("authenticator %d was used at %s, want now", i+1, e.Used)
		}
	}
	if _, err := w.book.BeginTOTP(t.Context(), w.id, w.proved()); !errors.Is(err, account.ErrFull) {
		t.Errorf("BeginTOTP() of a sixth = %v, want ErrFull", err)
	}
	if _, err := w.book.BeginTOTP(t.Context(), w.id, w.under(account.ProofRecovery)); err != nil {
		t.Errorf("BeginTOTP() under the recovery key, which replaces all of them = %v", err)
	}
}

// I6: guesses fail at every authenticator, so more of them are not more guesses.
func TestInvariantI5AuthenticatorsShareOneBudget(t *testing.T) {
	w := newWorld(t)
	first, _ := w.enrolTOTP()
	second, _ := w.enrolTOTP()
	both := account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(first)}
	if both.Code == w.totp(second, 0) {
		t.Fatal("the wrong code is right at the second")
	}
	w.fail(both, account.FreeAttempts)
	for _, secret := range [][]byte{first, second} {
		w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.TryLater)
	}
	if n := w.failures(policy.TOTP); n != account.FreeAttempts {
		t.Errorf("%d failures, want %d", n, account.FreeAttempts)
	}
}

// I6, R27: one that is removed answers nothing any more, and the last one stays.
func TestInvariantI6ARemovedAuthenticatorAnswersNothing(t *testing.T) {
	w := newWorld(t)
	first, _ := w.enrolTOTP()
	second, _ := w.enrolTOTP()
	c, ids := w.proved(), w.account().Enrolments
	if _, err := w.book.Remove(t.Context(), w.id, c, "none"); !errors.Is(err, account.ErrLast) {
		t.Errorf("Remove() of one that is not there = %v, want ErrLast", err)
	}
	alert, err := w.book.Remove(t.Context(), w.id, c, ids[0].ID)
	if err != nil || alert.Kind != account.KindTOTPRemoved {
		t.Fatalf("Remove() = %v, %v", alert, err)
	}
	w.reopen()
	if a := w.account(); a.Epoch != c.Epoch+1 || !a.Changed[policy.CauseFactorChange].Equal(w.clock.now()) {
		t.Errorf("epoch %d after %d, last change %s", a.Epoch, c.Epoch, a.Changed[policy.CauseFactorChange])
	}
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(first, 0)}, account.Wrong)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(second, 0)}, account.Right)
	if _, err := w.book.Remove(t.Context(), w.id, w.proved(), ids[1].ID); !errors.Is(err, account.ErrLast) {
		t.Errorf("Remove() of the last one = %v, want ErrLast", err)
	}
	if e := w.account().Enrolments; len(e) != 1 {
		t.Errorf("%d authenticators are left, want the last one", len(e))
	}
}

func TestANameIsKeptAsFarAsItIsText(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "  my phone\n": "my phone", strings.Repeat("é", 50): strings.Repeat("é", account.MaxName), "a\xffb": "ab",
		strings.Repeat("x", 39) + " y": strings.Repeat("x", 39),
	} {
		w := newWorld(t)
		s := w.beginTOTP(unproved())
		if done, err := w.book.Confirm(t.Context(), w.id, unproved(), s.ID, w.totp(s.Secret, 0), name); err != nil || done.Verdict != account.Right {
			t.Fatalf("Confirm() = %v, %v", done, err)
		}
		if got := w.account().Enrolments[0].Name; got != want {
			t.Errorf("the name %q is kept as %q, want %q", name, got, want)
		}
	}
}

// R59, R61: what is set up under the recovery key takes the place of all
// authenticators, which the player has lost.
func TestASetUpUnderTheRecoveryKeyReplacesEveryAuthenticator(t *testing.T) {
	for f, begin := range setups {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			lost, key := w.enrolTOTP()
			w.enrolTOTP()
			r := w.want(w.recover(key), account.Right)
			if a := w.account(); len(a.Enrolments) != 2 || !a.Recovered.Equal(w.clock.now()) {
				t.Fatalf("using the key left %d authenticators, recovered at %s", len(a.Enrolments), a.Recovered)
			}
			c := w.under(account.ProofRecovery)
			c.Epoch = r.Epoch
			s, right, _ := begin(w, c)
			if done := w.bound(s, right); done.RecoveryKey != "" {
				t.Error("a second new recovery key was issued")
			}
			w.reopen()
			a := w.account()
			if len(a.Enrolments) != 1 || a.Enrolments[0].Factor != f || !a.Recovered.IsZero() {
				t.Errorf("%d factors, recovered at %s", len(a.Enrolments), a.Recovered)
			}
			if v := w.answer(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(lost, 0)}).Verdict; v == account.Right {
				t.Error("a lost authenticator answers")
			}
			w.want(w.recover(r.RecoveryKey), account.Right)
		})
	}
}

// R57, R61, I9: the recovery key opens its own challenge and nothing else: what was
// opened, shown and begun before ends.
func TestARecoveryKeyOpensOneChallengeAndEndsEverythingElse(t *testing.T) {
	w := newWorld(t)
	secret, key := w.enrolTOTP()
	other, proved := w.challenge(), w.proved()
	s := w.beginTOTP(proved)
	r := w.want(w.recover(key), account.Right)
	a := w.account()
	if r.Epoch != proved.Epoch+1 || a.Epoch != r.Epoch || len(a.Pending) != 0 || !a.Changed[policy.CauseRecovery].Equal(w.clock.now()) {
		t.Errorf("epoch %d after %d, %d challenges are open", r.Epoch, proved.Epoch, len(a.Pending))
	}
	w.wantEpoch(w.node2, r.Epoch)
	w.want(account.Answer{Challenge: other, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Gone)
	if done := w.confirm(s, w.totp(s.Secret, 0)); done.Verdict != account.Gone {
		t.Errorf("Confirm() = %d, want gone", done.Verdict)
	}
	if _, err := w.book.SwitchOff(t.Context(), w.id, proved); !errors.Is(err, account.ErrNotProved) {
		t.Errorf("SwitchOff() under what was shown before = %v, want ErrNotProved", err)
	}
}

// R2, R19: a rule is closed for its holds after what they follow, and after a binding
// for which only the session spoke.
func TestARuleIsHeldAfterTheCausesThatItNames(t *testing.T) {
	w := newWorld(t)
	at := w.clock.now()
	a := &account.Account{Changed: map[policy.Cause]time.Time{policy.CauseFactorChange: at, policy.CauseRecovery: at.Add(time.Hour)}}
	hold := func(d time.Duration, after ...policy.Cause) policy.Hold { return policy.Hold{For: d, After: after} }
	for _, tt := range []struct {
		name  string
		holds []policy.Hold
		now   time.Time
		until time.Time
		why   policy.Cause
	}{
		{"no holds", nil, at, time.Time{}, ""},
		{"another cause", []policy.Hold{hold(time.Hour, policy.CauseSupport)}, at, time.Time{}, ""},
		{"running", []policy.Hold{hold(24*time.Hour, policy.CauseFactorChange)}, at.Add(24*time.Hour - 1), at.Add(24 * time.Hour), policy.CauseFactorChange},
		{"over", []policy.Hold{hold(24*time.Hour, policy.CauseFactorChange)}, at.Add(24 * time.Hour), time.Time{}, ""},
		{
			"the later end of two", []policy.Hold{hold(2*time.Hour, policy.CauseFactorChange), hold(2*time.Hour, policy.CauseRecovery)}, at,
			at.Add(3 * time.Hour), policy.CauseRecovery,
		},
	} {
		if until, why := a.Held(tt.holds, tt.now); !until.Equal(tt.until) || why != tt.why {
			t.Errorf("%s: held until %s by %q, want %s by %q", tt.name, until, why, tt.until, tt.why)
		}
	}
	a.HeldUntil = at.Add(time.Hour)
	if until, why := a.Held(nil, at); !until.Equal(a.HeldUntil) || why != policy.CauseFirstEnrolment {
		t.Errorf("held until %s by %q, want %s", until, why, a.HeldUntil)
	}
	if until, _ := a.Held(nil, a.HeldUntil); !until.IsZero() {
		t.Errorf("still held at its end, until %s", until)
	}
}
