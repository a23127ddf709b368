package challenge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/policy"
)

// Send is the outcome of ReserveSend.
type Send struct {
	// Challenge as it is now.
	Challenge *Challenge
	// Granted tells that the caller, and nobody else, is to send Code now, or to have the
	// provider send one that the challenge names as Managed; Code is empty then.
	Granted bool
	Code    string
	// Number is which SMS of the challenge it is, for the word of what became of it.
	Number int
	// Validity is how much life the code has.
	Validity time.Duration
	// Replaced is the managed code before it, which must not be good any more.
	Replaced delivery.Running
}

// String keeps the code out of logs.
func (s Send) String() string { return fmt.Sprintf("send(granted %t)", s.Granted) }

// Format keeps the code out of logs under every verb.
func (s Send) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue keeps the code out of log/slog.
func (s Send) LogValue() slog.Value { return slog.StringValue(s.String()) }

// ReserveSend reserves the next SMS of a challenge. A reservation is spent whether or
// not the message goes out: a provider that failed may have sent it all the same.
func (b *Book) ReserveSend(ctx context.Context, id string, w delivery.Wanted) (Send, error) {
	var out Send
	c, err := b.update(ctx, id, func(c *Challenge) (*Challenge, error) {
		if c == nil {
			return nil, ErrNotFound
		}
		if out = b.reserve(c, w); !out.Granted {
			return c, errUnchanged
		}
		return c, nil
	})
	if err != nil {
		return Send{}, err
	}
	out.Challenge = c
	return b.withCode(out)
}

// EnsureSent is Ensure and ReserveSend of the very first SMS in one write. managed is
// as in [delivery.Wanted].
func (b *Book) EnsureSent(ctx context.Context, c *Challenge, managed string) (Send, error) {
	var out Send
	c, err := b.update(ctx, c.ID, func(old *Challenge) (*Challenge, error) {
		next := old
		if old == nil {
			next = b.fresh(c)
		}
		out = b.reserve(next, delivery.Wanted{First: true, Managed: managed})
		if old != nil && !out.Granted {
			return old, errUnchanged
		}
		return next, nil
	})
	if err != nil {
		return Send{}, err
	}
	out.Challenge = c
	return b.withCode(out)
}

// reserve reserves a challenge's next SMS, if there is to be one now.
func (b *Book) reserve(c *Challenge, w delivery.Wanted) Send {
	now, before := b.now(), c.Running()
	if c.State(now) != Pending || !c.Accepts(policy.SMS) || !c.Reserve(b.ring, now, w) {
		return Send{}
	}
	return Send{Granted: true, Number: c.Sends, Replaced: before}
}

// withCode completes a send that was granted.
func (b *Book) withCode(s Send) (Send, error) {
	if !s.Granted {
		return s, nil
	}
	if s.Challenge.Managed == "" {
		var err error
		if s.Code, err = b.code(s.Challenge); err != nil {
			return Send{}, err
		}
	}
	s.Validity = min(s.Challenge.Sending.Validity(b.now()), s.Challenge.Expires.Sub(b.now()))
	return s, nil
}

// MarkNotSent notes that an SMS, by its number, was not handed to a provider. Of a
// challenge that is Named it notes nothing, as of a name that nobody has.
func (b *Book) MarkNotSent(ctx context.Context, id string, send int) (*Challenge, error) {
	return b.mark(ctx, id, func(c *Challenge) {
		if !c.Named() {
			c.Lose(send)
		}
	})
}

// MarkSent notes which provider took an SMS and, where its code is managed, the
// provider's name for that. It reports whether the challenge waits for that code now:
// if not, the code must be ended at its provider, since nobody will ask for it.
func (b *Book) MarkSent(ctx context.Context, id string, send int, provider, verification string) (c *Challenge, waits bool, err error) {
	c, err = b.mark(ctx, id, func(c *Challenge) {
		waits = c.Accept(send, provider, verification) && c.State(b.now()) == Pending
	})
	return c, waits && err == nil, err
}

// MarkUndelivered notes that an SMS which a provider took did not arrive, but as
// MarkNotSent.
func (b *Book) MarkUndelivered(ctx context.Context, id string, send int) (*Challenge, error) {
	return b.mark(ctx, id, func(c *Challenge) {
		if !c.Named() {
			c.Fail(send)
		}
	})
}

// mark notes what became of an SMS. It writes only what is new.
func (b *Book) mark(ctx context.Context, id string, note func(c *Challenge)) (*Challenge, error) {
	return b.update(ctx, id, func(c *Challenge) (*Challenge, error) {
		if c == nil {
			return nil, ErrNotFound
		}
		before := c.Sending
		if note(c); c.Sending == before {
			return c, errUnchanged
		}
		return c, nil
	})
}

// Passing is what the account says of a right answer.
type Passing struct {
	By policy.Factor
	// Epoch is the account's, in which what the challenge opens lives.
	Epoch uint64
	// Root goes with changes of factors under the challenge.
	Root time.Time
}

// Pass moves a pending challenge to passed, after the account has said that the
// answer is right. release moves it on to released in the
// same step and gives back what it held. It reports whether it was this call that
// moved it.
func (b *Book) Pass(ctx context.Context, id string, p Passing, release bool) (c *Challenge, request *held.Request, moved bool, err error) {
	c, err = b.update(ctx, id, func(c *Challenge) (*Challenge, error) {
		moved, request = false, nil
		if c == nil {
			return nil, ErrNotFound
		}
		now := b.now()
		if c.State(now) != Pending {
			return c, errUnchanged
		}
		moved = true
		c.Moved, c.PassedBy, c.PassedAt, c.Epoch, c.Root = Passed, p.By, now, p.Epoch, p.Root
		if release {
			c.Moved, request, c.Held = Released, c.Held, nil
		}
		return c, nil
	})
	return c, request, moved, err
}

// Take moves a passed challenge to released and gives back what it held, if
// anything. It reports whether it was this call that moved it, so of many that
// ask only one goes on (invariants I3 and I4). A challenge that was passed can be
// taken until its deadline.
func (b *Book) Take(ctx context.Context, id string) (c *Challenge, request *held.Request, moved bool, err error) {
	c, err = b.update(ctx, id, func(c *Challenge) (*Challenge, error) {
		moved, request = false, nil
		if c == nil {
			return nil, ErrNotFound
		}
		if c.Moved != Passed || !b.now().Before(c.Expires) {
			return c, errUnchanged
		}
		moved = true
		c.Moved, request, c.Held = Released, c.Held, nil
		return c, nil
	})
	return c, request, moved, err
}

// End moves a challenge that is pending or passed to one of Cancelled, Replaced
// and UsedUp, and drops what it holds. Any other state is an error: a challenge
// is passed by Pass alone. It reports whether it was this call that moved it.
func (b *Book) End(ctx context.Context, id string, to State) (c *Challenge, moved bool, err error) {
	if to != Cancelled && to != Replaced && to != UsedUp {
		return nil, false, errors.New("ending challenge: not a state to end in")
	}
	c, err = b.update(ctx, id, func(c *Challenge) (*Challenge, error) {
		moved = false
		if c == nil {
			return nil, ErrNotFound
		}
		if state := c.State(b.now()); state != Pending && state != Passed {
			return c, errUnchanged
		}
		moved = true
		c.Moved, c.Held = to, nil
		return c, nil
	})
	return c, moved && err == nil, err
}
