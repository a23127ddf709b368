package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// BeginTOTP draws a new authenticator secret and keeps it until it is confirmed.
// It takes the place of a set-up under way.
func (b *Book) BeginTOTP(ctx context.Context, id ID, c Change) (*Setup, error) {
	secret, err := factor.NewTOTPSecret(b.rand)
	if err != nil {
		return nil, err
	}
	s, _, err := b.begin(ctx, id, c, Setup{Factor: policy.TOTP, Secret: secret})
	return s, err
}

// setup returns the set-up under way if it was begun where the change is made, and
// takes another code. One whose attempts are used up may still be there, for those of
// which a provider has not said yet whether they are right.
func (a *Account) setup(c Change, id string) *Setup {
	s := a.Setup
	if s != nil && s.ID == id && s.Binding == c.Binding && s.Browser == c.Browser && s.Wrong < AttemptsPerChallenge {
		return s
	}
	return nil
}

// begin begins a set-up, and returns the managed code of the one whose place it takes.
func (b *Book) begin(ctx context.Context, id ID, c Change, s Setup) (*Setup, delivery.Running, error) {
	var err error
	if s.ID, err = newID(b.rand); err != nil {
		return nil, delivery.Running{}, err
	}
	var replaced delivery.Running
	s.Binding, s.Browser, s.Proof, s.Root = c.Binding, c.Browser, c.Proof, c.Root
	s.Expires = b.now().Add(SetupLifetime)
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		if !c.mayBind(a) {
			return nil, ErrNotProved
		}
		if s.Factor == policy.TOTP && s.Proof != ProofRecovery && a.Full() {
			return nil, ErrFull
		}
		replaced = delivery.Running{}
		if a.Setup != nil {
			replaced = a.Setup.Running()
		}
		kept := s
		a.Setup = &kept
		return []audit.Event{{Name: audit.EnrolmentBegun, Factor: string(s.Factor), Reason: string(s.Proof)}}, nil
	})
	if err != nil {
		return nil, delivery.Running{}, fmt.Errorf("beginning set-up: %w", err)
	}
	return &s, replaced, nil
}

// Bound is the outcome of a binding.
type Bound struct {
	Verdict Verdict
	// AttemptsLeft goes with Wrong.
	AttemptsLeft int
	// Setup is the set-up as it is now, for the page; nil with Gone and UsedUp.
	Setup *Setup
	// RecoveryKey is the account's new recovery key, to be shown once; empty where it
	// had one, which stays.
	RecoveryKey string
	// Alert tells what was done, with Right.
	Alert Alert
	// Epoch is the account's since then, with Right.
	Epoch uint64
}

// Confirm binds the factor that is being set up, if the code is right. Whatever it
// takes the place of ends in the same write, and so do all grants: a crash leaves
// either the old factors or the new one (invariants I6 and I7). name is what the
// player calls an authenticator.
func (b *Book) Confirm(ctx context.Context, id ID, c Change, setup, code, name string) (Bound, error) {
	d, enrolment, err := b.drawBinding()
	if err != nil {
		return Bound{}, err
	}
	var out Bound
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		out = Bound{}
		s := a.setup(c, setup)
		if s == nil {
			return nil, errUnchanged
		}
		if _, err := s.change(a, c); err != nil {
			return nil, err
		}
		d.at = now
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
			out, events = a.setupFailed()
			return events, nil
		}
		out, events, err = b.confirmed(id, a, c, Enrolment{ID: enrolment, Name: shortened(name), LastStep: step}, d)
		return events, err
	})
	if err != nil {
		return Bound{}, fmt.Errorf("confirming set-up: %w", err)
	}
	return out, nil
}

// change returns the change under which a set-up binds its factor. A set-up ends with
// its epoch, so what was proved for it still is.
func (s *Setup) change(a *Account, c Change) (Change, error) {
	c.Proof, c.Epoch, c.Root = s.Proof, a.Epoch, s.Root
	if !c.mayBind(a) {
		return Change{}, ErrNotProved
	}
	return c, nil
}

// setupFailed does what follows a wrong code for the set-up under way, whose attempt
// was counted.
func (a *Account) setupFailed() (Bound, []audit.Event) {
	s := a.Setup
	out := Bound{Verdict: Wrong, AttemptsLeft: AttemptsPerChallenge - s.Wrong, Setup: s}
	if s.Wrong >= AttemptsPerChallenge && !a.asked(s.ID) {
		a.Setup = nil
		out = Bound{Verdict: UsedUp}
	}
	return out, []audit.Event{{Name: audit.ChallengeWrong, Factor: string(s.Factor), Reason: "setup"}}
}

// confirmed binds the factor of the set-up under way, whose code was right. e is what
// the set-up does not say of it.
func (b *Book) confirmed(id ID, a *Account, c Change, e Enrolment, d drawn) (Bound, []audit.Event, error) {
	s := a.Setup
	c, err := s.change(a, c)
	if err != nil {
		return Bound{}, nil, err
	}
	e.Factor, e.Secret, e.Phone, e.Since = s.Factor, s.Secret, s.Phone, d.at
	out, events, err := b.bind(id, a, c, e, d)
	if err != nil {
		return Bound{}, nil, err
	}
	out.Setup = s
	return out, events, nil
}

// drawBinding is draw with the id of a new enrolment.
func (b *Book) drawBinding() (d drawn, enrolment string, err error) {
	if d, err = b.draw(); err != nil {
		return drawn{}, "", err
	}
	enrolment, err = newID(b.rand)
	return d, enrolment, err
}

// shortened cuts a name that was made longer than a page lets it be.
func shortened(name string) string {
	name = strings.TrimSpace(strings.ToValidUTF8(name, ""))
	if r := []rune(name); len(r) > MaxName {
		name = strings.TrimSpace(string(r[:MaxName]))
	}
	return name
}

func (b *Book) checkSetup(s *Setup, code string, now time.Time) (step int64, right bool, err error) {
	if s.Factor == policy.TOTP {
		step, result := factor.VerifyTOTP(s.Secret, code, now, 1, 0)
		return step, result == factor.Right, nil
	}
	if s.Managed != "" {
		return 0, false, nil // only its provider knows the code
	}
	want, err := b.setupCode(s)
	if err != nil || s.CodeExpired(now) {
		return 0, false, err
	}
	return 0, factor.VerifySMSCode(want, code), nil
}

// BindPhone binds a phone that the player has just shown to hold, by a code that
// was sent to it for this very change.
func (b *Book) BindPhone(ctx context.Context, id ID, c Change, phone sms.Number) (Bound, error) {
	d, enrolment, err := b.drawBinding()
	if err != nil {
		return Bound{}, err
	}
	var out Bound
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		d.at = now
		if c.Proof != ProofPhone || !c.mayBind(a) {
			return nil, ErrNotProved
		}
		out, events, err = b.bind(id, a, c, Enrolment{ID: enrolment, Factor: policy.SMS, Phone: phone, Since: now}, d)
		return events, err
	})
	if err != nil {
		return Bound{}, fmt.Errorf("binding phone: %w", err)
	}
	return out, nil
}

// bind binds a factor for which everything was shown. A phone takes the place of
// all that was there. An authenticator takes that of a phone, and stands beside
// other authenticators, unless the recovery key was used: then those are lost.
func (b *Book) bind(id ID, a *Account, c Change, e Enrolment, d drawn) (Bound, []audit.Event, error) {
	before, first := slices.Clone(a.Enrolments), !a.Enrolled()
	beside := e.Factor == policy.TOTP && c.Proof != ProofRecovery
	if beside && a.Full() {
		return Bound{}, nil, ErrFull
	}
	var events []audit.Event
	a.Enrolments = slices.DeleteFunc(a.Enrolments, func(old Enrolment) bool {
		if beside && old.Factor == policy.TOTP {
			return false
		}
		events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(old.Factor), Reason: "replaced"})
		return true
	})
	e.Used = e.Since // its first code
	if c.Proof != ProofPhone {
		// The phone that the site knows rests on nothing that was done here.
		e.Root = earlier(e.Since, c.Root)
	}
	a.Enrolments = append(a.Enrolments, e)
	out := Bound{Verdict: Right}
	events = append(events,
		audit.Event{Name: audit.EnrolmentBound, Factor: string(e.Factor), Reason: string(c.Proof)},
		audit.Event{Name: audit.AccountGrantsRevoked})
	if a.Recovery == nil {
		out.RecoveryKey = b.issue(id, a, d, e.Root)
		a.clear(policy.RecoveryKey)
		events = append(events, audit.Event{Name: audit.RecoveryKeyIssued})
	}
	cause := policy.CauseFactorChange
	if first {
		cause = policy.CauseFirstEnrolment
	}
	a.Changed[cause] = e.Since
	a.Recovered = time.Time{}
	// A factor that is bound anew starts with a clean budget (NIST SP 800-63B-4
	// section 3.2.2); the way here led through a current factor, if there was one.
	a.clear(e.Factor)
	a.revoke()
	out.Epoch = a.Epoch
	if c.Proof == ProofNone && c.Hold > 0 {
		a.HeldUntil = e.Since.Add(c.Hold)
		events = append(events, audit.Event{Name: audit.AccountHeld, Reason: string(policy.CauseFirstEnrolment)})
	}
	out.Alert = b.told(id, a, before, kindOf(before, e), c, d)
	out.Alert.Except = e.Phone
	return out, events, nil
}

// kindOf names a binding for the player.
func kindOf(before []Enrolment, e Enrolment) Kind {
	was := policy.Factor("")
	if len(before) > 0 {
		was = before[0].Factor
	}
	switch {
	case e.Factor == policy.SMS && was == policy.TOTP:
		return KindSwitchedSMS
	case e.Factor == policy.SMS && was == policy.SMS:
		return KindSMSChanged
	case e.Factor == policy.SMS:
		return KindSMSAdded
	case was == policy.SMS:
		return KindSwitchedTOTP
	default:
		return KindTOTPAdded
	}
}
