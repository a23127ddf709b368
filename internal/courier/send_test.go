package courier_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
)

// Each pair of outcomes: what the page may say, who is said to have the message, what it
// costs, and what the operator is told, each thing once.
func TestWhatBecomesOfACode(t *testing.T) {
	const none sms.Class = -2 // the provider must not be asked
	handed := func(by, reason string) courier.Sent { return courier.Sent{Handed: true, Provider: by, Reason: reason} }
	for _, c := range []struct {
		name         string
		main, backup sms.Class
		want         courier.Sent
		paid         int
		told         []string
	}{
		{"accepted", accepted, none, handed("main", ""), 1, []string{"sms.accepted main"}},
		{"unknown, accepted", sms.Unknown, accepted, handed("backup", ""), 2, []string{"sms.failed main unknown", "sms.accepted backup"}},
		{"unknown, unknown", sms.Unknown, sms.Unknown, handed("backup", "unknown"), 2, []string{"sms.failed main unknown", "sms.failed backup unknown"}},
		// Whoever may have sent it is to be avoided next time, and not who has not.
		{"unknown, not sent", sms.Unknown, sms.NotSent, handed("main", "unknown"), 1, []string{"sms.failed main unknown", "sms.failed backup not_sent"}},
		{"unknown, number", sms.Unknown, sms.BadNumber, handed("main", "unknown"), 1, []string{"sms.failed main unknown", "sms.failed backup number"}},
		{"not sent, accepted", sms.NotSent, accepted, handed("backup", ""), 1, []string{"sms.failed main not_sent", "sms.accepted backup"}},
		{"not sent, unknown", sms.NotSent, sms.Unknown, handed("backup", "unknown"), 1, []string{"sms.failed main not_sent", "sms.failed backup unknown"}},
		{"not sent, not sent", sms.NotSent, sms.NotSent, courier.Sent{Reason: "not_sent"}, 0, []string{"sms.failed main not_sent", "sms.failed backup not_sent"}},
		{"account, accepted", sms.Account, accepted, handed("backup", ""), 1, []string{"sms.failed main account", "sms.accepted backup"}},
		{"account, account", sms.Account, sms.Account, courier.Sent{Reason: "account"}, 0, []string{"sms.failed main account", "sms.failed backup account"}},
		{"bad request, bad request", sms.BadRequest, sms.BadRequest, courier.Sent{Reason: "bad_request"}, 0,
			[]string{"sms.failed main bad_request", "sms.failed backup bad_request"}},
		{"number", sms.BadNumber, none, courier.Sent{Reason: "number"}, 0, []string{"sms.failed main number"}},
		// Of a class that a sender invented nobody knows what it means.
		{"class 99", 99, accepted, handed("backup", ""), 2, []string{"sms.failed main unknown", "sms.accepted backup"}},
		{"policy", sms.Policy, none, courier.Sent{Reason: "policy"}, 0, []string{"sms.failed main policy"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			main, backup := answers("main", c.main), answers("backup", c.backup)
			w := newWorld(t, nil, main, backup)
			if got := w.send(parcel(1)); got != c.want {
				t.Errorf("Send = %+v, want %+v", got, c.want)
			}
			if asked := len(backup.got) > 0; asked != (c.backup != none) {
				t.Errorf("the second provider was asked: %v", asked)
			}
			w.wantTold(c.told...)
			w.wantPaid(c.paid)
		})
	}
}

func TestWhereNoProviderTakesMessagesNothingIsSpent(t *testing.T) {
	main := answers("main", sms.NotSent)
	w := newWorld(t, nil, main)
	for range 5 { // open its breaker
		w.send(parcel(1))
	}
	w.told()
	if got, want := w.send(parcel(1)), (courier.Sent{Reason: "unavailable"}); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	w.wantTold()
	w.wantPaid(0)
}

func TestWhatTheGuardDoesNotAdmitReachesNoProvider(t *testing.T) {
	for reason, change := range map[string]func(*smsguard.Config){
		"denied_prefix": func(c *smsguard.Config) { c.Denied = []string{"+62812"} },
		"limit_number": func(c *smsguard.Config) {
			c.Limits = smsguard.Limits{smsguard.PerNumber: {{Max: 1, Window: time.Hour}}}
		},
	} {
		main := answers("main", accepted)
		w := newWorld(t, change, main)
		if reason != "denied_prefix" {
			w.send(parcel(1))
			main.got = nil
		}
		w.told()
		if got, want := w.send(parcel(2)), (courier.Sent{Reason: reason}); got != want {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		w.wantTold("sms.limited " + reason)
		if len(main.got) > 0 {
			t.Errorf("%s: the message was sent", reason)
		}
	}
}

// In report mode everything is sent, and the operator learns what would not have been.
func TestAGuardThatOnlyReportsSends(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, func(c *smsguard.Config) { c.Denied, c.Report = []string{"+62812"}, true }, main)
	if got := w.send(parcel(1)); !got.Handed || got.Reason != "" {
		t.Errorf("Send = %+v, want it handed over", got)
	}
	w.wantTold("reported.limited denied_prefix", "sms.accepted main")
}

// No other provider is worth a try where the money is spent.
func TestASpentBudgetEndsTheSending(t *testing.T) {
	one := func(c *smsguard.Config) { c.Budgets = []smsguard.Budget{{Max: price, Window: time.Hour}} }
	t.Run("before the first provider", func(t *testing.T) {
		main, backup := answers("main", accepted), answers("backup", accepted)
		w := newWorld(t, one, main, backup)
		w.send(parcel(1))
		w.wantTold("sms.alert budget_low", "sms.accepted main")
		if got, want := w.send(parcel(2)), (courier.Sent{Reason: "budget"}); got != want {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		w.wantTold("sms.alert budget_spent", "sms.limited main budget")
		if len(main.got) != 1 || len(backup.got) != 0 {
			t.Errorf("%d and %d messages were handed over, want 1 and none", len(main.got), len(backup.got))
		}
	})
	t.Run("before the second", func(t *testing.T) {
		backup := answers("backup", accepted)
		w := newWorld(t, one, answers("main", sms.Unknown), backup)
		if got, want := w.send(parcel(1)), (courier.Sent{Handed: true, Provider: "main", Reason: "unknown"}); got != want {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		w.wantTold("sms.alert budget_low", "sms.failed main unknown", "sms.alert budget_spent", "sms.limited backup budget")
		if len(backup.got) != 0 {
			t.Error("the second provider was handed a message that nobody paid for")
		}
	})
}

// watching is a guard that stops a provider of whose last messages too few came back.
func watching(c *smsguard.Config) {
	c.Conversion = smsguard.Conversion{MinSends: 3, Grace: time.Minute, Window: 15 * time.Minute, StopFor: time.Hour}
}

// The codes of one provider do not arrive; those of the other one do. Its players are not
// left without.
func TestAProviderWhoseCodesAreNotReadIsPassedOver(t *testing.T) {
	main, backup := answers("main", accepted), answers("backup", accepted)
	w := newWorld(t, watching, main, backup)
	for range 3 {
		w.send(parcel(1))
		p := parcel(2)
		p.Message.Avoid = "main"
		if sent := w.send(p); sent.Provider != "backup" {
			t.Fatalf("Send = %+v, want it with backup", sent)
		}
		if err := w.courier.Verified(t.Context(), w.desk(), "backup", number, w.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.add(3 * time.Minute)
	w.told()
	if got, want := w.send(parcel(3)), (courier.Sent{Handed: true, Provider: "backup"}); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	w.wantTold("sms.alert main conversion_stopped", "sms.limited main conversion", "sms.accepted backup")
	if got := w.send(parcel(3)); got.Provider != "backup" {
		t.Errorf("Send = %+v, want it with backup still", got)
	}
	w.wantTold("sms.limited main conversion", "sms.accepted backup")
	w.clock.add(time.Hour)
	if got := w.send(parcel(3)); got.Provider != "main" {
		t.Errorf("Send = %+v after the stop is over, want it with main", got)
	}
	w.wantPaid(9)
}

func TestWhereNobodysCodesAreReadNoneIsSent(t *testing.T) {
	main, backup := answers("main", accepted), answers("backup", accepted)
	w := newWorld(t, watching, main, backup)
	for range 3 {
		w.send(parcel(1))
	}
	w.clock.add(3 * time.Minute)
	w.told()
	want := courier.Sent{Reason: "conversion"}
	if got := w.send(parcel(2)); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	w.wantTold("sms.alert main conversion_stopped", "sms.limited main conversion", "sms.limited backup conversion")
	if got := w.send(parcel(3)); got != want { // now it is not even admitted
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	w.wantTold("sms.limited conversion")
	if len(main.got) != 3 || len(backup.got) != 0 {
		t.Errorf("%d and %d messages were handed over, want 3 and none", len(main.got), len(backup.got))
	}
	w.wantPaid(3)
}

// A message that a provider takes long after the player had an answer costs money all the
// same; one that it refuses then does not.
func TestWhatALateAnswerSaysIsPaidAndToldOnce(t *testing.T) {
	for _, c := range []struct {
		late sms.Class
		told string
		paid int
	}{
		{accepted, "sms.accepted main", 2},
		{sms.Unknown, "sms.failed main unknown", 2},
		{sms.NotSent, "sms.failed main not_sent", 1},
		{sms.BadNumber, "sms.failed main number", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			main, backup := answers("main", c.late), answers("backup", accepted)
			said := main.answer
			main.answer = func(ctx context.Context, m sms.Message) error {
				time.Sleep(time.Minute) // whatever ctx says
				return said(ctx, m)
			}
			w := newWorld(t, nil, main, backup)
			ctx, cancel := context.WithCancel(t.Context())
			start := time.Now()
			sent, err := w.courier.Send(ctx, w.desk(), parcel(1))
			cancel()
			if want := (courier.Sent{Handed: true, Provider: "backup"}); err != nil || sent != want {
				t.Errorf("Send = %+v, %v, want %+v", sent, err, want)
			}
			if took := time.Since(start); took > failoverTotal {
				t.Errorf("Send took %s, more than %s", took, failoverTotal)
			}
			w.wantTold("sms.accepted backup")
			time.Sleep(time.Minute)
			synctest.Wait()
			w.wantTold(c.told)
			w.wantPaid(c.paid)
		})
	}
}

const failoverTotal = 9 * time.Second

// Of two providers, one hangs and the other one has certainly not sent the message: then
// the first may have it.
func TestAHangingProviderCountsAsHavingTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		main := answers("main", accepted)
		main.answer = func(context.Context, sms.Message) error {
			time.Sleep(time.Minute)
			return nil
		}
		w := newWorld(t, nil, main, answers("backup", sms.NotSent))
		if got, want := w.send(parcel(1)), (courier.Sent{Handed: true, Provider: "main", Reason: "unknown"}); got != want {
			t.Errorf("Send = %+v, want %+v", got, want)
		}
		w.wantTold("sms.failed backup not_sent")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantTold("sms.accepted main")
		w.wantPaid(1)
	})
}

func TestReferencesAreNewForEachSendAndTheSameForAllProviders(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{16}$`)
	main, backup := answers("main", sms.Unknown), answers("backup", accepted)
	w := newWorld(t, nil, main, backup)
	seen := map[string]string{}
	ref := func(what string, p courier.Parcel) string {
		t.Helper()
		w.send(p)
		ref := backup.last(t).Ref
		if main.last(t).Ref != ref {
			t.Errorf("%s: the providers got the references %s and %s, want one", what, main.last(t).Ref, ref)
		}
		if !form.MatchString(ref) {
			t.Errorf("%s: reference %q, want 16 letters and digits", what, ref)
		}
		if before := seen[ref]; before != "" {
			t.Errorf("%s has the reference of %s", what, before)
		}
		seen[ref] = what
		return ref
	}
	ref("the first", parcel(1))
	ref("the second", parcel(2))
	other := parcel(1)
	other.Challenge = "challenge-2"
	ref("another challenge", other)
	setup := parcel(1)
	setup.Challenge, setup.Setup = "", setup.Challenge
	ref("a set-up of the same name", setup)
	if got := backup.last(t); got.Attempt != 1 {
		t.Errorf("Attempt = %d, want 1", got.Attempt)
	}
}

func TestANoticeIsPaidForAndNotCountedAmongCodes(t *testing.T) {
	notice := sms.Message{To: number, Text: text, Ref: "notice-1", Attempt: 1}
	for _, c := range []struct {
		name string
		by   sms.Class
		want sms.Class
		told string
		paid int
	}{
		{"accepted", accepted, accepted, "sms.accepted main", 1},
		{"on its way, perhaps", sms.Unknown, accepted, "sms.failed main unknown", 1},
		{"not sent", sms.NotSent, sms.NotSent, "sms.failed main not_sent", 0},
		{"number", sms.BadNumber, sms.BadNumber, "sms.failed main number", 0},
	} {
		w := newWorld(t, func(c *smsguard.Config) { c.Denied = []string{"+62812"} }, answers("main", c.by))
		err := w.courier.Notify(t.Context(), w.desk(), notice)
		if c.want == accepted && err != nil || c.want != accepted && sms.ClassOf(err) != c.want {
			t.Errorf("%s: Notify = %v", c.name, err)
		}
		w.wantTold(c.told)
		w.wantPaid(c.paid)
	}

	w := newWorld(t, func(c *smsguard.Config) { c.Budgets = []smsguard.Budget{{Max: price, Window: time.Hour}} }, answers("main", accepted))
	w.send(parcel(1))
	if err := w.courier.Notify(t.Context(), w.desk(), notice); err == nil {
		t.Error("a notice was sent without money")
	}
	w.courier.Carrier = nil
	if err := w.courier.Notify(t.Context(), w.desk(), notice); err == nil {
		t.Error("a notice was sent without anybody to carry it")
	}
}

// Where the store cannot say, nothing is sent, whichever of its calls fails.
func TestNothingIsSentWhereTheStoreFails(t *testing.T) {
	limits := func(c *smsguard.Config) { c.Limits = smsguard.DefaultLimits(); watching(c) }
	main := answers("main", accepted)
	good := newWorld(t, limits, main)
	good.send(parcel(1))
	calls := good.store.calls
	if len(calls) < 8 {
		t.Fatalf("a sending makes the calls %q, too few to prove anything", calls)
	}
	for _, down := range calls {
		main := answers("main", accepted)
		w := newWorld(t, limits, main)
		w.store.fails = func(call string) bool { return call == down }
		sent, err := w.courier.Send(t.Context(), w.desk(), parcel(1))
		if !errors.Is(err, errDown) || sent != (courier.Sent{}) || len(main.got) > 0 {
			t.Errorf("call %s fails: Send = %+v, %v, and %d messages were handed over; want the error and none", down, sent, err, len(main.got))
		}
		w.wantNoSecret(err)
		w.wantTold()
	}
}

func TestNoticesAreNotSentWhereTheStoreFails(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	w.store.fails = func(string) bool { return true }
	err := w.courier.Notify(t.Context(), w.desk(), sms.Message{To: number, Text: text, Ref: "notice-1", Attempt: 1})
	if !errors.Is(err, errDown) || len(main.got) > 0 {
		t.Errorf("Notify = %v, and %d messages were handed over; want the error and none", err, len(main.got))
	}
}

// Without the store nobody can pay for a second hand-over, and the operator learns where
// money could not be taken back: it stays spent.
func TestAStoreThatFailsBetweenTwoProvidersEndsTheSending(t *testing.T) {
	for _, first := range []sms.Class{sms.Unknown, sms.NotSent} {
		main, backup := answers("main", first), answers("backup", accepted)
		w := newWorld(t, nil, main, backup)
		said := main.answer
		main.answer = func(ctx context.Context, m sms.Message) error {
			w.store.fails = func(string) bool { return true }
			return said(ctx, m)
		}
		if sent, err := w.courier.Send(t.Context(), w.desk(), parcel(1)); !errors.Is(err, errDown) {
			t.Errorf("Send = %+v, %v, want the store's error", sent, err)
		}
		if len(backup.got) > 0 {
			t.Error("the second provider was handed a message that nobody paid for")
		}
		if got, want := len(w.failed), map[sms.Class]int{sms.Unknown: 0, sms.NotSent: 1}[first]; got != want {
			t.Errorf("after %s %d errors were told, want %d", first, got, want)
		}
		w.wantPaid(1)
	}
}

// An alert is given once: it must not be lost because the write after it failed.
func TestAnAlertIsToldAlsoWhereTheStoreFailsAfterIt(t *testing.T) {
	w := newWorld(t, func(c *smsguard.Config) {
		watching(c)
		c.Conversion.StopBelow, c.Conversion.WarnBelow = -1, 30
	}, answers("main", accepted))
	for range 3 {
		w.send(parcel(1))
	}
	w.clock.add(3 * time.Minute)
	w.told()
	w.store.fails = regexp.MustCompile(` update sms_budget$`).MatchString
	if _, err := w.courier.Send(t.Context(), w.desk(), parcel(2)); !errors.Is(err, errDown) {
		t.Errorf("Send = %v, want the store's error", err)
	}
	w.wantTold("sms.alert main conversion_low")
}

func TestWhatACourierHandlesPrintsNoSecret(t *testing.T) {
	w := newWorld(t, nil, answers("main", accepted))
	for _, v := range []any{parcel(1), parcel(1).Message, parcel(1).Purpose, w.send(parcel(1))} {
		w.wantNoSecret(v)
	}
	if printed := fmt.Sprintf("%v %+v %#v", parcel(1), parcel(1), parcel(1)); regexp.MustCompile(`192\.0\.2`).MatchString(printed) {
		t.Errorf("a parcel is printed as %s, with the player's address", printed)
	}
}
