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
	Purpose   Purpose
	// Code is what the player typed, normalised by package factor's
	// NormalizeCode for the six-digit factors.
	Code string
	// Expected is the code that was sent, for policy.SMS; empty if none is valid
	// now, which nothing matches.
	Expected string
	// Skew is how many TOTP steps of clock difference are accepted either way.
	Skew int
	// Trust makes the browser a trusted device, if the answer is right and no
	// recovery key.
	Trust Trust
	// Client is where it comes from, for the player's eyes.
	Client Client
}

// Result is the outcome of an answer.
type Result struct {
	Verdict Verdict
	// AttemptsLeft goes with Wrong and Used.
	AttemptsLeft int
	// RetryAt goes with TryLater, and with UsedUp and Wrong where a delay follows.
	RetryAt time.Time
	// Epoch is the account's now, with Right: what the challenge opens lives in it.
	Epoch uint64
	// Root goes with Right, for the Change that is made under this answer.
	Root time.Time
	// RecoveryKey is the new recovery key that replaces the one just used, in
	// groups, to be shown once; empty unless the factor was the recovery key.
	RecoveryKey string
	// Alerts is what the player is to be told of.
	Alerts []Alert
}

// Answer looks at one answer. Checking the budgets, comparing the code, spending
// the attempt or consuming the code are one atomic step, so N answers at once
// spend N attempts and one code passes once (invariants I3 and I5).
func (b *Book) Answer(ctx context.Context, id ID, in Answer) (Result, error) {
	d, err := b.draw()
	if err != nil {
		return Result{}, err
	}
	var out Result
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		d.at = now
		var t attempt
		if t, out = a.attempt(in, now); out.Verdict != Right {
			return nil, errUnchanged
		}
		verdict, root := Wrong, time.Time{}
		if !t.asker.stranger() || !a.Closed(now) {
			verdict, root = b.check(id, a, in, now)
		}
		if verdict == Unusable && t.asker.stranger() {
			verdict = Wrong // whether there is such a factor is no stranger's business (I11)
		}
		var events []audit.Event
		switch verdict {
		case Right:
			out, events = b.right(id, a, t, root, d)
		case Wrong, Used:
			spent := a.spendOn(&t, now)
			out, events = b.wrong(id, a, t, verdict, d)
			events = append(events, spent...)
		default:
			out = Result{Verdict: verdict}
			return nil, errUnchanged
		}
		return events, nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("checking answer: %w", err)
	}
	return out, nil
}

// attempt is an answer that is looked at.
type attempt struct {
	Answer
	asker   Asker
	browser string
	// trusted tells that it is spent from the budgets of a trusted browser, failed how
	// many wrong answers in a row came before it.
	trusted bool
	failed  int
	// kind is what the player is to be told of if it is wrong.
	kind Kind
}

// attempt returns what becomes of an answer that is looked at, with Right, or why it is
// not. A challenge whose attempts are used up may still be open, for those of which a
// provider has not said yet whether they are right.
func (a *Account) attempt(in Answer, now time.Time) (attempt, Result) {
	p := a.pending(in.Challenge)
	if p == nil || p.Wrong >= AttemptsPerChallenge {
		return attempt{}, Result{}
	}
	t := attempt{Answer: in, browser: p.Browser, asker: Asker{Device: p.Device, Stranger: p.Stranger, Purpose: in.Purpose}, trusted: a.Device(p.Device) != nil}
	if spent := a.budgets(t)[in.Factor]; spent != nil {
		t.failed = spent.InARow
	}
	return t, a.mayTry(in.Factor, t.asker, now)
}

// spendOn counts an attempt as a wrong one, on the challenge and on the account.
func (a *Account) spendOn(t *attempt, now time.Time) []audit.Event {
	a.pending(t.Challenge).Wrong++
	events, kind := a.spend(t.Factor, t.asker, now)
	t.kind = kind
	return events
}

// wrong does what follows a wrong answer whose attempt was spent.
func (b *Book) wrong(id ID, a *Account, t attempt, verdict Verdict, d drawn) (Result, []audit.Event) {
	p := a.pending(t.Challenge)
	out := Result{Verdict: verdict, AttemptsLeft: AttemptsPerChallenge - p.Wrong, RetryAt: a.NotBefore(t.Factor, t.asker)}
	event := audit.Event{Name: audit.ChallengeWrong, Challenge: p.ID, Rule: p.Rules, Factor: string(t.Factor)}
	if p.Wrong >= AttemptsPerChallenge && !a.asked(p.ID) {
		out.Verdict = UsedUp
		event.Name = audit.ChallengeUsedUp
		a.dropPending(p.ID)
	}
	out.Alerts = a.warn(id, t, d)
	return out, []audit.Event{event}
}

// warn returns what the player is to be told after an attempt that was spent.
func (a *Account) warn(id ID, t attempt, d drawn) []Alert {
	spent := a.budgets(t)[t.Factor]
	if t.kind == "" || t.kind == KindDisabled && (spent == nil || !spent.Disabled) {
		return nil
	}
	a.note(t.kind, t.Client, t.browser, d.at)
	return []Alert{a.alert(id, t.kind, d, time.Time{})}
}

// right does what follows a right answer, of which what was shown is consumed. root is
// that of the factor.
func (b *Book) right(id ID, a *Account, t attempt, root time.Time, d drawn) (Result, []audit.Event) {
	now, p := d.at, a.pending(t.Challenge)
	out := Result{Verdict: Right, Root: root}
	events := []audit.Event{{Name: audit.ChallengePassed, Challenge: p.ID, Rule: p.Rules, Factor: string(t.Factor)}}
	a.dropPending(t.Challenge)
	kind := KindPassed
	// Before the browser is trusted, which gives it other budgets than those it used.
	if spent := a.budgets(t)[t.Factor]; spent != nil {
		if spent.Disabled {
			// By the very attempt that turned out to be right, or by one beside it.
			events = append(events, audit.Event{Name: audit.EnrolmentUnlocked, Factor: string(t.Factor), Reason: "passed"})
		}
		delete(a.budgets(t), t.Factor)
	}
	switch {
	case t.Factor == policy.RecoveryKey:
		// Whoever lost the other factors may have lost more: everything that was opened
		// before ends, and the challenge goes on in the new epoch.
		kind = KindKeyUsed
		old := *a.Recovery
		// Whoever objects to what is done with the key objects to its being used.
		out.Root = earlier(now, root)
		out.RecoveryKey = b.issue(id, a, d, out.Root)
		if a.Frozen != nil {
			// Only a key from before the change that was objected to gets here, and the one
			// in its place goes to the same hands: it must lift the freeze as well.
			a.Recovery.Since, a.Recovery.Root = old.Since, old.Root
		}
		a.Recovered, a.Changed[policy.CauseRecovery] = now, now
		a.revoke()
		events = append(events, audit.Event{Name: audit.RecoveryKeyUsed, Challenge: t.Challenge},
			audit.Event{Name: audit.RecoveryKeyIssued}, audit.Event{Name: audit.AccountGrantsRevoked})
	case t.Trust.Device != "" && a.trust(t.asker.Device, t.Trust, t.Client, now):
		kind = KindDeviceTrusted
		events = append(events, audit.Event{Name: audit.DeviceTrusted})
	case t.failed >= FreeAttempts && a.Device(t.asker.Device) == nil:
		// A success after failures (OWASP ASVS 6.3.5).
		kind = KindFailures
	}
	a.note(kind, t.Client, t.browser, now)
	if kind != KindPassed {
		out.Alerts = []Alert{a.alert(id, kind, d, root)}
	}
	out.Epoch = a.Epoch
	return out, events
}

// check compares the code and, where it is right, marks it as used in a. root is that of
// the factor that has it.
func (b *Book) check(id ID, a *Account, in Answer, now time.Time) (v Verdict, root time.Time) {
	switch in.Factor {
	case policy.TOTP:
		return a.checkTOTP(in, now)
	case policy.SMS:
		e, usable := a.phone()
		if !usable {
			return Unusable, root
		}
		// The code belongs to the challenge: dropping the challenge consumes it.
		if in.Expected == "" || !factor.VerifySMSCode(in.Expected, in.Code) {
			return Wrong, root
		}
		return Right, e.shown(now)
	case policy.RecoveryKey:
		if !a.has(policy.RecoveryKey) {
			return Unusable, root
		}
		key, err := factor.ParseRecoveryKey(in.Code)
		if err != nil || subtle.ConstantTimeCompare(b.recoveryMAC(id, key), a.Recovery.MAC) != 1 {
			return Wrong, root
		}
		return Right, young(a.Recovery.Since, a.Recovery.Root, now)
	default:
		return Unusable, root
	}
}

// phone returns the phone that is a factor, and whether a code by SMS is looked at.
// Without one the code went to the phone that the site knows, which answers only while
// there is no factor (invariant I6).
func (a *Account) phone() (e *Enrolment, usable bool) {
	if e = a.Enrolment(policy.SMS); e != nil {
		return e, a.counts(e.Since)
	}
	return nil, !a.Enrolled() && a.Frozen == nil
}

// shown notes that a phone was shown to be at hand, and returns its root. The one that
// the site knows, nil, has none.
func (e *Enrolment) shown(now time.Time) time.Time {
	if e == nil {
		return time.Time{}
	}
	e.Used = now
	return young(e.Since, e.Root, now)
}

// checkTOTP compares the code with those of all authenticators, in the same time
// whichever has it. A wrong one has failed at every one of them, so they share their
// budget.
func (a *Account) checkTOTP(in Answer, now time.Time) (verdict Verdict, root time.Time) {
	if !a.has(policy.TOTP) {
		return Unusable, root
	}
	verdict = Wrong
	for i := range a.Enrolments {
		e := &a.Enrolments[i]
		if e.Factor != policy.TOTP || !a.counts(e.Since) {
			continue
		}
		step, result := factor.VerifyTOTP(e.Secret, in.Code, now, in.Skew, e.LastStep)
		switch {
		case result == factor.Right:
			// Wherever it is right it is used up, or it would pass once at each.
			e.LastStep, e.Used = step, now
			verdict, root = Right, earlier(young(e.Since, e.Root, now), root)
		case result == factor.Used && verdict == Wrong:
			verdict = Used
		}
	}
	return verdict, root
}

// recoveryMAC is the keyed hash under which a recovery key is kept. It covers
// the account, so that a record copied to another account opens nothing. The key
// has 128 bits: no password hash is needed (OWASP ASVS 6.5.2).
func (b *Book) recoveryMAC(id ID, key factor.RecoveryKey) []byte {
	sum := b.ring.MAC(seal.Recovery, string(id), string(key[:]))
	return sum[:]
}
