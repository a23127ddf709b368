package gate

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/stepgate/stepgate/challengepages"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// SMSLimit is how many SMS may be caused in a window. The window begins with the
// first one.
type SMSLimit struct {
	Max    int64
	Window time.Duration
}

// SMSScope says what a limit counts for.
type SMSScope string

// The scopes of SMS limits.
const (
	SMSPerNumber  SMSScope = "number"  // the receiving number
	SMSPerAccount SMSScope = "account" // the player's account
	SMSPerAddress SMSScope = "address" // the client's address
	SMSPerBlock   SMSScope = "block"   // the number without its last four digits
)

// SMSLimits are the limits of each scope; all of them must have room.
type SMSLimits map[SMSScope][]SMSLimit

// DefaultSMSLimits returns the limits of design.md section 9.
func DefaultSMSLimits() SMSLimits {
	const day = 24 * time.Hour
	return SMSLimits{
		SMSPerNumber:  {{5, time.Hour}, {10, day}},
		SMSPerAccount: {{5, time.Hour}},
		SMSPerAddress: {{10, time.Hour}},
		SMSPerBlock:   {{10, 10 * time.Minute}},
	}
}

// sendCode sends the challenge's SMS code, if one may be sent now, and returns
// the challenge as it is afterwards. first sends only the very first one.
func (g *Gate) sendCode(r *http.Request, who *caller, ch *challenge.Challenge, first bool) (*challenge.Challenge, error) {
	send, err := who.backend.Challenges.ReserveSend(r.Context(), ch.ID, delivery.Wanted{First: first})
	if err != nil {
		return nil, err
	}
	return g.deliver(r, who, send)
}

// deliver sends the code of a send that was granted, and returns the challenge as it
// is afterwards. That a code could not be sent is noted on the challenge; an error is
// the store's.
func (g *Gate) deliver(r *http.Request, who *caller, send challenge.Send) (*challenge.Challenge, error) {
	ch := send.Challenge
	if !send.Granted {
		return ch, nil
	}
	text := challengepages.SMSText{Code: send.Code, Minutes: minutes(send.Validity), Rule: ch.Rules[0]}
	if ch.SingleUse {
		for _, d := range ch.Details {
			text.Details = append(text.Details, challengepages.Detail(d))
		}
	}
	sent, err := g.sendSMS(r, who, ch.Phone, text, ch.ID, send.Validity)
	if err != nil {
		return nil, err
	}
	if !sent {
		return who.backend.Challenges.MarkNotSent(r.Context(), ch.ID, send.Number)
	}
	return ch, nil
}

// sendSMS hands one message to the sender, within the limits. No transaction is
// open meanwhile. It reports whether a provider accepted it; an error is the
// store's.
func (g *Gate) sendSMS(r *http.Request, who *caller, to sms.Number, text challengepages.SMSText, ref string, validity time.Duration) (bool, error) {
	event := audit.Event{Name: audit.ChallengeSent, Subject: string(who.id), Challenge: ref, Factor: "sms"}
	within, err := g.withinLimits(r, who, to)
	if err != nil {
		return false, err
	}
	if !within {
		event.Name, event.Reason = audit.ChallengeSendError, "limit"
		g.observe(r, event)
		return false, nil
	}
	lang := g.language(r, who.own)
	// The player may give up waiting; the message is paid for all the same and its
	// outcome must be known.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), g.SMSTimeout)
	defer cancel()
	_, err = g.Sender.Send(ctx, sms.Message{
		To: to, Text: g.Pages.SMSText(lang, text), Code: text.Code, Ref: ref, Locale: string(lang), Validity: validity,
	})
	if err != nil {
		event.Name, event.Reason = audit.ChallengeSendError, sms.ClassOf(err).String()
	}
	g.observe(r, event)
	// A message of which nobody knows may be on its way: the page says "sent", and
	// the player can ask for it again.
	return err == nil || sms.ClassOf(err) == sms.Unknown, nil
}

// withinLimits counts one SMS against every limit and reports whether all had
// room. Refused ones count too, so that asking on and on gains nothing.
func (g *Gate) withinLimits(r *http.Request, who *caller, to sms.Number) (bool, error) {
	e164 := to.E164()
	// What is asked for in a trusted browser is counted apart: whoever uses up a
	// player's codes elsewhere does not leave the player without.
	if who.lane == nil {
		a, err := who.backend.Accounts.Get(r.Context(), who.id)
		if err != nil {
			return false, err
		}
		who.knowLane(a)
	}
	lane := *who.lane
	whom := map[SMSScope]string{
		SMSPerNumber:  e164 + lane,
		SMSPerAccount: string(who.id) + lane,
		SMSPerAddress: g.ClientIP(r),
		SMSPerBlock:   e164[:max(0, len(e164)-4)] + lane,
	}
	within := true
	for scope, limits := range g.SMSLimits {
		sum := who.backend.Ring.MAC(seal.Counter, string(scope), whom[scope])
		id := base64.RawURLEncoding.EncodeToString(sum[:16])
		for _, limit := range limits {
			key := store.NewKey("sms_"+string(scope), id+"/"+limit.Window.String())
			n, err := who.backend.Store.Add(r.Context(), key, 1, limit.Window)
			if err != nil {
				return false, err
			}
			within = within && n <= limit.Max
		}
	}
	return within, nil
}

// minutes tells a validity in whole minutes, rounded down but for the seconds
// that sending takes.
func minutes(d time.Duration) int { return max(1, int((d+5*time.Second)/time.Minute)) }
