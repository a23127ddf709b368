package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// Change says under whose hands a factor changes.
type Change struct {
	// Binding and Browser as in Pending: a set-up can only be confirmed from the
	// session and browser that began it.
	Binding, Browser string
	// Proved tells that a current factor, or the phone that the site knows, was
	// shown for this change, while the account was in Epoch. Without it the account
	// must have no factor at all.
	Proved bool
	Epoch  uint64
	// Hold is how long a cooling-off time lasts that follows an unproved binding.
	Hold time.Duration
}

// ErrNotProved says that a factor would have changed without a current one
// (invariant I6).
var ErrNotProved = errors.New("changing a factor without a current one")

// may reports whether the change is allowed for the account as it is now, inside
// the update that makes it: between the challenge and now another factor may
// have been bound.
func (c Change) may(a *Account) bool {
	if c.Proved {
		return c.Epoch == a.Epoch
	}
	return !a.Enrolled()
}

// BeginTOTP draws a new authenticator secret and keeps it until it is confirmed.
// It takes the place of a set-up under way.
func (b *Book) BeginTOTP(ctx context.Context, id ID, c Change) (*Setup, error) {
	secret, err := factor.NewTOTPSecret(b.rand)
	if err != nil {
		return nil, err
	}
	return b.begin(ctx, id, c, Setup{Factor: policy.TOTP, Secret: secret})
}

// BeginSMS keeps a phone number until the code that goes to it is confirmed. It
// takes the place of a set-up under way.
func (b *Book) BeginSMS(ctx context.Context, id ID, c Change, phone sms.Number) (*Setup, error) {
	return b.begin(ctx, id, c, Setup{Factor: policy.SMS, Phone: phone, Key: b.ring.Current()})
}

func (b *Book) begin(ctx context.Context, id ID, c Change, s Setup) (*Setup, error) {
	var err error
	if s.ID, err = newID(b.rand); err != nil {
		return nil, err
	}
	s.Binding, s.Browser, s.Unproved = c.Binding, c.Browser, !c.Proved
	s.Expires = b.now().Add(SetupLifetime)
	err = b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		if !c.may(a) {
			return nil, ErrNotProved
		}
		kept := s
		a.Setup = &kept
		return []audit.Event{{Name: audit.EnrolmentBegun, Factor: string(s.Factor)}}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("beginning set-up: %w", err)
	}
	return &s, nil
}

// SetupCode returns the SMS code of a set-up.
func (b *Book) SetupCode(s *Setup) (string, error) {
	key, err := b.ring.Key(s.Key, seal.Code)
	if err != nil {
		return "", fmt.Errorf("deriving set-up code: %w", err)
	}
	return factor.SMSCode(key, "setup/"+s.ID, 0, s.Phone.E164()), nil
}

// Confirmed is the outcome of Confirm.
type Confirmed struct {
	Verdict Verdict
	// AttemptsLeft goes with Wrong.
	AttemptsLeft int
	// Setup is the set-up as it is now, for the page; nil with Gone and UsedUp.
	Setup *Setup
	// RecoveryKey is the account's new recovery key, to be shown once.
	RecoveryKey string
}

// Confirm binds the factor that is being set up, if the code is right. The new
// factor takes the place of the old ones in the same write, a new recovery key
// with it, and all grants end: a crash leaves either the old factors or the new
// one (invariants I6 and I7).
func (b *Book) Confirm(ctx context.Context, id ID, c Change, setup, code string) (Confirmed, error) {
	next, err := factor.NewRecoveryKey(b.rand)
	if err != nil {
		return Confirmed{}, err
	}
	var out Confirmed
	err = b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		out = Confirmed{}
		s := a.Setup
		if s == nil || s.ID != setup || s.Binding != c.Binding || s.Browser != c.Browser {
			return nil, errUnchanged
		}
		c := c
		// A set-up ends with its epoch, so what was proved for it still is.
		c.Proved, c.Epoch = !s.Unproved, a.Epoch
		if !c.may(a) {
			return nil, ErrNotProved
		}
		now := b.now()
		step, right, err := b.checkSetup(s, code, now)
		if errors.Is(err, seal.ErrUnknownKey) {
			// The key of its code was retired: the code, and the set-up with it, has
			// expired.
			a.Setup = nil
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if !right {
			s.Wrong++
			out = Confirmed{Verdict: Wrong, AttemptsLeft: AttemptsPerChallenge - s.Wrong, Setup: s}
			if s.Wrong >= AttemptsPerChallenge {
				a.Setup = nil
				out = Confirmed{Verdict: UsedUp}
			}
			return []audit.Event{{Name: audit.ChallengeWrong, Factor: string(s.Factor), Reason: "setup"}}, nil
		}
		out = Confirmed{Verdict: Right, Setup: s, RecoveryKey: next.Text()}
		return b.bind(id, a, c, Enrolment{Factor: s.Factor, Secret: s.Secret, Phone: s.Phone, Since: now, LastStep: step}, next), nil
	})
	if err != nil {
		return Confirmed{}, fmt.Errorf("confirming set-up: %w", err)
	}
	return out, nil
}

func (b *Book) checkSetup(s *Setup, code string, now time.Time) (step int64, right bool, err error) {
	if s.Factor == policy.TOTP {
		step, result := factor.VerifyTOTP(s.Secret, code, now, 1, 0)
		return step, result == factor.Right, nil
	}
	want, err := b.SetupCode(s)
	if err != nil {
		return 0, false, err
	}
	return 0, factor.VerifySMSCode(want, code), nil
}

// BindPhone binds a phone that the player has just shown to hold, by a code that
// was sent to it for this very change. It returns the new recovery key.
func (b *Book) BindPhone(ctx context.Context, id ID, c Change, phone sms.Number) (recoveryKey string, err error) {
	next, err := factor.NewRecoveryKey(b.rand)
	if err != nil {
		return "", err
	}
	err = b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		if !c.Proved || !c.may(a) {
			return nil, ErrNotProved
		}
		return b.bind(id, a, c, Enrolment{Factor: policy.SMS, Phone: phone, Since: b.now()}, next), nil
	})
	if err != nil {
		return "", fmt.Errorf("binding phone: %w", err)
	}
	return next.Text(), nil
}

func (b *Book) bind(id ID, a *Account, c Change, e Enrolment, recovery factor.RecoveryKey) []audit.Event {
	var events []audit.Event
	for _, old := range a.Enrolments {
		events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(old.Factor), Reason: "replaced"})
	}
	a.Enrolments = []Enrolment{e}
	a.Recovery = &Recovery{MAC: b.recoveryMAC(id, recovery), Since: e.Since}
	// A factor that is bound anew starts with a clean budget (NIST SP 800-63B-4
	// section 3.2.2); the way here led through a current factor, if there was one.
	delete(a.Failures, e.Factor)
	delete(a.Failures, policy.RecoveryKey)
	a.revoke()
	events = append(events,
		audit.Event{Name: audit.EnrolmentBound, Factor: string(e.Factor)},
		audit.Event{Name: audit.RecoveryKeyIssued},
		audit.Event{Name: audit.AccountGrantsRevoked})
	if !c.Proved && c.Hold > 0 {
		a.HeldUntil = e.Since.Add(c.Hold)
		events = append(events, audit.Event{Name: audit.AccountHeld, Reason: "first_enrolment"})
	}
	return events
}

// SwitchOff removes every factor of the account. Budgets stay: switching off and
// on again gives nobody new attempts.
func (b *Book) SwitchOff(ctx context.Context, id ID, c Change) error {
	err := b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		if !c.Proved || !c.may(a) {
			return nil, ErrNotProved
		}
		events := []audit.Event{{Name: audit.AccountSwitchedOff}, {Name: audit.AccountGrantsRevoked}}
		for _, e := range a.Enrolments {
			events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(e.Factor), Reason: "switched_off"})
		}
		a.Enrolments, a.Recovery = nil, nil
		a.revoke()
		return events, nil
	})
	if err != nil {
		return fmt.Errorf("switching off: %w", err)
	}
	return nil
}

// IssueRecoveryKey replaces the account's recovery key and returns the new one,
// to be shown once.
func (b *Book) IssueRecoveryKey(ctx context.Context, id ID, c Change) (string, error) {
	next, err := factor.NewRecoveryKey(b.rand)
	if err != nil {
		return "", err
	}
	err = b.update(ctx, id, func(a *Account) ([]audit.Event, error) {
		if !c.Proved || !c.may(a) {
			return nil, ErrNotProved
		}
		a.Recovery = &Recovery{MAC: b.recoveryMAC(id, next), Since: b.now()}
		delete(a.Failures, policy.RecoveryKey)
		return []audit.Event{{Name: audit.RecoveryKeyIssued}}, nil
	})
	if err != nil {
		return "", fmt.Errorf("issuing recovery key: %w", err)
	}
	return next.Text(), nil
}
