package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/policy"
)

// SettleWithin is how long after an attempt what a provider says of it counts.
const SettleWithin = time.Minute

// Inquiry is an attempt that was spent on a code about which a provider is asked.
type Inquiry struct {
	Ticket string `json:"ticket"`
	// About is the challenge or set-up.
	About string    `json:"about"`
	Until time.Time `json:"until"`
}

// Ticket is an attempt that was spent on an answer, and entitles to ask a provider
// whether the answer is right. What the provider says is settled once.
type Ticket struct {
	id string
	attempt
}

// Attempt spends one attempt on an answer by a managed SMS code, as a wrong one, so
// that its provider may be asked. It looks at everything that Answer looks at before
// it compares. The ticket is nil if the provider is not to be asked; the result then
// says why. The challenge stays open for the last attempt, and takes no further one.
func (b *Book) Attempt(ctx context.Context, id ID, in Answer) (Result, *Ticket, error) {
	ticket, err := newID(b.rand)
	if err != nil {
		return Result{}, nil, err
	}
	var out Result
	var t attempt
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		if t, out = a.attempt(in, now); out.Verdict != Right {
			return nil, errUnchanged
		}
		// That there is no phone is no stranger's business (invariant I11).
		if _, usable := a.phone(); in.Factor != policy.SMS || !usable && !t.asker.stranger() {
			out.Verdict = Unusable
			return nil, errUnchanged
		}
		a.ask(ticket, in.Challenge, now)
		return a.spendOn(&t, now), nil
	})
	if err != nil {
		return Result{}, nil, fmt.Errorf("spending attempt: %w", err)
	}
	if out.Verdict != Right {
		return out, nil, nil
	}
	t.Code, t.Expected = "", ""
	return Result{}, &Ticket{id: ticket, attempt: t}, nil
}

// Settle does what follows from what the provider says of an attempt's answer. A right
// one counts as the first of all that were under way: it passes if its challenge is
// still open, and clears the failures as in Answer, its own with them. A wrong one was
// counted before; it closes the challenge if it was the last, and no other one is under
// way that may be right. A provider that cannot say is to be settled as wrong.
func (b *Book) Settle(ctx context.Context, id ID, t *Ticket, right bool) (Result, error) {
	d, err := b.draw()
	if err != nil {
		return Result{}, err
	}
	var out Result
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		out = Result{}
		if !a.settle(t.id) {
			return nil, errUnchanged
		}
		d.at = now
		e, usable := a.phone()
		right := right
		if t.asker.stranger() && (!usable || a.Closed(now)) {
			right = false
		}
		switch open := a.pending(t.Challenge) != nil; {
		case open && right && usable:
			// The code is the challenge's, which ends: so it passes once (invariant I3).
			out, events = b.right(id, a, t.attempt, e.shown(now), d)
		case open && !right:
			out, events = b.wrong(id, a, t.attempt, Wrong, d)
		default:
			// Whoever closes a challenge while the provider is asked does not keep from the
			// player what the attempt has done.
			out.Alerts = a.warn(id, t.attempt, d)
		}
		return events, nil
	})
	if err != nil {
		return Result{}, fmt.Errorf("settling attempt: %w", err)
	}
	return out, nil
}

// ask notes that a provider is asked about a code.
func (a *Account) ask(ticket, about string, now time.Time) {
	a.Inquiries = append(a.Inquiries, Inquiry{Ticket: ticket, About: about, Until: now.Add(SettleWithin)})
}

// settle ends an inquiry, and reports whether it was under way.
func (a *Account) settle(ticket string) bool {
	i := slices.IndexFunc(a.Inquiries, func(q Inquiry) bool { return q.Ticket == ticket })
	if i < 0 {
		return false
	}
	a.Inquiries = slices.Delete(a.Inquiries, i, i+1)
	return true
}

// asked reports whether an inquiry about a challenge or set-up is under way.
func (a *Account) asked(about string) bool {
	return slices.ContainsFunc(a.Inquiries, func(q Inquiry) bool { return q.About == about })
}

// ManagedSetup reports whether a provider made the present code of a set-up, from where
// that was begun: then AttemptSetup and SettleSetup take the place of Confirm.
func (b *Book) ManagedSetup(ctx context.Context, id ID, c Change, setup string) (bool, error) {
	a, err := b.Get(ctx, id)
	if err != nil {
		return false, err
	}
	s := a.setup(c, setup)
	return s != nil && s.Managed != "", nil
}

// SetupTicket is a Ticket for the code of a set-up. Running is what its provider is to
// be asked about.
type SetupTicket struct {
	Running   delivery.Running
	id, setup string
	send      int
	change    Change
}

// AttemptSetup is Attempt for the managed code of a set-up, from where that was begun.
// If there is no code that a provider could be asked about, what was typed is wrong.
func (b *Book) AttemptSetup(ctx context.Context, id ID, c Change, setup string) (Bound, *SetupTicket, error) {
	ticket, err := newID(b.rand)
	if err != nil {
		return Bound{}, nil, err
	}
	var out Bound
	var t *SetupTicket
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		out, t = Bound{}, nil
		s := a.setup(c, setup)
		if s == nil {
			return nil, errUnchanged
		}
		if _, err := s.change(a, c); err != nil {
			return nil, err
		}
		s.Wrong++
		if s.Verification == "" || s.CodeExpired(now) {
			out, events = a.setupFailed()
			return events, nil
		}
		a.ask(ticket, s.ID, now)
		t = &SetupTicket{Running: s.Running(), id: ticket, setup: s.ID, send: s.Sends, change: c}
		return nil, nil
	})
	if err != nil {
		return Bound{}, nil, fmt.Errorf("spending attempt at set-up: %w", err)
	}
	return out, t, nil
}

// SettleSetup is Settle for a set-up: a right code binds the phone that it was sent to,
// unless another set-up or another code has taken its place.
func (b *Book) SettleSetup(ctx context.Context, id ID, t *SetupTicket, right bool) (Bound, error) {
	d, enrolment, err := b.drawBinding()
	if err != nil {
		return Bound{}, err
	}
	var out Bound
	err = b.update(ctx, id, func(a *Account, now time.Time) (events []audit.Event, err error) {
		out = Bound{}
		if !a.settle(t.id) {
			return nil, errUnchanged
		}
		s := a.Setup
		if s == nil || s.ID != t.setup {
			return nil, nil
		}
		if !right || s.Sends != t.send {
			out, events = a.setupFailed()
			return events, nil
		}
		d.at = now
		out, events, err = b.confirmed(id, a, t.change, Enrolment{ID: enrolment}, d)
		return events, err
	})
	if err != nil {
		return Bound{}, fmt.Errorf("settling attempt at set-up: %w", err)
	}
	return out, nil
}
