package account_test

import (
	"testing"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// judged are changes under codes that a provider judges.
func (p *prepared) judged() map[string]killing {
	return map[string]killing{
		"the first phone by a managed code": {func(*victim) {}, func(v *victim) error {
			v.next = leadsTo(false, smsFactor(phone))
			c, err := v.showsManaged(account.ProofPhone)
			if err != nil {
				return err
			}
			return only(v.book.BindPhone(v.Context(), v.id, c, phone))
		}},
		"from SMS to an authenticator by a managed code": {p.phoned, func(v *victim) error {
			c, err := v.showsManaged(account.ProofFactor)
			if err != nil {
				return err
			}
			return v.authenticator(c)
		}},
		"from authenticators to a phone that a provider judges": {p.both, func(v *victim) error {
			c, err := p.byTOTP(v)
			if err != nil {
				return err
			}
			return v.phoneManaged(c, otherPhone)
		}},
	}
}

// showsManaged is shows with a code that a provider judges.
func (v *victim) showsManaged(proof account.Proof) (account.Change, error) {
	o, err := v.book.Open(v.Context(), v.id, v.interruption("managed"))
	if err != nil {
		return account.Change{}, err
	}
	in := typed(o.Pending.ID, "314159")
	v.answered = append(v.answered, given{Answer: in, managed: true})
	last := &v.answered[len(v.answered)-1]
	if _, last.ticket, err = v.book.Attempt(v.Context(), v.id, in); err != nil {
		return account.Change{}, err
	}
	r, err := v.book.Settle(v.Context(), v.id, last.ticket, true)
	if err != nil {
		return account.Change{}, err
	}
	if r.Verdict != account.Right {
		v.Fatalf("Settle() = %d, want right", r.Verdict)
	}
	last.acknowledged = true
	return account.Change{Binding: "session", Browser: v.browser, Proof: proof, Epoch: r.Epoch}, nil
}

// rightAgain lets the provider say "right" once more, of the attempt that was killed and
// of a new one.
func (v *victim) rightAgain(in given) bool {
	v.Helper()
	if in.ticket != nil && v.settle(in.ticket, true).Verdict == account.Right {
		return true
	}
	_, ticket := v.attempt(in.Answer)
	return ticket != nil && v.settle(ticket, true).Verdict == account.Right
}

// phoneManaged binds a phone by a code that a provider judges.
func (v *victim) phoneManaged(c account.Change, to sms.Number) error {
	v.next = leadsTo(false, smsFactor(to))
	send, err := v.book.BeginSMS(v.Context(), v.id, c, to, "verify")
	if err != nil {
		return err
	}
	if _, err := v.book.SetupSent(v.Context(), v.id, send.Setup.ID, send.Number, "verify", "v-1"); err != nil {
		return err
	}
	_, ticket, err := v.book.AttemptSetup(v.Context(), v.id, unproved(), send.Setup.ID)
	if err != nil {
		return err
	}
	done, err := v.book.SettleSetup(v.Context(), v.id, ticket, true)
	if err == nil && done.Verdict != account.Right {
		v.Fatalf("SettleSetup() = %d, want right", done.Verdict)
	}
	return err
}

// I5, I7: a process that is killed at either write of a wrong managed answer has spent
// the attempt or not looked at it, and never gives one back.
func TestInvariantI5AKillDuringAManagedAnswerNeverGivesAnAttemptBack(t *testing.T) {
	for at := range 2 {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			w.enrolSMS()
			id := w.challenge()
			book := w.another(&dying{Store: w.store, left: at, after: after})
			_, ticket, err := book.Attempt(t.Context(), w.id, typed(id, "000000"))
			if err == nil {
				_, err = book.Settle(t.Context(), w.id, ticket, false)
			}
			if err == nil {
				t.Fatal("nothing was killed")
			}
			w.reopen()
			want := 1
			if at == 0 && !after {
				want = 0 // the provider was not asked
			}
			if n, left := w.failures(policy.SMS), w.account().AttemptsLeft(id); n != want || left != account.AttemptsPerChallenge-want {
				t.Errorf("killed at write %d, after it %v: %d failures and %d attempts left, want %d spent", at, after, n, left, want)
			}
		}
	}
}
