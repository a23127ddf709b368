package sms

import (
	"context"
	"errors"
)

// ErrUnavailable says that no provider takes messages at the moment, so that a player is
// better served by another factor than by another try. The error that wraps it is of
// class NotSent: nothing was handed over, and nothing is to be paid.
var ErrUnavailable = errors.New("no provider takes messages now")

// ErrPassOver says that one provider must not have a message now, and that another one may.
var ErrPassOver = errors.New("this provider is passed over")

// Attempts is told of each handing-over of a message to a provider: one message may be
// handed to more than one, and each time may cost money. Implementations may be called
// from several goroutines, must return soon, and must keep to ctx.
type Attempts interface {
	// Before is asked before a hand-over, and an error from it prevents that. One that
	// wraps ErrPassOver lets the next provider have the message; any other one ends the
	// sending: there is no money left, say. The error reaches whoever sends, wrapped in one
	// of class NotSent, or Unknown if an earlier hand-over may have sent the message.
	Before(ctx context.Context, provider string) error
	// After is told once, for each time that Before gave no error, how the hand-over
	// ended; r and err are as those of [Sender.Send], and r names the provider. For a
	// sender that outlived its time that is long after the sending ended. ctx does not end
	// with the sending, since what was spent must be written down all the same.
	After(ctx context.Context, provider string, r Receipt, err error)
}
