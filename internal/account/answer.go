package account

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
)

// Verdict says what became of an answer.
type Verdict int

// The verdicts.
const (
	// Gone: the challenge or set-up is not open (any more).
	Gone Verdict = iota
	// Right: the factor was shown, and what was shown is consumed.
	Right
	// Wrong: an attempt was spent.
	Wrong
	// Used: a right code that was used before; an attempt was spent.
	Used
	// UsedUp: wrong, and it was the last attempt: the challenge is closed.
	UsedUp
	// TryLater: not looked at, because of the delay after earlier failures.
	TryLater
	// Disabled: not looked at, because the factor is disabled.
	Disabled
	// Unusable: the account has no such factor.
	Unusable
)

// Answer is one answer to a challenge.
type Answer struct {
	Challenge string
	Factor    policy.Factor
	// Code is what the player typed, normalised by package factor's
	// NormalizeCode for the six-digit factors.
	Code string
	// Expected is the code that was sent, for policy.SMS; empty if none is valid
	// now, which nothing matches.
	Expected string
	// Skew is how many TOTP steps of clock difference are accepted either way.
	Skew int
}

// Result is the outcome of an answer.
type Result struct {
	Verdict Verdict
	// AttemptsLeft goes with Wrong and Used.
	AttemptsLeft int
	// RetryAt goes with TryLater, and with UsedUp and Wrong where a delay follows.
	RetryAt time.Time
	// RecoveryKey is the new recovery key that replaces the one just used, in
	// groups, to be shown once; empty unless the factor was the recovery key.
	RecoveryKey string
}

// Answer looks at one answer. Checking the budgets, comparing the code, spending
// the attempt or consuming the code are one atomic step, so N answers at once
// spend N attempts and one code passes once (invariants I3 and I5).
func (b *Book) Answer(ctx context.Context, id ID, in Answer) (Result, error) {
	// Drawn before the update: a change function may run several times.
	next, err := factor.NewRecoveryKey(b.rand)
	if err != nil {
		return Result{}, err
	}
	var out Result
	err = b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		out = Result{}
		p := a.pending(in.Challenge)
		if p == nil {
			return nil, errUnchanged
		}
		now := b.now()
		if out = a.mayTry(in.Factor, now); out.Verdict != Right {
			return nil, errUnchanged
		}
		event := audit.Event{Challenge: p.ID, Rule: p.Rules, Factor: string(in.Factor)}
		verdict := b.check(id, a, in, now)
		switch verdict {
		case Right:
			delete(a.Failures, in.Factor)
			a.dropPending(p.ID)
			out = Result{Verdict: Right}
			event.Name = audit.ChallengePassed
			events := []audit.Event{event}
			if in.Factor == policy.RecoveryKey {
				a.Recovery = &Recovery{MAC: b.recoveryMAC(id, next), Since: now}
				out.RecoveryKey = next.Text()
				events = append(events, audit.Event{Name: audit.RecoveryKeyUsed, Challenge: p.ID}, audit.Event{Name: audit.RecoveryKeyIssued})
			}
			return events, nil
		case Wrong, Used:
			events := a.spend(in.Factor, now)
			p.Wrong++
			out = Result{Verdict: verdict, AttemptsLeft: AttemptsPerChallenge - p.Wrong, RetryAt: a.NotBefore(in.Factor)}
			event.Name = audit.ChallengeWrong
			if p.Wrong >= AttemptsPerChallenge {
				out.Verdict = UsedUp
				event.Name = audit.ChallengeUsedUp
				a.dropPending(p.ID)
			}
			return append([]audit.Event{event}, events...), nil
		default:
			out = Result{Verdict: verdict}
			return nil, errUnchanged
		}
	})
	if err != nil {
		return Result{}, fmt.Errorf("checking answer: %w", err)
	}
	return out, nil
}

// mayTry says Right if an answer for the factor is looked at now.
func (a *Account) mayTry(f policy.Factor, now time.Time) Result {
	spent := a.Failures[f]
	switch {
	case spent == nil:
		return Result{Verdict: Right}
	case spent.Disabled:
		return Result{Verdict: Disabled}
	case now.Before(spent.NotBefore):
		return Result{Verdict: TryLater, RetryAt: spent.NotBefore}
	default:
		return Result{Verdict: Right}
	}
}

// check compares the code and, where it is right, marks it as used in a.
func (b *Book) check(id ID, a *Account, in Answer, now time.Time) Verdict {
	switch in.Factor {
	case policy.TOTP:
		e := a.Enrolment(policy.TOTP)
		if e == nil {
			return Unusable
		}
		step, result := factor.VerifyTOTP(e.Secret, in.Code, now, in.Skew, e.LastStep)
		switch result {
		case factor.Right:
			e.LastStep = step
			return Right
		case factor.Used:
			return Used
		default:
			return Wrong
		}
	case policy.SMS:
		// The code belongs to the challenge: dropping the challenge consumes it.
		if in.Expected != "" && factor.VerifySMSCode(in.Expected, in.Code) {
			return Right
		}
		return Wrong
	case policy.RecoveryKey:
		if a.Recovery == nil {
			return Unusable
		}
		key, err := factor.ParseRecoveryKey(in.Code)
		if err != nil || subtle.ConstantTimeCompare(b.recoveryMAC(id, key), a.Recovery.MAC) != 1 {
			return Wrong
		}
		return Right
	default:
		return Unusable
	}
}

// spend counts one wrong answer for a factor.
func (a *Account) spend(f policy.Factor, now time.Time) []audit.Event {
	spent := a.Failures[f]
	if spent == nil {
		spent = new(Failures)
		a.Failures[f] = spent
	}
	spent.InARow++
	if over := spent.InARow - FreeAttempts; over >= 0 {
		delay := MaxDelay
		if over < 7 { // 30 s · 2⁷ is over an hour
			delay = min(MinDelay<<over, MaxDelay)
		}
		spent.NotBefore = now.Add(delay)
	}
	if spent.InARow >= DisableAfter && !spent.Disabled {
		spent.Disabled = true
		return []audit.Event{{Name: audit.EnrolmentDisabled, Factor: string(f)}}
	}
	return nil
}

// recoveryMAC is the keyed hash under which a recovery key is kept. It covers
// the account, so that a record copied to another account opens nothing. The key
// has 128 bits: no password hash is needed (OWASP ASVS 6.5.2).
func (b *Book) recoveryMAC(id ID, key factor.RecoveryKey) []byte {
	sum := b.ring.MAC(seal.Recovery, string(id), string(key[:]))
	return sum[:]
}
