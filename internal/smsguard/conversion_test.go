package smsguard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
)

// numberOf returns one of ten million numbers of a prefix.
func numberOf(prefix string, n int) sms.Number { return sms.Number(fmt.Sprintf("%s%07d", prefix, n)) }

const monitored = "+628123"

// noLimits leaves the conversion monitor alone.
func noLimits() smsguard.Config { return smsguard.Config{Limits: smsguard.Limits{}} }

// traffic sends n messages by a provider, of which some are answered half a minute later,
// and lets the grace pass. It returns the alerts on the way.
func (w *world) traffic(provider string, n, answered int) (alerts []smsguard.Alert) {
	w.Helper()
	at := w.clock.now()
	for i := range n {
		c, v := w.charge(smsguard.Send{Provider: provider, To: numberOf(monitored, i)})
		if !v.OK() {
			w.Fatalf("message %d by %s is refused: %+v", i, provider, v)
		}
		if c == (smsguard.Charged{}) {
			w.Fatal("a charge that was made is none")
		}
		alerts = append(alerts, v.Alerts...)
	}
	w.clock.add(30 * time.Second)
	for i := range answered {
		w.verified(provider, numberOf(monitored, i), at)
	}
	w.clock.add(3 * time.Minute)
	return alerts
}

// next sends one message more, by which the ones before are judged.
func (w *world) next(provider string) (smsguard.Charged, smsguard.Verdict) {
	w.Helper()
	return w.charge(smsguard.Send{Provider: provider, To: numberOf(monitored, 999)})
}

func TestConversionIsJudgedByItsShare(t *testing.T) {
	for _, tt := range []struct {
		sent, answered int
		want           smsguard.AlertKind
	}{
		{29, 0, ""}, // too few to tell
		{30, 0, smsguard.AlertConversionStopped},
		{30, 2, smsguard.AlertConversionStopped},
		{30, 3, smsguard.AlertConversionLow}, // 10 % is not below 10 %
		{30, 8, smsguard.AlertConversionLow},
		{30, 9, ""}, // nor is 30 % below 30 %
		{100, 100, ""},
	} {
		t.Run(fmt.Sprintf("%d of %d", tt.answered, tt.sent), func(t *testing.T) {
			w := newWorld(t, noLimits())
			if alerts := w.traffic("main", tt.sent, tt.answered); len(alerts) != 0 {
				t.Errorf("alerts before the grace is over: %v", alerts)
			}
			_, v := w.next("main")
			if tt.want == "" {
				if len(v.Alerts) != 0 || !v.OK() {
					t.Fatalf("verdict %+v, want nothing", v)
				}
				return
			}
			if len(v.Alerts) != 1 {
				t.Fatalf("alerts %v, want one", v.Alerts)
			}
			a := v.Alerts[0]
			if a.Kind != tt.want || a.Prefix != monitored || a.Provider != "main" || a.Sent != int64(tt.sent) || a.Verified != int64(tt.answered) {
				t.Errorf("alert %+v, want %s of %d in %d", a, tt.want, tt.answered, tt.sent)
			}
			if stopped := tt.want == smsguard.AlertConversionStopped; v.OK() == stopped || stopped && !a.Until.Equal(w.clock.now().Add(time.Hour)) {
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestStoppedPrefixGetsNoCodesOnAnyGatewayUntilItsTimeIsOver(t *testing.T) {
	w := newWorld(t, noLimits())
	want := smsguard.Want{To: numberOf(monitored, 5), Account: "a", Address: "203.0.113.7"}
	other := smsguard.Want{To: numberOf("+628124", 5), Account: "b", Address: "203.0.113.8"}
	w.traffic("main", 40, 0)
	w.wantReason(w.admit(want), "")
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	w.restart() // a restart, and another gateway, know of it
	w.wantReason(w.admit(want), "conversion")
	w.wantReason(w.admit(other), "")
	if _, v = w.next("main"); v.Reason != "conversion" || len(v.Alerts) != 0 {
		t.Errorf("the next charge: %+v, want a refusal that tells nothing again", v)
	}
	w.clock.add(time.Hour - time.Second)
	w.wantReason(w.admit(want), "conversion")
	w.clock.add(time.Second)
	w.wantReason(w.admit(want), "")
	// It begins anew: what was sent before the stop stops nothing again.
	if alerts := w.traffic("main", 29, 0); len(alerts) != 0 {
		t.Errorf("alerts after the release: %v", alerts)
	}
	_, v = w.next("main")
	w.wantReason(v, "")
	w.clock.add(3 * time.Minute)
	_, v = w.next("main")
	w.wantReason(v, "conversion") // the thirtieth
}

func TestLowConversionIsToldOnceInAWindow(t *testing.T) {
	w := newWorld(t, noLimits())
	var told []time.Time
	start := w.clock.now()
	for range 12 { // three and a half minutes each
		for _, a := range w.traffic("main", 30, 6) {
			if a.Kind != smsguard.AlertConversionLow {
				t.Fatalf("alert %+v", a)
			}
			told = append(told, w.clock.now())
		}
	}
	if len(told) != 3 {
		t.Fatalf("told %d times in %v, want 3", len(told), w.clock.now().Sub(start))
	}
	for i := 1; i < len(told); i++ {
		if told[i].Sub(told[i-1]) < 15*time.Minute {
			t.Errorf("told at %v and %v", told[i-1], told[i])
		}
	}
}

// The first busy minute of an evening: nobody has read a code yet, and nothing is wrong.
func TestBusyMinuteOfHonestPlayersStopsNothing(t *testing.T) {
	w := newWorld(t, noLimits())
	type message struct {
		to sms.Number
		at time.Time
	}
	var waiting []message
	for i := range 300 {
		to := numberOf(monitored, i)
		_, v := w.charge(smsguard.Send{Provider: "main", To: to})
		if !v.OK() || len(v.Alerts) != 0 {
			t.Fatalf("message %d: %+v", i, v)
		}
		if i%10 < 8 { // eight of ten type it in, after 100 seconds
			waiting = append(waiting, message{to, w.clock.now()})
		}
		w.clock.add(time.Second)
		for len(waiting) > 0 && w.clock.now().Sub(waiting[0].at) >= 100*time.Second {
			w.verified("main", waiting[0].to, waiting[0].at)
			waiting = waiting[1:]
		}
	}
}

// A code that is typed in late counts for the time in which it was sent, and not for
// messages that were sent since.
func TestLateVerificationCountsForItsOwnMessage(t *testing.T) {
	w := newWorld(t, noLimits())
	before := w.clock.now()
	w.traffic("main", 40, 0)
	for range 4 { // half of them out of the window
		w.clock.add(4 * time.Minute)
	}
	w.traffic("main", 30, 0)
	for i := range 40 {
		w.verified("main", numberOf(monitored, i), before)
	}
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	if a := v.Alerts[0]; a.Sent != 30 || a.Verified != 0 {
		t.Errorf("alert %+v, want 0 of 30", a)
	}
}

// A fraudster who can verify as often as he likes must not hide a flood behind it.
func TestVerificationsCannotBeMoreThanMessages(t *testing.T) {
	w := newWorld(t, noLimits())
	for range 100 {
		w.verified("main", numberOf(monitored, 1), w.clock.now()) // of nothing
	}
	at := w.clock.now()
	w.charge(smsguard.Send{Provider: "main", To: numberOf(monitored, 1)})
	for range 100 {
		w.verified("main", numberOf(monitored, 1), at) // of one message
		w.verified("other", numberOf(monitored, 1), at)
	}
	w.clock.add(5 * time.Minute)
	w.traffic("main", 29, 0)
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	if a := v.Alerts[0]; a.Sent != 30 || a.Verified != 1 {
		t.Errorf("alert %+v, want 1 of 30", a)
	}
}

// The charge of a message may lie in the next minute, as the challenge sees it.
func TestVerificationIsFoundOverTheTurnOfAStep(t *testing.T) {
	w := newWorld(t, noLimits())
	w.clock.add(59 * time.Second)
	noted := w.clock.now()
	w.clock.add(2 * time.Second)
	for range 30 {
		w.charge(smsguard.Send{Provider: "main", To: numberOf(monitored, 1)})
	}
	for range 30 {
		w.verified("main", numberOf(monitored, 1), noted)
	}
	w.clock.add(4 * time.Minute)
	if _, v := w.next("main"); !v.OK() || len(v.Alerts) != 0 {
		t.Errorf("verdict %+v, want nothing", v)
	}
}

// A provider that delivers nothing to a network must not take its players' codes away
// where another one delivers.
func TestProviderThatDeliversNothingIsStoppedAlone(t *testing.T) {
	w := newWorld(t, noLimits())
	w.traffic("backup", 25, 20)
	w.traffic("main", 30, 0)
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	if a := v.Alerts[0]; a.Kind != smsguard.AlertConversionStopped || a.Provider != "main" || a.Sent != 30 {
		t.Errorf("alert %+v, want that main is stopped", a)
	}
	if _, v = w.next("backup"); !v.OK() {
		t.Errorf("the other provider: %+v", v)
	}
	w.wantReason(w.admit(smsguard.Want{To: numberOf(monitored, 5)}), "")
	w.clock.add(time.Hour)
	if _, v = w.next("main"); !v.OK() {
		t.Errorf("after its time: %+v", v)
	}
}

// Numbers of a fraudster are read at no provider: fewer than it takes to tell at each of
// two are enough.
func TestPrefixThatNobodyReadsIsStoppedForAllProviders(t *testing.T) {
	w := newWorld(t, noLimits())
	w.traffic("backup", 15, 0)
	w.traffic("main", 15, 0)
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	if a := v.Alerts[0]; a.Provider != "" || a.Sent != 30 {
		t.Errorf("alert %+v, want one of all providers", a)
	}
	_, v = w.next("backup")
	w.wantReason(v, "conversion")
	w.wantReason(w.admit(smsguard.Want{To: numberOf(monitored, 5)}), "conversion")
}

// A provider that is down must not look like one whose codes nobody types in.
func TestRefundedMessageDoesNotCountForConversion(t *testing.T) {
	w := newWorld(t, noLimits())
	var charges []smsguard.Charged
	for range 50 {
		c, _ := w.next("main")
		charges = append(charges, c)
	}
	for _, c := range charges {
		w.refund(c)
	}
	w.clock.add(3 * time.Minute)
	if _, v := w.next("main"); !v.OK() {
		t.Errorf("verdict %+v", v)
	}
}

// A message whose code came back was sent, whatever its provider said.
func TestRefundOfAnAnsweredMessageDoesNotRaiseTheShare(t *testing.T) {
	w := newWorld(t, noLimits())
	for range 10 {
		c, _ := w.next("main")
		w.verified("main", numberOf(monitored, 999), w.clock.now())
		w.refund(c)
	}
	w.clock.add(time.Minute)
	w.traffic("main", 70, 0)
	_, v := w.next("main")
	if len(v.Alerts) != 1 || v.Alerts[0].Sent != 80 || v.Alerts[0].Verified != 10 {
		t.Errorf("alerts %v, want 10 of 80", v.Alerts)
	}
}

// Where the stop is shorter than the window, what led to it must not lead to the next.
func TestCountingBeginsAnewAfterAShortStop(t *testing.T) {
	c := noLimits()
	c.Conversion.StopFor = 5 * time.Minute
	for _, backup := range []int{0, 25} { // all providers are stopped, or main alone
		w := newWorld(t, c)
		w.traffic("backup", backup, backup)
		w.traffic("main", 30, 0)
		_, v := w.next("main")
		w.wantReason(v, "conversion")
		w.clock.add(5 * time.Minute)
		if _, v = w.next("main"); !v.OK() || len(v.Alerts) != 0 {
			t.Errorf("with %d by another, after the stop: %+v", backup, v)
		}
		// Who was told that it stopped is not told in the same window that it is low.
		if alerts := append(w.traffic("main", 29, 6), w.traffic("main", 1, 1)...); len(alerts) != 0 {
			t.Errorf("with %d by another: told twice in a window: %v", backup, alerts)
		}
	}
}

func TestRefusedByTheBudgetDoesNotCountForConversion(t *testing.T) {
	c := noLimits()
	c.Price, c.Budgets = 1, []smsguard.Budget{{Max: 20, Window: time.Hour}}
	w := newWorld(t, c)
	for range 100 {
		w.next("main")
	}
	w.clock.add(3 * time.Minute)
	_, v := w.next("main")
	w.wantReason(v, "budget")
	w.wantReason(w.admit(smsguard.Want{To: numberOf(monitored, 5)}), "")
}

func TestStoppedPrefixCostsNothing(t *testing.T) {
	c := noLimits()
	c.Price, c.Budgets = 1, []smsguard.Budget{{Max: 41, Window: time.Hour}}
	w := newWorld(t, c)
	w.traffic("main", 40, 0)
	for range 20 {
		_, v := w.next("main")
		w.wantReason(v, "conversion")
	}
	if _, v := w.charge(smsguard.Send{To: numberOf("+628124", 1)}); !v.OK() {
		t.Errorf("the last cent of the budget is gone: %+v", v)
	}
}

// Nobody can answer a notice, and a player is told of a change though the prefix is
// stopped.
func TestNoticeHasNoConversion(t *testing.T) {
	w := newWorld(t, noLimits())
	notice := smsguard.Send{Provider: "main", To: numberOf(monitored, 1), Notice: true}
	for range 50 {
		w.charge(notice)
	}
	w.clock.add(3 * time.Minute)
	if _, v := w.next("main"); !v.OK() || len(v.Alerts) != 0 {
		t.Errorf("after fifty notices: %+v", v)
	}
	w.traffic("main", 40, 0)
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	_, v = w.charge(notice)
	w.wantReason(v, "")
}

func TestConversionCanBeSwitchedOffOrOnlyWarn(t *testing.T) {
	c := noLimits()
	c.Conversion.Off = true
	w := newWorld(t, c)
	for range 3 {
		for range 40 {
			w.next("main")
		}
		w.verified("main", numberOf(monitored, 1), w.clock.now())
		w.clock.add(3 * time.Minute)
	}
	if _, v := w.next("main"); !v.OK() || len(v.Alerts) != 0 {
		t.Errorf("switched off: %+v", v)
	}
	c.Conversion = smsguard.Conversion{StopBelow: -1}
	w = newWorld(t, c)
	w.traffic("main", 40, 0)
	if _, v := w.next("main"); !v.OK() || len(v.Alerts) != 1 || v.Alerts[0].Kind != smsguard.AlertConversionLow {
		t.Errorf("only a warning: %+v", v)
	}
}

func TestReportModeStopsNothingAndSaysWhatItWould(t *testing.T) {
	c := noLimits()
	c.Report = true
	w := newWorld(t, c)
	w.traffic("main", 40, 0)
	_, v := w.next("main")
	if !v.OK() || v.Reason != "conversion" || len(v.Alerts) != 1 {
		t.Errorf("charge %+v, want a reported refusal", v)
	}
	if v := w.admit(smsguard.Want{To: numberOf(monitored, 5)}); !v.OK() || v.Reason != "conversion" {
		t.Errorf("wish %+v, want a reported refusal", v)
	}
}

// A gateway whose clock ran a year ahead stops no prefix for a year.
func TestStopUnderAClockThatRanAheadIsIgnored(t *testing.T) {
	w := newWorld(t, noLimits())
	w.clock.add(365 * 24 * time.Hour)
	w.traffic("main", 40, 0)
	_, v := w.next("main")
	w.wantReason(v, "conversion")
	w.clock.add(-365 * 24 * time.Hour)
	w.wantReason(w.admit(smsguard.Want{To: numberOf(monitored, 5)}), "")
	if _, v := w.next("main"); !v.OK() {
		t.Errorf("charge %+v", v)
	}
}

// Invariant I8: an operator reads alerts in logs.
func TestAlertsNameNoNumber(t *testing.T) {
	w := newWorld(t, noLimits())
	w.traffic("main", 40, 0)
	_, v := w.next("main")
	got := v.Alerts[0].String()
	want := "of 40 codes sent to +628123… by main, 0 were typed in: no more until 2026-03-01T06:03:30Z"
	if got != want {
		t.Errorf("alert %q, want %q", got, want)
	}
	for _, a := range []smsguard.Alert{
		{Kind: smsguard.AlertConversionLow, Prefix: "+628123", Sent: 40, Verified: 9},
		{Kind: smsguard.AlertBudgetLow, Spent: 16_000_000, Max: 20_000_000, Window: time.Hour},
		{Kind: smsguard.AlertBudgetSpent, Max: 20_000_000, Window: time.Hour},
	} {
		if s := a.String(); !strings.ContainsAny(s, "0123456789") || strings.Contains(s, string(a.Kind)) {
			t.Errorf("alert %s prints %q", a.Kind, s)
		}
	}
}
