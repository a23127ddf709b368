package policy

import (
	"fmt"
	"slices"
	"time"
)

// Cause is a change of a player's factors after which a rule may hold.
type Cause string

// The causes.
const (
	// CauseFactorChange: a factor was bound beside or instead of another, removed,
	// or switched off.
	CauseFactorChange Cause = "factor_change"
	// CauseFirstEnrolment: an account that had no factor got its first one.
	CauseFirstEnrolment Cause = "first_enrolment"
	// CauseRecovery: the recovery key was used.
	CauseRecovery Cause = "recovery"
	// CauseSupport: a support agent changed something for the player.
	CauseSupport Cause = "support"
)

// Causes are all of them.
var Causes = []Cause{CauseFactorChange, CauseFirstEnrolment, CauseRecovery, CauseSupport}

// Hold is a cooling-off time: for so long after one of the causes a rule refuses.
// It gives the player who is told of a change the time to object before money moves.
type Hold struct {
	For   time.Duration
	After []Cause
}

// MaxHold is the longest cooling-off time.
const MaxHold = 90 * 24 * time.Hour

// After reports whether any of the holds follows the cause.
func After(holds []Hold, cause Cause) bool {
	return slices.ContainsFunc(holds, func(h Hold) bool { return slices.Contains(h.After, cause) })
}

// checkHolds reports what is wrong with the rule's holds. A recovery key cannot both
// open what its use closes: a rule that holds after recovery does not accept it.
func (r *Rule) checkHolds() error {
	for _, h := range r.Holds {
		if h.For < time.Second || h.For > MaxHold {
			return fmt.Errorf("hold %v: write 1s to %dh", h.For, MaxHold/time.Hour)
		}
		if len(h.After) == 0 {
			return fmt.Errorf("hold %v says not what it follows: write what, such as hold %v after %s", h.For, h.For, CauseFactorChange)
		}
		for _, cause := range h.After {
			if !slices.Contains(Causes, cause) {
				return fmt.Errorf("hold after %q is not known: write factor_change, first_enrolment, recovery or support", cause)
			}
		}
	}
	if !After(r.Holds, CauseRecovery) {
		return nil
	}
	if r.Factors == nil {
		r.Factors = slices.DeleteFunc(slices.Clone(DefaultFactors), func(f Factor) bool { return f == RecoveryKey })
	}
	if slices.Contains(r.Factors, RecoveryKey) {
		return fmt.Errorf("it holds after recovery, so no recovery key can open it: take %s out of its factors", RecoveryKey)
	}
	return nil
}
