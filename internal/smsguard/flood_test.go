//go:build unix

package smsguard_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepgate/stepgate/internal/pgserver/pgtest"
	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/internal/smsguard"
	"github.com/stepgate/stepgate/sms"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
	"github.com/stepgate/stepgate/store/postgres"
)

func TestMain(m *testing.M) {
	code := m.Run()
	pgtest.Close()
	os.Exit(code)
}

// A flood is ten minutes of a thousand accounts at fifty addresses, whose numbers have
// one prefix. Eight workers serve it, and in the middle the process is stopped under
// their hands and started again.
const (
	floodAccounts  = 1000
	floodAddresses = 50
	floodNetworks  = 10
	floodBlocks    = 25
	floodWorkers   = 8
	floodStep      = 15 * time.Second
	floodSteps     = int(10 * time.Minute / floodStep)
)

type flood struct {
	*testing.T
	clock  *clock
	ring   *seal.Ring
	config smsguard.Config
	open   func(now func() time.Time) store.Store
	// serving is the present start of the process.
	serving atomic.Pointer[serving]
	check   *checker
	// perStep is how many wishes there are in one step.
	perStep int
}

type serving struct {
	store store.Store
	guard *smsguard.Guard
}

func (f *flood) start() {
	f.Helper()
	g, err := smsguard.New(f.config)
	if err != nil {
		f.Fatal(err)
	}
	f.serving.Store(&serving{f.open(f.clock.now), g})
}

// wish returns a random one. Some players ask again and again, under changing numbers
// too, and some numbers belong to many accounts.
func wish(r *mathrand.Rand) smsguard.Want {
	account, number := r.IntN(floodAccounts), 0
	switch r.IntN(4) {
	case 0:
		account = r.IntN(20)
		number = account + 100*r.IntN(4)
	case 1:
		number = r.IntN(5)
	default:
		number = account
	}
	address := r.IntN(floodAddresses)
	return smsguard.Want{
		To:      sms.Number(fmt.Sprintf("%s%03d%04d", monitored, number%floodBlocks, number)),
		Account: fmt.Sprintf("account-%d", account),
		Address: fmt.Sprintf("198.51.%d.%d", address%floodNetworks, address),
	}
}

func (f *flood) run() {
	f.start()
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for step := range floodSteps {
		wishes := make(chan smsguard.Want)
		var workers sync.WaitGroup
		for worker := range floodWorkers {
			workers.Go(func() {
				n := 0
				for want := range wishes {
					n++
					f.serve(want, (n+worker)%10 == 0)
				}
			})
		}
		for i := range f.perStep {
			if step == floodSteps/2 && i == f.perStep/2 {
				if err := f.serving.Load().store.Close(); err != nil {
					f.Error(err)
				}
				f.start()
			}
			wishes <- wish(r)
		}
		close(wishes)
		workers.Wait()
		f.clock.add(floodStep)
	}
	if err := f.serving.Load().store.Close(); err != nil {
		f.Error(err)
	}
}

// serve is the way of one wish through a gateway. The process may be stopped at any
// point of it; what was not handed over by then never is.
func (f *flood) serve(want smsguard.Want, providerIsDown bool) {
	ctx, s := context.Background(), f.serving.Load()
	stopped := func(err error) bool {
		if err != nil && !errors.Is(err, store.ErrClosed) {
			f.Error(err)
		}
		return err != nil
	}
	v, err := s.guard.Admit(ctx, s.store, f.ring, want)
	if stopped(err) {
		return
	}
	f.check.admitted(want, v, f.clock.now())
	if !v.OK() {
		return
	}
	c, v, err := s.guard.Charge(ctx, s.store, f.ring, smsguard.Send{Provider: "main", To: want.To})
	f.check.alerts(v.Alerts)
	if stopped(err) {
		return
	}
	f.check.refused(v.Reason)
	if !v.OK() {
		return
	}
	f.check.spend(f.config.Price)
	if !providerIsDown {
		return
	}
	f.check.spend(-f.config.Price)
	if err := s.guard.Refund(ctx, s.store, f.ring, c); stopped(err) {
		f.check.spend(f.config.Price) // the money stays reserved
	}
}

// checker counts beside the guard, in memory and by its own means.
type checker struct {
	*testing.T
	limits  smsguard.Limits
	budgets []smsguard.Budget

	mu      sync.Mutex // guards what follows
	windows map[string]*window
	spent   smsguard.Money
	reasons map[smsguard.Reason]int
	kinds   map[smsguard.AlertKind]int
}

type window struct {
	begin time.Time
	n     int64
}

// admitted counts a wish where the guard has: for its own scopes always, for shared ones
// up to that which refused it.
func (c *checker) admitted(want smsguard.Want, v smsguard.Verdict, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons[v.Reason]++
	refusedBy := slices.Index(smsguard.Reasons(), v.Reason) // the scopes come first, in their order
	for i, scope := range smsguard.Scopes() {
		if i > 2 && v.Reason != "" && (i > refusedBy || v.Reason == smsguard.ReasonConversion) {
			return
		}
		for _, limit := range c.limits[scope] {
			key := fmt.Sprint(scope, limit.Window, whom(scope, want))
			w := c.windows[key]
			if w == nil || !at.Before(w.begin.Add(limit.Window)) {
				w = &window{begin: at}
				c.windows[key] = w
			}
			if !v.OK() {
				continue
			}
			if w.n++; w.n > limit.Max {
				c.Errorf("%d admitted for one %s in %v, want %d at most", w.n, scope, limit.Window, limit.Max)
			}
		}
	}
}

func whom(scope smsguard.Scope, want smsguard.Want) string {
	number := string(want.To)
	switch scope {
	case smsguard.PerNumber:
		return number
	case smsguard.PerAccount:
		return want.Account
	case smsguard.PerAddress:
		return want.Address
	case smsguard.PerNetwork:
		return want.Address[:strings.LastIndex(want.Address, ".")]
	case smsguard.PerBlock:
		return number[:len(number)-4]
	case smsguard.PerCountry:
		return number[:3]
	}
	return ""
}

func (c *checker) spend(m smsguard.Money) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent += m
	for _, b := range c.budgets {
		if c.spent > b.Max {
			c.Errorf("%v are spent of %v", c.spent, b.Max)
		}
	}
}

func (c *checker) refused(r smsguard.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r != "" {
		c.reasons[r]++
	}
}

func (c *checker) alerts(alerts []smsguard.Alert) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range alerts {
		c.kinds[a.Kind]++
	}
}

func newFlood(t *testing.T, perStep int, config smsguard.Config, open func(now func() time.Time) store.Store) *flood {
	t.Helper()
	f := &flood{T: t, clock: &clock{at: time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC)}, open: open, perStep: perStep}
	config.Now, config.Price = f.clock.now, money(t, "0.04")
	f.config = config
	f.check = &checker{
		T: t, limits: config.Limits, budgets: config.Budgets,
		windows: map[string]*window{}, reasons: map[smsguard.Reason]int{}, kinds: map[smsguard.AlertKind]int{},
	}
	var err error
	if f.ring, err = seal.NewRing(rand.Reader, f.clock.now()); err != nil {
		t.Fatal(err)
	}
	f.ring.Clock = f.clock.now
	return f
}

// onDisk opens the same bolt store again and again.
func onDisk(t *testing.T) func(now func() time.Time) store.Store {
	path := filepath.Join(folder(t), "stepgate.db")
	return func(now func() time.Time) store.Store {
		s, err := bolt.Open(path, bolt.Options{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// onServer opens the same schema of a PostgreSQL database again and again.
func onServer(t *testing.T) func(now func() time.Time) store.Store {
	dsn, sum := pgtest.DSN(t), sha256.Sum256([]byte(t.TempDir()))
	return func(now func() time.Time) store.Store {
		s, err := postgres.Open(t.Context(), dsn, postgres.Options{Schema: "test_" + hex.EncodeToString(sum[:8]), Now: now, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// without returns the default limits without some scopes.
func without(scopes ...smsguard.Scope) smsguard.Limits {
	limits := smsguard.DefaultLimits()
	for _, s := range scopes {
		delete(limits, s)
	}
	return limits
}

func TestFloodPassesNoLimitAndNoBudget(t *testing.T) {
	hour := func(most string) []smsguard.Budget {
		return []smsguard.Budget{{Max: money(t, most), Window: time.Hour}, {Max: money(t, "50"), Window: 24 * time.Hour}}
	}
	off := smsguard.Conversion{Off: true}
	capped := without(smsguard.PerCountry)
	capped[smsguard.PerAll] = []smsguard.Limit{{Max: 20, Window: time.Minute}, {Max: 90, Window: 24 * time.Hour}}
	for _, tt := range []struct {
		name    string
		config  smsguard.Config
		perStep int
		open    func(t *testing.T) func(now func() time.Time) store.Store
		// spent is exactly what is spent in the end, or empty.
		spent   string
		reasons []smsguard.Reason
		alerts  []smsguard.AlertKind
	}{
		{
			name: "by default", perStep: 75, open: onDisk,
			config:  smsguard.Config{Limits: smsguard.DefaultLimits(), Budgets: hour("20")},
			reasons: []smsguard.Reason{"", "limit_number", "limit_account", "limit_address", "limit_network", "limit_block", "limit_country"},
		},
		{
			name: "slowly, until its prefix is stopped", perStep: 15, open: onDisk,
			config:  smsguard.Config{Limits: smsguard.DefaultLimits(), Budgets: hour("20")},
			reasons: []smsguard.Reason{"", "limit_number", "conversion"},
			alerts:  []smsguard.AlertKind{smsguard.AlertConversionStopped},
		},
		{
			name: "until the budget is spent", perStep: 75, open: onDisk,
			config: smsguard.Config{Limits: without(smsguard.PerCountry, smsguard.PerAll), Budgets: hour("4.03"), Conversion: off},
			spent:  "4", reasons: []smsguard.Reason{"limit_network", "limit_block", "budget"},
			alerts: []smsguard.AlertKind{smsguard.AlertBudgetLow, smsguard.AlertBudgetSpent},
		},
		{
			name: "against the cap of the site", perStep: 75, open: onDisk,
			config:  smsguard.Config{Limits: capped, Budgets: hour("20"), Conversion: off},
			reasons: []smsguard.Reason{"", "limit_all"},
		},
		{
			name: "over PostgreSQL", perStep: 10, open: onServer,
			config: smsguard.Config{Limits: without(smsguard.PerCountry, smsguard.PerAll), Budgets: hour("2.03"), Conversion: off},
			spent:  "2", reasons: []smsguard.Reason{"limit_number", "limit_account", "budget"},
			alerts: []smsguard.AlertKind{smsguard.AlertBudgetLow, smsguard.AlertBudgetSpent},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFlood(t, tt.perStep, tt.config, tt.open(t))
			f.run()
			c := f.check
			t.Logf("spent %v, verdicts %v, alerts %v", c.spent, c.reasons, c.kinds)
			for _, r := range tt.reasons {
				if c.reasons[r] == 0 {
					t.Errorf("no verdict %q: the flood was too small", r)
				}
			}
			if len(c.kinds) != len(tt.alerts) {
				t.Errorf("alerts %v, want one each of %v", c.kinds, tt.alerts)
			}
			for _, kind := range tt.alerts {
				if c.kinds[kind] != 1 {
					t.Errorf("alerts %v, want %s once", c.kinds, kind)
				}
			}
			if tt.spent != "" && c.spent != money(t, tt.spent) {
				t.Errorf("spent %v, want all of %s", c.spent, tt.spent)
			}
			if c.spent == 0 {
				t.Error("nothing was spent")
			}
		})
	}
}
