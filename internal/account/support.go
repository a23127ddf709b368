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

// SupportAct is what a support agent does for a player whom they have recognised by
// other means than Stepgate's.
type SupportAct string

// The acts.
const (
	// SupportLift ends a freeze. What was bound or trusted since the change that the
	// player objected to goes with it.
	SupportLift SupportAct = "lift"
	// SupportUnlock lets factors that were disabled after too many failures answer
	// again.
	SupportUnlock SupportAct = "unlock"
	// SupportReset removes every factor, the recovery key and all trusted browsers, for
	// a player who has lost them all. They enrol as for the first time.
	SupportReset SupportAct = "reset"
)

// SupportActs are all of them.
var SupportActs = []SupportAct{SupportLift, SupportUnlock, SupportReset}

// ErrNothingToDo says that there is no freeze to lift, or nothing to unlock.
var ErrNothingToDo = errors.New("nothing to do for the player")

// Support does an act for a player, and returns the account as it is then. It ends all
// grants, begins the holds that rules have after support, and is noted and told like any
// other change.
func (b *Book) Support(ctx context.Context, id ID, act SupportAct) (*Account, Alert, error) {
	if !slices.Contains(SupportActs, act) {
		return nil, Alert{}, fmt.Errorf("doing %q for a player: want lift, unlock or reset", string(act))
	}
	var after *Account
	alert, err := b.change(ctx, id, "acting for support", func(a *Account, d drawn) ([]audit.Event, Kind, error) {
		after = a
		events := []audit.Event{{Name: audit.AccountSupported, Reason: string(act)}, {Name: audit.AccountGrantsRevoked}}
		var done []audit.Event
		switch act {
		case SupportLift:
			done = a.thaw()
		case SupportUnlock:
			done = a.unlock("support")
		case SupportReset:
			for _, e := range a.Enrolments {
				events = append(events, audit.Event{Name: audit.EnrolmentRemoved, Factor: string(e.Factor), Reason: "support"})
			}
			a.Enrolments, a.Recovery, a.Devices, a.Frozen = nil, nil, nil, nil
			a.Recovered, a.HeldUntil = time.Time{}, time.Time{}
			clear(a.Failures)
		}
		if act != SupportReset && len(done) == 0 {
			return nil, "", ErrNothingToDo
		}
		events = append(events, done...)
		a.Changed[policy.CauseSupport] = d.at
		a.revoke()
		return events, KindSupport, nil
	}, Change{})
	if err != nil {
		return nil, Alert{}, err
	}
	return after, alert, nil
}
