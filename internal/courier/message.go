package courier

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

const (
	// messageLifetime is how long a report can be told to be about a message. Providers
	// go on for three days, but after an hour no code waits for it any more.
	messageLifetime = time.Hour
	// avoidFor is how long a provider that failed for a number is the last choice for it.
	avoidFor = 10 * time.Minute
	// maxReportCode is how much of a provider's own code goes into an event.
	maxReportCode = 20
)

// message is the record of a message that may be reported on.
type message struct {
	Purpose
	To    sms.Number `json:"to"`
	State sms.State  `json:"state"`
}

// String keeps the message out of logs.
func (m message) String() string { return "message to " + m.To.Mask() }

// GoString keeps the message out of %#v.
func (m message) GoString() string { return m.String() }

// way is the record of how a number was lately not reached.
type way struct {
	Provider string `json:"provider"`
}

func (d Desk) messages() seal.Records[message] {
	return seal.Records[message]{Store: d.Store, Ring: d.Ring, Rand: d.Rand, Kind: "sms_message"}
}

func (d Desk) ways() seal.Records[way] {
	return seal.Records[way]{Store: d.Store, Ring: d.Ring, Rand: d.Rand, Kind: "sms_way"}
}

var letters = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// refBytes is how much of a hash a reference has.
const refBytes = 10

// ref names a message to providers: 80 bits in 16 letters and digits, the longest that
// all of Vonage's interfaces take. It is the same however often the same message is
// handed over. It says nothing of the challenge or set-up, whose id is 128 random bits;
// whoever knows that id can tell which messages were its own, as support may have to. It
// proves nothing: reports are believed for their signature.
func ref(p Purpose) string {
	sum := sha256.Sum256([]byte("stepgate sms " + p.Challenge + "/" + p.Setup + "/" + strconv.Itoa(p.Send)))
	return letters.EncodeToString(sum[:refBytes])
}

// isRef reports whether a provider gives back what ref may have made.
func isRef(ref string) bool {
	raw, err := letters.DecodeString(ref)
	// Decoding skips line breaks, which no key may have.
	return err == nil && len(raw) == refBytes && len(ref) == letters.EncodedLen(refBytes)
}

// keep writes down what a message is about, before it is sent: a report can come before
// the provider's answer.
func (c *Courier) keep(ctx context.Context, d Desk, ref string, p Purpose, to sms.Number) error {
	if len(c.Receivers) == 0 {
		return nil
	}
	err := d.messages().Update(ctx, ref, func(*message) (*seal.Next[message], error) {
		return &seal.Next[message]{Value: &message{Purpose: p, To: to}, Expires: d.Now().Add(messageLifetime)}, nil
	})
	if err != nil {
		return fmt.Errorf("writing down an sms: %w", err)
	}
	return nil
}

// Report takes what a provider says of a message. It reports whether the message did not
// arrive, and what it was for; everything else is for the operator only. A report that
// comes again says the same again, and one that comes late changes nothing.
func (c *Courier) Report(ctx context.Context, d Desk, provider string, r sms.Report) (Purpose, bool, error) {
	event := audit.Event{Name: audit.SMSReported, Factor: string(policy.SMS), Provider: provider, Reason: r.State.String()}
	if code := reportCode(r.Code); code != "" {
		event.Note = "the provider's code is " + code
	}
	if !isRef(r.Ref) {
		event.Reason = "unmatched"
		d.Observe(event)
		return Purpose{}, false, nil
	}
	var m message
	news, known := false, false
	err := d.messages().Update(ctx, r.Ref, func(old *message) (*seal.Next[message], error) {
		news, known = false, old != nil
		if !known {
			return nil, nil
		}
		m = *old
		m.State = old.State.After(r.State)
		if news = m.State != old.State; !news {
			return nil, nil
		}
		return &seal.Next[message]{Value: &m, Expires: d.Now().Add(messageLifetime)}, nil
	})
	switch {
	case err != nil:
		return Purpose{}, false, fmt.Errorf("finding the sms of a report: %w", err)
	case !known:
		event.Reason = "unmatched"
		d.Observe(event)
		return Purpose{}, false, nil
	}
	if news {
		event.Subject, event.Challenge = m.Account, m.Challenge
		d.Observe(event)
	}
	// What comes again is done again, to the same effect: the first time may have failed
	// half-way.
	if m.State != sms.Failed || r.State != sms.Failed {
		return m.Purpose, false, nil
	}
	if err := d.avoid(ctx, m.To, provider); err != nil {
		return Purpose{}, false, err
	}
	return m.Purpose, true, nil
}

// avoid makes a provider the last choice for a number, for a while.
func (d Desk) avoid(ctx context.Context, to sms.Number, provider string) error {
	err := d.ways().Update(ctx, d.wayID(to), func(*way) (*seal.Next[way], error) {
		return &seal.Next[way]{Value: &way{provider}, Expires: d.Now().Add(avoidFor)}, nil
	})
	if err != nil {
		return fmt.Errorf("writing down how a number is not reached: %w", err)
	}
	return nil
}

// avoided returns the provider that lately did not reach a number.
func (d Desk) avoided(ctx context.Context, to sms.Number) (string, error) {
	w, err := d.ways().Get(ctx, d.wayID(to))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("asking how a number is not reached: %w", err)
	}
	return w.Provider, nil
}

func (d Desk) wayID(to sms.Number) string {
	sum := d.Ring.MAC(seal.Counter, "sms way", to.E164())
	return letters.EncodeToString(sum[:])
}

// reportCode leaves of a provider's code what is safe in a log.
func reportCode(code string) string {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '-', r == '_', r == '.', r == '#':
			return r
		}
		return -1
	}, code)
	return kept[:min(len(kept), maxReportCode)]
}
