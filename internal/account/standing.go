package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/store"
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

// maxStandings bounds the cache; beyond it an arbitrary entry gives way. At 90
// bytes an entry it stays under 24 MiB.
const maxStandings = 1 << 18

// standings remembers the standing of accounts, so that a request with a grant costs
// no read of the store. The store tells it of every change of one: before the
// write is acknowledged where this process made it, so a revocation is seen by the
// next request; as soon as may be where another did. While the store does not hear
// of the others, nothing that is remembered counts (invariant I9).
type standings struct {
	watch store.Watch

	mu sync.RWMutex
	// mu guards known, writes and closed. writes counts the changes heard of so far:
	// a standing that was read from the store is remembered only if none came in
	// between.
	known  map[ID]Standing
	writes uint64
	closed bool
}

func watchStandings(s store.Store) *standings {
	e := &standings{known: map[ID]Standing{}}
	e.watch = s.Watch(kind+"/", e.forget)
	return e
}

func (e *standings) forget(key store.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes++
	if key == "" {
		clear(e.known)
		return
	}
	delete(e.known, ID(strings.TrimPrefix(string(key), kind+"/")))
}

// get returns the remembered standing, or the one that read returns.
func (e *standings) get(id ID, read func() (Standing, error)) (Standing, error) {
	e.mu.RLock()
	known, ok := e.known[id]
	writes := e.writes
	e.mu.RUnlock()
	// Asked after it was looked up: what was heard of by now has been
	// forgotten.
	if ok && e.watch.Current() {
		return known, nil
	}
	fresh, err := read()
	if err != nil {
		return Standing{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writes != writes || e.closed {
		return fresh, nil
	}
	if len(e.known) >= maxStandings {
		for old := range e.known {
			delete(e.known, old)
			break
		}
	}
	e.known[id] = fresh
	return fresh, nil
}

func (e *standings) close() {
	e.mu.Lock()
	clear(e.known)
	e.closed = true
	e.mu.Unlock()
	// Only now that nothing is remembered may nobody tell of writes any more: the
	// other way round, a revocation in between would go unseen (invariant I9).
	e.watch.Stop()
}
