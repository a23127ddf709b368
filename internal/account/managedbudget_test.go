package account_test

import (
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// R51: nothing that can be started anew gives attempts back.
func TestInvariantI5NoNewBeginningResetsTheManagedFailures(t *testing.T) {
	for name, again := range map[string]func(w *world, id string) string{
		"a new challenge": func(w *world, _ string) string { return w.challenge() },
		"a resend":        func(w *world, id string) string { w.clock.add(30 * time.Second); w.text(id); return id },
		"a restart":       func(w *world, id string) string { w.reopen(); return id },
		"a crash": func(w *world, id string) string {
			w.wantSettled(w.ticket(typed(id, "000000")), false, account.UsedUp)
			w.waitOut()
			w.reopen()
			return w.challenge()
		},
		"a night": func(w *world, _ string) string { w.clock.add(24 * time.Hour); return w.challenge() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enrolSMS()
			id, _ := w.texted()
			for range 4 {
				w.wantSettled(w.ticket(typed(id, "000000")), false, account.Wrong)
			}
			id = again(w, id)
			spent := w.failures(policy.SMS)
			ticket := w.ticket(typed(id, "314159"))
			if _, other := w.attempt(typed(w.challenge(), "314159")); other != nil || spent < 4 {
				t.Errorf("%d failures, and the delay does not begin with the fifth attempt", spent)
			}
			w.wantSettled(ticket, true, account.Right)
		})
	}
}

// R52, R53: delays, then the end, as for codes of ours; and the player hears of both.
func TestInvariantI5ManagedFailuresDelayAndDisableAsOthersDo(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	for i, delay := range []time.Duration{0, 0, 0, 0, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
		r, _ := w.failManaged(1)
		if got := r.RetryAt; (delay == 0) != got.IsZero() || delay != 0 && !got.Equal(w.clock.now().Add(delay)) {
			t.Errorf("after %d failures a delay until %s, want %s", i+1, got, delay)
		}
	}
	_, alerts := w.failManaged(91)
	if len(alerts) != 1 || alerts[0].Kind != account.KindFailures || w.disabled(policy.SMS) {
		t.Fatalf("%d alerts, disabled %v, after 99 failures", len(alerts), w.disabled(policy.SMS))
	}
	w.waitOut()
	ticket := w.ticket(typed(w.challenge(), "000000"))
	if !w.disabled(policy.SMS) || w.count(audit.EnrolmentDisabled) != 1 {
		t.Errorf("while the hundredth is judged the factor is disabled: %v", w.disabled(policy.SMS))
	}
	if r := w.wantSettled(ticket, false, account.Wrong); len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindDisabled {
		t.Errorf("%d alerts, want that it is disabled", len(r.Alerts))
	}
	w.reopen()
	if r, ticket := w.attempt(typed(w.challenge(), "314159")); ticket != nil || r.Verdict != account.Disabled {
		t.Errorf("Attempt() = verdict %d, want disabled", r.Verdict)
	}
}

func TestTheHundredthManagedCodeMayBeRight(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	w.failManaged(99)
	w.waitOut()
	r := w.wantSettled(w.ticket(typed(w.challenge(), "314159")), true, account.Right)
	// A success after failures (OWASP ASVS 6.3.5).
	if len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindFailures || w.disabled(policy.SMS) || w.failures(policy.SMS) != 0 {
		t.Errorf("%d alerts, disabled %v, %d failures", len(r.Alerts), w.disabled(policy.SMS), w.failures(policy.SMS))
	}
	if w.count(audit.EnrolmentDisabled) != 1 || w.count(audit.EnrolmentUnlocked) != 1 {
		t.Error("the audit log does not say that the factor was disabled meanwhile")
	}
}

// The failures that a success tells of are those before it, not its own attempt nor
// those beside it.
func TestASuccessTellsOfTheFailuresBeforeItOnly(t *testing.T) {
	for before, want := range map[int]int{4: 0, 5: 1} {
		w := newWorld(t)
		w.enrolSMS()
		w.failManaged(before)
		w.waitOut()
		if r := w.wantSettled(w.ticket(typed(w.challenge(), "314159")), true, account.Right); len(r.Alerts) != want {
			t.Errorf("%d alerts after %d failures, want %d", len(r.Alerts), before, want)
		}
	}
}

// A thief who cancels while the provider judges does not keep the owner from hearing.
func TestCancellingUnderAnAttemptHidesNoAlert(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	w.failManaged(account.ManyFailures - 1)
	w.waitOut()
	id := w.challenge()
	ticket := w.ticket(typed(id, "000000"))
	if err := w.book.CloseChallenge(t.Context(), w.id, id, audit.ChallengeCancelled, account.Client{}); err != nil {
		t.Fatal(err)
	}
	if r := w.wantSettled(ticket, false, account.Gone); len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindFailures {
		t.Errorf("%d alerts, want that many failed", len(r.Alerts))
	}
	if r := w.settle(ticket, false); len(r.Alerts) != 0 {
		t.Error("it was told twice")
	}
}

// R15: a success clears the budgets from which it was attempted, whatever the browser
// has become meanwhile.
func TestInvariantI5ASuccessClearsTheLaneInWhichItWasAttempted(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	owner, stranger := w.from("owner's"), w.from("stranger's")
	ticket := owner.ticket(typed(owner.challenge(), "314159"))
	trusting := typed(owner.challenge(), "271828")
	trusting.Expected, trusting.Trust = "271828", owner.trusting()
	owner.want(trusting, account.Right) // of another challenge, in the same browser
	stranger.failManaged(1)
	owner.failManaged(1)
	if owner.wantSettled(ticket, true, account.Right); w.failures(policy.SMS) != 0 {
		t.Errorf("%d failures outside of the trusted browser, where it was attempted", w.failures(policy.SMS))
	}
	if spent := w.account().Device("owner's").Failures[policy.SMS]; spent == nil || spent.InARow != 1 {
		t.Errorf("in the trusted browser %v, want the one", spent)
	}
	// And the other way round: the trust ends under an attempt from it.
	stranger.failManaged(1)
	w.clock.add(w.account().Device("owner's").Until.Sub(w.clock.now()) - time.Second)
	ticket = owner.ticket(typed(owner.challenge(), "314159"))
	w.clock.add(time.Second)
	if w.account().Device("owner's") != nil {
		t.Fatal("it is still trusted")
	}
	if owner.wantSettled(ticket, true, account.Right); w.failures(policy.SMS) != 1 {
		t.Errorf("%d failures, want the stranger's", w.failures(policy.SMS))
	}
}

func TestATrustedBrowserComesFromAManagedCodeToo(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	in := typed(w.challenge(), "314159")
	in.Trust, in.Client = w.trusting(), account.Client{Browser: "Chrome"}
	r := w.wantSettled(w.ticket(in), true, account.Right)
	if d := w.account().Device(w.browser); d == nil || d.Client.Browser != "Chrome" || len(r.Alerts) != 1 || r.Alerts[0].Kind != account.KindDeviceTrusted {
		t.Errorf("device %v, %d alerts", d, len(r.Alerts))
	}
}

// I5: no more codes are asked about than there are attempts, and each costs one.
func TestInvariantI5TwoHundredManagedGuessesAtOnceAskFiveTimes(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	p, id := &provider{right: "314159"}, w.challenge()
	got := w.judgedAtOnce(200, p, func(int) account.Answer { return typed(id, "000000") })
	if p.asked != 5 || w.failures(policy.SMS) != 5 {
		t.Errorf("the provider was asked %d times and %d failures are counted, want 5", p.asked, w.failures(policy.SMS))
	}
	// Those that come while the fifth is judged find its delay, or nothing.
	if got[account.Wrong] != 4 || got[account.UsedUp] != 1 || got[account.Right] != 0 || w.account().AttemptsLeft(id) != 0 || w.count(audit.ChallengeUsedUp) != 1 {
		t.Errorf("verdicts = %v, want four wrong and one used up", got)
	}
}

// I5: the budget is the account's. More challenges are not more guesses.
func TestInvariantI5ManagedGuessesAtFiveChallengesAtOnceShareOneBudget(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	p := &provider{right: "314159"}
	var challenges []string
	for range account.MaxPending {
		challenges = append(challenges, w.challenge())
	}
	w.judgedAtOnce(100, p, func(i int) account.Answer { return typed(challenges[i%len(challenges)], "000000") })
	if n := w.failures(policy.SMS); n != account.FreeAttempts || p.asked != n {
		t.Errorf("the provider was asked %d times for %d failures, want %d", p.asked, n, account.FreeAttempts)
	}
}

// Another factor that fails while the last answer is judged does not close the challenge
// under it.
func TestAnotherFactorsFailureDoesNotOvertakeARightCode(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	id := w.challenge()
	for range 3 {
		w.wantSettled(w.ticket(typed(id, "000000")), false, account.Wrong)
	}
	ticket := w.ticket(typed(id, "314159"))
	w.want(account.Answer{Challenge: id, Factor: policy.RecoveryKey, Code: "nonsense"}, account.Wrong)
	w.want(account.Answer{Challenge: id, Factor: policy.RecoveryKey, Code: "nonsense"}, account.Gone)
	w.wantSettled(ticket, true, account.Right)
}
