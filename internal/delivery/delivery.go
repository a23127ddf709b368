// Package delivery decides when an SMS code goes out: which code, how often, and
// how long after the one before. A challenge and the set-up of a phone keep a
// [Sending] in their record and ask it inside the atomic update of that record, so
// that of many requests for a code one is granted.
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
}

// ResendAt returns from when another SMS may be asked for; zero if none may.
func (s *Sending) ResendAt() time.Time {
	if s.Sends >= MaxSends || s.Sends == 0 {
		return time.Time{}
	}
	return s.LastSend.Add(resendAfter[s.Sends-1])
}

// Sent reports whether an SMS with the present code may have reached the player.
func (s *Sending) Sent() bool { return s.Sends > s.Lost }

// CodeExpired reports whether the SMS code that was sent is too old.
func (s *Sending) CodeExpired(now time.Time) bool {
	return s.Sends > 0 && !now.Before(s.CodeFrom.Add(CodeLifetime))
}

// Validity returns how much life the present code has.
func (s *Sending) Validity(now time.Time) time.Duration { return CodeLifetime - now.Sub(s.CodeFrom) }

// Reserve reserves the next SMS, and reports false if there is to be none now.
// first reserves only the very first one, however many ask for it. A reservation is
// spent whether or not the message goes out: a provider that failed may have sent it
// all the same.
func (s *Sending) Reserve(ring *seal.Ring, now time.Time, first bool) bool {
	switch {
	case s.Sends >= MaxSends, first && s.Sends > 0, s.Sends > 0 && now.Before(s.ResendAt()):
		return false
	}
	// The same code while it has life left: a message that comes late is still
	// good, and a duplicate does no harm.
	_, err := ring.Key(s.Key, seal.Code)
	if err != nil {
		s.Key = ring.Current()
	}
	if s.Sends == 0 {
		s.CodeFrom = now
	} else if err != nil || s.Validity(now) < sameCode {
		s.Generation++
		s.CodeFrom, s.Lost = now, s.Sends
	}
	s.Sends++
	s.LastSend, s.NotSent = now, false
	return true
}

// Lose notes that the last reserved SMS was not handed to a provider.
func (s *Sending) Lose() {
	s.NotSent = true
	s.Lost++
}
