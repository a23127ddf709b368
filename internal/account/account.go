// Package account is what Stepgate knows of a subject: the factors that are
// bound to it, the attempts that were spent on them, the challenges that are
// open for it, and when its grants were last revoked.
//
// # One record decides
//
// Everything that must happen at most once for an account happens in an atomic
// update of its one record: a TOTP step, an SMS code, a recovery key and each
// attempt are consumed here before anything else moves (invariants I3 and I5).
// The challenge that the player sees is only told afterwards. A crash in between
// costs the player one more code; it never gives a code a second life.
//
// A code that a provider has made cannot be compared here, and no update can wait for
// the provider. So its attempt is spent in one update ([Book.Attempt]), the provider is
// asked, and what it says is settled in another ([Book.Settle]): there a right answer
// gets its attempt back, if what it answers is still open. Whatever happens in between,
// or does not, the attempt is spent.
//
// # Budgets
//
// Wrong answers are counted on the account: per factor, and for answers to
// requests apart from answers to changes of the settings, so that failing at one
// closes nothing of the other. A new challenge, a new code and a restart leave the
// count as it is (NIST SP 800-63B-4 section 3.1.3.2); only a right answer clears it.
// From the fifth wrong answer in a row each one costs a delay, from 30 seconds to
// one hour; at one hundred, over everything, the factor is disabled (section 3.2.2).
// A replayed code counts as a wrong one.
//
// Nor do strangers, who know nothing but a name of the account, close anything to who has
// its session: each name has budgets of its own, and so has a browser that the player
// trusts. So whoever holds the session and guesses locks out whoever guesses, and not the
// owner (OWASP ASVS 6.1.1); what they gain by stealing the trusted browser's secret too is
// one more budget of the same size.
//
// # Strangers
//
// A stranger must not learn whether a name is a player's, nor that two names are one
// player's (invariant I11). So each name has its own budgets and open challenges, and a
// name that nobody has stands for an account like any other. Of those there are as many as
// somebody thinks up names, so they are not kept for ever; and what is forgotten of them is
// forgotten of a player's names at the same time, or it would tell. So n wrong answers in a
// row are forgotten n days after the last, for every name; those that disabled the factor
// after a hundred. Whoever waits for that has about one guess a day, and nobody's reset
// stays closed for ever by what others did.
//
// # Changes
//
// A factor changes only under a [Change] that says what was proved for it, in the
// epoch in which it was proved (invariant I6). Every change ends all grants, is
// noted for the player, and leaves a one-time link with which whoever is told of it
// can freeze the account ([Book.Freeze]).
//
// # Not here
//
// The package neither sends a message nor reads a request, and knows no page.
package account

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/recall"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// Lifetimes and limits; design.md section 9 gives their reasons.
const (
	// AttemptsPerChallenge is how many wrong answers end a challenge.
	AttemptsPerChallenge = 5
	// MaxPending is how many challenges of a subject are open at once, in browsers
	// that it trusts and in all others.
	MaxPending = 5
	// MaxAuthenticators is how many authenticators an account has at most.
	MaxAuthenticators = 5
	// MaxName is the longest name of an authenticator, in characters.
	MaxName = 40
	// SetupLifetime is how long a set-up can be confirmed.
	SetupLifetime = 10 * time.Minute
)

// ID is the keyed hash of a subject, under which its account is stored. It may
// be logged.
type ID string

// Hash returns the ID's 16 bytes, as grants carry them.
func (id ID) Hash() (h [16]byte) {
	// An ID that did not come from Book.ID decodes to something that fits nothing.
	_, _ = base64.RawURLEncoding.Decode(h[:], []byte(id)[:min(len(id), 22)])
	return h
}

// IDOf is the reverse of [ID.Hash].
func IDOf(hash [16]byte) ID { return ID(base64.RawURLEncoding.EncodeToString(hash[:])) }

// Enrolment is a factor that is bound to the account.
type Enrolment struct {
	// ID names it among those of the account.
	ID     string        `json:"id"`
	Factor policy.Factor `json:"factor"`
	// Name is what the player calls an authenticator; it may be empty.
	Name string `json:"name,omitempty"`
	// Secret is the TOTP secret.
	Secret []byte `json:"secret,omitempty"`
	// Phone is where SMS codes go, in E.164.
	Phone sms.Number `json:"phone,omitempty"`
	Since time.Time  `json:"since"`
	// Root is when that began on which its binding rests; see freeze.go.
	Root time.Time `json:"root"`
	// Used is when it last answered.
	Used time.Time `json:"used"`
	// LastStep is the last TOTP step that was used, at binding or later.
	LastStep int64 `json:"last_step,omitempty"`
}

// Pending is a challenge that is open for the account.
type Pending struct {
	ID string `json:"id"`
	// Rules names the rules that it is for.
	Rules string `json:"rules"`
	// Fingerprint identifies the interrupted request.
	Fingerprint string `json:"fingerprint"`
	// Binding and Browser are keyed hashes of the session credential and of the
	// browser's own secret; Browser is empty for callers that have none.
	Binding string `json:"binding"`
	Browser string `json:"browser,omitempty"`
	// Device is the keyed hash of the secret of a trusted device, of whoever showed one
	// when the challenge was opened.
	Device string `json:"device,omitempty"`
	// Stranger is the keyed hash of the name of the account that whoever opened it has
	// given; empty if a session was shown.
	Stranger string `json:"stranger,omitempty"`
	// FirstMet tells that the browser's secret was made with this challenge.
	FirstMet bool      `json:"first_met,omitempty"`
	Opened   time.Time `json:"opened"`
	Expires  time.Time `json:"expires"`
	Wrong    int       `json:"wrong,omitempty"`
}

// Setup is a factor that is being set up and waits for its first code.
type Setup struct {
	ID     string        `json:"id"`
	Factor policy.Factor `json:"factor"`
	Secret []byte        `json:"secret,omitempty"`
	Phone  sms.Number    `json:"phone,omitempty"`
	// Sending is where the sending of the SMS code stands.
	delivery.Sending
	Binding string    `json:"binding"`
	Browser string    `json:"browser"`
	Expires time.Time `json:"expires"`
	Wrong   int       `json:"wrong,omitempty"`
	// Proof is what was shown when it began, Root as in Change.
	Proof Proof     `json:"proof,omitempty"`
	Root  time.Time `json:"root"`
}

// Recovery is the account's unused recovery key.
type Recovery struct {
	// MAC is the keyed hash of the key.
	MAC   []byte    `json:"mac"`
	Since time.Time `json:"since"`
	// Root as in Enrolment.
	Root time.Time `json:"root"`
	// Saved tells that the player has said that it is kept.
	Saved bool `json:"saved,omitempty"`
}

// Account is the record. Its zero value is an account that nothing is known of.
type Account struct {
	// Enrolments are authenticators, or one phone; never both.
	Enrolments []Enrolment `json:"enrolments,omitempty"`
	Recovery   *Recovery   `json:"recovery,omitempty"`
	// Failures are what was spent in sessions outside of trusted devices, Strangers what
	// was spent without a session, by the name that was given.
	Failures  map[policy.Factor]*Failures            `json:"failures,omitempty"`
	Strangers map[string]map[policy.Factor]*Failures `json:"strangers,omitempty"`
	Devices   []Device                               `json:"devices,omitempty"`
	Pending   []Pending                              `json:"pending,omitempty"`
	Setup     *Setup                                 `json:"setup,omitempty"`
	// Inquiries are the attempts of which a provider has not said yet whether they are
	// right.
	Inquiries []Inquiry `json:"inquiries,omitempty"`
	// Changed tells when each cause of a hold last happened.
	Changed map[policy.Cause]time.Time `json:"changed,omitempty"`
	// HeldUntil is the end of the cooling-off time that followed a binding which
	// only the session spoke for.
	HeldUntil time.Time `json:"held_until"`
	// Recovered is when the recovery key was used, if no factor was bound since.
	Recovered  time.Time  `json:"recovered"`
	Activities []Activity `json:"activities,omitempty"`
	Notices    []Notice   `json:"notices,omitempty"`
	Frozen     *Freeze    `json:"frozen,omitempty"`
	// Epoch counts revocations: a grant of another epoch is worthless.
	Epoch uint64 `json:"epoch"`
	// Ended tells when sessions were ended, by their bindings: a grant that was given to
	// one until then is worthless.
	Ended map[string]time.Time `json:"ended,omitempty"`
	// Revoked is when the last of them was.
	Revoked time.Time `json:"revoked"`
}

// Enrolled reports whether the account has a second factor, disabled or not. A
// recovery key that is left alone, as lifting a freeze can leave it, is one: nothing
// less than it may bind the next factor (invariant I6).
func (a *Account) Enrolled() bool { return len(a.Enrolments) > 0 || a.Recovery != nil }

// Enrolment returns the account's first enrolment of a factor, or nil.
func (a *Account) Enrolment(f policy.Factor) *Enrolment {
	for i := range a.Enrolments {
		if a.Enrolments[i].Factor == f {
			return &a.Enrolments[i]
		}
	}
	return nil
}

// Closed reports whether nothing protected opens without a session: while the account is
// frozen, and in the cooling-off time after a first factor that only a session spoke for.
// Who has a session is told so; a stranger must not be (invariant I11), and every answer of
// theirs is wrong.
func (a *Account) Closed(now time.Time) bool { return a.Frozen != nil || now.Before(a.HeldUntil) }

// Full reports whether there is no room for another authenticator.
func (a *Account) Full() bool {
	return a.Enrolment(policy.TOTP) != nil && len(a.Enrolments) >= MaxAuthenticators
}

// Usable returns those of the accepted factors that the player has and that are
// not disabled for the asker, in the order given. While the account is frozen only
// factors from before the change that was objected to count.
func (a *Account) Usable(accepted []policy.Factor, who Asker) []policy.Factor {
	var usable []policy.Factor
	for _, f := range accepted {
		if a.has(f) && !a.Disabled(f, who) {
			usable = append(usable, f)
		}
	}
	return usable
}

func (a *Account) has(f policy.Factor) bool {
	if f == policy.RecoveryKey {
		return a.Recovery != nil && a.counts(a.Recovery.Since)
	}
	return slices.ContainsFunc(a.Enrolments, func(e Enrolment) bool { return e.Factor == f && a.counts(e.Since) })
}

// AttemptsLeft returns how many wrong answers an open challenge still takes; 0
// if it is not open.
func (a *Account) AttemptsLeft(challenge string) int {
	if p := a.pending(challenge); p != nil {
		return AttemptsPerChallenge - p.Wrong
	}
	return 0
}

func (a *Account) pending(id string) *Pending {
	for i := range a.Pending {
		if a.Pending[i].ID == id {
			return &a.Pending[i]
		}
	}
	return nil
}

func (a *Account) dropPending(id string) {
	a.Pending = slices.DeleteFunc(a.Pending, func(p Pending) bool { return p.ID == id })
}

// revoke makes every grant, every open challenge and every set-up of the account
// worthless.
func (a *Account) revoke() {
	a.Epoch++
	a.Pending, a.Setup = nil, nil
}

// Book keeps the accounts. It is safe for concurrent use.
type Book struct {
	records   seal.Records[Account]
	ring      *seal.Ring
	rand      io.Reader
	now       func() time.Time
	standings *recall.Memory[Standing]
}

// NewBook returns the book of the accounts in a store. Close ends its watch of
// the store.
func NewBook(s store.Store, ring *seal.Ring, rand io.Reader, now func() time.Time) *Book {
	return &Book{
		records:   seal.Records[Account]{Store: s, Ring: ring, Rand: rand, Kind: kind},
		ring:      ring,
		rand:      rand,
		now:       now,
		standings: recall.New[Standing](s, kind, maxStandings),
	}
}

const kind = "account"

// Close ends the book's watch of the store. The book can still be used; it then
// reads each standing from the store.
func (b *Book) Close() { b.standings.Close() }

// ID returns the id of a subject's account.
func (b *Book) ID(subject string) ID {
	sum := b.ring.MAC(seal.Subject, subject)
	return ID(base64.RawURLEncoding.EncodeToString(sum[:16]))
}

// Get returns the account as it is now, the zero account if nothing is known of
// it. Challenges and set-ups that have ended are not in it.
func (b *Book) Get(ctx context.Context, id ID) (*Account, error) {
	a, err := b.records.Get(ctx, string(id))
	if errors.Is(err, store.ErrNotFound) {
		return new(Account), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading account: %w", err)
	}
	a.prune(b.now())
	return a, nil
}

// Standing returns the account's standing, from memory where it is known there.
func (b *Book) Standing(ctx context.Context, id ID) (Standing, error) {
	return b.standings.Get(string(id), func() (Standing, error) {
		a, err := b.Get(ctx, id)
		if err != nil {
			return Standing{}, err
		}
		return Standing{Epoch: a.Epoch, ended: a.Ended}, nil
	})
}

// update applies change to the account in one atomic step. change returns the
// events to write with it; it may be called several times. A nil slice with a
// nil error still writes; errUnchanged leaves everything as it is.
func (b *Book) update(ctx context.Context, id ID, change func(a *Account, now time.Time) ([]audit.Event, error)) error {
	err := b.records.Update(ctx, string(id), func(a *Account) (*seal.Next[Account], error) {
		if a == nil {
			a = new(Account)
		}
		// One instant for all that happens in one step: what was bound by a change is not
		// older than the change (see Freeze).
		now := b.now()
		a.prune(now)
		epoch, ended := a.Epoch, maps.Clone(a.Ended)
		events, err := change(a, now)
		if errors.Is(err, errUnchanged) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if a.Epoch != epoch {
			a.Revoked = now
		}
		for i := range events {
			events[i].At, events[i].Subject = now, string(id)
		}
		return &seal.Next[Account]{Value: a, Expires: a.expires(), Events: events, Announce: a.Epoch != epoch || !maps.Equal(a.Ended, ended)}, nil
	})
	if err != nil {
		return fmt.Errorf("updating account: %w", err)
	}
	return nil
}

var errUnchanged = errors.New("nothing to write")

// prune drops what has ended.
func (a *Account) prune(now time.Time) {
	a.Pending = slices.DeleteFunc(a.Pending, func(p Pending) bool { return !now.Before(p.Expires) })
	a.Devices = slices.DeleteFunc(a.Devices, func(d Device) bool { return !now.Before(d.Until) })
	a.Notices = slices.DeleteFunc(a.Notices, func(n Notice) bool { return !now.Before(n.At.Add(NoticeLifetime)) })
	maps.DeleteFunc(a.Ended, func(_ string, at time.Time) bool { return !now.Before(at.Add(endedLifetime)) })
	a.Inquiries = slices.DeleteFunc(a.Inquiries, func(q Inquiry) bool { return !now.Before(q.Until) })
	if a.Setup != nil && !now.Before(a.Setup.Expires) {
		a.Setup = nil
	}
	a.forget(now)
	if a.Failures == nil {
		a.Failures = map[policy.Factor]*Failures{}
	}
	if a.Changed == nil {
		a.Changed = map[policy.Cause]time.Time{}
	}
}

// newID returns 128 random bits as text, for challenges and set-ups.
func newID(rand io.Reader) (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(rand, id[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(id[:]), nil
}
