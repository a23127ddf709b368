// Package console is a sender for development: it prints every message where the
// developer can read it, and sends nothing.
//
// WARNING: it prints the full text, so the one-time code, and the full number, to
// whatever it is given. That breaks on purpose what the rest of Stepgate
// guarantees of its logs. It must never be configured where real players are:
// whoever reads the terminal, or the log that it ends in, passes every challenge.
package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/stepgate/stepgate/sms"
)

// Sender prints messages to W, code and number included; see the package comment.
// It may be used from several goroutines; a Sender must not be copied.
type Sender struct {
	// W gets one Write per message.
	W io.Writer

	mu sync.Mutex // guards W
}

// Send prints one message. It returns an [sms.Error] of class NotSent if ctx is
// already done, and of class Unknown if W fails, since a part may have been
// printed.
func (s *Sender) Send(ctx context.Context, m sms.Message) (sms.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return sms.Receipt{}, &sms.Error{Class: sms.NotSent, Err: err}
	}
	block := format(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := io.WriteString(s.W, block); err != nil {
		return sms.Receipt{}, &sms.Error{Class: sms.Unknown, Err: errors.New("writing to the console")}
	}
	return sms.Receipt{ID: m.Ref}, nil
}

// format lays a message out so that it stands out among log lines.
func format(m sms.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n┌─ SMS to %s (console sender: nothing was sent)\n", printable(m.To.E164()))
	for line := range strings.SplitSeq(m.Text, "\n") {
		b.WriteString("│ " + printable(line) + "\n")
	}
	fmt.Fprintf(&b, "└─ ref %s, valid %s\n", printable(m.Ref), m.Validity.Round(time.Second))
	return b.String()
}

// printable replaces what could drive a terminal: the text can carry what a player
// typed, such as the payee of a withdrawal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

var _ sms.Sender = (*Sender)(nil)
