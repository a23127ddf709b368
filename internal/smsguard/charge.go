package smsguard

import (
	"context"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Send is one hand-over of a message to a provider.
type Send struct {
	// Provider is the name that the operator gave to it.
	Provider string
	To       sms.Number
	// Notice tells that the message has no code. Nobody can answer it, so it counts for
	// no conversion, and a prefix that gets no codes still gets it.
	Notice bool
}

// Charged is a charge that was made. The zero value is none.
type Charged struct {
	send Send
	at   time.Time
	// paid is what stands in the budgets, counted tells that it stands in the conversion.
	paid    Money
	counted bool
}

// Charge comes before each hand-over to a provider, and says whether it may be done. If
// so, it has reserved the price in every budget and counted the message for the
// conversion monitor; otherwise in none. The reason of a refusal is ReasonBudget, and
// then no other provider is worth a try, or ReasonConversion, and then another may do. An
// error is the store's, and the message must not be sent.
func (g *Guard) Charge(ctx context.Context, s store.Store, ring *seal.Ring, send Send) (Charged, Verdict, error) {
	c := Charged{send: send, at: g.c.Now()}
	v, err := g.countSend(ctx, s, ring, &c)
	if err != nil || !v.OK() {
		return Charged{}, v, err
	}
	paid, err := g.pay(ctx, s, ring, &c)
	if err != nil {
		return Charged{}, v, err
	}
	v.refuse(paid.Reason)
	v.Alerts = append(v.Alerts, paid.Alerts...)
	if !v.OK() {
		return Charged{}, v, g.uncount(ctx, s, ring, c)
	}
	return c, v, nil
}

// Refund takes back the charge of a message that was certainly not sent. It must be
// called once for a charge at most.
func (g *Guard) Refund(ctx context.Context, s store.Store, ring *seal.Ring, c Charged) error {
	if err := g.payBack(ctx, s, ring, c); err != nil {
		return err
	}
	return g.uncount(ctx, s, ring, c)
}
