package grant

import (
	"encoding/binary"
	"time"
)

// passName is signed with a pass, as cookieName is with a grant.
const passName = "stepgate-pass"

// Pass is the session pass: a signed statement that the site said whose session it is,
// and that the player's device was not a new one, so that neither has to be asked at each
// request. It satisfies nothing else.
//
// A pass stands for nothing by itself, as a [Grant]: whoever reads one must ask [Pass.Holds],
// and whether the account's epoch is still the pass's.
type Pass struct {
	Bound
	// Borne is the keyed hash of every credential that the request bore, not only of the
	// one that Binding stands for: with another one beside it, it is another session.
	Borne Hash
	// At is when the site was asked. It is kept to the nanosecond: a question that was put
	// right after a request that writes has to be told from one before it.
	At time.Time
}

// Holds reports whether p is for a request that bears these credentials, to this host, and
// is younger than lifetime and from after the session was last unsettled.
func (p *Pass) Holds(borne, audience Hash, lifetime time.Duration, now, unsettled time.Time) bool {
	return equal(&p.Borne, &borne) && equal(&p.Audience, &audience) &&
		now.Sub(p.At) < lifetime && !p.At.After(now.Add(maxSkew)) && p.At.After(unsettled)
}

// EncodePass returns the cookie value for p, signed under the key that is current now.
func (c *Codec) EncodePass(p *Pass) (string, error) { return c.encode(passName, p) }

// DecodePass reads a cookie value into p. Every failure is ErrInvalid.
func (c *Codec) DecodePass(value string, p *Pass) error {
	k, err := c.present()
	if err != nil {
		return ErrInvalid
	}
	return decode(k, &k.passes, passName, value, p)
}

func (p *Pass) append(b []byte) []byte {
	b = p.Bound.append(b)
	b = append(b, p.Borne[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(p.At.UnixNano()))
}

func (p *Pass) read(b []byte) error {
	if len(b) != passLength || b[0] != version {
		return ErrInvalid
	}
	p.Bound.read(b)
	copy(p.Borne[:], b[headLength:])
	p.At = time.Unix(0, int64(binary.BigEndian.Uint64(b[headLength+16:])))
	return nil
}
