package account_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/policy"
)

// provider makes codes and judges them. It says "right" as often as it is asked, which
// is the worst that a provider can do.
type provider struct {
	right string
	mu    sync.Mutex
	asked int
}

func (p *provider) check(code string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return code == p.right
}

// typed is an answer by a managed code.
func typed(challenge, code string) account.Answer {
	return account.Answer{Challenge: challenge, Factor: policy.SMS, Purpose: account.ForRequest, Code: code}
}

func (w *world) attempt(in account.Answer) (account.Result, *account.Ticket) {
	w.Helper()
	r, ticket, err := w.book.Attempt(w.Context(), w.id, to(in))
	if err != nil {
		w.Fatal(err)
	}
	if ticket != nil && r.Verdict != account.Gone {
		w.Fatalf("Attempt() = verdict %d with a ticket", r.Verdict)
	}
	return r, ticket
}

// ticket is what an attempt must give.
func (w *world) ticket(in account.Answer) *account.Ticket {
	w.Helper()
	r, ticket := w.attempt(in)
	if ticket == nil {
		w.Fatalf("Attempt() = verdict %d and no ticket", r.Verdict)
	}
	return ticket
}

func (w *world) settle(t *account.Ticket, right bool) account.Result {
	w.Helper()
	r, err := w.book.Settle(w.Context(), w.id, t, right)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

func (w *world) wantSettled(t *account.Ticket, right bool, want account.Verdict) account.Result {
	w.Helper()
	r := w.settle(t, right)
	if r.Verdict != want {
		w.Fatalf("Settle(%v) = verdict %d, want %d", right, r.Verdict, want)
	}
	return r
}

// judged gives an answer that the provider judges.
func (w *world) judged(book *account.Book, p *provider, in account.Answer) account.Result {
	r, ticket, err := book.Attempt(w.Context(), w.id, in)
	if err != nil {
		w.Error(err)
	}
	if ticket == nil {
		return r
	}
	if r, err = book.Settle(w.Context(), w.id, ticket, p.check(in.Code)); err != nil {
		w.Error(err)
	}
	return r
}

// judgedAtOnce counts the results of answers that are given at the same moment, on both
// nodes in turn.
func (w *world) judgedAtOnce(n int, p *provider, in func(i int) account.Answer) map[account.Verdict]int {
	var mu sync.Mutex
	counts := map[account.Verdict]int{}
	atOnce(n, func(i int) {
		r := w.judged([]*account.Book{w.book, w.node2}[i%2], p, in(i))
		mu.Lock()
		defer mu.Unlock()
		counts[r.Verdict]++
	})
	return counts
}

// waitOut waits until the next answer is looked at.
func (w *world) waitOut() {
	w.Helper()
	if until := w.account().NotBefore(policy.SMS, w.asker(account.ForRequest)); w.clock.now().Before(until) {
		w.clock.add(until.Sub(w.clock.now()))
	}
}

// failManaged spends n attempts on wrong managed codes, over as many challenges as it
// takes, and returns the last result and all alerts.
func (w *world) failManaged(n int) (last account.Result, alerts []account.Alert) {
	w.Helper()
	id := ""
	for range n {
		w.waitOut()
		if w.account().AttemptsLeft(id) == 0 {
			id = w.challenge()
		}
		last = w.settle(w.ticket(typed(id, "000000")), false)
		if last.Verdict != account.Wrong && last.Verdict != account.UsedUp {
			w.Fatalf("Settle() = verdict %d, want wrong", last.Verdict)
		}
		alerts = append(alerts, last.Alerts...)
	}
	return last, alerts
}

func TestAManagedCodePassesOrSpendsAsOneOfOurs(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	w.clock.add(time.Hour)
	id := w.challenge()
	for i := range 4 {
		ticket := w.ticket(typed(id, "000000"))
		if left, spent := w.account().AttemptsLeft(id), w.failures(policy.SMS); left != 4-i || spent != i+1 {
			t.Fatalf("while the provider is asked %d attempts are left and %d spent, want %d and %d", left, spent, 4-i, i+1)
		}
		if r := w.wantSettled(ticket, false, account.Wrong); r.AttemptsLeft != 4-i || len(r.Alerts) != 0 || !r.RetryAt.IsZero() {
			t.Errorf("wrong code %d: %d left, %d alerts, delay until %s", i+1, r.AttemptsLeft, len(r.Alerts), r.RetryAt)
		}
	}
	r := w.wantSettled(w.ticket(typed(id, "314159")), true, account.Right)
	if a := w.account(); r.Epoch != a.Epoch || !r.Root.Equal(a.Enrolments[0].Root) || r.RecoveryKey != "" || len(r.Alerts) != 0 {
		t.Errorf("Settle() = epoch %d, root %s, %d alerts", r.Epoch, r.Root, len(r.Alerts))
	}
	if a := w.account(); len(a.Failures) != 0 || a.AttemptsLeft(id) != 0 || !a.Enrolments[0].Used.Equal(w.clock.now()) || len(a.Inquiries) != 0 {
		t.Errorf("failures %v, used at %s, %d inquiries", a.Failures, a.Enrolments[0].Used, len(a.Inquiries))
	}
	if wrong, passed := w.count(audit.ChallengeWrong), w.count(audit.ChallengePassed); wrong != 4 || passed != 1 {
		t.Errorf("the audit log has %d wrong codes and %d passed, want 4 and 1", wrong, passed)
	}
}

func TestAnAttemptIsRefusedForWhateverAnAnswerIs(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(w *world) account.Answer
		want    account.Verdict
	}{
		"no challenge": {func(w *world) account.Answer { w.enrolSMS(); return typed("challenge-99", "") }, account.Gone},
		"a challenge that is over": {func(w *world) account.Answer {
			w.enrolSMS()
			id := w.challenge()
			w.clock.add(time.Hour)
			return typed(id, "")
		}, account.Gone},
		"a delay":           {func(w *world) account.Answer { w.enrolSMS(); w.failManaged(5); return typed(w.challenge(), "") }, account.TryLater},
		"a disabled factor": {func(w *world) account.Answer { w.enrolSMS(); w.failManaged(100); return typed(w.challenge(), "") }, account.Disabled},
		"no phone":          {func(w *world) account.Answer { w.enrolTOTP(); return typed(w.challenge(), "") }, account.Unusable},
		"a phone that a freeze is about": {func(w *world) account.Answer {
			w.enrolTOTP()
			w.clock.add(time.Minute)
			send := w.beginSMS(w.proved(), phone)
			w.freeze(w.bound(send.Setup, send.Code).Alert.Token)
			return typed(w.challenge(), "")
		}, account.Unusable},
		"another factor": {func(w *world) account.Answer {
			secret, _ := w.enrolTOTP()
			return account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}
		}, account.Unusable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			in := tt.prepare(w)
			before := w.failures(in.Factor)
			r, ticket := w.attempt(in)
			if r.Verdict != tt.want || ticket != nil || (r.Verdict == account.TryLater) == r.RetryAt.IsZero() {
				t.Errorf("Attempt() = verdict %d with a ticket %v, retry at %s, want %d", r.Verdict, ticket != nil, r.RetryAt, tt.want)
			}
			if n := w.failures(in.Factor); n != before {
				t.Errorf("%d failures, want the %d before", n, before)
			}
		})
	}
}

// I3, I5: also if the provider says "right" to every copy.
func TestInvariantI3FiftyCopiesOfARightManagedCodePassOnce(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	p, id := &provider{right: "314159"}, w.challenge()
	got := w.judgedAtOnce(50, p, func(int) account.Answer { return typed(id, p.right) })
	if got[account.Right] != 1 || got[account.Wrong]+got[account.UsedUp] != 0 || w.count(audit.ChallengePassed) != 1 {
		t.Errorf("verdicts = %v, want one right", got)
	}
	if n := w.failures(policy.SMS); n != 0 || p.asked > 5 {
		t.Errorf("%d failures after %d questions, want none: the player typed one right code", n, p.asked)
	}
}

func TestInvariantI3FiveThatAreRightAtOncePassOnce(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	id := w.challenge()
	var tickets []*account.Ticket
	for range 5 {
		tickets = append(tickets, w.ticket(typed(id, "314159")))
	}
	if _, ticket := w.attempt(typed(id, "314159")); ticket != nil {
		t.Fatal("a sixth attempt was handed out")
	}
	var mu sync.Mutex
	got := map[account.Verdict]int{}
	atOnce(10, func(i int) { // each of them twice
		r, err := []*account.Book{w.book, w.node2}[i%2].Settle(t.Context(), w.id, tickets[i/2], true)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[r.Verdict]++
	})
	if got[account.Right] != 1 || got[account.Gone] != 9 || w.failures(policy.SMS) != 0 {
		t.Errorf("verdicts = %v with %d failures, want one right and the rest gone", got, w.failures(policy.SMS))
	}
}

// I5, I7: what a crash interrupts is spent, and the last attempt is the last.
func TestInvariantI5ACrashWhileTheProviderIsAskedLeavesTheAttemptSpent(t *testing.T) {
	w := newWorld(t)
	_ = w.enrolSMS()
	in := w.interruption("a withdrawal")
	id := w.open(in).Pending.ID
	for i := range 5 {
		w.ticket(typed(id, "314159"))
		w.reopen()
		if left, n := w.account().AttemptsLeft(id), w.failures(policy.SMS); left != 4-i || n != i+1 {
			t.Fatalf("after crash %d: %d attempts left and %d spent", i+1, left, n)
		}
	}
	w.waitOut()
	if r, ticket := w.attempt(typed(id, "314159")); ticket != nil || r.Verdict != account.Gone {
		t.Errorf("Attempt() after five = verdict %d, a ticket %v, want gone", r.Verdict, ticket != nil)
	}
	w.want(account.Answer{Challenge: id, Factor: policy.SMS, Code: "314159", Expected: "314159"}, account.Gone)
	// The player who asks again is not led back to what nothing answers any more.
	in.ID = "challenge-after"
	if o := w.open(in); !o.New || o.Account.AttemptsLeft(in.ID) != account.AttemptsPerChallenge {
		t.Errorf("Open() = %q, new %v", o.Pending.ID, o.New)
	}
	if n := w.failures(policy.SMS); n != 5 {
		t.Errorf("%d failures, want the five", n)
	}
}

func TestTheLastManagedAttemptPassesOrClosesTheChallenge(t *testing.T) {
	for right, want := range map[bool]account.Verdict{true: account.Right, false: account.UsedUp} {
		w := newWorld(t)
		w.enrolSMS()
		id := w.challenge()
		for range 4 {
			w.wantSettled(w.ticket(typed(id, "000000")), false, account.Wrong)
		}
		last := w.ticket(typed(id, "314159"))
		if _, open := w.attempt(typed(id, "314159")); open != nil {
			t.Error("there is another attempt after the last")
		}
		r := w.wantSettled(last, right, want)
		if n := w.failures(policy.SMS); (n == 0) != right || r.RetryAt.IsZero() != right {
			t.Errorf("settled %v: %d failures, delay until %s", right, n, r.RetryAt)
		}
		if w.account().AttemptsLeft(id) != 0 || len(w.account().Pending) != 0 {
			t.Errorf("settled %v: the challenge is open", right)
		}
	}
}

// In whichever order the provider answers, the right one among five passes.
func TestWrongCodesDoNotOvertakeARightOne(t *testing.T) {
	for first := range 5 {
		w := newWorld(t)
		w.enrolSMS()
		id := w.challenge()
		var tickets []*account.Ticket
		for range 5 {
			tickets = append(tickets, w.ticket(typed(id, "000000")))
		}
		for i, ticket := range tickets {
			if i != first {
				if r := w.wantSettled(ticket, false, account.Wrong); r.AttemptsLeft != 0 {
					t.Errorf("%d attempts left, want 0", r.AttemptsLeft)
				}
			}
		}
		w.wantSettled(tickets[first], true, account.Right)
	}
}

func TestATicketSettlesOnce(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	id := w.challenge()
	ticket := w.ticket(typed(id, "314159"))
	w.wantSettled(ticket, false, account.Wrong)
	before := len(w.events())
	for _, right := range []bool{false, true} {
		w.wantSettled(ticket, right, account.Gone)
	}
	if n := len(w.events()) - before; n != 0 || w.account().AttemptsLeft(id) != 4 || w.failures(policy.SMS) != 1 {
		t.Errorf("settling again wrote %d events, %d attempts left, %d failures", n, w.account().AttemptsLeft(id), w.failures(policy.SMS))
	}
	if r, err := w.book.Settle(t.Context(), w.book.ID("mallory"), w.ticket(typed(id, "314159")), true); err != nil || r.Verdict != account.Gone {
		t.Errorf("on another account: verdict %d, %v, want gone", r.Verdict, err)
	}
}

// I3, I6, I9: whatever ends a challenge ends it for an answer under way.
func TestInvariantI6ARightManagedCodeForWhatIsGonePassesNothing(t *testing.T) {
	for name, end := range map[string]func(w *world, id, recovery string){
		"cancelled": func(w *world, id, _ string) {
			if err := w.book.CloseChallenge(w.Context(), w.id, id, audit.ChallengeCancelled, account.Client{}); err != nil {
				w.Fatal(err)
			}
		},
		"passed": func(w *world, id, _ string) {
			w.want(account.Answer{Challenge: id, Factor: policy.SMS, Code: "271828", Expected: "271828"}, account.Right)
		},
		"recovered": func(w *world, _, recovery string) { w.want(w.recover(recovery), account.Right) },
		"another phone": func(w *world, _, _ string) {
			send := w.beginSMS(w.proved(), otherPhone)
			w.bound(send.Setup, send.Code)
		},
		"the same phone anew": func(w *world, _, _ string) { w.enrolSMS() },
		"an authenticator":    func(w *world, _, _ string) { w.enrolTOTP() },
		"switched off":        func(w *world, _, _ string) { w.switchOff() },
		"frozen":              func(w *world, _, _ string) { w.freeze(w.keyMade().Token) },
		"reset": func(w *world, _, _ string) {
			if _, _, err := w.book.Support(w.Context(), w.id, account.SupportReset); err != nil {
				w.Fatal(err)
			}
		},
		"given way": func(w *world, _, _ string) {
			for range account.MaxPending {
				w.challenge()
			}
		},
		"a slow provider": func(w *world, _, _ string) { w.clock.add(account.SettleWithin) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			recovery := w.enrolSMS()
			ticket := w.ticket(typed(w.challenge(), "314159"))
			end(w, w.account().Pending[0].ID, recovery)
			passed, state := w.count(audit.ChallengePassed), w.state()
			w.wantSettled(ticket, true, account.Gone)
			if w.count(audit.ChallengePassed) != passed || w.state() != state {
				t.Errorf("something changed: %s", w.state())
			}
		})
	}
}

// I6: the phone that the site knows answers while there is no factor, and not from the
// moment that there is one.
func TestInvariantI6TheSitesPhoneAnswersOnlyUntilAFactorIsBound(t *testing.T) {
	w := newWorld(t)
	p, id := &provider{right: "314159"}, w.challenge()
	ticket := w.ticket(typed(id, "314159"))
	if r := w.judged(w.book, p, typed(id, "314159")); r.Verdict != account.Right || !r.Root.IsZero() {
		t.Errorf("verdict %d, root %s, want right and none", r.Verdict, r.Root)
	}
	w.wantSettled(ticket, true, account.Gone)
	ticket = w.ticket(typed(w.challenge(), "314159"))
	w.enrolTOTP()
	w.wantSettled(ticket, true, account.Gone)
	if _, again := w.attempt(typed(w.challenge(), "314159")); again != nil {
		t.Error("the provider would be asked about a phone that is no factor")
	}
}
