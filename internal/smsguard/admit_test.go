package smsguard_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
)

// alike makes player n share what a scope counts with player 0.
func alike(scope smsguard.Scope, n int) smsguard.Want {
	w, first := player(n), player(0)
	switch scope {
	case smsguard.PerNumber:
		w.To = first.To
	case smsguard.PerAccount:
		w.Account = first.Account
	case smsguard.PerAddress:
		w.Address = first.Address
	case smsguard.PerNetwork:
		w.Address = fmt.Sprintf("10.0.0.%d", n)
	case smsguard.PerBlock:
		w.To = sms.Number(fmt.Sprintf("+628100000%04d", n))
	}
	return w
}

func TestEachLimitHoldsForItsWindowAndNoLonger(t *testing.T) {
	for _, scope := range smsguard.Scopes() {
		t.Run(string(scope), func(t *testing.T) {
			w := newWorld(t, smsguard.Config{Limits: smsguard.Limits{scope: {{Max: 3, Window: time.Hour}}}})
			for n := range 3 {
				w.wantReason(w.admit(alike(scope, n)), "")
				w.clock.add(10 * time.Minute)
			}
			w.wantReason(w.admit(alike(scope, 3)), smsguard.Reason("limit_"+scope))
			switch scope {
			case smsguard.PerAll:
			case smsguard.PerCountry:
				other := player(9)
				other.To = "+6591234567"
				w.wantReason(w.admit(other), "")
			default:
				w.wantReason(w.admit(player(9)), "")
			}
			w.clock.add(30*time.Minute - time.Microsecond)
			w.wantReason(w.admit(alike(scope, 4)), smsguard.Reason("limit_"+scope))
			w.clock.add(time.Microsecond)
			w.wantReason(w.admit(alike(scope, 5)), "")
		})
	}
}

func TestDefaultLimitsAreThoseOfTheDesign(t *testing.T) {
	for _, tt := range []struct {
		scope smsguard.Scope
		room  int
	}{
		{smsguard.PerNumber, 5}, {smsguard.PerAccount, 5}, {smsguard.PerAddress, 10}, {smsguard.PerNetwork, 30},
		{smsguard.PerBlock, 10}, {smsguard.PerCountry, 30},
	} {
		t.Run(string(tt.scope), func(t *testing.T) {
			w := newWorld(t, smsguard.Config{})
			for n := range tt.room {
				w.wantReason(w.admit(alike(tt.scope, n)), "")
			}
			w.wantReason(w.admit(alike(tt.scope, tt.room)), smsguard.Reason("limit_"+tt.scope))
		})
	}
}

func TestSeveralLimitsOfOneScopeAllHold(t *testing.T) {
	w := newWorld(t, smsguard.Config{})
	for range 2 {
		for range 5 {
			w.wantReason(w.admit(player(0)), "")
		}
		w.clock.add(time.Hour)
	}
	w.wantReason(w.admit(player(0)), "limit_number")
	w.clock.add(22 * time.Hour)
	w.wantReason(w.admit(player(0)), "")
}

// Whoever uses up a player's codes elsewhere does not leave the player without.
func TestTrustedBrowserIsCountedApart(t *testing.T) {
	w := newWorld(t, smsguard.Config{Limits: smsguard.Limits{
		smsguard.PerNumber: {{Max: 1, Window: time.Hour}}, smsguard.PerAccount: {{Max: 1, Window: time.Hour}}, smsguard.PerBlock: {{Max: 1, Window: time.Hour}},
	}})
	w.wantReason(w.admit(player(0)), "")
	w.wantReason(w.admit(player(0)), "limit_number")
	trusted := player(0)
	trusted.Lane = "/trusted/d1"
	w.wantReason(w.admit(trusted), "")
	w.wantReason(w.admit(trusted), "limit_number")
}

// A thief's own browser, which a second account of his trusts, is at his address still.
func TestTrustedBrowserHasTheAddressOfOthers(t *testing.T) {
	for _, scope := range []smsguard.Scope{smsguard.PerAddress, smsguard.PerNetwork} {
		for _, address := range []string{"", "@", "203.0.113.7"} {
			w := newWorld(t, smsguard.Config{Limits: smsguard.Limits{scope: {{Max: 1, Window: time.Hour}}}})
			first, second := player(0), player(1)
			first.Address, second.Address, second.Lane = address, address, "/trusted/d1"
			w.wantReason(w.admit(first), "")
			w.wantReason(w.admit(second), smsguard.Reason("limit_"+scope))
		}
	}
}

func TestAskingOnGainsNothing(t *testing.T) {
	w := newWorld(t, smsguard.Config{})
	for range 100 {
		w.admit(player(0))
	}
	w.clock.add(time.Hour)
	w.wantReason(w.admit(player(0)), "limit_number") // the day's ten are used up
}

// One player asks ten thousand times, all of them refused but five. Nobody else may go
// without a code for it.
func TestWhoIsRefusedUsesUpNothingOfOthers(t *testing.T) {
	w := newWorld(t, smsguard.Config{})
	for range 200 {
		w.admit(player(0))
	}
	for n := range 25 {
		w.wantReason(w.admit(alike(smsguard.PerNetwork, n+2)), "")
	}
	// What a full minute refuses does not eat from the day either.
	w = newWorld(t, smsguard.Config{Limits: smsguard.Limits{smsguard.PerAll: {{Max: 10, Window: 24 * time.Hour}, {Max: 1, Window: time.Minute}}}})
	for n := range 10 {
		w.wantReason(w.admit(player(n)), "")
		for range 20 {
			w.wantReason(w.admit(player(n)), "limit_all")
		}
		w.clock.add(time.Minute)
	}
	w.wantReason(w.admit(player(0)), "limit_all")
}

func TestOneClientHasOneAddressAndOneNetworkHoweverItIsSpelt(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		reason     smsguard.Reason
	}{
		{"IPv4 in IPv6", "203.0.113.7", "::ffff:203.0.113.7", "limit_address"},
		{"IPv6 in two spellings", "2001:db8::1", "2001:0DB8:0:0::0001", "limit_address"},
		{"zone", "fe80::1%eth0", "fe80::1", "limit_address"},
		{"same /24", "203.0.113.7", "203.0.113.200", "limit_network"},
		{"same /56", "2001:db8:0:aa00::1", "2001:db8:0:aaff:1:2:3:4", "limit_network"},
		{"no address", "", "", "limit_address"},
		{"a socket's", "@", "@", "limit_address"},
		{"no address and a socket's", "", "@", ""},
		{"no address and one", "", "203.0.113.7", ""},
		{"another /24", "203.0.113.7", "203.0.114.7", ""},
		{"another /56", "2001:db8:0:aa00::1", "2001:db8:0:ab00::1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, smsguard.Config{Limits: smsguard.Limits{
				smsguard.PerAddress: {{Max: 1, Window: time.Hour}}, smsguard.PerNetwork: {{Max: 1, Window: time.Hour}},
			}})
			first, second := player(0), player(1)
			first.Address, second.Address = tt.a, tt.b
			w.wantReason(w.admit(first), "")
			w.wantReason(w.admit(second), tt.reason)
		})
	}
}

func TestDeniedPrefixGetsNothing(t *testing.T) {
	w := newWorld(t, smsguard.Config{Denied: []string{"+62811", "+881"}})
	denied := player(0)
	denied.To = "+6281134567890"
	w.wantReason(w.admit(denied), "denied_prefix")
	w.wantReason(w.admit(player(0)), "")
}

func TestReportModeRefusesNothingAndSaysWhatItWould(t *testing.T) {
	w := newWorld(t, smsguard.Config{Report: true, Denied: []string{"+62811"}, Limits: smsguard.Limits{smsguard.PerNumber: {{Max: 1, Window: time.Hour}}}})
	if v := w.admit(player(0)); v.Reason != "" || !v.OK() {
		t.Errorf("first verdict %+v", v)
	}
	if v := w.admit(player(0)); v.Reason != "limit_number" || !v.Reported || !v.OK() {
		t.Errorf("second verdict %+v, want limit_number, only reported", v)
	}
	denied := player(0)
	denied.To = "+6281134567890"
	if v := w.admit(denied); v.Reason != "denied_prefix" || !v.OK() {
		t.Errorf("denied verdict %+v", v)
	}
}

func TestRestartForgetsNoLimit(t *testing.T) {
	w := newWorld(t, smsguard.Config{})
	for range 5 {
		w.wantReason(w.admit(player(0)), "")
		w.restart()
	}
	w.wantReason(w.admit(player(0)), "limit_number")
}

func TestParallelWishesPassNoLimit(t *testing.T) {
	w := newWorld(t, smsguard.Config{Limits: smsguard.Limits{smsguard.PerNumber: {{Max: 5, Window: time.Hour}}}})
	var mu sync.Mutex
	admitted := map[smsguard.Reason]int{}
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 10 {
				v, err := w.guard.Admit(t.Context(), w.store, w.ring, player(0))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				admitted[v.Reason]++
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if admitted[""] != 5 || admitted["limit_number"] != 75 {
		t.Errorf("verdicts %v, want 5 admitted and 75 refused", admitted)
	}
}

func TestReasonsAreAFixedSetOfWords(t *testing.T) {
	want := []smsguard.Reason{
		"limit_number", "limit_account", "limit_address", "limit_network", "limit_block", "limit_country", "limit_all",
		"denied_prefix", "conversion", "budget",
	}
	if got := smsguard.Reasons(); !slices.Equal(got, want) {
		t.Errorf("Reasons() = %v, want %v", got, want)
	}
}

var errDown = errors.New("store is down")

// broken is a store of which a kind of calls fails.
type broken struct {
	store.Store
	add, get, update bool
}

func (b broken) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	if b.add {
		return 0, errDown
	}
	return b.Store.Add(ctx, key, n, window)
}

func (b broken) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if b.get {
		return store.Record{}, errDown
	}
	return b.Store.Get(ctx, key)
}

func (b broken) Update(ctx context.Context, key store.Key, change store.Change) error {
	if b.update {
		return errDown
	}
	return b.Store.Update(ctx, key, change)
}

func TestStoreThatCannotSayIsAnError(t *testing.T) {
	w := newWorld(t, smsguard.Config{Price: 1, Budgets: []smsguard.Budget{{Max: 10, Window: time.Hour}}})
	for _, s := range []store.Store{broken{Store: w.store, add: true}, broken{Store: w.store, get: true}} {
		if _, err := w.guard.Admit(t.Context(), s, w.ring, player(0)); !errors.Is(err, errDown) {
			t.Errorf("Admit = %v, want that the store is down", err)
		}
	}
	send := smsguard.Send{To: player(0).To}
	down := broken{Store: w.store, update: true}
	if _, _, err := w.guard.Charge(t.Context(), down, w.ring, send); !errors.Is(err, errDown) {
		t.Errorf("Charge = %v, want that the store is down", err)
	}
	send.Notice = true
	if _, _, err := w.guard.Charge(t.Context(), down, w.ring, send); !errors.Is(err, errDown) {
		t.Errorf("Charge of a notice = %v, want that the store is down", err)
	}
	c, _ := w.charge(smsguard.Send{To: player(0).To})
	if err := w.guard.Refund(t.Context(), down, w.ring, c); !errors.Is(err, errDown) {
		t.Errorf("Refund = %v, want that the store is down", err)
	}
	if err := w.guard.Verified(t.Context(), down, w.ring, "", player(0).To, w.clock.now()); !errors.Is(err, errDown) {
		t.Errorf("Verified = %v, want that the store is down", err)
	}
}

// spy notes every key and value that reaches the store.
type spy struct {
	store.Store
	seen *[]string
}

func (s spy) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	*s.seen = append(*s.seen, string(key))
	return s.Store.Add(ctx, key, n, window)
}

func (s spy) Update(ctx context.Context, key store.Key, change store.Change) error {
	return s.Store.Update(ctx, key, func(old *store.Record) (*store.Write, error) {
		w, err := change(old)
		if w != nil {
			*s.seen = append(*s.seen, string(key), string(w.Value))
		}
		return w, err
	})
}

// Invariant I8, and that no key carries personal data.
func TestStoreHoldsNoNumberAccountOrAddress(t *testing.T) {
	w := newWorld(t, smsguard.Config{Price: 1, Budgets: []smsguard.Budget{{Max: 10, Window: time.Hour}}})
	var seen []string
	w.store = spy{w.store, &seen}
	want := smsguard.Want{To: "+6281234567890", Account: "budi", Address: "203.0.113.7", Lane: "/trusted/d1"}
	w.wantReason(w.admit(want), "")
	w.charge(smsguard.Send{Provider: "main", To: want.To})
	w.verified("main", want.To, w.clock.now())
	if len(seen) < 10 {
		t.Fatalf("the spy saw %d keys and values", len(seen))
	}
	for _, s := range seen {
		for _, secret := range []string{"628123", "4567890", "budi", "203.0", "trusted", "main"} {
			if strings.Contains(s, secret) {
				t.Errorf("the store sees %q, which has %q in it", s, secret)
			}
		}
	}
}
