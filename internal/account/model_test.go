package account_test

import (
	"bytes"
	"encoding/base32"
	"fmt"
	"slices"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// The model says in few words who may change the factors of one account, and knows
// nothing of how package account decides it. It has no budgets: what they refuse it
// takes for refused.

// person is one of the two who act on the account. What they can do is what they know.
type person struct {
	name, browser, session string
	phones                 []sms.Number
	keys                   []string // recovery keys that they have seen, the newest last
	links                  []string // links that they were sent
	seen                   []string // codes that they saw being used
	shown                  []showing
}

// showing is what somebody has shown by an answer, as a passed challenge keeps it.
type showing struct {
	grade      account.Proof
	generation uint64
	phone      sms.Number
	root       time.Time
}

// credential is a factor that is bound in the model.
type credential struct {
	id     string
	factor policy.Factor
	secret []byte
	text   string // the secret in base32
	phone  sms.Number
	since  time.Time
	root   time.Time // when that began on which it rests, zero for what stands by itself
	last   int64     // the newest step that was used
	holder *person
}

func newCredential(f policy.Factor, secret []byte, to sms.Number, holder *person) credential {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return credential{factor: f, secret: secret, text: text, phone: to, holder: holder}
}

// code returns the code of a step.
func (c *credential) code(step int64) string {
	code, err := hotp.GenerateCodeCustom(c.text, uint64(step), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		panic(err)
	}
	return code
}

// match returns the newest step within one of now that has the code, or -1.
func (c *credential) match(code string, now time.Time) int64 {
	for step := now.Unix()/30 + 1; step >= now.Unix()/30-1; step-- {
		if c.code(step) == code {
			return step
		}
	}
	return -1
}

// asked is a challenge of the model. code went to phone, whoever holds it.
type asked struct {
	id, code string
	by       *person
	phone    sms.Number
	enrolled bool
	// generation and expires end it, and so does being passed, once.
	generation uint64
	expires    time.Time
	passed     *int
}

// begun is a set-up of the model.
type begun struct {
	credential
	setup      string
	grade      account.Proof
	root       time.Time
	generation uint64
	by         *person
	expires    time.Time
	codes      []string // those sent, the newest last
	from       time.Time
	sends      int
	managed    bool // whether the newest is the provider's
	wrong      int
}

// link is what a one-time link can do.
type link struct {
	at, root time.Time
	used     bool
}

// rests is the root of what is done now under a factor: that of the factor, as long as
// its holder may still object to it.
func rests(since, root, now time.Time) time.Time {
	if now.Before(since.Add(7 * 24 * time.Hour)) {
		return root
	}
	return time.Time{}
}

// first is the first of some instants, without those that are none.
func first(of ...time.Time) time.Time {
	of = slices.DeleteFunc(of, time.Time.IsZero)
	if len(of) == 0 {
		return time.Time{}
	}
	return slices.MinFunc(of, time.Time.Compare)
}

// model is the account as it must be.
type model struct {
	bound      []credential
	key        string // the recovery key, empty if there is none
	keySince   time.Time
	keyRoot    time.Time
	keyMAC     []byte // as the account keeps it; nil until it is seen
	frozen     bool
	event      time.Time // what the freeze is about
	generation uint64    // grows with whatever ends what was shown and granted before
	setup      *begun
	over       *begun // the one that was tried last
	open       []asked
	links      map[string]*link
	inquiries  []*inquiry
}

// end ends what was shown, opened and begun.
func (m *model) end() {
	m.generation++
	m.setup = nil
}

func (m *model) counts(since time.Time) bool { return !m.frozen || since.Before(m.event) }

// liftable reports whether anybody can show what ends a freeze, if there is one.
func (m *model) liftable() bool {
	older := func(c credential) bool { return m.counts(c.since) }
	return !m.frozen || slices.ContainsFunc(m.bound, older) || m.key != "" && m.counts(m.keySince)
}

func (m *model) guarded() bool { return len(m.bound) > 0 || m.key != "" }

func (m *model) has(f policy.Factor) bool {
	return slices.ContainsFunc(m.bound, func(c credential) bool { return c.factor == f })
}

// current reports whether a current factor was shown, in the account's present
// generation.
func (m *model) current(s showing) bool {
	return (s.grade == account.ProofFactor || s.grade == account.ProofRecovery) && s.generation == m.generation
}

// mayBind is invariant I6.
func (m *model) mayBind(s showing) bool {
	if m.frozen {
		return false
	}
	first := s.grade == account.ProofNone || s.grade == account.ProofLogin ||
		s.grade == account.ProofPhone && s.generation == m.generation
	return m.current(s) || !m.guarded() && first
}

// right decides whether an answer shows a factor, and of which grade. It uses up what
// was shown.
func (m *model) right(c asked, f policy.Factor, code string, now time.Time) (ok bool, grade account.Proof, root time.Time) {
	switch f {
	case policy.TOTP:
		for i := range m.bound {
			b := &m.bound[i]
			if b.factor != policy.TOTP || !m.counts(b.since) {
				continue
			}
			if step := b.match(code, now); step > b.last {
				b.last, ok, root = step, true, first(root, rests(b.since, b.root, now))
			}
		}
		return ok, account.ProofFactor, root
	case policy.SMS:
		if c.code == "" || code != c.code {
			return false, "", root
		}
		if !c.enrolled {
			return !m.guarded() && !m.frozen, account.ProofPhone, root
		}
		if len(m.bound) != 1 || m.bound[0].phone != c.phone {
			return false, "", root
		}
		return m.counts(m.bound[0].since), account.ProofFactor, rests(m.bound[0].since, m.bound[0].root, now)
	case policy.RecoveryKey:
		return m.key != "" && code == m.key && m.counts(m.keySince), account.ProofRecovery, rests(m.keySince, m.keyRoot, now)
	default:
		return false, "", root
	}
}

// bind binds a factor under what was shown.
func (m *model) bind(c credential, grade account.Proof, root, now time.Time) {
	c.since = now
	if grade != account.ProofPhone {
		c.root = first(now, root)
	}
	if c.factor == policy.TOTP && grade != account.ProofRecovery {
		m.bound = slices.DeleteFunc(m.bound, func(old credential) bool { return old.factor == policy.SMS })
	} else {
		m.bound = nil
	}
	m.bound = append(m.bound, c)
	m.end()
}

func (m *model) full(f policy.Factor, grade account.Proof) bool {
	return f == policy.TOTP && grade != account.ProofRecovery && m.has(policy.TOTP) && len(m.bound) >= account.MaxAuthenticators
}

// lift removes what is not older than what the freeze is about.
func (m *model) lift() {
	m.bound = slices.DeleteFunc(m.bound, func(c credential) bool { return !m.counts(c.since) })
	if !m.counts(m.keySince) {
		m.key = ""
	}
	for _, l := range m.links {
		l.used = l.used || !m.counts(l.at)
	}
	m.frozen = false
	m.end()
}

// differs says in what the account is not as it must be, or nothing. It learns from
// the account what only that draws: ids and the hash of a new recovery key.
func (m *model) differs(a *account.Account) string {
	if a.Epoch != m.generation {
		return fmt.Sprintf("epoch %d, want %d", a.Epoch, m.generation)
	}
	if (a.Frozen != nil) != m.frozen || m.frozen && !a.Frozen.Event.Equal(m.event) {
		return fmt.Sprintf("frozen %v, want %v", a.Frozen, m.frozen)
	}
	if len(a.Enrolments) != len(m.bound) {
		return fmt.Sprintf("%d factors, want %d", len(a.Enrolments), len(m.bound))
	}
	for i, e := range a.Enrolments {
		want := &m.bound[i]
		if want.id == "" {
			want.id = e.ID
		}
		if e.ID != want.id || e.Factor != want.factor || !bytes.Equal(e.Secret, want.secret) || e.Phone != want.phone || !e.Since.Equal(want.since) {
			return fmt.Sprintf("factor %d is another one", i)
		}
		if e.Factor != a.Enrolments[0].Factor || e.Factor == policy.SMS && len(a.Enrolments) > 1 {
			return "factors of two kinds, or two phones"
		}
	}
	if (a.Recovery != nil) != (m.key != "") {
		return fmt.Sprintf("recovery key %v, want %v", a.Recovery != nil, m.key != "")
	}
	if a.Recovery != nil {
		if m.keyMAC == nil {
			m.keyMAC = a.Recovery.MAC
		}
		if !bytes.Equal(a.Recovery.MAC, m.keyMAC) || !a.Recovery.Since.Equal(m.keySince) {
			return "the recovery key is another one"
		}
	}
	if a.Enrolled() != m.guarded() || len(a.Enrolments) > account.MaxAuthenticators || (a.Setup != nil) && m.setup == nil {
		return "it counts as enrolled, full or being set up, and is not"
	}
	return ""
}
