package sms

import "context"

// Verifier is a provider that makes the code itself, sends it, and says later whether
// what a player typed is it. Nobody else knows the code, so it stands in for no other
// provider and no other provider for it: two codes would be good at once.
// Implementations may be called from several goroutines and must return soon after ctx
// is done.
type Verifier interface {
	// Start makes the provider send a code to m.To; m.Text and m.Code are empty. The
	// receipt's ID is what Check and Cancel take. Errors are as those of
	// [Sender.Send].
	Start(ctx context.Context, m Message) (Receipt, error)
	// Check asks whether code, digits only, is the one that was sent. Every error is an
	// [*Error], and means that nothing is known of the code. An id that the provider never
	// gave is no error, but over: whoever must not learn that no code was sent has one
	// checked all the same.
	Check(ctx context.Context, id, code string) (Checked, error)
	// Cancel ends a verification whose code must not be good any more. One that is over
	// is no error.
	Cancel(ctx context.Context, id string) error
}

// Checked is what a provider says of a code.
type Checked int

// The outcomes of a check.
const (
	// CheckedWrong: it is another one.
	CheckedWrong Checked = iota
	// CheckedRight: it is the one that was sent, and is used up.
	CheckedRight
	// CheckedOver: the verification is over: used, expired, cancelled, blocked, or there
	// were too many wrong codes.
	CheckedOver
)
