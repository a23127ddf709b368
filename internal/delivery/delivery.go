// Package delivery decides when an SMS code goes out: which code, how often, and
// how long after the one before. A challenge and the set-up of a phone keep a
// [Sending] in their record and ask it inside the atomic update of that record, so
// that of many requests for a code one is granted.
//
// A code is made here, or by a provider that sends and checks it as well: a managed
// one. Of that nobody here knows more than the provider's name for it.
//
// The package sends nothing.
package delivery

import (
	"time"

	"github.com/stepgate/stepgate/internal/seal"
)

// Lifetimes and limits; design.md section 9 gives their reasons.
const (
	// CodeLifetime is how long an SMS code is good for (NIST SP 800-63B-4 section
	// 3.1.3.2 allows ten minutes).
	CodeLifetime = 5 * time.Minute
	// MaxSends is how many SMS one challenge or set-up causes at most.
	MaxSends = 3
	// sameCode is how much life a code must have left to be sent again.
	sameCode = 90 * time.Second
)

// resendAfter is how long the player waits for another SMS, by how many were
// sent.
var resendAfter = [MaxSends - 1]time.Duration{30 * time.Second, 60 * time.Second}

// Sending is where the sending of a code stands.
type Sending struct {
	// Key is the ring key under which codes are derived, Generation counts the
	// codes, CodeFrom is when the present one was first sent.
	Key        seal.KeyID `json:"key,omitempty"`
	Generation int        `json:"generation,omitempty"`
	CodeFrom   time.Time  `json:"code_from"`
	Sends      int        `json:"sends,omitempty"`
	LastSend   time.Time  `json:"last_send"`
	// NotSent tells that the last SMS was not handed to a provider. Lost counts the
	// sends that carried no code of the present generation to a provider.
	NotSent bool `json:"not_sent,omitempty"`
	Lost    int  `json:"lost,omitempty"`
	// Failed tells that a provider took the last SMS and said later that it did not
	// arrive.
	Failed bool `json:"failed,omitempty"`
	// Provider is the name of the one that carried the last SMS of which that is known.
	Provider string `json:"provider,omitempty"`
	// Managed is the name of the provider that makes the present code; empty for one
	// that is derived from Key. It is written before the provider is asked for a code,
	// so that no moment is left in which another code is the right one. Verification is
	// the provider's name for it, empty until the provider has answered.
	Managed      string `json:"managed,omitempty"`
	Verification string `json:"verification,omitempty"`
}

// Running is a managed code at the provider that made it.
type Running struct {
	// Provider is the provider's name, Verification that which it gave to the code;
	// both are empty if there is none.
	Provider, Verification string
}

// Running returns the managed code that may be good now.
func (s *Sending) Running() Running {
	if s.Verification == "" {
		return Running{}
	}
	return Running{Provider: s.Managed, Verification: s.Verification}
}

// ResendAt returns from when another SMS may be asked for; zero if none may. After one
// that failed that is at once, once: the next one waits again.
func (s *Sending) ResendAt() time.Time {
	switch {
	case s.Sends >= MaxSends || s.Sends == 0:
		return time.Time{}
	case s.Failed:
		return s.LastSend
	default:
		return s.LastSend.Add(resendAfter[s.Sends-1])
	}
}

// Sent reports whether an SMS with the present code may have reached the player.
func (s *Sending) Sent() bool { return s.Sends > s.Lost }

// CodeExpired reports whether the SMS code that was sent is too old.
func (s *Sending) CodeExpired(now time.Time) bool {
	return s.Sends > 0 && !now.Before(s.CodeFrom.Add(CodeLifetime))
}

// Validity returns how much life the present code has.
func (s *Sending) Validity(now time.Time) time.Duration { return CodeLifetime - now.Sub(s.CodeFrom) }

// Wanted says what kind of SMS is asked for.
type Wanted struct {
	// First wants only the very first one, however many ask for it.
	First bool
	// Managed is the name of the provider that is to make the code; empty for a code
	// that is made here.
	Managed string
}

// Reserve reserves the next SMS, and reports false if there is to be none now. A
// reservation is spent whether or not the message goes out: a provider that failed may
// have sent it all the same. What was Running before it is so no more; the caller has
// to end it at its provider.
func (s *Sending) Reserve(ring *seal.Ring, now time.Time, w Wanted) bool {
	switch {
	case s.Sends >= MaxSends, w.First && s.Sends > 0, s.Sends > 0 && now.Before(s.ResendAt()):
		return false
	}
	// The same code while it has life left: a message that comes late is still
	// good, and a duplicate does no harm. A managed one cannot be sent again by anybody
	// who is asked to, so each SMS has its own.
	_, err := ring.Key(s.Key, seal.Code)
	if err != nil {
		s.Key = ring.Current()
	}
	if s.Sends == 0 {
		s.CodeFrom = now
	} else if err != nil || s.Validity(now) < sameCode || s.Managed != "" || w.Managed != "" {
		s.Generation++
		s.CodeFrom, s.Lost = now, s.Sends
	}
	s.Sends++
	s.LastSend, s.NotSent, s.Failed = now, false, false
	s.Managed, s.Verification = w.Managed, ""
	return true
}

// What becomes of an SMS is told by its number, that is Sends as its reservation left
// it. Word of one that is not the last any more comes too late to change anything, and
// the same word twice changes nothing.

// Accept notes which provider took an SMS and, where its code is managed, the
// provider's name for that. It reports whether that is what stands here now: if not, a
// code that was begun must be ended at its provider.
func (s *Sending) Accept(send int, provider, verification string) bool {
	if s.Managed == "" {
		verification = ""
	}
	if !s.last(send) || s.Verification != "" && s.Verification != verification {
		return false
	}
	s.Provider, s.Verification = provider, verification
	return true
}

// Lose notes that an SMS was not handed to a provider.
func (s *Sending) Lose(send int) {
	if s.last(send) {
		s.NotSent = true
		s.Lost++
	}
}

// Fail notes that an SMS which a provider took did not arrive. What providers say of
// delivery is often untrue, so the code stays good and the SMS stays counted.
func (s *Sending) Fail(send int) {
	if s.last(send) {
		s.Failed = true
	}
}

// last reports whether an SMS is the last one and may have been handed over.
func (s *Sending) last(send int) bool { return send > 0 && send == s.Sends && !s.NotSent }
