package account_test

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// wrongs are a wrong answer by each factor.
var wrongs = map[policy.Factor]func(w *world) account.Answer{
	policy.TOTP: func(w *world) account.Answer {
		secret, _ := w.enrolTOTP()
		return account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
	},
	policy.SMS: func(w *world) account.Answer {
		w.enrolSMS()
		return account.Answer{Factor: policy.SMS, Code: "000000", Expected: "999999"}
	},
	policy.RecoveryKey: func(w *world) account.Answer {
		w.enrolSMS()
		return account.Answer{Factor: policy.RecoveryKey, Code: "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA-AA"}
	},
}

// I5, R31: N parallel guesses spend N attempts, and no more are looked at than
// there are.
func TestInvariantI5TwoHundredWrongCodesAtOnceSpendExactlyFiveAttempts(t *testing.T) {
	for f, wrong := range wrongs {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			in := wrong(w)
			in.Challenge = w.challenge()
			got := w.verdicts(200, func(int) account.Answer { return in })
			if got[account.Wrong] != 4 || got[account.UsedUp] != 1 || got[account.Gone] != 195 {
				t.Errorf("verdicts = %v, want four wrong, one used up and the rest gone", got)
			}
			if n := w.failures(f); n != 5 {
				t.Errorf("%d failures are counted, want 5", n)
			}
			if wrong, up := w.count(audit.ChallengeWrong), w.count(audit.ChallengeUsedUp); wrong != 4 || up != 1 {
				t.Errorf("the audit log has %d wrong codes and %d used up, want 4 and 1", wrong, up)
			}
			if left := w.account().AttemptsLeft(in.Challenge); left != 0 {
				t.Errorf("%d attempts are left, want the challenge closed (R9)", left)
			}
		})
	}
}

// I5: the budget is the account's. More challenges are not more guesses.
func TestInvariantI5GuessesAtFiveChallengesAtOnceShareOneBudget(t *testing.T) {
	w := newWorld(t)
	in := wrongs[policy.TOTP](w)
	var challenges []string
	for range account.MaxPending {
		challenges = append(challenges, w.challenge())
	}
	got := w.verdicts(200, func(i int) account.Answer {
		in := in
		in.Challenge = challenges[i%len(challenges)]
		return in
	})
	if looked := got[account.Wrong] + got[account.UsedUp]; looked != account.FreeAttempts || w.failures(policy.TOTP) != looked {
		t.Errorf("verdicts = %v with %d failures, want %d looked at", got, w.failures(policy.TOTP), account.FreeAttempts)
	}
}

func TestAttemptsLeftCountDownOverAllFactorsOfAChallenge(t *testing.T) {
	w := newWorld(t)
	wrong := wrongs[policy.TOTP](w)
	key := account.Answer{Factor: policy.RecoveryKey, Code: "nonsense"}
	wrong.Challenge = w.challenge()
	key.Challenge = wrong.Challenge
	for i, in := range []account.Answer{wrong, key, wrong, key} {
		r := w.want(in, account.Wrong)
		if want := account.AttemptsPerChallenge - 1 - i; r.AttemptsLeft != want || w.account().AttemptsLeft(in.Challenge) != want {
			t.Errorf("%d attempts left after %d, want %d", r.AttemptsLeft, i+1, want)
		}
	}
	w.want(wrong, account.UsedUp)
	w.want(key, account.Gone)
	if a, b := w.failures(policy.TOTP), w.failures(policy.RecoveryKey); a != 3 || b != 2 {
		t.Errorf("%d and %d failures, want 3 and 2", a, b)
	}
}

// I5, R51: nothing that a player or an attacker can start anew gives attempts
// back. Four wrong answers, a new start, one wrong answer: the delay begins.
func TestInvariantI5NoNewBeginningResetsTheFailures(t *testing.T) {
	beginnings := map[string]func(w *world, challenge string) (next string){
		"a new challenge": func(w *world, _ string) string { return w.challenge() },
		"a resend": func(w *world, id string) string {
			w.clock.add(30 * time.Second)
			w.text(id)
			return id
		},
		"a new code": func(w *world, id string) string {
			w.clock.add(4 * time.Minute)
			w.text(id)
			return id
		},
		"a cancelled challenge": func(w *world, id string) string {
			if err := w.book.CloseChallenge(w.Context(), w.id, id, audit.ChallengeCancelled, account.Client{}); err != nil {
				w.Fatal(err)
			}
			return w.challenge()
		},
		"an expired challenge": func(w *world, _ string) string {
			w.clock.add(time.Hour)
			return w.challenge()
		},
		"a challenge that gave way": func(w *world, _ string) string {
			for range account.MaxPending {
				w.challenge()
			}
			return w.challenge()
		},
		"a changed request": func(w *world, _ string) string {
			in := w.interruption("another amount")
			in.Exclusive = true
			return w.open(in).Pending.ID
		},
		"a restart": func(w *world, id string) string {
			w.reopen()
			return id
		},
		"another node": func(w *world, id string) string {
			w.book = w.node2
			return id
		},
		"a rotated key": func(w *world, id string) string {
			var err error
			if w.ring, err = w.ring.Rotate(w.rand, w.clock.now(), w.clock.now()); err != nil {
				w.Fatal(err)
			}
			w.book = w.another(w.store)
			return id
		},
		"a set-up": func(w *world, id string) string {
			w.confirm(w.beginSMS(w.proved(), otherPhone).Setup, "")
			return id
		},
		"a night": func(w *world, _ string) string {
			w.clock.add(24 * time.Hour)
			return w.challenge()
		},
	}
	for name, again := range beginnings {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrolSMS()
			id, code := w.texted()
			wrong := account.Answer{Challenge: id, Factor: policy.SMS, Code: "none", Expected: code}
			for range 4 {
				if r := w.want(wrong, account.Wrong); !r.RetryAt.IsZero() {
					t.Fatalf("a delay until %s after fewer than five failures", r.RetryAt)
				}
			}
			wrong.Challenge = again(w, id)
			r := w.answer(wrong)
			if want := w.clock.now().Add(account.MinDelay); r.Verdict != account.Wrong && r.Verdict != account.UsedUp || !r.RetryAt.Equal(want) {
				t.Fatalf("the fifth wrong answer: verdict %d, delay until %s, want until %s", r.Verdict, r.RetryAt, want)
			}
			right := account.Answer{Challenge: w.challenge(), Factor: policy.SMS, Code: code, Expected: code}
			w.clock.add(account.MinDelay - 1)
			if r := w.want(right, account.TryLater); !r.RetryAt.Equal(w.clock.now().Add(1)) {
				t.Errorf("RetryAt = %s, want the end of the delay", r.RetryAt)
			}
			w.clock.add(1)
			w.want(right, account.Right)
		})
	}
}

// R52, R53: delays of 30 s to 1 h.
func TestTheDelayDoublesFromThirtySecondsToOneHour(t *testing.T) {
	w := newWorld(t)
	wrong := wrongs[policy.TOTP](w)
	want := []time.Duration{
		0, 0, 0, 0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute,
		32 * time.Minute, time.Hour, time.Hour, time.Hour,
	}
	for i, delay := range want {
		r := w.fail(wrong, 1)
		got := time.Duration(0)
		if !r.RetryAt.IsZero() {
			got = r.RetryAt.Sub(w.clock.now())
		}
		if got != delay {
			t.Errorf("the delay after %d failures is %s, want %s", i+1, got, delay)
		}
		if at := w.account().NotBefore(policy.TOTP, w.asker(account.ForRequest)); !at.Equal(r.RetryAt) {
			t.Errorf("NotBefore() = %s, want %s", at, r.RetryAt)
		}
	}
	// Up to the last failure before the end the delay stays an hour.
	if r := w.fail(wrong, 99-len(want)); r.RetryAt.Sub(w.clock.now()) != account.MaxDelay {
		t.Errorf("the delay after 99 failures is %s, want %s", r.RetryAt.Sub(w.clock.now()), account.MaxDelay)
	}
}

func TestAnAnswerThatIsNotLookedAtSpendsNothing(t *testing.T) {
	w := newWorld(t)
	wrong := wrongs[policy.TOTP](w)
	w.fail(wrong, 5)
	wrong.Challenge = w.challenge()
	before := len(w.events())
	for range 3 {
		w.want(wrong, account.TryLater)
	}
	if n := w.failures(policy.TOTP); n != 5 {
		t.Errorf("%d failures, want the five before", n)
	}
	if left := w.account().AttemptsLeft(wrong.Challenge); left != account.AttemptsPerChallenge {
		t.Errorf("%d attempts left, want all", left)
	}
	if n := len(w.events()) - before; n != 0 {
		t.Errorf("%d events were written", n)
	}
	// A delay of one factor is none of another.
	w.want(account.Answer{Challenge: wrong.Challenge, Factor: policy.RecoveryKey, Code: "nonsense"}, account.Wrong)
}

// R53: at most 100 failures in a row, then the factor is disabled until it is
// bound anew; I7: for a restart, too.
func TestInvariantI5AFactorIsDisabledAtExactlyOneHundredFailuresInARow(t *testing.T) {
	w := newWorld(t)
	secret, recovery := w.enrolTOTP()
	wrong := account.Answer{Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
	w.fail(wrong, account.DisableAfter-1)
	if w.account().Disabled(policy.TOTP, w.asker(account.ForRequest)) || w.count(audit.EnrolmentDisabled) != 0 {
		t.Fatal("the factor is disabled after 99 failures")
	}
	w.fail(wrong, 1)
	w.reopen()
	if !w.account().Disabled(policy.TOTP, w.asker(account.ForRequest)) || w.count(audit.EnrolmentDisabled) != 1 {
		t.Fatalf("disabled %v, with %d events, after 100 failures", w.account().Disabled(policy.TOTP, w.asker(account.ForRequest)), w.count(audit.EnrolmentDisabled))
	}
	w.clock.add(100 * 24 * time.Hour)
	id := w.challenge()
	w.want(account.Answer{Challenge: id, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Disabled)
	if got := w.account().Usable(policy.DefaultFactors, w.asker(account.ForRequest)); len(got) != 1 || got[0] != policy.RecoveryKey {
		t.Errorf("Usable() = %v, want the recovery key only", got)
	}
	if !w.account().Enrolled() {
		t.Error("a disabled factor makes the account look as if it had none (I6)")
	}
	// Another factor's success leaves it disabled; binding it anew ends it.
	w.want(account.Answer{Challenge: id, Factor: policy.RecoveryKey, Code: recovery}, account.Right)
	if !w.account().Disabled(policy.TOTP, w.asker(account.ForRequest)) {
		t.Error("a right recovery key enables the authenticator again")
	}
	secret, _ = w.enrolTOTP()
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
}

// R53: success clears earlier failures, those of its own factor.
func TestARightAnswerClearsTheFailuresOfItsFactor(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	id := w.challenge()
	wrong := account.Answer{Challenge: id, Factor: policy.TOTP, Code: w.wrongTOTP(secret)}
	w.want(wrong, account.Wrong)
	w.want(wrong, account.Wrong)
	w.want(account.Answer{Challenge: id, Factor: policy.RecoveryKey, Code: "nonsense"}, account.Wrong)
	w.want(account.Answer{Challenge: id, Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Right)
	if a, b := w.failures(policy.TOTP), w.failures(policy.RecoveryKey); a != 0 || b != 1 {
		t.Errorf("%d and %d failures, want those of the recovery key only", a, b)
	}
	if r := w.fail(wrong, 4); !r.RetryAt.IsZero() {
		t.Error("four failures after a success cost a delay")
	}
}

// R54, decided: replaying a code counts like guessing one.
func TestInvariantI5ReplaysOfAUsedCodeSpendTheBudget(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	code := w.totp(secret, 0)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: code}, account.Right)
	replay := account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: code}
	for i := range 4 {
		if r := w.want(replay, account.Used); r.AttemptsLeft != 4-i {
			t.Errorf("%d attempts left after %d replays", r.AttemptsLeft, i+1)
		}
	}
	r := w.want(replay, account.UsedUp)
	if !r.RetryAt.Equal(w.clock.now().Add(account.MinDelay)) {
		t.Errorf("RetryAt = %s, want a delay", r.RetryAt)
	}
}
