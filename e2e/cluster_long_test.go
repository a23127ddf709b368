//go:build unix

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/examples/casino"
	"github.com/stepgate/stepgate/internal/pgserver"
)

// fault is something that happens to a cluster and is healed after a while.
type fault struct {
	kind string
	// strike does it, and heal ends it. heal returns once what was broken is whole
	// again, before the gateways have noticed.
	strike, heal func()
}

// faultsOf returns every fault that can strike, each with its target.
func faultsOf(t *testing.T, c *cluster) []fault {
	var all []fault
	for _, n := range c.nodes {
		all = append(all,
			fault{"gateway killed", n.kill, n.startAgain},
			fault{"gateway stopped", n.stopClock, n.wake},
			fault{"line cut", n.proxy.cut, n.proxy.heal},
			fault{"line stalled", n.proxy.stall, n.proxy.heal})
	}
	restart := func() {
		if err := c.db.Restart(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// There are three gateways and one database, which is to have its share.
	for range 2 {
		all = append(all, fault{"database restarted", c.db.Stop, restart}, fault{"database killed", c.db.Kill, restart})
	}
	return all
}

// TestInvariantI3AndI4UnderFaultsEverySecond plays withdrawals through gateways that
// are chosen at random, with a fault every second, and compares the site's ledger with
// what the players have approved: nothing is there twice, nothing that nobody approved,
// and everything that was acknowledged. STEPGATE_LONG=1 plays 5,000 withdrawals.
func TestInvariantI3AndI4UnderFaultsEverySecond(t *testing.T) {
	// Players pause between withdrawals: it is the faults that are to be many.
	players, each, pause := 25, 6, 3*time.Second
	switch {
	case os.Getenv("STEPGATE_LONG") == "1":
		players, each, pause = 200, 25, 6*time.Second
	case testing.Short():
		players, each, pause = 20, 2, time.Second
	}
	c := startCluster(t, players, pgserver.Options{})
	crowd := make([]*gambler, players)
	for i := range crowd {
		crowd[i] = &gambler{
			player: c.login(fmt.Sprintf("p%03d", i+1)), random: rand.New(rand.NewPCG(7, uint64(i))), first: int64(10_000 + i*each),
			statuses: map[string]int{},
		}
	}
	over := make(chan struct{})
	struck := make(chan map[string][]time.Duration)
	probe := c.login("budi")
	go func() { struck <- strikeEverySecond(t, c, probe, over) }()
	began := time.Now()
	var wg sync.WaitGroup
	for _, g := range crowd {
		wg.Go(func() {
			for k := range each {
				g.play(g.first + int64(k))
				<-time.After(time.Duration(g.random.Int64N(int64(pause))))
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	close(over)
	reportFaults(t, <-struck)
	reportPlay(t, crowd, took)
	booked := 0
	for _, g := range crowd {
		booked += g.compare(c.site.Ledger(g.name))
	}
	t.Logf("%d withdrawals stand in the ledger", booked)
}

// strikeEverySecond lets one fault after another strike, until over. It returns how
// long each took to recover from, by kind: from the moment when it was healed to that
// when every gateway answers for a protected route again.
func strikeEverySecond(t *testing.T, c *cluster, probe *player, over chan struct{}) map[string][]time.Duration {
	random := rand.New(rand.NewPCG(5, 6))
	all := faultsOf(t, c)
	recovered := map[string][]time.Duration{}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-over:
			return recovered
		case <-every.C:
		}
		f := all[random.IntN(len(all))]
		f.strike()
		// One in eight outlasts every timeout.
		lasts := time.Duration(100+random.IntN(600)) * time.Millisecond
		if random.IntN(8) == 0 {
			lasts = callTimeout + lease/2
		}
		<-time.After(lasts)
		f.heal()
		healed := time.Now()
		for _, n := range c.nodes {
			for !probe.isServed(n) {
				if time.Since(healed) > patience {
					t.Errorf("%s: %s does not serve %v after it was healed:\n%s", f.kind, n.name, patience, n.output())
					return recovered
				}
				<-time.After(20 * time.Millisecond)
			}
			if took := time.Since(healed); took > 4*time.Second {
				t.Logf("after %s for %v, %s serves after %v:\n%s", f.kind, lasts, n.name, took, n.output())
			}
		}
		recovered[f.kind] = append(recovered[f.kind], time.Since(healed))
	}
}

func reportFaults(t *testing.T, recovered map[string][]time.Duration) {
	t.Helper()
	total := 0
	for kind, took := range recovered {
		slices.Sort(took)
		total += len(took)
		t.Logf("%3d × %-18s served again after %v (median), %v (worst)", len(took), kind,
			took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	t.Logf("%d faults", total)
	if total == 0 {
		t.Error("no fault struck")
	}
}

func reportPlay(t *testing.T, crowd []*gambler, took time.Duration) {
	t.Helper()
	statuses := map[string]int{}
	var acknowledged, approved, requests int
	for _, g := range crowd {
		for what, n := range g.statuses {
			statuses[what] += n
			requests += n
		}
		acknowledged += len(g.acknowledged)
		approved += len(g.approved)
	}
	t.Logf("%d withdrawals approved, %d acknowledged, in %v: %.1f a second", approved, acknowledged, took.Round(time.Second), float64(acknowledged)/took.Seconds())
	t.Logf("%d requests: %v", requests, statuses)
	if acknowledged < approved/2 {
		t.Errorf("only %d of %d approved withdrawals were acknowledged", acknowledged, approved)
	}
}

// compare compares the ledger with what the player did, and returns how many
// withdrawals it has.
func (g *gambler) compare(ledger []casino.Entry) (booked int) {
	g.t.Helper()
	times := map[int64]int{}
	for _, e := range ledger {
		times[e.Amount]++
	}
	for amount, n := range times {
		if n > 1 {
			g.t.Errorf("%s: %d stands %d times in the ledger", g.name, amount, n)
		}
		if !slices.Contains(g.approved, amount) {
			g.t.Errorf("%s: %d stands in the ledger, and was never approved", g.name, amount)
		}
	}
	for _, amount := range g.acknowledged {
		if times[amount] == 0 {
			g.t.Errorf("%s: %d was acknowledged, and is not in the ledger", g.name, amount)
		}
	}
	return len(ledger)
}
