package account_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/account"
	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/delivery"
	"github.com/stepgate/stepgate/internal/factor"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/policy"
	"github.com/stepgate/stepgate/sms"
)

// beginManaged begins a set-up whose code a provider makes.
func (w *world) beginManaged(c account.Change, to sms.Number) account.SetupSend {
	w.Helper()
	send, err := w.book.BeginSMS(w.Context(), w.id, c, to, "verify")
	if err != nil || !send.Granted || send.Code != "" || send.Number != 1 || send.Setup.Managed != "verify" || send.Validity != delivery.CodeLifetime {
		w.Fatalf("BeginSMS() = %v, SMS %d, by %q, for %s, %v", send, send.Number, send.Setup.Managed, send.Validity, err)
	}
	return send
}

// setUp begins a set-up whose code the provider has sent.
func (w *world) setUp(c account.Change, to sms.Number) *account.Setup {
	w.Helper()
	s := w.beginManaged(c, to).Setup
	w.setupSent(s.ID, 1, "v-1", true)
	return s
}

func (w *world) setupSent(setup string, send int, verification string, want bool) {
	w.Helper()
	if waits, err := w.book.SetupSent(w.Context(), w.id, setup, send, "verify", verification); err != nil || waits != want {
		w.Fatalf("SetupSent() of SMS %d = %v, %v, want %v", send, waits, err, want)
	}
}

func (w *world) resendManaged(setup string) account.SetupSend {
	w.Helper()
	send, err := w.book.ResendSetup(w.Context(), w.id, unproved(), setup, "verify")
	if err != nil {
		w.Fatal(err)
	}
	return send
}

func (w *world) attemptSetup(setup string) (account.Bound, *account.SetupTicket) {
	w.Helper()
	out, ticket, err := w.book.AttemptSetup(w.Context(), w.id, unproved(), setup)
	if err != nil {
		w.Fatal(err)
	}
	return out, ticket
}

func (w *world) setupTicket(setup string) *account.SetupTicket {
	w.Helper()
	out, ticket := w.attemptSetup(setup)
	if ticket == nil || out.Verdict != account.Gone {
		w.Fatalf("AttemptSetup() = verdict %d, a ticket %v", out.Verdict, ticket != nil)
	}
	return ticket
}

func (w *world) settleSetup(t *account.SetupTicket, right bool, want account.Verdict) account.Bound {
	w.Helper()
	out, err := w.book.SettleSetup(w.Context(), w.id, t, right)
	if err != nil || out.Verdict != want {
		w.Fatalf("SettleSetup(%v) = verdict %d, %v, want %d", right, out.Verdict, err, want)
	}
	return out
}

func TestAPhoneIsBoundByAManagedCode(t *testing.T) {
	w := newWorld(t)
	secret, _ := w.enrolTOTP()
	s := w.setUp(w.proved(), otherPhone)
	for i := range 4 {
		ticket := w.setupTicket(s.ID)
		if want := (delivery.Running{Provider: "verify", Verification: "v-1"}); ticket.Running != want {
			t.Errorf("to be asked about %v, want %v", ticket.Running, want)
		}
		if out := w.settleSetup(ticket, false, account.Wrong); out.AttemptsLeft != 4-i || out.Setup == nil || out.Setup.ID != s.ID {
			t.Errorf("wrong code %d: %d left", i+1, out.AttemptsLeft)
		}
	}
	out := w.settleSetup(w.setupTicket(s.ID), true, account.Right)
	if out.Setup == nil || out.Alert.Kind != account.KindSwitchedSMS || out.Alert.Except != otherPhone {
		t.Errorf("SettleSetup() = %v, tells of %s", out, string(out.Alert.Kind))
	}
	w.reopen()
	a := w.account()
	e := a.Enrolment(policy.SMS)
	if e == nil || e.Phone != otherPhone || e.ID == "" || !e.Since.Equal(w.clock.now()) || len(a.Enrolments) != 1 || a.Setup != nil || len(a.Inquiries) != 0 {
		t.Errorf("bound %v, want the phone alone", a.Enrolments)
	}
	w.want(account.Answer{Challenge: w.challenge(), Factor: policy.TOTP, Code: w.totp(secret, 0)}, account.Unusable)
}

// I5, I6: the codes of a set-up are five, however they are asked about, and bind once.
func TestInvariantI5AManagedSetUpAsksFiveTimesAndBindsOnce(t *testing.T) {
	for name, right := range map[string]bool{"wrong codes": false, "copies of the right one": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s, p := w.setUp(unproved(), phone), &provider{right: "314159"}
			code := map[bool]string{true: p.right, false: "000000"}[right]
			var mu sync.Mutex
			got := map[account.Verdict]int{}
			atOnce(100, func(i int) {
				book := []*account.Book{w.book, w.node2}[i%2]
				out, ticket, err := book.AttemptSetup(t.Context(), w.id, unproved(), s.ID)
				if ticket != nil {
					out, err = book.SettleSetup(t.Context(), w.id, ticket, p.check(code))
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				got[out.Verdict]++
			})
			if right && (got[account.Right] != 1 || got[account.Gone] != 99 || w.count(audit.EnrolmentBound) != 1 || p.asked > 5) {
				t.Errorf("verdicts = %v after %d questions, want one right", got, p.asked)
			}
			if !right && (got[account.Wrong] != 4 || got[account.UsedUp] != 1 || p.asked != 5 || w.account().Setup != nil) {
				t.Errorf("verdicts = %v after %d questions, want four wrong and one used up", got, p.asked)
			}
		})
	}
}

func TestInvariantI5ACrashWhileASetUpIsJudgedLeavesTheAttemptSpent(t *testing.T) {
	w := newWorld(t)
	s := w.setUp(unproved(), phone)
	for i := range 5 {
		w.setupTicket(s.ID)
		w.reopen()
		if n := w.account().Setup.Wrong; n != i+1 {
			t.Fatalf("%d attempts are spent after crash %d", n, i+1)
		}
	}
	w.clock.add(time.Minute)
	if out, ticket := w.attemptSetup(s.ID); ticket != nil || out.Verdict != account.Gone {
		t.Errorf("AttemptSetup() after five = verdict %d, want gone", out.Verdict)
	}
	// Nor does a code of ours begin a sixth, nor is another SMS paid for.
	if out := w.confirm(s, "000000"); out.Verdict != account.Gone {
		t.Errorf("Confirm() after five = verdict %d, want gone", out.Verdict)
	}
	if send := w.resend(s.ID); send.Granted {
		t.Error("an SMS is sent for a set-up that takes no code any more")
	}
}

func TestTheLastManagedAttemptBindsOrEndsTheSetUp(t *testing.T) {
	for right, want := range map[bool]account.Verdict{true: account.Right, false: account.UsedUp} {
		w := newWorld(t)
		s := w.setUp(unproved(), phone)
		var tickets []*account.SetupTicket
		for range 5 {
			tickets = append(tickets, w.setupTicket(s.ID))
		}
		for _, ticket := range tickets[1:] {
			w.settleSetup(ticket, false, account.Wrong)
			w.settleSetup(ticket, true, account.Gone) // a ticket settles once
		}
		w.settleSetup(tickets[0], right, want)
		if w.account().Setup != nil || w.account().Enrolled() != right {
			t.Errorf("settled %v: enrolled %v, the set-up is there %v", right, w.account().Enrolled(), w.account().Setup != nil)
		}
	}
}

// I6: a code proves the number that it was sent to, of the set-up that it was sent for.
func TestInvariantI6ARightManagedCodeBindsNothingElse(t *testing.T) {
	for name, tt := range map[string]struct {
		between func(w *world, s *account.Setup)
		want    account.Verdict
	}{
		"another set-up": {func(w *world, _ *account.Setup) { w.setUp(unproved(), otherPhone) }, account.Gone},
		"the same number again": {func(w *world, _ *account.Setup) {
			w.setUp(unproved(), phone)
		}, account.Gone},
		"an authenticator": {func(w *world, _ *account.Setup) { w.beginTOTP(unproved()) }, account.Gone},
		"another code": {func(w *world, s *account.Setup) {
			w.clock.add(30 * time.Second)
			w.resendManaged(s.ID)
			w.setupSent(s.ID, 2, "v-2", true)
		}, account.Wrong},
		"another code, made here": {func(w *world, s *account.Setup) {
			w.clock.add(30 * time.Second)
			w.resend(s.ID)
		}, account.Wrong},
		"a factor that was bound": {func(w *world, _ *account.Setup) { w.enrolSMS() }, account.Gone},
		"a slow provider":         {func(w *world, _ *account.Setup) { w.clock.add(account.SettleWithin) }, account.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.setUp(unproved(), phone)
			ticket := w.setupTicket(s.ID)
			tt.between(w, s)
			state := w.state()
			w.settleSetup(ticket, true, tt.want)
			if w.state() != state {
				t.Errorf("bound: %s", w.state())
			}
		})
	}
}

func TestInvariantI6AManagedSetUpIsConfirmedOnlyWhereItBegan(t *testing.T) {
	w := newWorld(t)
	s := w.setUp(unproved(), phone)
	for name, c := range map[string]account.Change{
		"another session": {Binding: "session 2", Browser: "browser"}, "another browser": {Binding: "session", Browser: "browser 2"},
		"no browser": {Binding: "session"},
	} {
		if out, ticket, err := w.book.AttemptSetup(t.Context(), w.id, c, s.ID); out.Verdict != account.Gone || ticket != nil || err != nil {
			t.Errorf("from %s: verdict %d, a ticket %v, %v", name, out.Verdict, ticket != nil, err)
		}
	}
	if w.account().Setup.Wrong != 0 {
		t.Error("a stranger spent an attempt")
	}
}

// I3, I6: what only a provider knows is not compared here, and what we know is not asked.
func TestInvariantI3NoCodeOfOursConfirmsAManagedSetUp(t *testing.T) {
	w := newWorld(t)
	s := w.beginManaged(unproved(), phone).Setup
	for range 2 { // before the provider has answered: there is nothing to ask about
		if out, ticket := w.attemptSetup(s.ID); ticket != nil || out.Verdict != account.Wrong {
			t.Errorf("AttemptSetup() = verdict %d, a ticket %v, want wrong", out.Verdict, ticket != nil)
		}
	}
	w.setupSent(s.ID, 1, "v-1", true)
	key, err := w.ring.Key(s.Key, seal.Code)
	if err != nil {
		t.Fatal(err)
	}
	ours := factor.SMSCode(key, "setup/"+s.ID, s.Generation, s.Phone.E164()) // what it would be if it were not managed
	if out := w.confirm(s, ours); out.Verdict != account.Wrong || out.AttemptsLeft != 2 {
		t.Errorf("Confirm() = verdict %d, %d left, want wrong", out.Verdict, out.AttemptsLeft)
	}
	w.clock.add(delivery.CodeLifetime)
	if out, ticket := w.attemptSetup(s.ID); ticket != nil || out.Verdict != account.Wrong {
		t.Errorf("AttemptSetup() with a code that has expired = verdict %d, a ticket %v", out.Verdict, ticket != nil)
	}
	send := w.beginSMS(unproved(), phone)
	if out, ticket := w.attemptSetup(send.Setup.ID); ticket != nil || out.Verdict != account.Wrong {
		t.Errorf("AttemptSetup() of a code of ours = verdict %d, a ticket %v, want wrong", out.Verdict, ticket != nil)
	}
}

// A code that must not be good any more is named, so that it can be ended.
func TestTheManagedCodeBeforeIsNamed(t *testing.T) {
	w := newWorld(t)
	s := w.setUp(unproved(), phone)
	before := delivery.Running{Provider: "verify", Verification: "v-1"}
	w.clock.add(30 * time.Second)
	if send := w.resendManaged(s.ID); !send.Granted || send.Number != 2 || send.Replaced != before || send.Setup.Generation != 1 {
		t.Errorf("ResendSetup() = SMS %d with code %d replaces %v, want %v", send.Number, send.Setup.Generation, send.Replaced, before)
	}
	w.setupSent(s.ID, 1, "v-1", false)
	w.setupSent(s.ID, 2, "v-2", true)
	before.Verification = "v-2"
	if send := w.beginManaged(unproved(), otherPhone); send.Replaced != before {
		t.Errorf("BeginSMS() replaces %v, want %v", send.Replaced, before)
	}
	w.setupSent(s.ID, 2, "v-2", false)
}

func TestASetUpsSMSThatDidNotArriveIsSentAgainAtOnce(t *testing.T) {
	w := newWorld(t)
	s := w.beginSMS(unproved(), phone).Setup
	for _, send := range []int{0, 2, 1, 1} {
		if err := w.book.SetupUndelivered(t.Context(), w.id, s.ID, send); err != nil {
			t.Fatal(err)
		}
	}
	if send := w.resend(s.ID); !send.Granted || send.Number != 2 || send.Code == "" {
		t.Errorf("ResendSetup() = %v", send)
	}
	if err := w.book.SetupUndelivered(t.Context(), w.id, s.ID, 1); err != nil {
		t.Fatal(err)
	}
	if send := w.resend(s.ID); send.Granted {
		t.Error("word of the first SMS opened a third")
	}
}

// I1: an outage is no verdict.
func TestInvariantI1NoManagedAnswerIsJudgedWithoutAStore(t *testing.T) {
	w := newWorld(t)
	w.enrolSMS()
	ticket := w.ticket(typed(w.challenge(), "314159"))
	s := w.setUp(w.proved(), otherPhone)
	setup := w.setupTicket(s.ID)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	_, none, err1 := w.book.Attempt(t.Context(), w.id, typed("challenge-1", "314159"))
	r, err2 := w.book.Settle(t.Context(), w.id, ticket, true)
	_, noneEither, err3 := w.book.AttemptSetup(t.Context(), w.id, unproved(), s.ID)
	out, err4 := w.book.SettleSetup(t.Context(), w.id, setup, true)
	if none != nil || noneEither != nil || r.Verdict != account.Gone || out.Verdict != account.Gone {
		t.Errorf("tickets %v, %v, verdicts %d, %d", none != nil, noneEither != nil, r.Verdict, out.Verdict)
	}
	if err1 == nil || err2 == nil || err3 == nil || err4 == nil {
		t.Errorf("errors %v, %v, %v, %v", err1, err2, err3, err4)
	}
}
