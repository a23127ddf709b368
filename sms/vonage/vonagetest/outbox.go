package vonagetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/stepgate/stepgate/internal/gsm7"
)

// Message is one message that was accepted, as the phone gets it.
type Message struct {
	// API is what sent it: SMS, Messages or Verify.
	API API
	// ID is the message-id of the first part, the message_uuid or the request_id. IDs
	// are those of all parts.
	ID  string
	IDs []string
	// Channel is "sms", unless a workflow of Verify has come to another one.
	Channel        string
	To, From, Text string
	ClientRef      string
	Unicode        bool
	Parts          int
	TTL            time.Duration // 0 for Vonage's own
	Callback       string        // the address that the request named, if any
	At             time.Time
}

// Outbox returns the messages that were accepted, the oldest first.
func (s *Server) Outbox() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.outbox)
}

// Await waits until n messages have been accepted in all, and returns them.
func (s *Server) Await(ctx context.Context, n int) ([]Message, error) {
	if err := s.until(ctx, func() bool { return len(s.outbox) >= n }); err != nil {
		return nil, fmt.Errorf("waiting for %d messages: %w", n, err)
	}
	return s.Outbox(), nil
}

// deliver puts a message into the outbox. mu is held.
func (s *Server) deliver(m Message) {
	s.outbox = append(s.outbox, m)
	s.change()
}

// encode returns a text as it arrives, and in how many parts. A text that is sent as
// GSM-7 loses what GSM-7 has not.
func encode(s string, unicode bool) (arrives string, parts int) {
	if unicode {
		return s, partsOf(len(utf16.Encode([]rune(s))), 70, 67)
	}
	arrives = strings.Map(func(r rune) rune {
		if _, ok := gsm7.Septets(string(r)); !ok {
			return '?'
		}
		return r
	}, s)
	septets, _ := gsm7.Septets(arrives) // nothing is left that it could refuse
	return arrives, partsOf(septets, gsm7.MaxSeptets, 153)
}

func partsOf(n, one, each int) int {
	if n <= one {
		return 1
	}
	return (n + each - 1) / each
}

// needsUnicode says what "auto" makes of a text.
func needsUnicode(s string) bool {
	_, ok := gsm7.Septets(s)
	return !ok
}
