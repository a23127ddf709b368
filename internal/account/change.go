package account

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// Proof says what was shown for a change of a factor.
type Proof string

// The proofs, from the weakest. The first three are for accounts that have no
// factor.
const (
	// ProofNone: nothing but the session speaks for the player.
	ProofNone Proof = ""
	// ProofLogin: a session that has just come from the site's own login.
	ProofLogin Proof = "login"
	// ProofPhone: the phone that the site knows for the player.
	ProofPhone Proof = "registered_phone"
	// ProofRecovery: the recovery key. What it binds takes the place of all that was
	// there, which the player has lost.
	ProofRecovery Proof = "recovery_key"
	// ProofFactor: a current factor.
	ProofFactor Proof = "factor"
)

// Change says under whose hands a factor changes.
type Change struct {
	// Binding and Browser as in Pending: a set-up can only be confirmed from the
	// session and browser that began it.
	Binding, Browser string
	// Proof is what was shown for this change, while the account was in Epoch.
	Proof Proof
	Epoch uint64
	// Root is what the answer said that showed it ([Result]).
	Root time.Time
	// Hold is how long a cooling-off time lasts that follows a binding for which
	// nothing but the session spoke.
	Hold time.Duration
	// Client is where it is done, for the player's eyes.
	Client Client
}

// Errors of changes, on which callers branch.
var (
	// ErrNotProved says that a factor would have changed without a current one
	// (invariant I6).
	ErrNotProved = errors.New("changing a factor without a current one")
	// ErrFull says that there is no room for another authenticator.
	ErrFull = errors.New("too many authenticators")
	// ErrLast says that removing this one would switch two-factor authentication off,
	// or that there is no such one.
	ErrLast = errors.New("no authenticator that can be removed")
)

// current reports whether a current factor was shown for the change, for the
// account as it is now, inside the update that makes it: between the challenge and
// now another factor may have been bound.
func (c Change) current(a *Account) bool {
	switch c.Proof {
	case ProofFactor, ProofRecovery:
		return c.Epoch == a.Epoch
	default:
		return false
	}
}

// mayBind reports whether a factor may be bound under the change: the first one
// under less than a current factor.
func (c Change) mayBind(a *Account) bool {
	switch {
	case a.Frozen != nil:
		return false
	case c.current(a):
		return true
	case a.Enrolled():
		return false
	case c.Proof == ProofPhone:
		return c.Epoch == a.Epoch
	default:
		return c.Proof == ProofNone || c.Proof == ProofLogin
	}
}

// change makes one change of the account in one atomic update, notes it, and
// returns the alert for it. do returns the events and the kind of the change; it
// alone decides whether the change may be made.
func (b *Book) change(ctx context.Context, id ID, doing string, do func(a *Account, d drawn) ([]audit.Event, Kind, error), c Change) (Alert, error) {
	d, err := b.draw()
	if err != nil {
		return Alert{}, err
	}
	var out Alert
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		d.at = now
		// The phones that were there before are told, but for those which a freeze is about.
		before := slices.DeleteFunc(slices.Clone(a.Enrolments), func(e Enrolment) bool { return !a.counts(e.Since) })
		events, kind, err := do(a, d)
		if err != nil {
			return nil, err
		}
		out = b.told(id, a, before, kind, c, d)
		return events, nil
	})
	if err != nil {
		return Alert{}, fmt.Errorf("%s: %w", doing, err)
	}
	return out, nil
}

// told notes a change and prepares its alert for the phones that were there before.
func (b *Book) told(id ID, a *Account, before []Enrolment, kind Kind, c Change, d drawn) Alert {
	now := d.at
	a.note(kind, c.Client, c.Browser, now)
	after := a.Enrolments
	a.Enrolments = before
	out := a.alert(id, kind, d, c.Root)
	a.Enrolments = after
	return out
}

// SwitchOff removes every factor of the account. Budgets stay: switching off and
// on again gives nobody new attempts.
func (b *Book) SwitchOff(ctx context.Context, id ID, c Change) (Alert, error) {
	return b.change(ctx, id, "switching off", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen != nil || !c.current(a) || !a.Enrolled() {
			return nil, "", ErrNotProved
		}
		events := []audit.Event{{Name: audit.AccountSwitchedOff, Reason: string(c.Proof)}, {Name: audit.AccountGrantsRevoked}}
		for _, e := range a.Enrolments {
			events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(e.Factor), Reason: "switched_off"})
		}
		a.Enrolments, a.Recovery, a.Recovered = nil, nil, time.Time{}
		a.Changed[policy.CauseFactorChange] = d.at
		a.revoke()
		return events, KindOff, nil
	}, c)
}

// Remove removes one of several authenticators. The last factor goes by SwitchOff
// only: that is another decision.
func (b *Book) Remove(ctx context.Context, id ID, c Change, enrolment string) (Alert, error) {
	return b.change(ctx, id, "removing authenticator", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen != nil || !c.current(a) {
			return nil, "", ErrNotProved
		}
		i := slices.IndexFunc(a.Enrolments, func(e Enrolment) bool { return e.ID == enrolment })
		if i < 0 || len(a.Enrolments) < 2 {
			return nil, "", ErrLast
		}
		removed := a.Enrolments[i]
		a.Enrolments = slices.Delete(a.Enrolments, i, i+1)
		a.Changed[policy.CauseFactorChange] = d.at
		a.revoke()
		return []audit.Event{
			{Name: audit.EnrolmentRemoved, Factor: string(removed.Factor), Reason: "removed"},
			{Name: audit.AccountGrantsRevoked},
		}, KindTOTPRemoved, nil
	}, c)
}

// IssueRecoveryKey replaces the account's recovery key and returns the new one,
// to be shown once.
func (b *Book) IssueRecoveryKey(ctx context.Context, id ID, c Change) (string, Alert, error) {
	var key string
	alert, err := b.change(ctx, id, "issuing recovery key", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen != nil || !c.current(a) {
			return nil, "", ErrNotProved
		}
		key = b.issue(id, a, d, earlier(d.at, c.Root))
		a.clear(policy.RecoveryKey)
		return []audit.Event{{Name: audit.RecoveryKeyIssued}}, KindKeyMade, nil
	}, c)
	if err != nil {
		return "", Alert{}, err
	}
	return key, alert, nil
}

// issue gives the account a new recovery key and returns its text.
func (b *Book) issue(id ID, a *Account, d drawn, root time.Time) string {
	a.Recovery = &Recovery{MAC: b.recoveryMAC(id, d.key), Since: d.at, Root: root}
	return d.key.Text()
}

// KeepRecoveryKey notes that the player has said that the recovery key is kept. It
// changes no factor.
func (b *Book) KeepRecoveryKey(ctx context.Context, id ID) error {
	return b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		if a.Recovery == nil || a.Recovery.Saved {
			return nil, errUnchanged
		}
		a.Recovery.Saved = true
		return nil, nil
	})
}

// Unlock lets factors that were disabled answer again, in all browsers. The way to
// it is a factor that is not disabled: another one, or the same in a trusted browser.
func (b *Book) Unlock(ctx context.Context, id ID, c Change) (Alert, error) {
	return b.change(ctx, id, "unlocking factors", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen != nil || !c.current(a) {
			return nil, "", ErrNotProved
		}
		return a.unlock(string(c.Proof)), KindUnlocked, nil
	}, c)
}

// unlock ends what was disabled, in all browsers.
func (a *Account) unlock(why string) []audit.Event {
	var events []audit.Event
	unlock := func(budgets map[policy.Factor]*Failures) {
		for f, spent := range budgets {
			if spent.Disabled {
				delete(budgets, f)
				events = append(events, audit.Event{Name: audit.EnrolmentUnlocked, Factor: string(f), Reason: why})
			}
		}
	}
	unlock(a.Failures)
	for _, budgets := range a.Strangers {
		unlock(budgets)
	}
	for i := range a.Devices {
		unlock(a.Devices[i].Failures)
	}
	return events
}

// ForgetDevice ends the trust in a browser, and all grants: what it was given in its
// session would else outlive the trust.
func (b *Book) ForgetDevice(ctx context.Context, id ID, c Change, device string) (Alert, error) {
	return b.change(ctx, id, "forgetting device", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		if a.Frozen != nil || !c.current(a) {
			return nil, "", ErrNotProved
		}
		a.Devices = slices.DeleteFunc(a.Devices, func(d Device) bool { return d.ID == device })
		a.revoke()
		return []audit.Event{{Name: audit.DeviceForgotten}, {Name: audit.AccountGrantsRevoked}}, KindDeviceForgot, nil
	}, c)
}

// Held returns until when a rule with the given holds is closed and why; the zero
// time if it is open.
func (a *Account) Held(holds []policy.Hold, now time.Time) (until time.Time, why policy.Cause) {
	if now.Before(a.HeldUntil) {
		until, why = a.HeldUntil, policy.CauseFirstEnrolment
	}
	for _, h := range holds {
		for _, cause := range h.After {
			if at, ok := a.Changed[cause]; ok && now.Before(at.Add(h.For)) && until.Before(at.Add(h.For)) {
				until, why = at.Add(h.For), cause
			}
		}
	}
	return until, why
}
