package account

import (
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// Budgets; design.md section 9 gives their reasons.
const (
	// FreeAttempts is how many wrong answers in a row cost no delay.
	FreeAttempts = 5
	// MinDelay and MaxDelay bound the delay after further wrong answers.
	MinDelay, MaxDelay = 30 * time.Second, time.Hour
	// ManyFailures is how many wrong answers in a row the player is told of.
	ManyFailures = 10
	// DisableAfter is how many wrong answers in a row disable a factor.
	DisableAfter = 100
)

// Purpose is what an answer is for. Delays are counted for each apart. Answers by
// the recovery key, whatever they are for, have a budget of their own because it is
// a factor of its own.
type Purpose string

// The purposes.
const (
	ForRequest  Purpose = "request"  // a request to the site
	ForSettings Purpose = "settings" // a change of the factors
)

// Asker is from where and for what somebody answers. Budgets are kept by it.
type Asker struct {
	// Device is the keyed hash of the secret of a trusted device, empty if none was
	// shown.
	Device string
	// Stranger is the keyed hash of the name that was given, where no session was shown.
	Stranger string
	Purpose  Purpose
}

// Failures is what was spent on one factor.
type Failures struct {
	// InARow counts the wrong answers since the last right one, for all purposes.
	InARow int `json:"in_a_row"`
	// Waits are the delays, by what was asked for.
	Waits map[Purpose]*Wait `json:"waits,omitempty"`
	// Last is when the last one was, of strangers'.
	Last time.Time `json:"last,omitzero"`
	// Disabled is set after DisableAfter failures. It ends when the factor is bound
	// anew or unlocked under another one, or by support.
	Disabled bool `json:"disabled,omitempty"`
}

// Wait is the delay for one purpose.
type Wait struct {
	InARow int `json:"in_a_row"`
	// NotBefore is when the next answer is looked at.
	NotBefore time.Time `json:"not_before"`
}

// Disabled reports whether a factor was disabled for the asker after too many
// failures.
func (a *Account) Disabled(f policy.Factor, who Asker) bool {
	spent := a.spent(who)[f]
	return spent != nil && spent.Disabled
}

// NotBefore returns when an asker's next answer by a factor is looked at; it may be
// past.
func (a *Account) NotBefore(f policy.Factor, who Asker) time.Time {
	if spent := a.spent(who)[f]; spent != nil && spent.Waits[who.Purpose] != nil {
		return spent.Waits[who.Purpose].NotBefore
	}
	return time.Time{}
}

// spent returns the budgets of an asker.
func (a *Account) spent(who Asker) map[policy.Factor]*Failures {
	if who.stranger() {
		return a.strangers(who.Stranger)
	}
	if d := a.Device(who.Device); d != nil {
		if d.Failures == nil {
			d.Failures = map[policy.Factor]*Failures{}
		}
		return d.Failures
	}
	return a.Failures
}

// budgets returns those from which an attempt is or was spent, even if the browser has
// become trusted since; nil if they ended with its trust.
func (a *Account) budgets(t attempt) map[policy.Factor]*Failures {
	switch d := a.Device(t.asker.Device); {
	case t.asker.stranger():
		return a.strangers(t.asker.Stranger)
	case !t.trusted:
		return a.Failures
	case d != nil:
		return d.Failures
	default:
		return nil
	}
}

// mayTry says Right if an answer by the factor is looked at now.
func (a *Account) mayTry(f policy.Factor, who Asker, now time.Time) Result {
	at := a.NotBefore(f, who)
	switch {
	case a.Disabled(f, who):
		return Result{Verdict: Disabled}
	case now.Before(at):
		return Result{Verdict: TryLater, RetryAt: at}
	default:
		return Result{Verdict: Right}
	}
}

// spend counts one wrong answer for a factor. It returns the events, and of what
// the player is to be told: KindFailures, KindDisabled, or nothing.
func (a *Account) spend(f policy.Factor, who Asker, now time.Time) ([]audit.Event, Kind) {
	budgets := a.spent(who)
	spent := budgets[f]
	if spent == nil {
		spent = new(Failures)
		budgets[f] = spent
	}
	wait := spent.Waits[who.Purpose]
	if wait == nil {
		wait = new(Wait)
		if spent.Waits == nil {
			spent.Waits = map[Purpose]*Wait{}
		}
		spent.Waits[who.Purpose] = wait
	}
	spent.InARow++
	wait.InARow++
	if who.stranger() {
		spent.Last = now
	}
	if over := wait.InARow - FreeAttempts; over >= 0 {
		delay := MaxDelay
		if over < 7 { // 30 s · 2⁷ is over an hour
			delay = min(MinDelay<<over, MaxDelay)
		}
		wait.NotBefore = now.Add(delay)
	}
	switch {
	case spent.InARow >= DisableAfter && !spent.Disabled:
		spent.Disabled = true
		return []audit.Event{{Name: audit.EnrolmentDisabled, Factor: string(f)}}, KindDisabled
	case spent.InARow == ManyFailures:
		return nil, KindFailures
	default:
		return nil, ""
	}
}

// clear gives a factor that was bound anew a clean budget everywhere.
func (a *Account) clear(factors ...policy.Factor) {
	for _, f := range factors {
		delete(a.Failures, f)
		for _, budgets := range a.Strangers {
			delete(budgets, f)
		}
		for i := range a.Devices {
			delete(a.Devices[i].Failures, f)
		}
	}
}
