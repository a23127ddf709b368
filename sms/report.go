package sms

import "errors"

// State says how far a provider claims that a message has come. It only ever grows
// ([State.After]).
type State int

// The states, from the first to the last. What a provider claims of delivery is often
// untrue and often missing: only Failed has an effect, and no page says "delivered".
const (
	// Pending: nothing final is known.
	Pending State = iota
	// Failed: it did not arrive, and no further try is made.
	Failed
	// Delivered: the provider says that it arrived.
	Delivered
)

// String returns the state's name as it appears in logs and metrics.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Failed:
		return "failed"
	case Delivered:
		return "delivered"
	default:
		return "unknown"
	}
}

// After returns the state of a message of which next is reported, whichever report
// came first: a final state never becomes pending again, and delivered wins over
// failed, since a phone that has the code needs no other one.
func (s State) After(next State) State { return max(s, next) }

// Report is what a provider says of a message some time after it accepted it (a
// delivery receipt).
type Report struct {
	// Ref is the message's own, and ID the provider's name for it. Either may be
	// empty; a report can come before Send has returned, so Ref goes first.
	Ref, ID string
	State   State
	// Code is the provider's own code for what went wrong, for the operator. It is a
	// short word or number, and never part of a number or text.
	Code string
	// Class says what the code means, where it means more than that the message failed;
	// Unknown otherwise.
	Class Class
}

// ErrForged says that a callback does not prove that the provider sent it. The text of
// the error that wraps it is for the operator.
var ErrForged = errors.New("not from the provider")

// Callback is an HTTP request with which a provider calls back.
type Callback struct {
	Method string
	// Path is what follows the provider's own receipts URL, without its leading slash:
	// empty, or the unguessable token of providers that do not sign.
	Path string
	// Query is the raw query, Header the header under its canonical names.
	Query  string
	Header map[string][]string
	// Body is the body as it came, at most 64 KiB.
	Body []byte
}

// Receiver is what a [Sender] or a [Verifier] is besides if its provider calls back with
// reports.
type Receiver interface {
	// Receive reads one callback. It returns an error that wraps [ErrForged] for
	// whatever does not prove itself, and another one for what makes no sense. A
	// callback about nothing that matters here gives no reports.
	Receive(c Callback) ([]Report, error)
}
