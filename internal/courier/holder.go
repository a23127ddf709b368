package courier

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Rank says whose code stays where a verifier has room for one code for each number. A
// code gives way to one of its own rank or a higher one: or whoever knows a number, or
// has stolen a session, ends the code that its owner is about to type, again and again.
type Rank int

// The ranks.
const (
	// Setup: anybody can type anybody's number.
	Setup Rank = iota
	// Challenge: the number is known to be the player's.
	Challenge
	// Trusted: the same, in a browser that the player trusts.
	Trusted
)

// holder is the record of whose code a verifier was last asked to send to a number.
type holder struct {
	Purpose
	Rank Rank `json:"rank"`
}

func (d Desk) holders() seal.Records[holder] {
	return seal.Records[holder]{Store: d.Store, Ring: d.Ring, Rand: d.Rand, Kind: "sms_holder"}
}

// hold makes a parcel the holder of its number, and reports false if a code of a higher
// rank is still waited for. Of two at once the later one is the holder, as with the
// provider.
func (d Desk) hold(ctx context.Context, p Parcel) (bool, error) {
	id := d.holderID(p.Message.To)
	switch h, err := d.holders().Get(ctx, id); {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return false, fmt.Errorf("asking whose code is running: %w", err)
	case h.Rank > p.Rank && h.Challenge != p.Challenge:
		if waits, err := p.Waits(ctx, h.Purpose); err != nil || waits {
			return false, err
		}
	}
	err := d.holders().Update(ctx, id, func(*holder) (*seal.Next[holder], error) {
		return &seal.Next[holder]{Value: &holder{p.Purpose, p.Rank}, Expires: d.Now().Add(p.Message.Validity)}, nil
	})
	if err != nil {
		return false, fmt.Errorf("writing down whose code is running: %w", err)
	}
	return true, nil
}

func (d Desk) holderID(to sms.Number) string {
	sum := d.Ring.MAC(seal.Counter, "sms holder", to.E164())
	return letters.EncodeToString(sum[:])
}
