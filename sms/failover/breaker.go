package failover

import (
	"sync"
	"time"
)

// When a breaker opens, and for how long.
const (
	failuresInRow = 5                // so many failures without a success between open it,
	lastOutcomes  = 20               // or half of so many outcomes
	outcomesSpan  = time.Minute      // within this time
	firstPause    = 30 * time.Second // doubled by each probe that fails
	longestPause  = 5 * time.Minute  // the most, and what an account error brings at once
)

// breaker keeps messages from a provider that does not work, so that players do not
// wait for its timeout one by one. When its pause is over it lets one message through
// as a probe, and the rest when that one is accepted. The zero value is a closed one.
type breaker struct {
	mu    sync.Mutex // guards what follows
	state state
	// epoch grows whenever state changes, so that the outcome of a message that was let
	// through before is not taken for the probe's, nor held against a provider that has
	// recovered since.
	epoch   ticket
	pause   time.Duration // of the present opening, or of the last one
	until   time.Time     // when the present pause is over
	account bool          // the present opening is for an account error
	row     int           // failures since the last success
	last    []outcome     // the last outcomes, at most lastOutcomes
}

type state int

const (
	closed state = iota
	open
	probing
)

// ticket is what a message that was let through shows with its outcome.
type ticket int

type outcome struct {
	at     time.Time
	failed bool
}

// admit reports whether a message may go to the provider. Each message that may must be
// released when its outcome is known.
func (b *breaker) admit(now time.Time) (ticket, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open && !now.Before(b.until) {
		b.turn(probing)
		return b.epoch, true
	}
	return b.epoch, b.state == closed
}

// release lets the next message be the probe, if this one was and taught nothing: the
// number was refused, say, or the caller went away.
func (b *breaker) release(t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == probing && t == b.epoch {
		b.turn(open)
	}
}

// succeeded notes that the provider took the message, and reports whether that closes
// the breaker.
func (b *breaker) succeeded(t ticket, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case t != b.epoch:
		return false
	case b.state == probing:
		b.turn(closed)
		b.row, b.last = 0, nil
		return true
	}
	b.row = 0
	b.note(outcome{at: now})
	return false
}

// failed notes that the provider did not take the message, or nobody knows, and reports
// whether that opens the breaker.
func (b *breaker) failed(t ticket, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case t != b.epoch:
		return false
	case b.state == probing:
		b.trip(now, min(2*b.pause, longestPause))
		return true
	}
	b.row++
	b.note(outcome{at: now, failed: true})
	if b.row < failuresInRow && !b.halfFailed(now) {
		return false
	}
	b.trip(now, firstPause)
	return true
}

// refused notes that the operator's account does not work, and reports whether that
// opens the breaker. More messages of the same moment add nothing.
func (b *breaker) refused(t ticket, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == open && b.account || b.state != open && t != b.epoch {
		return false
	}
	b.trip(now, longestPause)
	b.account = true
	return true
}

func (b *breaker) trip(now time.Time, pause time.Duration) {
	b.turn(open)
	b.pause, b.until, b.account = pause, now.Add(pause), false
}

func (b *breaker) turn(to state) {
	b.state = to
	b.epoch++
}

func (b *breaker) note(o outcome) {
	b.last = append(b.last, o)
	b.last = b.last[max(0, len(b.last)-lastOutcomes):]
}

func (b *breaker) halfFailed(now time.Time) bool {
	if len(b.last) < lastOutcomes || now.Sub(b.last[0].at) > outcomesSpan {
		return false
	}
	failures := 0
	for _, o := range b.last {
		if o.failed {
			failures++
		}
	}
	return 2*failures >= lastOutcomes
}
