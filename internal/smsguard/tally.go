package smsguard

import (
	"cmp"
	"slices"
	"time"
)

// slot is what happened in one step of time. Steps are aligned, so that all gateways
// have the same ones.
type slot struct {
	// At is the beginning of the step, in Unix seconds.
	At int64 `json:"at"`
	// Sum is what was spent, in millionths, or how many messages were sent.
	Sum int64 `json:"sum"`
	// Good is how many of those messages were answered with their code.
	Good int64 `json:"good,omitempty"`
}

// tally is what happened lately, in slots, the oldest first. Old slots fall out one by
// one, so what it sums up holds for any stretch of time and not only for one that began
// at some moment: a flood at the turn of a window would get twice the budget otherwise.
type tally []slot

// stepOf returns the length of a slot where a window has about n of them, in whole
// seconds, rounded up.
func stepOf(window time.Duration, n int64) int64 {
	seconds := int64((window + time.Second - 1) / time.Second)
	return (seconds + n - 1) / n
}

// index returns where the slot of a time is, or would be.
func (t tally) index(at, step int64) (i int, found bool) {
	return slices.BinarySearchFunc(t, at-at%step, func(s slot, begin int64) int { return cmp.Compare(s.At, begin) })
}

// slot returns the slot of a time, made if need be.
func (t *tally) slot(at, step int64) *slot {
	i, found := t.index(at, step)
	if !found {
		*t = slices.Insert(*t, i, slot{At: at - at%step})
	}
	return &(*t)[i]
}

// find returns the slot of a time, or nil.
func (t tally) find(at, step int64) *slot {
	if i, found := t.index(at, step); found {
		return &t[i]
	}
	return nil
}

// forget drops the slots that ended at or before a time, and those that hold nothing.
// What lies further ahead than what ended lies behind was written under a wrong clock; it
// counts as of now, as old as anybody can tell, and not for ever. forget reports whether
// there was any.
func (t *tally) forget(ended, now, step int64) (moved bool) {
	var ahead slot
	furthest := now + (now - ended)
	*t = slices.DeleteFunc(*t, func(s slot) bool {
		if s.At > furthest {
			ahead.Sum += s.Sum
			ahead.Good += s.Good
			return true
		}
		return s.At+step <= ended || s.Sum == 0
	})
	if ahead.Sum > 0 {
		s := t.slot(now, step)
		s.Sum += ahead.Sum
		s.Good += ahead.Good
	}
	return ahead.Sum > 0
}

// lately reports whether a time is less than a while ago. What lies as far in the future
// was written under a clock that was wrong.
func lately(at, now, while int64) bool { return at-while < now && now < at+while }

// ended adds up the slots that ended at or before a time.
func (t tally) ended(at, step int64) (sum, good int64) {
	for _, s := range t {
		if s.At+step <= at {
			sum += s.Sum
			good += s.Good
		}
	}
	return sum, good
}
