package account

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
)

// doubleClick is how long after a challenge was opened the same request from a
// browser that does not know its own secret yet is taken for the same click.
const doubleClick = 10 * time.Second

// Interruption is a request for which a challenge is wanted.
type Interruption struct {
	// Rules and Fingerprint say what is interrupted: the same two mean the same
	// challenge.
	Rules, Fingerprint string
	// Binding, Browser and Device as in Pending.
	Binding, Browser, Device string
	// Stranger as in Pending.
	Stranger string
	// FirstMet tells that the browser showed no secret; Browser is then the hash of
	// the one that it will be given if this opens a challenge with the id ID.
	FirstMet bool
	// Exclusive closes other challenges of the same rules, session and browser: the
	// request has changed, and what was shown before must not be approved any more
	// (OWASP Transaction Authorization 2.6).
	Exclusive bool
	// ID is the id that a new challenge takes; 128 random bits.
	ID string
	// Lifetime is how long a new challenge is open.
	Lifetime time.Duration
}

// Opened is the outcome of Open.
type Opened struct {
	// Pending is the challenge, new or found again.
	Pending Pending
	// New tells which.
	New bool
	// Closed are the challenges that had to give way.
	Closed []string
	// Account is the account with the challenge open.
	Account *Account
}

// Open returns the open challenge for an interruption, or opens one. The same
// interruption finds the same challenge however often and however parallel it
// comes. Beyond MaxPending the oldest gives way, of strangers by each name, in trusted
// browsers and in others apart; no budget is reset by that.
func (b *Book) Open(ctx context.Context, id ID, in Interruption) (Opened, error) {
	var out Opened
	err := b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		out = Opened{Account: a}
		if p := a.find(in, now); p != nil {
			out.Pending = *p
			return nil, errUnchanged
		}
		var events []audit.Event
		drop := func(p Pending) {
			a.dropPending(p.ID)
			out.Closed = append(out.Closed, p.ID)
			events = append(events, audit.Event{Name: audit.ChallengeReplaced, Challenge: p.ID, Rule: p.Rules})
		}
		for _, p := range append([]Pending(nil), a.Pending...) {
			if in.Exclusive && p.Rules == in.Rules && p.Binding == in.Binding && p.Browser == in.Browser {
				drop(p)
			}
		}
		// What is open in trusted browsers does not give way to what others open, nor what is
		// open in a session to what strangers do.
		lane := a.lane(in.Device, in.Stranger)
		for {
			same := slices.DeleteFunc(slices.Clone(a.Pending), func(p Pending) bool { return a.lane(p.Device, p.Stranger) != lane })
			if len(same) < MaxPending {
				break
			}
			drop(same[0])
		}
		out.New = true
		out.Pending = Pending{
			ID: in.ID, Rules: in.Rules, Fingerprint: in.Fingerprint, Binding: in.Binding, Browser: in.Browser, Device: in.Device, Stranger: in.Stranger,
			FirstMet: in.FirstMet, Opened: now, Expires: now.Add(in.Lifetime),
		}
		a.Pending = append(a.Pending, out.Pending)
		return append(events, audit.Event{Name: audit.ChallengeOpened, Challenge: in.ID, Rule: in.Rules}), nil
	})
	if err != nil {
		return Opened{}, fmt.Errorf("opening challenge: %w", err)
	}
	return out, nil
}

// lane tells those apart whose challenges do not push each other out.
func (a *Account) lane(device, stranger string) string {
	switch {
	case stranger != "":
		return "stranger " + stranger
	case a.Device(device) != nil:
		return "trusted"
	default:
		return "session"
	}
}

func (a *Account) find(in Interruption, now time.Time) *Pending {
	for i := range a.Pending {
		p := &a.Pending[i]
		if p.Rules != in.Rules || p.Fingerprint != in.Fingerprint || p.Binding != in.Binding || p.Stranger != in.Stranger {
			continue
		}
		// Nothing but what a provider has been asked about answers it any more, and after
		// a crash not even that.
		if p.Wrong >= AttemptsPerChallenge {
			continue
		}
		// Only the secret that was made with a challenge can be given to its second
		// click; one that a browser had before is nobody else's. Two clicks have one
		// session: of strangers anybody may send the same request as somebody else, and
		// would get their challenge and the secret of their browser.
		if p.Browser == in.Browser || in.Stranger == "" && in.FirstMet && p.FirstMet && now.Sub(p.Opened) < doubleClick {
			return p
		}
	}
	return nil
}

// CloseChallenge drops an open challenge: no answer to it is looked at any more. name
// says why; closing what is not open writes nothing.
func (b *Book) CloseChallenge(ctx context.Context, id ID, challenge string, name audit.Name, c Client) error {
	return b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		p := a.pending(challenge)
		if p == nil {
			return nil, errUnchanged
		}
		event := audit.Event{Name: name, Challenge: challenge, Rule: p.Rules}
		if name == audit.ChallengeReported {
			a.note(KindNotMe, c, p.Browser, now)
		}
		a.dropPending(challenge)
		return []audit.Event{event}, nil
	})
}
