package account_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// A way to answer: an account that has it, and a right answer to a new challenge.
var ways = map[policy.Factor]func(w *world) account.Answer{
	policy.TOTP: func(w *world) account.Answer {
		secret, _ := w.enrolTOTP()
		return account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}
	},
	policy.SMS: func(w *world) account.Answer {
		w.enrolSMS()
		id, code := w.texted()
		return account.Answer{Challenge: id, Factor: policy.SMS, Code: code, Expected: code}
	},
	policy.RecoveryKey: func(w *world) account.Answer {
		key := w.enrolSMS()
		return account.Answer{Challenge: w.challenge(), Factor: policy.RecoveryKey, Code: key}
	},
}

// I3, R5, R22: also under concurrent submits and on several nodes.
func TestInvariantI3FiftyCopiesOfARightCodePassOnce(t *testing.T) {
	for f, right := range ways {
		t.Run(string(f), func(t *testing.T) {
			w := newWorld(t)
			in := right(w)
			got := w.verdicts(50, func(int) account.Answer { return in })
			if got[account.Right] != 1 || got[account.Gone] != 49 {
				t.Errorf("verdicts = %v, want one right and 49 gone", got)
			}
			if n := w.failures(f); n != 0 {
				t.Errorf("%d failures are counted, want none: the player typed one right code", n)
			}
			if n := w.count(audit.ChallengePassed); n != 1 {
				t.Errorf("%d challenges were passed by the audit log, want 1", n)
			}
		})
	}
}

// I3: what is consumed is the code, not the challenge.
func TestInvariantI3OneTOTPCodePassesOneOfTwoChallenges(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	challenges := []string{w.challenge(), w.challenge()}
	code := w.totp(secret, 0)
	got := w.verdicts(50, func(i int) account.Answer {
		return account.Answer{Challenge: challenges[i/2%2], Factor: policy.TOTP, Code: code}
	})
	if got[account.Right] != 1 {
		t.Errorf("verdicts = %v, want one right", got)
	}
	if open := len(w.account().Pending); open > 1 {
		t.Errorf("%d challenges are open, want at most one", open)
	}
}

func TestInvariantI3OneRecoveryKeyPassesOneOfTwoChallenges(t *testing.T) {
	w := newWorld(t)
	key := w.enrolSMS()
	challenges := []string{w.challenge(), w.challenge()}
	got := w.verdicts(50, func(i int) account.Answer {
		return account.Answer{Challenge: challenges[i/2%2], Factor: policy.RecoveryKey, Code: key}
	})
	if got[account.Right] != 1 {
		t.Errorf("verdicts = %v, want one right", got)
	}
}

// I3, I7, R54: a TOTP code is used up, with all before it, for every later challenge, and
// after a restart. Trying it again counts as a failure.
func TestInvariantI3AUsedTOTPCodeStaysUsed(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	earlier, now, later := w.totp(secret, -1), w.totp(secret, 0), w.totp(secret, 1)
	answer := func(code string) account.Answer {
		return account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: code, Skew: 1}
	}
	w.want(answer(now), account.Right)
	w.want(answer(now), account.Used)
	w.reopen()
	w.want(answer(now), account.Used)
	w.want(answer(earlier), account.Used)
	if n := w.failures(policy.TOTP); n != 3 {
		t.Errorf("%d failures are counted, want the three replays", n)
	}
	w.want(answer(later), account.Right)
	w.clock.add(30 * time.Second)
	w.want(answer(later), account.Used)
}

func TestInvariantI3TheCodeThatBoundAnAuthenticatorPassesNothing(t *testing.T) {
	w := newWorld(t)
	s := w.beginTOTP(w.under(account.ProofLogin))
	code := w.totp(s.Secret, 0)
	w.bound(s, code)
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: code, Skew: 1}, account.Used)
}

func TestATOTPCodeIsGoodInItsStepAndTheSkewOnly(t *testing.T) {
	for _, tt := range []struct {
		skew, step int
		want       account.Verdict
	}{
		{0, 0, account.Right}, {0, -1, account.Wrong}, {0, 1, account.Wrong},
		{1, 1, account.Right}, {1, 2, account.Wrong}, {1, -2, account.Wrong},
	} {
		w := newWorld(t)
		secret, _ := w.enrolTOTP()
		w.clock.add(10 * time.Minute)
		in := account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, tt.step), Skew: tt.skew}
		if got := w.answer(in); got.Verdict != tt.want {
			t.Errorf("the code of step %d with a skew of %d: verdict %d, want %d", tt.step, tt.skew, got.Verdict, tt.want)
		}
	}
}

// R4, R30: an SMS code is its own challenge's.
func TestACodeForOneChallengeFailsOnAnother(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	a, codeA := w.texted()
	b, codeB := w.texted()
	if codeA == codeB {
		t.Fatal("two challenges have the same code")
	}
	w.want(account.Answer{Challenge: b, Factor: policy.SMS, Code: codeA, Expected: codeB}, account.Wrong)
	w.want(account.Answer{Challenge: a, Factor: policy.SMS, Code: codeB, Expected: codeA}, account.Wrong)
	w.want(account.Answer{Challenge: a, Factor: policy.SMS, Code: codeA, Expected: codeA}, account.Right)
	w.want(account.Answer{Challenge: b, Factor: policy.SMS, Code: codeB, Expected: codeB}, account.Right)
}

func TestNothingMatchesAnSMSCodeThatWasNotSent(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	for _, code := range []string{"", "000000", "\x00"} {
		w.want(account.Answer{Challenge: w.challenge(), Factor: policy.SMS, Code: code}, account.Wrong)
	}
}

func TestAnAnswerCountsOnlyForAnOpenChallengeOfTheAccount(t *testing.T) {
	w := newWorld(t)
	in := ways[policy.SMS](w)
	stranger, err := w.book.Answer(t.Context(), w.book.ID("mallory"), to(in))
	if err != nil || stranger.Verdict != account.Gone {
		t.Errorf("a right answer on another account: verdict %d, %v, want gone", stranger.Verdict, err)
	}
	for _, unknown := range []string{"", "challenge-99", in.Challenge + "A"} {
		other := in
		other.Challenge = unknown
		w.want(other, account.Gone)
	}
	if err := w.book.CloseChallenge(t.Context(), w.id, in.Challenge, audit.ChallengeCancelled, account.Client{}); err != nil {
		t.Fatal(err)
	}
	w.want(in, account.Gone)
	if n := w.failures(policy.SMS); n != 0 {
		t.Errorf("%d failures are counted for answers to nothing", n)
	}
}

// R7: a factor that the player does not have cannot be chosen, and costs nothing.
func TestAFactorThatIsNotEnrolledIsUnusable(t *testing.T) {
	w := newWorld(t)
	id := w.challenge()
	for _, f := range []policy.Factor{policy.TOTP, policy.RecoveryKey, "", "email", "TOTP"} {
		w.want(account.Answer{Challenge: id, Factor: f, Code: "123456", Expected: "123456"}, account.Unusable)
	}
	if a := w.account(); len(a.Failures) != 0 || a.AttemptsLeft(id) != account.AttemptsPerChallenge {
		t.Errorf("failures %v and %d attempts left, want nothing spent", a.Failures, a.AttemptsLeft(id))
	}
}

func TestUsableGivesTheAcceptedFactorsThatThePlayerHas(t *testing.T) {
	w := newWorld(t)
	if got := w.account().Usable(policy.DefaultFactors, w.asker(account.ForRequest)); len(got) != 0 {
		t.Errorf("Usable() of an empty account = %v", got)
	}
	w.enrolTOTP()
	for _, tt := range []struct{ accepted, want []policy.Factor }{
		{policy.DefaultFactors, []policy.Factor{policy.TOTP, policy.RecoveryKey}},
		{[]policy.Factor{policy.RecoveryKey, policy.TOTP}, []policy.Factor{policy.RecoveryKey, policy.TOTP}},
		{[]policy.Factor{policy.SMS}, nil},
		{nil, nil},
	} {
		got := w.account().Usable(tt.accepted, w.asker(account.ForRequest))
		if len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
			t.Errorf("Usable(%v) = %v, want %v", tt.accepted, got, tt.want)
		}
	}
}

// I3: two authenticators may show the same code. It passes once, and not once at each.
func TestInvariantI3ACodeThatIsRightAtTwoAuthenticatorsPassesOnce(t *testing.T) {
	w := newWorld(t)
	random := w.book
	w.book = account.NewBook(w.store, w.ring, zeros{}, w.clock.now)
	first, _ := w.enrolTOTP()
	second, _ := w.enrolTOTP()
	w.book = random
	if !bytes.Equal(first, second) {
		t.Fatal("the authenticators differ")
	}
	in := account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(first, 0)}
	w.want(in, account.Right)
	in.Challenge = w.challenge()
	w.want(in, account.Used)
}

// zeros is randomness without any.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
