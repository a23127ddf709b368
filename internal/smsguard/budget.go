package smsguard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
)

// budgetSlots is in how many slots a budget's window is kept: money that was spent is
// free again a sixtieth of the window after that at the latest.
const budgetSlots = 60

// purse is the record of all that was spent.
type purse struct {
	Budgets []*spending `json:"budgets"`
}

// spending is what was spent in the window of one budget.
type spending struct {
	// Window is the budget's, in seconds. What the budget allows is not kept: it may be
	// another tomorrow.
	Window int64 `json:"window"`
	Slots  tally `json:"slots"`
	// Low and Spent are when the operator was told so, in Unix seconds.
	Low   int64 `json:"low,omitempty"`
	Spent int64 `json:"spent,omitempty"`
}

func (g *Guard) purse(s store.Store, ring *seal.Ring) seal.Records[purse] {
	return seal.Records[purse]{Store: s, Ring: ring, Rand: g.c.Rand, Kind: "sms_budget"}
}

const purseID = "site"

// pay reserves the price of a message in every budget, or in none: that is one update
// of one record, so that of many who want the last cent one gets it.
func (g *Guard) pay(ctx context.Context, s store.Store, ring *seal.Ring, c *Charged) (Verdict, error) {
	v := Verdict{Reported: g.c.Report}
	if len(g.c.Budgets) == 0 {
		return v, nil
	}
	err := g.purse(s, ring).Update(ctx, purseID, func(p *purse) (*seal.Next[purse], error) {
		if p == nil {
			p = new(purse)
		}
		now := c.at.Unix()
		moved := p.forget(now)
		v.Alerts = nil // of an earlier run, whose write was not done
		if refused := g.full(p, now, &v); refused {
			v.Reason = ReasonBudget
			if len(v.Alerts) == 0 && !moved {
				return nil, nil
			}
		} else {
			v.Reason = ""
			g.spend(p, now, &v)
		}
		return &seal.Next[purse]{Value: p, Expires: p.expires(c.at)}, nil
	})
	if err != nil {
		return Verdict{}, fmt.Errorf("charging sms budget: %w", err)
	}
	if v.Reason == "" {
		c.paid = g.c.Price
	}
	return v, nil
}

// full reports whether a budget has no room for another message, and adds the alerts.
func (g *Guard) full(p *purse, now int64, v *Verdict) bool {
	full := false
	for _, b := range g.c.Budgets {
		spending := p.of(b.Window)
		spent := spending.sum()
		if spent <= b.Max-g.c.Price {
			continue
		}
		full = true
		if due(&spending.Spent, now, spending.Window) {
			v.Alerts = append(v.Alerts, Alert{Kind: AlertBudgetSpent, Spent: spent, Max: b.Max, Window: b.Window})
		}
	}
	return full
}

// spend adds the price to every budget, and the alerts.
func (g *Guard) spend(p *purse, now int64, v *Verdict) {
	for _, b := range g.c.Budgets {
		spending := p.of(b.Window)
		spending.Slots.slot(now, spending.step()).Sum += int64(g.c.Price)
		spent := spending.sum()
		if spent >= b.Max-b.Max/5 && due(&spending.Low, now, spending.Window) {
			v.Alerts = append(v.Alerts, Alert{Kind: AlertBudgetLow, Spent: spent, Max: b.Max, Window: b.Window})
		}
	}
}

// payBack takes a price out of the slots that it was put into. A slot that is gone has
// given it back already.
func (g *Guard) payBack(ctx context.Context, s store.Store, ring *seal.Ring, c Charged) error {
	if c.paid == 0 {
		return nil
	}
	err := g.purse(s, ring).Update(ctx, purseID, func(p *purse) (*seal.Next[purse], error) {
		if p == nil {
			return nil, nil
		}
		for _, b := range g.c.Budgets {
			spending := p.of(b.Window)
			if slot := spending.Slots.find(c.at.Unix(), spending.step()); slot != nil {
				slot.Sum = max(0, slot.Sum-int64(c.paid))
			}
		}
		return &seal.Next[purse]{Value: p, Expires: p.expires(g.c.Now())}, nil
	})
	if err != nil {
		return fmt.Errorf("refunding sms budget: %w", err)
	}
	return nil
}

// of returns the spending in a window, made if need be.
func (p *purse) of(window time.Duration) *spending {
	seconds := int64(window / time.Second)
	for _, s := range p.Budgets {
		if s.Window == seconds {
			return s
		}
	}
	s := &spending{Window: seconds}
	p.Budgets = append(p.Budgets, s)
	return s
}

// forget drops what is too old. What was spent in a window for which this gateway has
// no budget stays for those that have one. It reports whether there was something that
// is only read as of now until it is written so.
func (p *purse) forget(now int64) (moved bool) {
	p.Budgets = slices.DeleteFunc(p.Budgets, func(s *spending) bool {
		moved = s.Slots.forget(now-s.Window, now, s.step()) || moved
		return len(s.Slots) == 0 && !lately(s.Low, now, s.Window) && !lately(s.Spent, now, s.Window)
	})
	return moved
}

// expires returns when all that was spent is too old. That goes by the newest slot where
// it is ahead of this gateway's clock: nobody may make others forget what they spent.
func (p *purse) expires(now time.Time) time.Time {
	last := now.Unix()
	for _, s := range p.Budgets {
		from := now.Unix()
		if n := len(s.Slots); n > 0 {
			from = max(from, s.Slots[n-1].At)
		}
		last = max(last, from+s.Window+2*s.step())
	}
	return time.Unix(last, 0)
}

func (s *spending) step() int64 { return stepOf(time.Duration(s.Window)*time.Second, budgetSlots) }

func (s *spending) sum() Money {
	var sum Money
	for _, slot := range s.Slots {
		sum += Money(slot.Sum)
	}
	return sum
}

// due reports whether something that is told once in a window is to be told now, and
// notes that it is.
func due(told *int64, now, window int64) bool {
	if lately(*told, now, window) {
		return false
	}
	*told = now
	return true
}
