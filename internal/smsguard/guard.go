// Package smsguard keeps a flood of SMS from running away with the operator's money.
//
// Whoever wants an SMS sent asks three times. [Guard.Admit] counts the wish against the
// limits of the number, the account, the address, its network, the block of numbers,
// the country and the site. [Guard.Charge] comes before each hand-over to a provider and
// reserves its price in every budget; what was certainly not sent is given back by
// [Guard.Refund]. [Guard.Verified] says that a code came back, by which the guard tells
// messages that are read from those that only cost.
//
// # What holds
//
// No more wishes are admitted in a window of a limit than it says. The window begins
// with its first wish, as counters of package store do.
//
// No more is spent in any stretch of time as long as a budget's window than the budget
// says, to the millionth, however many gateways share the store and whenever one of
// them dies: all budgets are one record, and a charge is one update of it. A charge that
// is refused leaves no trace, and a message of which nobody knows stays paid for.
//
// Everything is in the store and nothing in memory: a restart forgets nothing. Where
// the store cannot say, nothing is sent.
//
// # Who can lock out whom
//
// A wish that was refused counts for the number, the account and the address that it
// came from, so that asking on and on gains nothing there. For what is shared with
// others it does not: one player who asks ten thousand times uses up his own limits, and
// not the country's.
//
// # Conversion
//
// Sends and verifications are kept in slots of a fifteenth of the window. A verification
// belongs to the slot in which its message was sent, however late it comes, and a slot
// has no more verifications than sends: they can be neither faked nor carried over. The
// share is taken over the slots that are older than the grace and younger than that and
// the window, so no message is judged that its player may be reading.
//
// A provider whose share is too low for a prefix gets no more messages for it, for a
// while, and another one may. Where the share of all providers together is too low,
// no message to the prefix is admitted. Then counting begins anew.
//
// No number and no address stands in the store but as a keyed hash.
package smsguard

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Guard applies a Config. It is safe for concurrent use, and any number of them in any
// number of processes may share a store.
type Guard struct{ c Config }

// New returns the guard of a configuration, or what [Config.Validate] says against it.
func New(c Config) (*Guard, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Guard{c.withDefaults()}, nil
}

// Want is one SMS that somebody asks for. Its fields are personal data.
type Want struct {
	To sms.Number
	// Account is the keyed hash of the player.
	Account string
	// Lane keeps what is asked for in a trusted browser apart, for number, account and
	// block: whoever uses up a player's codes elsewhere does not leave the player without.
	// Empty for every other browser.
	Lane string
	// Address is the client's. Whoever has none, as over a unix socket, shares one with all
	// others who have none: the limits of address and network then hold for them together.
	Address string
}

// Admit counts one wanted message against every limit, and says whether it may be sent
// as far as they, the denied prefixes and the stopped ones go. It is to be called once
// for a message, whichever providers it is handed to then. An error is the store's, and
// the message must not be sent.
func (g *Guard) Admit(ctx context.Context, s store.Store, ring *seal.Ring, w Want) (Verdict, error) {
	v := Verdict{Reported: g.c.Report}
	if slices.ContainsFunc(g.c.Denied, func(prefix string) bool { return strings.HasPrefix(w.To.E164(), prefix) }) {
		v.Reason = ReasonDenied
	}
	for _, scope := range own {
		reason, err := g.count(ctx, s, ring, scope, w)
		if err != nil {
			return Verdict{}, err
		}
		v.refuse(reason)
	}
	if v.Reason == "" {
		stopped, err := g.stopped(ctx, s, ring, w.To)
		if err != nil {
			return Verdict{}, err
		}
		if stopped {
			v.Reason = ReasonConversion
		}
	}
	for _, scope := range shared {
		if v.Reason != "" {
			break
		}
		reason, err := g.count(ctx, s, ring, scope, w)
		if err != nil {
			return Verdict{}, err
		}
		v.refuse(reason)
	}
	return v, nil
}

// count counts one wish against the limits of a scope, the shortest window first, and
// says which of them had no room.
func (g *Guard) count(ctx context.Context, s store.Store, ring *seal.Ring, scope Scope, w Want) (Reason, error) {
	limits := g.c.Limits[scope]
	if len(limits) == 0 {
		return "", nil
	}
	id := hashed(ring, string(scope), scope.of(w))
	var reason Reason
	for _, limit := range limits {
		n, err := s.Add(ctx, store.NewKey("sms_"+string(scope), id+"/"+limit.Window.String()), 1, limit.Window)
		if err != nil {
			return "", fmt.Errorf("counting sms for each %s: %w", scope, err)
		}
		if n > limit.Max {
			reason = reasonOf(scope)
			if slices.Contains(shared, scope) {
				break // what the minute refuses does not eat from the day
			}
		}
	}
	return reason, nil
}

// hashed returns the part of a key that stands for what is counted.
func hashed(ring *seal.Ring, parts ...string) string {
	sum := ring.MAC(seal.Counter, parts...)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
