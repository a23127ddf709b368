package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
)

// Standing is what decides whether the grants of an account still count.
type Standing struct {
	// Epoch counts revocations: a grant of another epoch is worthless.
	Epoch uint64
	// ended is Account.Ended.
	ended map[string]time.Time
}

// Ended returns when the session of a binding was last ended; the zero time if it was not.
// A grant that it was given until then is worthless. The binding is asked for only where
// some session was ended: every request with a grant comes here.
func (s Standing) Ended(binding func() string) time.Time {
	if len(s.ended) == 0 {
		return time.Time{}
	}
	return s.ended[binding()]
}

const (
	// maxEnded is of how many sessions of an account it is known that they have ended; one
	// more ends all of its grants.
	maxEnded = 32
	// endedLifetime is how long it is known: longer than any grant lives.
	endedLifetime = 25 * time.Hour
)

// EndSession ends what was given to the session of a binding until now: its grants, and
// the challenges that are open in it, whose ids it returns. It is for a logout, and for a
// session in which somebody else may log in.
func (b *Book) EndSession(ctx context.Context, id ID, binding string) (closed []string, err error) {
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		closed = nil
		events := []audit.Event{{Name: audit.SessionEnded}}
		a.Pending = slices.DeleteFunc(a.Pending, func(p Pending) bool {
			if p.Binding != binding {
				return false
			}
			closed = append(closed, p.ID)
			events = append(events, audit.Event{Name: audit.ChallengeReplaced, Challenge: p.ID, Rule: p.Rules})
			return true
		})
		if a.Ended == nil {
			a.Ended = map[string]time.Time{}
		}
		if a.Ended[binding] = now; len(a.Ended) > maxEnded {
			a.Ended = nil
			a.revoke()
		}
		return events, nil
	})
	if err != nil {
		return nil, fmt.Errorf("ending session: %w", err)
	}
	return closed, nil
}

// maxStandings bounds the memory of standings, by which a request with a grant costs no
// read of the store (invariant I9 rests on its being told of every change). At 90 bytes an
// entry it stays under 24 MiB.
const maxStandings = 1 << 18
