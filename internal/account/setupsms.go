package account

import (
	"context"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// BeginSMS keeps a phone number until the code that goes to it is confirmed, and
// reserves the SMS with the first one. It takes the place of a set-up under way.
// managed is as in [delivery.Wanted].
func (b *Book) BeginSMS(ctx context.Context, id ID, c Change, phone sms.Number, managed string) (SetupSend, error) {
	s := Setup{Factor: policy.SMS, Phone: phone}
	s.Reserve(b.ring, b.now(), delivery.Wanted{First: true, Managed: managed})
	begun, replaced, err := b.begin(ctx, id, c, s)
	if err != nil {
		return SetupSend{}, err
	}
	return b.withCode(SetupSend{Setup: begun, Granted: true, Number: begun.Sends, Replaced: replaced})
}

// SetupSend is an SMS of a set-up.
type SetupSend struct {
	// Setup as it is now; nil if it is not there any more.
	Setup *Setup
	// Granted tells that the caller, and nobody else, is to send Code now, or to have the
	// provider send one that the set-up names as Managed; Code is empty then.
	Granted bool
	Code    string
	// Number is which SMS of the set-up it is, for the word of what became of it.
	Number int
	// Validity is how much life the code has.
	Validity time.Duration
	// Replaced is the managed code before it, of this set-up or of the one whose place
	// it took, which must not be good any more.
	Replaced delivery.Running
}

// ResendSetup reserves another SMS of a set-up, from where it was begun. managed is as
// in [delivery.Wanted].
func (b *Book) ResendSetup(ctx context.Context, id ID, c Change, setup, managed string) (SetupSend, error) {
	var out SetupSend
	err := b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		out = SetupSend{}
		s := a.setup(c, setup)
		if s == nil || s.Factor != policy.SMS {
			return nil, errUnchanged
		}
		out.Setup = s
		before := s.Running()
		if out.Granted = s.Reserve(b.ring, now, delivery.Wanted{Managed: managed}); !out.Granted {
			return nil, errUnchanged
		}
		out.Number, out.Replaced = s.Sends, before
		return nil, nil
	})
	if err != nil {
		return SetupSend{}, fmt.Errorf("reserving set-up code: %w", err)
	}
	return b.withCode(out)
}

func (b *Book) withCode(s SetupSend) (SetupSend, error) {
	if !s.Granted {
		return s, nil
	}
	if s.Setup.Managed == "" {
		var err error
		if s.Code, err = b.setupCode(s.Setup); err != nil {
			return SetupSend{}, err
		}
	}
	s.Validity = min(s.Setup.Validity(b.now()), s.Setup.Expires.Sub(b.now()))
	return s, nil
}

// SetupNotSent notes that an SMS of a set-up, by its number, was not handed to a
// provider.
func (b *Book) SetupNotSent(ctx context.Context, id ID, setup string, send int) error {
	_, err := b.markSetup(ctx, id, setup, func(s *Setup) { s.Lose(send) })
	return err
}

// SetupSent notes which provider took an SMS of a set-up and, where its code is managed,
// the provider's name for that. It reports whether the set-up waits for that code now:
// if not, the code must be ended at its provider, since nobody will ask for it.
func (b *Book) SetupSent(ctx context.Context, id ID, setup string, send int, provider, verification string) (waits bool, err error) {
	there, err := b.markSetup(ctx, id, setup, func(s *Setup) { waits = s.Accept(send, provider, verification) })
	return there && waits, err
}

// SetupUndelivered notes that an SMS of a set-up which a provider took did not arrive.
func (b *Book) SetupUndelivered(ctx context.Context, id ID, setup string, send int) error {
	_, err := b.markSetup(ctx, id, setup, func(s *Setup) { s.Fail(send) })
	return err
}

// markSetup notes what became of an SMS of a set-up, and reports whether that is under
// way. It writes only what is new.
func (b *Book) markSetup(ctx context.Context, id ID, setup string, note func(s *Setup)) (there bool, err error) {
	err = b.update(ctx, id, func(a *Account, now time.Time) ([]audit.Event, error) {
		if there = a.Setup != nil && a.Setup.ID == setup; !there {
			return nil, errUnchanged
		}
		before := a.Setup.Sending
		if note(a.Setup); a.Setup.Sending == before {
			return nil, errUnchanged
		}
		return nil, nil
	})
	if err != nil {
		return false, fmt.Errorf("noting what became of a set-up code: %w", err)
	}
	return there, nil
}

// setupCode returns the SMS code of a set-up.
func (b *Book) setupCode(s *Setup) (string, error) {
	key, err := b.ring.Key(s.Key, seal.Code)
	if err != nil {
		return "", fmt.Errorf("deriving set-up code: %w", err)
	}
	return factor.SMSCode(key, "setup/"+s.ID, s.Generation, s.Phone.E164()), nil
}
