package courier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/courier"
	"github.com/stepgate/stepgate/sms"
)

// report puts what a provider says to the courier.
func (w *world) report(provider string, r sms.Report) (courier.Purpose, bool) {
	w.Helper()
	purpose, failed, err := w.courier.Report(w.Context(), w.desk(), provider, r)
	if err != nil {
		w.Fatal(err)
	}
	return purpose, failed
}

func TestAReportIsMatchedOnceAndOnlyEverGoesForward(t *testing.T) {
	const pending, failed, delivered = sms.Pending, sms.Failed, sms.Delivered
	for _, c := range []struct {
		name    string
		reports []sms.State
		told    []string
		failed  []bool // what each report says of the message
	}{
		{"failed", []sms.State{failed}, []string{"sms.reported main failed"}, []bool{true}},
		{"failed, again", []sms.State{failed, failed}, []string{"sms.reported main failed"}, []bool{true, true}},
		{"failed, then pending", []sms.State{failed, pending}, []string{"sms.reported main failed"}, []bool{true, false}},
		{"failed, then delivered", []sms.State{failed, delivered}, []string{"sms.reported main failed", "sms.reported main delivered"}, []bool{true, false}},
		{"delivered, then failed", []sms.State{delivered, failed}, []string{"sms.reported main delivered"}, []bool{false, false}},
		{"pending", []sms.State{pending}, nil, []bool{false}},
		{"pending, then failed", []sms.State{pending, failed}, []string{"sms.reported main failed"}, []bool{false, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			main := answers("main", accepted)
			w := newWorld(t, nil, main)
			w.send(parcel(1))
			w.told()
			for i, state := range c.reports {
				purpose, failed := w.report("main", sms.Report{Ref: main.last(t).Ref, State: state})
				if failed != c.failed[i] || failed && purpose != parcel(1).Purpose {
					t.Errorf("report %d: Report = %+v, %v, want failed: %v", i+1, purpose, failed, c.failed[i])
				}
			}
			for _, e := range w.events {
				if e.Subject != "account-1" || e.Challenge != "challenge-1" {
					t.Errorf("event %+v is of nobody", e)
				}
			}
			w.wantTold(c.told...)
			w.wantPaid(1) // whatever a provider says
		})
	}
}

func TestAReportThatMatchesNoMessageIsForTheOperatorOnly(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	w.send(parcel(1))
	w.told()
	ref := main.last(t).Ref
	for name, given := range map[string]string{
		"none":                   "",
		"another":                "abcdefghijklmnop",
		"capitals":               strings.ToUpper(ref),
		"too short":              ref[:15],
		"too long":               ref + "a",
		"letters of no alphabet": ref[:15] + "1",
		"a line break":           ref[:15] + "\n" + ref[15:],
		"line breaks for length": ref[:14] + "\r\n",
		"a letter like an s":     "\u017f" + ref[1:],
		"a path":                 "../../account/x1",
		"a number":               number.Digits(),
		"a long one":             strings.Repeat("a", 1<<16),
	} {
		calls := len(w.store.calls)
		if purpose, failed := w.report("main", sms.Report{Ref: given, State: sms.Failed}); failed || purpose != (courier.Purpose{}) {
			t.Errorf("%s: Report = %+v, %v, want nothing", name, purpose, failed)
		}
		if asked := len(w.store.calls) > calls; asked != (name == "another") {
			t.Errorf("%s: the store was asked: %v", name, asked)
		}
		w.wantTold("sms.reported main unmatched")
	}
}

func TestAReportThatComesTooLateFindsNothing(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	w.send(parcel(1))
	w.clock.add(time.Hour)
	w.told()
	if _, failed := w.report("main", sms.Report{Ref: main.last(t).Ref, State: sms.Failed}); failed {
		t.Error("a report counted an hour after its message")
	}
	w.wantTold("sms.reported main unmatched")
}

func TestAReportCanComeBeforeTheAnswer(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	main.answer = func(_ context.Context, m sms.Message) error {
		if purpose, failed := w.report("main", sms.Report{Ref: m.Ref, State: sms.Failed}); !failed || purpose != parcel(1).Purpose {
			t.Errorf("Report = %+v, %v, want that the message failed", purpose, failed)
		}
		return nil
	}
	w.send(parcel(1))
	w.wantTold("sms.reported main failed", "sms.accepted main")
}

func TestAReportOfASetUpSaysWhich(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	p := parcel(2)
	p.Challenge, p.Setup = "", "setup-1"
	w.send(p)
	if purpose, failed := w.report("main", sms.Report{Ref: main.last(t).Ref, State: sms.Failed}); !failed || purpose != p.Purpose {
		t.Errorf("Report = %+v, %v, want %+v, failed", purpose, failed, p.Purpose)
	}
}

// Whoever failed for a number is the last choice for it, for ten minutes, whatever the
// next message is for.
func TestAProviderThatFailedForANumberIsAvoidedForTenMinutes(t *testing.T) {
	main, backup := answers("main", accepted), answers("backup", accepted)
	w := newWorld(t, nil, main, backup)
	w.send(parcel(1))
	w.report("main", sms.Report{Ref: main.last(t).Ref, State: sms.Failed})
	next := parcel(1)
	next.Challenge = "challenge-2"
	w.clock.add(10*time.Minute - time.Second)
	if got := w.send(next); got.Provider != "backup" || backup.last(t).Avoid != "main" {
		t.Errorf("Send = %+v, want it with backup, avoiding main", got)
	}
	other := next
	other.Message.To = "+6281298765432"
	if got := w.send(other); got.Provider != "main" {
		t.Errorf("Send to another number = %+v, want it with main", got)
	}
	// The sending knows better which provider had the message before.
	named := next
	named.Message.Avoid = "backup"
	if got := w.send(named); got.Provider != "main" {
		t.Errorf("Send = %+v, want it with main, avoiding backup", got)
	}
	w.clock.add(time.Second)
	if got := w.send(next); got.Provider != "main" {
		t.Errorf("Send = %+v after ten minutes, want it with main", got)
	}
}

func TestADeliveredMessageMakesNobodyAvoided(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main, answers("backup", accepted))
	w.send(parcel(1))
	w.report("main", sms.Report{Ref: main.last(t).Ref, State: sms.Delivered})
	if got := w.send(parcel(2)); got.Provider != "main" {
		t.Errorf("Send = %+v, want it with main", got)
	}
}

// A provider's code ends in logs: nothing that is no code may come with it.
func TestOnlyAShortWordOfAProvidersCodeIsTold(t *testing.T) {
	for given, want := range map[string]string{
		"":                         "",
		"1120":                     "the provider's code is 1120",
		"x#7.a_b-C":                "the provider's code is x#7.a_b-C",
		"a\nb\x1b[31m\u202e é\"<>": "the provider's code is ab31m",
		strings.Repeat("7", 100):   "the provider's code is " + strings.Repeat("7", 20),
	} {
		main := answers("main", accepted)
		w := newWorld(t, nil, main)
		w.send(parcel(1))
		w.told()
		w.report("main", sms.Report{Ref: main.last(t).Ref, State: sms.Failed, Code: given})
		if len(w.events) != 1 || w.events[0].Note != want {
			t.Errorf("code %q is told as %+v, want the note %q", given, w.events, want)
		}
	}
}

// Without providers that call back nothing is written down for them.
func TestWhereNobodyCallsBackNothingIsKept(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	w.courier.Receivers = nil
	w.send(parcel(1))
	for _, call := range w.store.calls {
		if strings.Contains(call, "sms_message") || strings.Contains(call, "sms_way") {
			t.Errorf("the store was asked to %s", call)
		}
	}
}

func TestAReportIsAskedForAgainWhereTheStoreFails(t *testing.T) {
	main := answers("main", accepted)
	w := newWorld(t, nil, main)
	w.send(parcel(1))
	w.told()
	failed := sms.Report{Ref: main.last(t).Ref, State: sms.Failed}
	w.store.fails = func(string) bool { return true }
	if _, _, err := w.courier.Report(t.Context(), w.desk(), "main", failed); !errors.Is(err, errDown) {
		t.Errorf("Report = %v, want the store's error", err)
	}
	w.wantTold()
	// The provider is answered 503 and comes again; what was half done is then done.
	w.store.fails = func(call string) bool { return strings.HasSuffix(call, "sms_way") }
	if _, is, err := w.courier.Report(t.Context(), w.desk(), "main", failed); is || !errors.Is(err, errDown) {
		t.Errorf("Report = %v, %v, want the store's error", is, err)
	}
	w.store.fails = nil
	if purpose, is := w.report("main", failed); !is || purpose != parcel(1).Purpose {
		t.Errorf("Report = %+v, %v, want that the message failed", purpose, is)
	}
	w.wantTold("sms.reported main failed")
}
