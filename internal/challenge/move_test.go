package challenge_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// The states in which a challenge can be met, and how it comes there. late is a
// challenge that was passed, but not taken before its deadline.
const late challenge.State = "passed, past its deadline"

func (w *world) in(state challenge.State) *challenge.Challenge {
	w.Helper()
	c := w.pending()
	switch state {
	case challenge.Pending:
	case challenge.Passed:
		w.pass(c.ID, false)
	case challenge.Released:
		w.pass(c.ID, true)
	case challenge.Expired:
		w.clock.add(challenge.Lifetime)
	case late:
		w.pass(c.ID, false)
		w.clock.add(challenge.Lifetime)
	default:
		w.end(c.ID, state)
	}
	return w.get(c.ID)
}

// A move returns whether it moved, and what left the challenge by it.
var moves = map[string]func(w *world, id string) (bool, *held.Request, error){
	"pass": func(w *world, id string) (bool, *held.Request, error) {
		_, request, moved, err := w.book.Pass(w.Context(), id, challenge.Passing{By: policy.SMS, Epoch: 0}, false)
		return moved, request, err
	},
	"pass and release": func(w *world, id string) (bool, *held.Request, error) {
		_, request, moved, err := w.book.Pass(w.Context(), id, challenge.Passing{By: policy.SMS, Epoch: 0}, true)
		return moved, request, err
	},
	"take": func(w *world, id string) (bool, *held.Request, error) {
		_, request, moved, err := w.book.Take(w.Context(), id)
		return moved, request, err
	},
	"cancel":  ending(challenge.Cancelled),
	"replace": ending(challenge.Replaced),
	"use up":  ending(challenge.UsedUp),
	"send": func(w *world, id string) (bool, *held.Request, error) {
		s, err := w.book.ReserveSend(w.Context(), id, delivery.Wanted{})
		return s.Granted, nil, err
	},
	"open again": func(w *world, id string) (bool, *held.Request, error) {
		c := w.asked()
		c.ID = id
		_, err := w.book.Ensure(w.Context(), c)
		return false, nil, err
	},
}

func ending(to challenge.State) func(w *world, id string) (bool, *held.Request, error) {
	return func(w *world, id string) (bool, *held.Request, error) {
		before := w.get(id).Moved
		c, _, err := w.book.End(w.Context(), id, to)
		return err == nil && c.Moved != before, nil, err
	}
}

// R10, I4: the whole state machine. What the table does not name must change
// nothing at all.
func TestInvariantI4OnlyTheLegalMovesMoveAndNoneLeadsBack(t *testing.T) {
	type outcome struct {
		to    challenge.State
		leave bool // the held request leaves
	}
	legal := map[challenge.State]map[string]outcome{
		challenge.Pending: {
			"pass": {challenge.Passed, false}, "pass and release": {challenge.Released, true}, "send": {challenge.Pending, false},
			"cancel": {challenge.Cancelled, false}, "replace": {challenge.Replaced, false}, "use up": {challenge.UsedUp, false},
		},
		challenge.Passed: {
			"take":   {challenge.Released, true},
			"cancel": {challenge.Cancelled, false}, "replace": {challenge.Replaced, false}, "use up": {challenge.UsedUp, false},
		},
		late: {
			"cancel": {challenge.Cancelled, false}, "replace": {challenge.Replaced, false}, "use up": {challenge.UsedUp, false},
		},
		challenge.Released: {}, challenge.Cancelled: {}, challenge.Replaced: {}, challenge.UsedUp: {}, challenge.Expired: {},
	}
	w := newWorld(t)
	for from, ways := range legal {
		for name, move := range moves {
			t.Run(fmt.Sprintf("%s, %s", from, name), func(t *testing.T) {
				w := w.on(t)
				c := w.in(from)
				want, ok := ways[name]
				if !ok {
					want = outcome{to: c.State(w.clock.now())}
				}
				moved, request, err := move(w, c.ID)
				if err != nil || moved != ok {
					t.Fatalf("moved = %v, %v, want %v", moved, err, ok)
				}
				if (request != nil) != want.leave || want.leave && request.Digest() != c.Digest {
					t.Errorf("what left is %v, want the held request: %v", request, want.leave)
				}
				w.wantState(c.ID, want.to)
				after := w.get(c.ID)
				if !ok && (after.Held == nil) != (c.Held == nil) {
					t.Errorf("what it holds is %v, was %v", after.Held, c.Held)
				}
				if ended := want.to != challenge.Pending && want.to != challenge.Passed; ok && ended && after.Held != nil {
					t.Error("it still holds the request")
				}
			})
		}
	}
}

func TestAChallengeEndsOnlyInAStateOfEnding(t *testing.T) {
	w := newWorld(t)
	for _, to := range []challenge.State{challenge.Pending, challenge.Passed, challenge.Released, challenge.Expired, "", "paid"} {
		for _, from := range []challenge.State{challenge.Pending, challenge.Passed, challenge.Cancelled} {
			c := w.in(from)
			if _, _, err := w.book.End(t.Context(), c.ID, to); err == nil {
				t.Errorf("End() from %s to %q = nil, want an error", from, to)
			}
			w.wantState(c.ID, from)
		}
	}
}

func TestPassingNotesByWhatAndWhen(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	w.clock.add(challenge.Lifetime - 1)
	got, _, moved, err := w.book.Pass(t.Context(), c.ID, challenge.Passing{By: policy.RecoveryKey, Epoch: 0}, false)
	if err != nil || !moved || got.PassedBy != policy.RecoveryKey || !got.PassedAt.Equal(w.clock.now()) {
		t.Errorf("Pass() = by %q at %s, %v, %v", got.PassedBy, got.PassedAt, moved, err)
	}
	got, _, moved, err = w.book.Pass(t.Context(), c.ID, challenge.Passing{By: policy.SMS, Epoch: 0}, true)
	if err != nil || moved || got.PassedBy != policy.RecoveryKey {
		t.Errorf("a second Pass() = by %q, %v, %v, want that of the first", got.PassedBy, moved, err)
	}
}

// leaving counts what many calls at once let out.
type leaving struct{ moved, requests atomic.Int32 }

func (l *leaving) count(t *testing.T, request *held.Request, moved bool, err error) {
	if err != nil {
		t.Error(err)
	}
	if moved {
		l.moved.Add(1)
	}
	if request != nil {
		l.requests.Add(1)
		if string(request.Body) != "amount=2500000" {
			t.Errorf("released %q", request.Body)
		}
	}
}

// I3, I4: released at most once, on several nodes too.
func TestInvariantI4FiftyAtOnceReleaseAHeldRequestOnce(t *testing.T) {
	w := newWorld(t)
	nodes := []*challenge.Book{w.book, w.another(w.ring)}
	t.Run("pass and release", func(t *testing.T) {
		w := w.on(t)
		c, l := w.pending(), new(leaving)
		atOnce(50, func(i int) {
			_, request, moved, err := nodes[i%2].Pass(t.Context(), c.ID, challenge.Passing{By: policy.SMS, Epoch: 0}, true)
			l.count(t, request, moved, err)
		})
		if l.moved.Load() != 1 || l.requests.Load() != 1 {
			t.Errorf("%d moved and %d requests left, want one", l.moved.Load(), l.requests.Load())
		}
		w.wantState(c.ID, challenge.Released)
	})
	t.Run("take", func(t *testing.T) {
		w := w.on(t)
		c, l := w.in(challenge.Passed), new(leaving)
		atOnce(50, func(i int) {
			_, request, moved, err := nodes[i%2].Take(t.Context(), c.ID)
			l.count(t, request, moved, err)
		})
		if l.moved.Load() != 1 || l.requests.Load() != 1 {
			t.Errorf("%d moved and %d requests left, want one", l.moved.Load(), l.requests.Load())
		}
	})
	t.Run("pass, release and take together", func(t *testing.T) {
		w := w.on(t)
		c, l := w.pending(), new(leaving)
		atOnce(60, func(i int) {
			if i%3 == 0 {
				_, request, moved, err := nodes[i%2].Take(t.Context(), c.ID)
				l.count(t, request, moved, err)
				return
			}
			_, request, _, err := nodes[i%2].Pass(t.Context(), c.ID, challenge.Passing{By: policy.SMS, Epoch: 0}, i%3 == 1)
			l.count(t, request, false, err)
		})
		_, request, moved, err := w.book.Take(t.Context(), c.ID) // if every take came before the pass
		l.count(t, request, moved, err)
		if l.requests.Load() != 1 {
			t.Errorf("%d requests left, want one", l.requests.Load())
		}
		w.wantState(c.ID, challenge.Released)
	})
	t.Run("take and cancel together", func(t *testing.T) {
		w := w.on(t)
		c, l := w.in(challenge.Passed), new(leaving)
		atOnce(50, func(i int) {
			if i%2 == 0 {
				_, _, err := nodes[0].End(t.Context(), c.ID, challenge.Cancelled)
				l.count(t, nil, false, err)
				return
			}
			_, request, moved, err := nodes[1].Take(t.Context(), c.ID)
			l.count(t, request, moved, err)
		})
		released := w.get(c.ID).Moved == challenge.Released
		if n := l.requests.Load(); n > 1 || (n == 1) != released {
			t.Errorf("%d requests left and the challenge is %s", n, w.get(c.ID).Moved)
		}
	})
}

// I4, I7: what was released or ended is so after a crash, too.
func TestInvariantI4ARestartReleasesNothingAgain(t *testing.T) {
	w := newWorld(t)
	var all []*challenge.Challenge
	states := []challenge.State{challenge.Pending, challenge.Passed, challenge.Released, challenge.Cancelled, challenge.Replaced, challenge.UsedUp}
	for _, state := range states {
		all = append(all, w.in(state))
	}
	w.reopen()
	for i, c := range all {
		w.wantState(c.ID, states[i])
		_, request, _, err := w.book.Take(t.Context(), c.ID)
		if err != nil || (request != nil) != (states[i] == challenge.Passed) {
			t.Errorf("Take() of what was %s before the restart = %v, %v", states[i], request, err)
		}
	}
}

// I9: a recovery key ends its account's epoch; what its challenge opens lives in the
// next one. A second pass alters nothing.
func TestInvariantI9PassingWritesTheEpochInWhichItHappened(t *testing.T) {
	w := newWorld(t)
	c := w.pending()
	got, _, moved, err := w.book.Pass(t.Context(), c.ID, challenge.Passing{By: policy.RecoveryKey, Epoch: c.Epoch + 1}, false)
	if err != nil || !moved || got.Epoch != c.Epoch+1 {
		t.Fatalf("Pass() = epoch %d, %v, %v, want %d", got.Epoch, moved, err, c.Epoch+1)
	}
	if _, _, moved, err := w.book.Pass(t.Context(), c.ID, challenge.Passing{By: policy.SMS, Epoch: c.Epoch + 9}, false); moved || err != nil {
		t.Errorf("a second Pass() moved: %v, %v", moved, err)
	}
	w.reopen()
	if after := w.get(c.ID); after.Epoch != c.Epoch+1 {
		t.Errorf("epoch %d after a restart, want %d", after.Epoch, c.Epoch+1)
	}
}
