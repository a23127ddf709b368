// Package challenge is the state machine of one interruption.
//
//	          ┌────────────► cancelled, replaced, used up
//	pending ──┤
//	          └─► passed ──► released
//
// A challenge that is pending after its deadline has expired. It says what was
// asked, of whom, in which session and browser, and holds the interrupted
// request; whether an answer is right is decided on the account (package
// account) before the challenge hears of it. Each move is one atomic update of
// the challenge's record, and no move leads back: a held request leaves with the
// move to released, so it is released at most once (invariant I4).
package challenge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/held"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Lifetimes and limits; design.md section 9 gives their reasons.
const (
	// Lifetime is how long a challenge can be answered, and what it holds is kept.
	Lifetime = 10 * time.Minute
	// afterlife is how long the record of an ended challenge tells what became of
	// it.
	afterlife = 10 * time.Minute
)

// ErrNotFound says that no challenge has the id, or had it lately.
var ErrNotFound = errors.New("no such challenge")

// State says where a challenge stands.
type State string

// The states.
const (
	Pending   State = "pending"
	Passed    State = "passed"
	Released  State = "released"
	Cancelled State = "cancelled"
	Replaced  State = "replaced"
	UsedUp    State = "used_up"
	Expired   State = "expired"
)

// Opening is a group of rules that the passed challenge opens for a while.
type Opening struct {
	Group  string        `json:"group"`
	MaxAge time.Duration `json:"max_age"`
}

// Detail is what the page shows of the request.
type Detail struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// Challenge is the record.
type Challenge struct {
	ID string `json:"id"`
	// Rules are the names of the rules that it is for.
	Rules []string `json:"rules"`
	// Account, Binding, Browser and Audience are whom it is for: the account's id,
	// keyed hashes of session credential and browser secret, and the host. Browser
	// is empty for callers that have none.
	Account  string `json:"account"`
	Binding  string `json:"binding"`
	Browser  string `json:"browser,omitempty"`
	Audience string `json:"audience"`
	// Epoch is the account's when it opened: a factor change ends it.
	Epoch uint64 `json:"epoch"`
	// Name is the keyed hash of the name by which whoever it was opened for has named the
	// account, where no session was shown. Nothing of the account shows on it: there may
	// be none (invariant I11). Subject is the player's, for notices; empty for nobody.
	Name    string `json:"name,omitempty"`
	Subject string `json:"subject,omitempty"`
	// Factors are those that answer it, the preferred one first.
	Factors []policy.Factor `json:"factors"`
	// SingleUse tells that passing it approves one request, that of Digest.
	SingleUse bool        `json:"single_use,omitempty"`
	Digest    held.Digest `json:"digest"`
	// Opens are the groups that passing it opens.
	Opens   []Opening `json:"opens,omitempty"`
	Details []Detail  `json:"details,omitempty"`
	// Return is the path and query to go back to after passing, for a page that
	// was asked for; empty if there is nothing to go back to.
	Return string `json:"return,omitempty"`
	// Anywhere tells that it stands in the place of every page that is asked for, and that
	// whoever passes it goes on to the one where they are.
	Anywhere bool `json:"anywhere,omitempty"`
	// Held is the request that is sent on after passing; nil if none is, or none is
	// any more.
	Held *held.Request `json:"held,omitempty"`

	// Moved is the state last moved to; ask State for the state now.
	Moved   State     `json:"state"`
	Opened  time.Time `json:"opened"`
	Expires time.Time `json:"expires"`
	// PassedBy is the factor that passed it.
	PassedBy policy.Factor `json:"passed_by,omitempty"`
	PassedAt time.Time     `json:"passed_at"`
	// Root is what the account said of the factor, for changes under this challenge.
	Root time.Time `json:"root"`

	// Phone is where SMS codes go. Enrolled tells that it is a factor of the
	// account; otherwise it is the phone that the site knows.
	Phone    sms.Number `json:"phone,omitempty"`
	Enrolled bool       `json:"enrolled,omitempty"`
	// Sending is where the sending of the SMS code stands.
	delivery.Sending
}

// Named reports whether it was opened for somebody who has named the account.
func (c *Challenge) Named() bool { return c.Name != "" }

// State returns where the challenge stands at a time.
func (c *Challenge) State(now time.Time) State {
	if c.Moved == Pending && !now.Before(c.Expires) {
		return Expired
	}
	return c.Moved
}

// String keeps the challenge out of logs.
func (c Challenge) String() string { return "challenge(" + c.ID + ", " + string(c.Moved) + ")" }

// Format keeps the challenge out of logs under every verb.
func (c Challenge) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue keeps the challenge out of log/slog, which would encode it as JSON: so
// it is stored, sealed.
func (c Challenge) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Accepts reports whether the challenge can be answered by a factor.
func (c *Challenge) Accepts(f policy.Factor) bool {
	for _, have := range c.Factors {
		if have == f {
			return true
		}
	}
	return false
}

// Book keeps the challenges. It is safe for concurrent use.
type Book struct {
	records seal.Records[Challenge]
	ring    *seal.Ring
	rand    io.Reader
	now     func() time.Time
}

// NewBook returns the book of the challenges in a store.
func NewBook(s store.Store, ring *seal.Ring, rand io.Reader, now func() time.Time) *Book {
	return &Book{
		records: seal.Records[Challenge]{Store: s, Ring: ring, Rand: rand, Kind: "challenge"},
		ring:    ring, rand: rand, now: now,
	}
}

// NewID returns the id of a challenge to be: 128 random bits.
func (b *Book) NewID() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(b.rand, id[:]); err != nil {
		return "", fmt.Errorf("drawing a challenge id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}

// validID reports whether an id has the form of NewID's. The length is compared
// as well because the decoder skips line breaks.
func validID(id string) bool {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil && len(raw) == 16 && len(id) == base64.RawURLEncoding.EncodedLen(16)
}

// Get returns a challenge, or ErrNotFound.
func (b *Book) Get(ctx context.Context, id string) (*Challenge, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	c, err := b.records.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading challenge: %w", err)
	}
	return c, nil
}

// Ensure writes a new challenge, unless its id stands already: then that one is
// returned. So it does not matter which of two parallel requests that share a
// challenge comes first, nor whether a crash came between opening and writing.
func (b *Book) Ensure(ctx context.Context, c *Challenge) (*Challenge, error) {
	return b.update(ctx, c.ID, func(old *Challenge) (*Challenge, error) {
		if old != nil {
			return old, errUnchanged
		}
		return b.fresh(c), nil
	})
}

// fresh returns a new challenge as it is written first.
func (b *Book) fresh(c *Challenge) *Challenge {
	fresh := *c
	fresh.Moved, fresh.Key = Pending, b.ring.Current()
	return &fresh
}

// update applies change to a challenge. change may return errUnchanged with the
// challenge as it is; then nothing is written.
func (b *Book) update(ctx context.Context, id string, change func(old *Challenge) (*Challenge, error)) (*Challenge, error) {
	if !validID(id) {
		return nil, ErrNotFound
	}
	var out *Challenge
	err := b.records.Update(ctx, id, func(old *Challenge) (*seal.Next[Challenge], error) {
		next, err := change(old)
		out = next
		if errors.Is(err, errUnchanged) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &seal.Next[Challenge]{Value: next, Expires: next.Expires.Add(afterlife)}, nil
	})
	if errors.Is(err, ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("updating challenge: %w", err)
	}
	return out, nil
}

var errUnchanged = errors.New("nothing to write")

// Code returns the SMS code that answers the challenge now; empty if none does that is
// known here: a managed one is known to its provider only. A code whose key was retired
// has expired.
func (b *Book) Code(c *Challenge) (string, error) {
	if c.Sends == 0 || c.Managed != "" || c.CodeExpired(b.now()) {
		return "", nil
	}
	code, err := b.code(c)
	if errors.Is(err, seal.ErrUnknownKey) {
		return "", nil
	}
	return code, err
}

func (b *Book) code(c *Challenge) (string, error) {
	key, err := b.ring.Key(c.Key, seal.Code)
	if err != nil {
		return "", fmt.Errorf("deriving code: %w", err)
	}
	return factor.SMSCode(key, c.ID, c.Generation, c.Phone.E164()), nil
}
