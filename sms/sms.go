// Package sms is the contract between Stepgate and whatever carries a text
// message to a player's phone, and the types that both sides share.
//
// A sender says what became of a message as one of a few classes, because the
// caller has to act on it: try another provider, tell the player to try later,
// or stop. "Accepted" never means "delivered"; no provider can promise that, and
// no page of Stepgate claims it.
package sms

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Message is one text message. Its fields are secrets of the player: a sender
// must not log To, Text or Code.
type Message struct {
	To Number
	// Text is the whole text, ready to be sent: GSM-7, one part (160 septets).
	Text string
	// Code is the code that Text carries, for providers that fill in a template of
	// their own. It is empty for a message that carries none.
	Code string
	// Ref identifies the message to the provider: 1 to 40 letters, digits, "-" and
	// "_". It stays the same when the same message is handed to a second provider, so
	// it can serve as idempotency key; a message that is sent again has another.
	Ref string
	// Locale is the BCP 47 tag of Text's language, "id" or "en".
	Locale string
	// Validity says how long the code is still good for; a message that could not
	// be delivered by then should be dropped.
	Validity time.Duration
	// Brand is the site's name and Purpose the name of the rule that the code is for,
	// for providers that fill in a template of their own.
	Brand, Purpose string
	// Attempt counts the messages of one challenge or set-up, from 1.
	Attempt int
	// Avoid names the provider that carried the message before this one, if any: where
	// receipts lie, another way is the best remedy for a message that does not arrive.
	Avoid string
}

// String keeps the message out of logs.
func (m Message) String() string { return "sms to " + m.To.String() + " ref " + m.Ref }

// GoString keeps the message out of %#v.
func (m Message) GoString() string { return m.String() }

// Receipt is what a provider said about a message that it accepted.
type Receipt struct {
	// Provider is the name that the operator gave to the provider; a sender that
	// knows of one provider only leaves it empty.
	Provider string
	// ID is the provider's name for the message; it may be empty.
	ID string
}

// Sender hands messages to a provider. Implementations may be called from
// several goroutines and must return soon after ctx is done.
type Sender interface {
	// Send hands over one message. A nil error means that the provider accepted
	// it. Every other outcome is an [*Error].
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Class says what became of a message that was not accepted.
type Class int

// The classes, by what the caller does next.
const (
	// Unknown: it may or may not have been sent (a timeout after the request was
	// written, an answer that makes no sense). It counts as sent for every limit.
	Unknown Class = iota
	// NotSent: it certainly was not sent (no connection, throttled). Another try or
	// another provider may succeed.
	NotSent
	// BadNumber: this number cannot be reached; no provider will do better.
	BadNumber
	// Account: the operator's account at the provider does not work (credentials,
	// credit, sender not registered). Another provider may; the operator must act.
	Account
	// BadRequest: the provider did not understand the request; a defect.
	BadRequest
	// Policy: the provider refused for fraud or policy reasons; no failover.
	Policy
)

// String returns the class's name as it appears in logs and metrics.
func (c Class) String() string {
	switch c {
	case Unknown:
		return "unknown"
	case NotSent:
		return "not_sent"
	case BadNumber:
		return "number"
	case Account:
		return "account"
	case BadRequest:
		return "bad_request"
	case Policy:
		return "policy"
	default:
		return fmt.Sprintf("class_%d", int(c))
	}
}

// Error is a message that was not accepted. Its text is for the operator: no
// number, no code, no text of the message.
type Error struct {
	Class Class
	Err   error
}

// Error returns class and cause.
func (e *Error) Error() string { return "sending sms: " + e.Class.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of an error that a Sender returned; an error of any
// other type, or of a class that is none of these, counts as Unknown: who invents one
// may have sent the message.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok && e.Class >= Unknown && e.Class <= Policy {
		return e.Class
	}
	return Unknown
}
