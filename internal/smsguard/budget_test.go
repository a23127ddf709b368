package smsguard_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/smsguard"
)

// purse is a configuration with budgets and without everything else.
func purse(t testing.TB, price string, budgets ...smsguard.Budget) smsguard.Config {
	t.Helper()
	return smsguard.Config{
		Limits: smsguard.Limits{}, Conversion: smsguard.Conversion{Off: true},
		Price: money(t, price), Budgets: budgets,
	}
}

// spendAll charges until it is refused, and returns how often it was not.
func (w *world) spendAll() (n int) {
	w.Helper()
	for {
		if _, v := w.charge(smsguard.Send{To: player(0).To}); !v.OK() {
			w.wantReason(v, "budget")
			return n
		}
		if n++; n > 10_000 {
			w.Fatal("there is no end to the budget")
		}
	}
}

func TestBudgetIsSpentToTheCentAndNotBeyond(t *testing.T) {
	for _, tt := range []struct {
		price, most string
		want        int
	}{
		{"0.04", "1", 25},
		{"0.04", "0.99", 24}, // 0.96, and 0.03 are left
		{"0.0333", "1", 30},
		{"0.1", "0.3", 3}, // not so in floating point
		{"0.000001", "0.000003", 3},
		{"650", "1300", 2},
		{"1", "1", 1},
	} {
		w := newWorld(t, purse(t, tt.price, smsguard.Budget{Max: money(t, tt.most), Window: time.Hour}))
		if got := w.spendAll(); got != tt.want {
			t.Errorf("%s buys %d messages at %s, want %d", tt.most, got, tt.price, tt.want)
		}
	}
}

func TestAllBudgetsMustHaveRoomAndARefusalEatsFromNone(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "3"), Window: time.Hour}, smsguard.Budget{Max: money(t, "5"), Window: 24 * time.Hour}))
	if got := w.spendAll(); got != 3 {
		t.Fatalf("%d messages in the first hour, want 3", got)
	}
	for range 50 {
		_, v := w.charge(smsguard.Send{To: player(0).To})
		w.wantReason(v, "budget")
	}
	w.clock.add(time.Hour + time.Minute)
	if got := w.spendAll(); got != 2 {
		t.Fatalf("%d messages in the second hour, want 2: the day has 5", got)
	}
	w.clock.add(24*time.Hour + 24*time.Minute)
	if got := w.spendAll(); got != 3 {
		t.Fatalf("%d messages on the next day, want 3", got)
	}
}

// A flood at the turn of the hour gets no second budget: whichever hour one looks at, no
// more was spent in it.
func TestBudgetHoldsForAnyStretchOfTime(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "10"), Window: time.Hour}))
	var sent []time.Time
	for minute := range 300 {
		for range minute % 4 {
			if _, v := w.charge(smsguard.Send{To: player(0).To}); v.OK() {
				sent = append(sent, w.clock.now())
			}
		}
		w.clock.add(59 * time.Second)
	}
	for i, from := range sent {
		n := 0
		for _, at := range sent[i:] {
			if at.Before(from.Add(time.Hour)) {
				n++
			}
		}
		if n > 10 {
			t.Fatalf("%d messages in the hour from %v, want 10 at most", n, from)
		}
	}
	if len(sent) < 45 {
		t.Errorf("%d messages in five hours, want nearly 50: what is old must be free again", len(sent))
	}
}

func TestRefundGivesThePriceBackOnce(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "3"), Window: time.Hour}))
	c, _ := w.charge(smsguard.Send{To: player(0).To})
	w.spendAll()
	w.restart()
	w.refund(c)
	if got := w.spendAll(); got != 1 {
		t.Errorf("after a refund there is room for %d, want 1", got)
	}
	w.refund(smsguard.Charged{})
	if got := w.spendAll(); got != 0 {
		t.Errorf("after a refund of nothing there is room for %d", got)
	}
}

// What comes back after its hour must not make the next hour longer by it.
func TestLateRefundIsNotMoneyOfAnotherWindow(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "3"), Window: time.Hour}))
	c, _ := w.charge(smsguard.Send{To: player(0).To})
	w.clock.add(2 * time.Hour)
	w.spendAll()
	w.refund(c)
	if got := w.spendAll(); got != 0 {
		t.Errorf("a refund from long ago bought %d messages", got)
	}
}

func TestBudgetSurvivesRestartAndReload(t *testing.T) {
	budget := smsguard.Budget{Max: money(t, "3"), Window: time.Hour}
	w := newWorld(t, purse(t, "1", budget))
	for range 3 {
		if _, v := w.charge(smsguard.Send{To: player(0).To}); !v.OK() {
			t.Fatalf("refused: %+v", v)
		}
		w.restart()
	}
	if got := w.spendAll(); got != 0 {
		t.Errorf("%d messages beyond the budget after restarts", got)
	}
	// Another gateway that has no such budget, as during a reload, does not forget it.
	w.configure(purse(t, "1", smsguard.Budget{Max: money(t, "10"), Window: 2 * time.Hour}))
	w.charge(smsguard.Send{To: player(0).To})
	w.configure(purse(t, "1", budget))
	if got := w.spendAll(); got != 0 {
		t.Errorf("%d messages beyond the budget after a reload", got)
	}
	w.configure(purse(t, "1", smsguard.Budget{Max: money(t, "5"), Window: time.Hour}))
	if got := w.spendAll(); got != 2 {
		t.Errorf("a larger budget has room for %d, want 2", got)
	}
}

// A gateway whose clock ran a year ahead must not stop the others for a year.
func TestClockThatRanAheadStopsNobodyForLong(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "3"), Window: time.Hour}))
	w.clock.add(365 * 24 * time.Hour)
	w.spendAll()
	w.clock.add(-365 * 24 * time.Hour)
	if got := w.spendAll(); got != 0 {
		t.Errorf("%d messages beyond the budget", got)
	}
	w.charge(smsguard.Send{To: player(0).To})
	w.clock.add(2 * time.Hour)
	if got := w.spendAll(); got != 3 {
		t.Errorf("%d messages two hours later, want 3", got)
	}
}

// Two gateways never have quite the same clock.
func TestGatewayWhoseClockIsBehindFreesNoMoneyOfOthers(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "10"), Window: time.Minute}))
	for range 9 {
		w.charge(smsguard.Send{To: player(0).To})
	}
	behind := w.config
	behind.Now = func() time.Time { return w.clock.now().Add(-20 * time.Second) }
	g, err := smsguard.New(behind)
	if err != nil {
		t.Fatal(err)
	}
	if _, v, err := g.Charge(t.Context(), w.store, w.ring, smsguard.Send{To: player(0).To}); err != nil || !v.OK() {
		t.Fatalf("the tenth message: %+v, %v", v, err)
	}
	w.clock.add(45 * time.Second)
	if got := w.spendAll(); got > 1 {
		t.Errorf("%d messages after 45 seconds, want only that of the other gateway to be old", got)
	}
	w.clock.add(20 * time.Second)
	if got := w.spendAll(); got < 9 {
		t.Errorf("%d messages after 65 seconds, want what was spent to be free again", got)
	}
}

func TestBudgetAlertsComeOnceInAWindow(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "10"), Window: time.Hour}))
	told := func() (kinds []smsguard.AlertKind) {
		for range 15 {
			_, v := w.charge(smsguard.Send{To: player(0).To})
			for _, a := range v.Alerts {
				kinds = append(kinds, a.Kind)
				if a.Window != time.Hour || a.Max != money(t, "10") || a.Spent < money(t, "8") {
					t.Errorf("alert %+v", a)
				}
			}
		}
		w.restart()
		return kinds
	}
	if got := told(); len(got) != 2 || got[0] != smsguard.AlertBudgetLow || got[1] != smsguard.AlertBudgetSpent {
		t.Errorf("alerts %v, want budget_low and budget_spent", got)
	}
	if got := told(); len(got) != 0 {
		t.Errorf("alerts again: %v", got)
	}
	w.clock.add(2 * time.Hour)
	if got := told(); len(got) != 2 {
		t.Errorf("alerts in the next window %v, want both", got)
	}
}

func TestBudgetLowIsToldAtFourFifths(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "10"), Window: time.Hour}))
	for n := 1; n <= 8; n++ {
		_, v := w.charge(smsguard.Send{To: player(0).To})
		if low := len(v.Alerts) == 1; low != (n == 8) {
			t.Errorf("after %d of 10: alerts %v", n, v.Alerts)
		}
	}
}

func TestReportModeSpendsNothingBeyondTheBudgetAndSaysSo(t *testing.T) {
	c := purse(t, "1", smsguard.Budget{Max: money(t, "2"), Window: time.Hour})
	c.Report = true
	w := newWorld(t, c)
	for n := range 5 {
		charged, v := w.charge(smsguard.Send{To: player(0).To})
		if over := n >= 2; !v.OK() || (v.Reason == "budget") != over {
			t.Errorf("message %d: %+v", n, v)
		}
		if n == 4 {
			w.refund(charged) // of what was not charged
		}
	}
	c.Report = false
	w.configure(c)
	if got := w.spendAll(); got != 0 {
		t.Errorf("%d messages beyond the budget", got)
	}
}

// Eight workers charge and refund at once, over restarts, while a checker knows at each
// moment what may be on its way to providers.
func TestParallelWorkersNeverPassTheBudget(t *testing.T) {
	const price, most = smsguard.Money(33_300), smsguard.Money(2_000_000) // 60 messages, and 0.002 left
	config := purse(t, "0.0333", smsguard.Budget{Max: most, Window: time.Hour}, smsguard.Budget{Max: 2 * most, Window: 24 * time.Hour})
	w := newWorld(t, config)
	var spent atomic.Int64
	for range 4 {
		var workers sync.WaitGroup
		for worker := range 8 {
			workers.Go(func() {
				for i := range 25 {
					c, v, err := w.guard.Charge(t.Context(), w.store, w.ring, smsguard.Send{To: player(worker).To})
					if err != nil {
						t.Error(err)
						return
					}
					if !v.OK() {
						continue
					}
					if now := smsguard.Money(spent.Add(int64(price))); now > most {
						t.Errorf("%v are on their way, over the budget of %v", now, most)
					}
					if (i+worker)%3 == 0 {
						spent.Add(-int64(price)) // before the guard hears of it
						if err := w.guard.Refund(t.Context(), w.store, w.ring, c); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		workers.Wait()
		w.restart()
	}
	w.spendAll()
	if spent.Load() == 0 {
		t.Error("nothing was spent")
	}
	w.clock.add(2 * time.Hour)
	if got := w.spendAll(); got != 60 {
		t.Errorf("the second hour had room for %d, want 60: a refund went astray", got)
	}
	w.clock.add(2 * time.Hour)
	if got := w.spendAll(); got != 0 {
		t.Errorf("the third hour had room for %d, though the day has 120", got)
	}
}

func TestLastCentGoesToOne(t *testing.T) {
	w := newWorld(t, purse(t, "1", smsguard.Budget{Max: money(t, "1"), Window: time.Hour}))
	var granted atomic.Int64
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			_, v, err := w.guard.Charge(t.Context(), w.store, w.ring, smsguard.Send{To: player(0).To})
			if err != nil {
				t.Error(err)
			}
			if v.OK() {
				granted.Add(1)
			}
		})
	}
	workers.Wait()
	if granted.Load() != 1 {
		t.Errorf("%d got the last cent", granted.Load())
	}
}
