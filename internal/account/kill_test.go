package account_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/challenge"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// dying is the store of a process that is killed at a write: before it, or right
// after it, so that nobody is told that it was made.
type dying struct {
	store.Store
	left  int // writes until then
	after bool
	dead  bool
}

var errKilled = errors.New("the process was killed")

func (s *dying) Update(ctx context.Context, key store.Key, change store.Change) error {
	if s.dead {
		return errKilled
	}
	if s.left > 0 {
		s.left--
		return s.Store.Update(ctx, key, change)
	}
	s.dead = true
	if s.after {
		if err := s.Store.Update(ctx, key, change); err != nil {
			return fmt.Errorf("the last write: %w", err)
		}
	}
	return errKilled
}

func (s *dying) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if s.dead {
		return store.Record{}, errKilled
	}
	return s.Store.Get(ctx, key)
}

// victim is a process that is killed in the middle of a change.
type victim struct {
	*world
	// next is the state that the change leads to.
	next string
	// answered are the right answers that were given, with whether that was
	// acknowledged.
	answered []given
}

type given struct {
	account.Answer
	acknowledged bool
	// managed tells that a provider judges it, ticket is the one that was not settled
	// yet, if any.
	managed bool
	ticket  *account.Ticket
}

// state says all of the account that a change changes as a whole.
func (w *world) state() string {
	w.Helper()
	a := w.account()
	var factors []string
	for _, e := range a.Enrolments {
		factors = append(factors, fmt.Sprintf("%s %x %s", string(e.Factor), e.Secret, string(e.Phone)))
	}
	return fmt.Sprintf("factors %q, recovery key %v, frozen %v", factors, a.Recovery != nil, a.Frozen != nil)
}

// state of factors that are not there yet.
func leadsTo(frozen bool, factors ...string) string {
	return fmt.Sprintf("factors %q, recovery key %v, frozen %v", factors, len(factors) > 0, frozen)
}

func totpFactor(secret []byte) string { return fmt.Sprintf("totp %x ", secret) }

func smsFactor(number sms.Number) string { return "sms  " + string(number) }

// shows opens a challenge and answers it, and returns the change that this permits.
func (v *victim) shows(in account.Answer, proof account.Proof) (account.Change, error) {
	o, err := v.book.Open(v.Context(), v.id, v.interruption(fmt.Sprint("request ", *v.opened)))
	if err != nil {
		return account.Change{}, err
	}
	in.Challenge, in.Purpose = o.Pending.ID, account.ForSettings
	v.answered = append(v.answered, given{Answer: in})
	r, err := v.book.Answer(v.Context(), v.id, in)
	if err != nil {
		return account.Change{}, err
	}
	if r.Verdict != account.Right {
		v.Fatalf("Answer() = %d, want right", r.Verdict)
	}
	v.answered[len(v.answered)-1].acknowledged = true
	return account.Change{Binding: "session", Browser: v.browser, Proof: proof, Epoch: r.Epoch}, nil
}

// confirms confirms a set-up.
func (v *victim) confirms(s *account.Setup, code string) error {
	done, err := v.book.Confirm(v.Context(), v.id, unproved(), s.ID, code, "")
	if err == nil && done.Verdict != account.Right {
		v.Fatalf("Confirm() = %d, want right", done.Verdict)
	}
	return err
}

// A killing is a change in several writes.
type killing struct {
	prepare func(v *victim)
	// change returns nil when the last write was acknowledged.
	change func(v *victim) error
}

// prepared is what was there before the change.
type prepared struct {
	secret     []byte // of the first authenticator
	token, key string
}

func (p *prepared) phoned(v *victim) { p.key = v.enrolSMS() }

func (p *prepared) authenticated(v *victim) { p.secret, p.key = v.enrolTOTP() }

func (p *prepared) both(v *victim) {
	p.authenticated(v)
	v.enrolTOTP()
}

func (p *prepared) byTOTP(v *victim) (account.Change, error) {
	return v.shows(account.Answer{Factor: policy.TOTP, Code: v.totp(p.secret, 0)}, account.ProofFactor)
}

func (p *prepared) bySMS(v *victim) (account.Change, error) {
	return v.shows(account.Answer{Factor: policy.SMS, Code: "123456", Expected: "123456"}, account.ProofFactor)
}

// bindings bind a factor.
func (p *prepared) bindings() map[string]killing {
	return map[string]killing{
		"the first authenticator": {func(*victim) {}, func(v *victim) error {
			return v.authenticator(unproved())
		}},
		"the first phone": {func(*victim) {}, func(v *victim) error {
			v.next = leadsTo(false, smsFactor(phone))
			c, err := v.shows(account.Answer{Factor: policy.SMS, Code: "123456", Expected: "123456"}, account.ProofPhone)
			if err != nil {
				return err
			}
			return only(v.book.BindPhone(v.Context(), v.id, c, phone))
		}},
		"from SMS to an authenticator": {p.phoned, func(v *victim) error {
			c, err := p.bySMS(v)
			if err != nil {
				return err
			}
			return v.authenticator(c)
		}},
		"from authenticators to SMS": {p.both, func(v *victim) error {
			v.next = leadsTo(false, smsFactor(phone))
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			send, err := v.book.BeginSMS(v.Context(), v.id, c, phone, "")
			if err != nil {
				return err
			}
			return v.confirms(send.Setup, send.Code)
		}},
		"another authenticator": {p.authenticated, func(v *victim) error {
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			return v.authenticator(c, totpFactor(p.secret))
		}},
		"a new authenticator under the recovery key": {p.both, func(v *victim) error {
			c, err := v.shows(account.Answer{Factor: policy.RecoveryKey, Code: p.key}, account.ProofRecovery)
			if err != nil {
				return err
			}
			return v.authenticator(c)
		}},
	}
}

// endings end factors, freeze and lift.
func (p *prepared) endings() map[string]killing {
	return map[string]killing{
		"removing an authenticator": {p.both, func(v *victim) error {
			v.next = leadsTo(false, totpFactor(p.secret))
			last := v.account().Enrolments[1].ID
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			return only(v.book.Remove(v.Context(), v.id, c, last))
		}},
		"switching off": {p.both, func(v *victim) error {
			v.next = leadsTo(false)
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			return only(v.book.SwitchOff(v.Context(), v.id, c))
		}},
		"freezing": {func(v *victim) { p.authenticated(v); p.token = v.keyMade().Token }, func(v *victim) error {
			v.next = leadsTo(true, totpFactor(p.secret))
			_, _, err := v.book.Freeze(v.Context(), p.token, account.Client{})
			return err
		}},
		"lifting": {func(v *victim) {
			p.authenticated(v)
			v.clock.add(time.Minute)
			s := v.beginTOTP(v.proved())
			p.token = v.bound(s, v.totp(s.Secret, 0)).Alert.Token
			v.clock.add(time.Minute)
			v.freeze(p.token)
		}, func(v *victim) error {
			v.next = leadsTo(false, totpFactor(p.secret))
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			return only(v.book.Lift(v.Context(), v.id, c))
		}},
	}
}

// authenticator binds one, which then stands beside the factors that are named.
func (v *victim) authenticator(c account.Change, beside ...string) error {
	s, err := v.book.BeginTOTP(v.Context(), v.id, c)
	if err != nil {
		return err
	}
	v.next = leadsTo(false, append(beside, totpFactor(s.Secret))...)
	return v.confirms(s, v.totp(s.Secret, 0))
}

// I6, I7, I3: a process that is killed at any write of a change leaves the old factors
// or the new ones, never of both kinds and never none; what was acknowledged is there;
// and no code works twice.
func TestInvariantI7AKillAtAnyWriteLeavesTheOldFactorsOrTheNewOnes(t *testing.T) {
	p := new(prepared)
	all := p.bindings()
	maps.Copy(all, p.endings())
	maps.Copy(all, p.judged())
	for name, k := range all {
		t.Run(name, func(t *testing.T) {
			for at := 0; ; at++ {
				done := false
				for _, after := range []bool{false, true} {
					v := &victim{world: newWorld(t)}
					k.prepare(v)
					before := v.state()
					s := &dying{Store: v.store, left: at, after: after}
					v.book = v.another(s)
					err := k.change(v)
					if err != nil && !errors.Is(err, errKilled) {
						t.Fatalf("write %d: %v", at, err)
					}
					done = err == nil
					v.reopen()
					v.wantAfter(fmt.Sprintf("killed at write %d, after it: %v", at, after), before, done)
				}
				if done {
					if at < 1 {
						t.Error("nothing was written")
					}
					return
				}
			}
		})
	}
}

// wantAfter looks at what a killed process left.
func (v *victim) wantAfter(when, before string, acknowledged bool) {
	v.Helper()
	switch got := v.state(); {
	case acknowledged && got != v.next:
		v.Errorf("%s: acknowledged, and not there: %s", when, got)
	case got != before && got != v.next:
		v.Errorf("%s: %s, want %s or %s", when, got, before, v.next)
	}
	for _, in := range v.answered {
		rights := 0
		if in.acknowledged {
			rights++
		}
		for range 2 {
			again := in.Answer
			if again.Factor != policy.SMS { // a code by SMS is its own challenge's
				again.Challenge = v.challenge()
			}
			if in.managed && v.rightAgain(in) || !in.managed && v.answer(again).Verdict == account.Right {
				rights++
			}
		}
		if rights > 1 {
			v.Errorf("%s: a code by %s was right %d times", when, string(in.Factor), rights)
		}
	}
}

// I3, I4, I7, R59: the recovery key is used up before the challenge passes. Killed
// anywhere, it works once at most, the account keeps a recovery key, and the held
// request leaves once at most.
func TestInvariantI7AKillDuringARecoveryUsesTheKeyOnce(t *testing.T) {
	for at := 0; ; at++ {
		done := false
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.enrolTOTP()
			key := w.recoveryKey()
			id := w.recoverable()
			s := &dying{Store: w.store, left: at, after: after}
			book, challenges := w.another(s), challenge.NewBook(s, w.ring, w.rand, w.clock.now)
			in := account.Answer{Challenge: id, Factor: policy.RecoveryKey, Purpose: account.ForRequest, Code: key}
			right, passed := 0, 0
			r, err := book.Answer(t.Context(), w.id, in)
			if err == nil {
				right++
				var moved bool
				if _, _, moved, err = challenges.Pass(t.Context(), id, challenge.Passing{By: policy.RecoveryKey, Epoch: r.Epoch}, true); moved && err == nil {
					passed++
				}
			}
			done = err == nil
			w.reopen()
			for range 2 {
				if w.answer(in).Verdict == account.Right {
					right++
				}
				if w.answer(w.recover(key)).Verdict == account.Right {
					right++
				}
			}
			c, _, moved, err := w.challenges.Pass(t.Context(), id, challenge.Passing{By: policy.RecoveryKey, Epoch: 99}, true)
			if err != nil {
				t.Fatal(err)
			}
			if moved {
				passed++
			}
			if a := w.account(); right > 1 || passed > 1 || a.Recovery == nil || len(a.Enrolments) != 1 || c.Moved != challenge.Released {
				t.Errorf("killed at write %d, after it %v: the key was right %d times, passed %d times, the challenge is %s", at, after, right, passed, c.Moved)
			}
		}
		if done {
			if at != 2 {
				t.Errorf("a recovery takes %d writes, want 2: the account's, then the challenge's", at)
			}
			return
		}
	}
}

// recoveryKey makes a new recovery key.
func (w *world) recoveryKey() string {
	w.Helper()
	key, _, err := w.book.IssueRecoveryKey(w.Context(), w.id, w.proved())
	if err != nil {
		w.Fatal(err)
	}
	return key
}

// recoverable opens a challenge that a recovery key answers, in both records.
func (w *world) recoverable() string {
	w.Helper()
	id, err := w.challenges.NewID()
	if err != nil {
		w.Fatal(err)
	}
	in := w.interruption("to recover")
	in.ID = id
	p := w.open(in).Pending
	_, err = w.challenges.Ensure(w.Context(), &challenge.Challenge{
		ID: id, Account: string(w.id), Factors: []policy.Factor{policy.TOTP, policy.RecoveryKey}, Opened: p.Opened, Expires: p.Expires,
	})
	if err != nil {
		w.Fatal(err)
	}
	return id
}
