package smsguard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// conversionSlots is in how many slots the window is kept.
const conversionSlots = 15

// prefix is the record of one prefix: what was sent there, and what came of it. All
// providers share it, so that one look tells whether the prefix is stopped.
type prefix struct {
	watched
	Providers map[string]*traffic `json:"providers,omitempty"`
}

// traffic is what one provider sent to a prefix.
type traffic struct {
	watched
	Slots tally `json:"slots"`
}

// watched is what came of watching.
type watched struct {
	// Stopped is when messages were stopped, Warned when the operator was told of too low
	// a share; both in Unix seconds.
	Stopped int64 `json:"stopped,omitempty"`
	Warned  int64 `json:"warned,omitempty"`
}

// stopped reports whether what is watched gets no messages.
func (c Conversion) stopped(w watched, now int64) bool {
	return lately(w.Stopped, now, int64(c.StopFor/time.Second))
}

// share is how many of the messages sent were answered.
type share struct{ sent, verified int64 }

func (s share) below(percent int) bool { return s.verified*100 < int64(percent)*s.sent }

func (g *Guard) prefixes(s store.Store, ring *seal.Ring) seal.Records[prefix] {
	return seal.Records[prefix]{Store: s, Ring: ring, Rand: g.c.Rand, Kind: "sms_conversion"}
}

func prefixID(ring *seal.Ring, n sms.Number) string { return hashed(ring, "conversion", prefixOf(n)) }

// stopped reports whether no provider gets messages to the prefix of a number.
func (g *Guard) stopped(ctx context.Context, s store.Store, ring *seal.Ring, to sms.Number) (bool, error) {
	if g.c.Conversion.Off {
		return false, nil
	}
	p, err := g.prefixes(s, ring).Get(ctx, prefixID(ring, to))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return g.c.Conversion.stopped(p.watched, g.c.Now().Unix()), nil
}

// countSend counts one message for the conversion monitor, unless its prefix is stopped
// or is to be stopped now.
func (g *Guard) countSend(ctx context.Context, s store.Store, ring *seal.Ring, c *Charged) (Verdict, error) {
	v := Verdict{Reported: g.c.Report}
	if g.c.Conversion.Off || c.send.Notice {
		return v, nil
	}
	err := g.prefixes(s, ring).Update(ctx, prefixID(ring, c.send.To), func(p *prefix) (*seal.Next[prefix], error) {
		if p == nil {
			p = new(prefix)
		}
		now := c.at.Unix()
		t := p.forget(g.c.Conversion, c.send.Provider, now)
		stopped := func() bool {
			return g.c.Conversion.stopped(p.watched, now) || g.c.Conversion.stopped(t.watched, now)
		}
		v.Reason, v.Alerts = ReasonConversion, nil
		if stopped() {
			return nil, nil
		}
		v.Alerts = g.c.Conversion.judge(p, c.send, now)
		if !stopped() {
			v.Reason = ""
			t.Slots.slot(now, g.c.Conversion.step()).Sum++
		}
		return g.next(p, c.at), nil
	})
	if err != nil {
		return Verdict{}, fmt.Errorf("counting sms for conversion: %w", err)
	}
	c.counted = v.Reason == ""
	return v, nil
}

// judge stops what has too low a share, and returns the alerts. Where one provider has
// sent everything, what is to be said of it is said of all.
func (c Conversion) judge(p *prefix, send Send, now int64) []Alert {
	mine := p.Providers[send.Provider]
	all, his := share{}, share{}
	for _, t := range p.Providers {
		s := c.share(t.Slots, now)
		all.sent += s.sent
		all.verified += s.verified
		if t == mine {
			his = s
		}
	}
	alert := Alert{Prefix: prefixOf(send.To), Sent: all.sent, Verified: all.verified}
	if his == all {
		alert.Provider = send.Provider
	}
	kind := c.tell(&p.watched, all, now)
	if kind == AlertConversionStopped {
		for _, t := range p.Providers {
			t.Slots = nil // counting begins anew when messages do
		}
	}
	if kind == "" && his != all {
		if kind = c.tell(&mine.watched, his, now); kind == AlertConversionStopped {
			mine.Slots = nil
		}
		alert.Provider, alert.Sent, alert.Verified = send.Provider, his.sent, his.verified
	}
	switch alert.Kind = kind; kind {
	case "":
		return nil
	case AlertConversionStopped:
		alert.Until = time.Unix(now, 0).Add(c.StopFor)
	}
	return []Alert{alert}
}

// tell stops what has too low a share, and says what is to be told of it, if anything.
func (c Conversion) tell(w *watched, s share, now int64) AlertKind {
	switch {
	case s.sent < c.MinSends:
		return ""
	case s.below(c.StopBelow):
		w.Stopped, w.Warned = now, now
		return AlertConversionStopped
	case s.below(c.WarnBelow) && due(&w.Warned, now, int64(c.Window/time.Second)):
		return AlertConversionLow
	}
	return ""
}

// share adds up what is old enough to be judged, of what is not too old to be kept.
func (c Conversion) share(t tally, now int64) share {
	sent, verified := t.ended(now-int64(c.Grace/time.Second), c.step())
	return share{sent, verified}
}

func (c Conversion) step() int64 { return stepOf(c.Window, conversionSlots) }

// uncount takes back a message that was certainly not sent: a provider that is down
// must not look like one whose codes nobody types in.
func (g *Guard) uncount(ctx context.Context, s store.Store, ring *seal.Ring, c Charged) error {
	if !c.counted {
		return nil
	}
	return g.change(ctx, s, ring, c.send.To, c.send.Provider, func(t *traffic) bool {
		slot := t.Slots.find(c.at.Unix(), g.c.Conversion.step())
		if slot == nil || slot.Sum == slot.Good {
			return false
		}
		slot.Sum--
		return true
	})
}

// Verified notes that a code was typed in that a provider carried, once for each code;
// sent is when that was, about. An error is the store's, and no reason to refuse the
// player.
func (g *Guard) Verified(ctx context.Context, s store.Store, ring *seal.Ring, provider string, to sms.Number, sent time.Time) error {
	if g.c.Conversion.Off {
		return nil
	}
	return g.change(ctx, s, ring, to, provider, func(t *traffic) bool {
		return t.Slots.verify(sent.Unix(), g.c.Conversion.step())
	})
}

// verify counts a verification for the slot of a time; if each message in it has one, for
// a neighbour of it, since the caller's time and that of the charge lie on two sides of
// a step now and then. There is none for more than was sent.
func (t tally) verify(sent, step int64) bool {
	for _, at := range []int64{sent, sent - step, sent + step} {
		if s := t.find(at, step); s != nil && s.Good < s.Sum {
			s.Good++
			return true
		}
	}
	return false
}

// change alters what one provider sent to the prefix of a number, if that is known.
func (g *Guard) change(ctx context.Context, s store.Store, ring *seal.Ring, to sms.Number, provider string, alter func(*traffic) bool) error {
	err := g.prefixes(s, ring).Update(ctx, prefixID(ring, to), func(p *prefix) (*seal.Next[prefix], error) {
		if p == nil || p.Providers[provider] == nil || !alter(p.Providers[provider]) {
			return nil, nil
		}
		return g.next(p, g.c.Now()), nil
	})
	if err != nil {
		return fmt.Errorf("counting sms for conversion: %w", err)
	}
	return nil
}

// forget drops what is too old to be judged, and returns what a provider sent.
func (p *prefix) forget(c Conversion, provider string, now int64) *traffic {
	if p.Providers == nil {
		p.Providers = map[string]*traffic{}
	}
	for name, t := range p.Providers {
		t.Slots.forget(now-int64((c.Grace+c.Window)/time.Second), now, c.step())
		if len(t.Slots) == 0 && !c.stopped(t.watched, now) && !lately(t.Warned, now, int64(c.Window/time.Second)) {
			delete(p.Providers, name)
		}
	}
	if p.Providers[provider] == nil {
		p.Providers[provider] = new(traffic)
	}
	return p.Providers[provider]
}

// next returns what is to be written: the record is kept for as long as anything in it
// can matter.
func (g *Guard) next(p *prefix, now time.Time) *seal.Next[prefix] {
	c := g.c.Conversion
	return &seal.Next[prefix]{Value: p, Expires: now.Add(c.Grace + c.Window + c.StopFor + time.Duration(2*c.step())*time.Second)}
}
