// Package courier is the one way by which an SMS leaves the gateway: it asks the guard,
// hands the message to a provider, keeps in mind what became of it, and hears what the
// provider says of it later.
//
// No transaction of the store is open while a provider is asked.
package courier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Carrier hands a message to one of several providers, and tells of each attempt.
type Carrier interface {
	Send(ctx context.Context, m sms.Message, a sms.Attempts) (sms.Receipt, error)
}

// DefaultTimeout bounds how long a verifier is asked for one purpose.
const DefaultTimeout = 9 * time.Second

// Courier says by whom messages go, and how many may. Guard is required, and exactly one
// of Carrier and Verifier. It is safe for concurrent use, and must not be changed once it
// is in use.
type Courier struct {
	Carrier Carrier
	// Verifier makes, sends and checks the codes itself; VerifierName is the operator's
	// name for it.
	Verifier     sms.Verifier
	VerifierName string
	// Receivers are the providers that call back, by the operator's name for them.
	Receivers map[string]sms.Receiver
	// Guard says what may be sent.
	Guard *smsguard.Guard
	// Timeout bounds how long Verifier is asked for one purpose, a new code in the place of
	// another one included. Default DefaultTimeout; Carrier has its own.
	Timeout time.Duration
}

// Desk is where the courier keeps its state for one request, and whom it tells of what
// happens. All fields are required.
type Desk struct {
	Store store.Store
	Ring  *seal.Ring
	Rand  io.Reader
	Now   func() time.Time
	// Observe is told of each event. It may be called after the sending has ended, for
	// a provider that answers late.
	Observe func(e audit.Event)
	// Failed is told of errors of the store that no answer waits for.
	Failed func(err error)
}

// Purpose says what a code is for: a challenge or a set-up of an account, and which of
// its messages it is.
type Purpose struct {
	// Account is the account's id.
	Account string `json:"account"`
	// Challenge or Setup is the record's id; the other one is empty.
	Challenge string `json:"challenge,omitempty"`
	Setup     string `json:"setup,omitempty"`
	// Send counts its messages, from 1.
	Send int `json:"send"`
}

// Parcel is a message that carries a code.
type Parcel struct {
	Purpose
	// Message without Ref and Attempt, which the courier knows. For a verifier Text and
	// Code are empty.
	Message sms.Message
	// Replaced is the verification whose code this one takes the place of, if any.
	Replaced string
	// Lane keeps what is counted in a trusted browser apart, and Address is the client's.
	Lane, Address string
	// Rank says which codes of a verifier it may end, and Waits whether the code of another
	// purpose, a challenge, is still waited for.
	Rank  Rank
	Waits func(ctx context.Context, p Purpose) (bool, error)
}

// String keeps the message and where it comes from out of logs.
func (p Parcel) String() string {
	return p.Message.String() + " for " + cmp.Or(p.Challenge, p.Setup)
}

// GoString keeps them out of %#v.
func (p Parcel) GoString() string { return p.String() }

// Sent is what became of a message.
type Sent struct {
	// Handed says that a provider has it, or may have: it counts as sent.
	Handed bool
	// Provider is who has it, and Verification the provider's name for it where it makes
	// the code itself.
	Provider, Verification string
	// Reason says why it was not handed over, or that nobody knows, in one of a fixed set
	// of words. It is for the operator: a player who could tell a limit from a fault would
	// know what is known of a number (invariant I11).
	Reason string
}

// Managed reports whether codes are made and checked by a provider.
func (c *Courier) Managed() bool { return c.Verifier != nil }

// Send sends a code, if the guard lets it, and ends the one that it takes the place of
// whether or not it does. An error is the store's. ctx should not end because the player
// gives up waiting: the message is paid for all the same.
func (c *Courier) Send(ctx context.Context, d Desk, p Parcel) (Sent, error) {
	left := c.timeout()
	if c.Managed() && p.Replaced != "" {
		left -= c.replace(ctx, d, p.Replaced)
	}
	verdict, err := c.Guard.Admit(ctx, d.Store, d.Ring, smsguard.Want{
		To: p.Message.To, Account: p.Account, Lane: p.Lane, Address: p.Address,
	})
	if err != nil {
		return Sent{}, fmt.Errorf("asking the guard: %w", err)
	}
	a := &attempts{courier: c, desk: d, purpose: p.Purpose, to: p.Message.To}
	a.tell(verdict, "")
	if !verdict.OK() {
		return Sent{Reason: string(verdict.Reason)}, nil
	}
	if c.Managed() {
		free, err := d.hold(ctx, p)
		if err != nil {
			return Sent{}, err
		}
		if !free {
			return Sent{Reason: "busy"}, nil
		}
	}
	m := p.Message
	m.Ref, m.Attempt = ref(p.Purpose), p.Purpose.Send
	if err := c.keep(ctx, d, m.Ref, p.Purpose, m.To); err != nil {
		return Sent{}, err
	}
	if m.Avoid == "" && len(c.Receivers) > 0 {
		if m.Avoid, err = d.avoided(ctx, m.To); err != nil {
			return Sent{}, err
		}
	}
	receipt, err := c.hand(ctx, left, m, a)
	if err == nil {
		return Sent{Handed: true, Provider: receipt.Provider, Verification: receipt.ID}, nil
	}
	if err := a.storeError(); err != nil {
		return Sent{}, err
	}
	sent := Sent{Reason: reason(err)}
	// A message of which nobody knows may be on its way: the page says "sent", and the
	// player can ask for it again. A code that only the provider knows is lost with its
	// name.
	if sms.ClassOf(err) == sms.Unknown && !c.Managed() {
		sent.Handed, sent.Provider = true, a.carrier()
	}
	return sent, nil
}

// reason puts an error of a sending into one word.
func reason(err error) string {
	class := sms.ClassOf(err)
	if class != sms.NotSent {
		return class.String()
	}
	if no, ok := errors.AsType[*refused](err); ok {
		return string(no.reason)
	}
	if errors.Is(err, sms.ErrUnavailable) {
		return "unavailable"
	}
	return class.String()
}

// Notify sends a message that has no code. Whoever sends it has a limit of their own,
// which nobody uses up by asking for codes; the budget holds for it.
func (c *Courier) Notify(ctx context.Context, d Desk, m sms.Message) error {
	if c.Carrier == nil {
		return errNoCarrier
	}
	a := &attempts{courier: c, desk: d, to: m.To, notice: true}
	_, err := c.Carrier.Send(ctx, m, a)
	if err := a.storeError(); err != nil {
		return err
	}
	if err != nil && sms.ClassOf(err) == sms.Unknown {
		return nil // it may be on its way
	}
	return err
}

var errNoCarrier = errors.New("the provider sends codes only")

// hand hands a code to whoever carries it. left bounds the asking of a verifier.
func (c *Courier) hand(ctx context.Context, left time.Duration, m sms.Message, a *attempts) (sms.Receipt, error) {
	if !c.Managed() {
		receipt, err := c.Carrier.Send(ctx, m, a)
		receipt.ID = "" // of use to a verifier only
		return receipt, err
	}
	if err := a.Before(ctx, c.VerifierName); err != nil {
		return sms.Receipt{}, &sms.Error{Class: sms.NotSent, Err: err}
	}
	asking, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	receipt, err := c.Verifier.Start(asking, m)
	receipt.Provider = c.VerifierName
	a.After(context.WithoutCancel(ctx), c.VerifierName, receipt, err)
	return receipt, err
}

// replace ends a verification before another one takes its place, and returns how long
// that took: a third of the time at most, since the player waits for the other one. A
// provider that cannot end it may refuse the other one, and says so when asked.
func (c *Courier) replace(ctx context.Context, d Desk, verification string) time.Duration {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.timeout()/3)
	defer cancel()
	if err := c.Verifier.Cancel(ctx, verification); err != nil {
		d.Failed(err)
	}
	return time.Since(start)
}

// Check asks the provider whether a code is the one that it sent.
func (c *Courier) Check(ctx context.Context, verification, code string) (sms.Checked, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	return c.Verifier.Check(ctx, verification, code)
}

// Cancel ends a verification whose code must not be good any more.
func (c *Courier) Cancel(ctx context.Context, verification string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	return c.Verifier.Cancel(ctx, verification)
}

// Verified notes that a code was typed in rightly that was sent at a time by a provider.
func (c *Courier) Verified(ctx context.Context, d Desk, provider string, to sms.Number, sent time.Time) error {
	if provider == "" {
		return nil // from before the courier kept it
	}
	return c.Guard.Verified(ctx, d.Store, d.Ring, provider, to, sent)
}

func (c *Courier) timeout() time.Duration { return cmp.Or(c.Timeout, DefaultTimeout) }
