package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheQuietestRoundsAreKept(t *testing.T) {
	taken := []round{{foreign: 0.5}, {foreign: 0.01}, {foreign: 0.3}, {foreign: 0.02}}
	foreign := func(rounds []round) (list []float64) {
		for _, r := range rounds {
			list = append(list, r.foreign)
		}
		return list
	}
	if diff := cmp.Diff([]float64{0.01, 0.02, 0.3}, foreign(quietest(taken, 3))); diff != "" {
		t.Errorf("quietest 3 (-want +got):\n%s", diff)
	}
	if got := quietest(taken, 9); len(got) != len(taken) {
		t.Errorf("quietest 9 of %d gave %d rounds", len(taken), len(got))
	}
	if taken[0].foreign != 0.5 {
		t.Error("quietest changed what it was given")
	}
}

// reportOf reports two rounds in which plain Caddy took 100 us and the other
// variant cpu.
func reportOf(t *testing.T, cpu time.Duration, foreign float64) string {
	t.Helper()
	r := round{
		foreign: foreign,
		samples: []sample{
			{name: "plain", cpu: 100 * time.Microsecond, perSecond: 1000, p50: time.Millisecond, p99: 2 * time.Millisecond},
			{name: "protected", target: 1.04, cpu: cpu, perSecond: 990, p50: time.Millisecond, p99: 4 * time.Millisecond},
		},
		memory: []processMemory{{"plain", memory{50 << 10, 51 << 10}, memory{60 << 10, 62 << 10}}},
	}
	var out bytes.Buffer
	if err := report(&out, options{requests: 10, connections: 1, procs: 1}, []round{r, r}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestTheReportGivesRatiosAndVerdicts(t *testing.T) {
	met := reportOf(t, 103*time.Microsecond, 0)
	for _, want := range []string{
		"1.030 (1.030 to 1.030)", "0.990 (0.990 to 0.990)", "2.000 (2.000 to 2.000)",
		"protected: CPU ratio 1.030, target at most 1.04: met", "plain: 50 MiB resident when idle, 60 after the load, 62 at most",
	} {
		if !strings.Contains(met, want) {
			t.Errorf("the report lacks %q:\n%s", want, met)
		}
	}
	if strings.Contains(met, "no evidence") {
		t.Errorf("quiet rounds are called noisy:\n%s", met)
	}
	if missed := reportOf(t, 105*time.Microsecond, 0); !strings.Contains(missed, "CPU ratio 1.050, target at most 1.04: missed") {
		t.Errorf("the report misses the miss:\n%s", missed)
	}
}

func TestTheReportSaysWhenTheMachineWasBusy(t *testing.T) {
	got := reportOf(t, 103*time.Microsecond, 0.5)
	for _, want := range []string{"In 2 of the 2 rounds other programs used more than 0.10 processors", "target at most 1.04: not known, the machine was busy"} {
		if !strings.Contains(got, want) {
			t.Errorf("the report lacks %q:\n%s", want, got)
		}
	}
}

// measurementOf measures loads that go straight to a site: this very process is
// the gateway. Each round gets the same stage.
func measurementOf(t *testing.T, s *site, asked string, requests, variants int) *measurement {
	t.Helper()
	needProc(t)
	p := &process{name: "direct", pid: os.Getpid(), cancel: func() {}, done: make(chan struct{})}
	close(p.done)
	st := &stage{site: s}
	for range variants {
		st.variants = append(st.variants, &variant{name: "direct", process: p, load: openLoad(t, asked, 4)})
	}
	return &measurement{
		options: options{rounds: 2, requests: requests, limit: time.Minute}, log: io.Discard,
		setUp: func(context.Context) (*stage, error) { return st, nil },
	}
}

func TestEveryVariantSendsItsRequestsInARound(t *testing.T) {
	s := openSite(t)
	const requests = 4 * turns
	r, err := measurementOf(t, s, s.addr, requests, 3).round(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.samples) != 3 {
		t.Fatalf("%d samples, want 3", len(r.samples))
	}
	for i, got := range r.samples {
		if got.cpu <= 0 || got.perSecond <= 0 || got.p50 <= 0 || got.p99 < got.p50 {
			t.Errorf("variant %d: %+v", i, got)
		}
	}
	if got, want := s.pages.Load(), int64(3*(requests+warmUp*requests/turns)); got != want {
		t.Errorf("the site served %d pages, want %d", got, want)
	}
}

func TestMeasuringEndsWhenItsTimeIsOver(t *testing.T) {
	s := openSite(t)
	m := measurementOf(t, s, s.addr, turns, 1)
	m.options.rounds, m.limit = 1_000_000, time.Nanosecond
	if err := m.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(m.rounds) != 1 {
		t.Errorf("%d rounds were taken, want one", len(m.rounds))
	}
}

// A gateway that answers by itself would look fast.
func TestARoundFailsWhenTheSiteDidNotGetTheRequests(t *testing.T) {
	asked, other := openSite(t), openSite(t)
	m := measurementOf(t, other, asked.addr, 2*turns, 1)
	if _, err := m.round(t.Context()); err == nil || !strings.Contains(err.Error(), "0 requests reached the site, want 2") {
		t.Errorf("round = %v, want an error about the site", err)
	}
}
