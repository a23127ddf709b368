package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// variant is one way of a request to the site.
type variant struct {
	name    string
	process *process
	load    *load
	// target is the most that it may cost, as a ratio of CPU time; 0 if there is
	// none.
	target float64
}

// round is what the turns of all variants gave.
type round struct {
	// samples are in the order of the variants, memory in that of the gateways.
	samples []sample
	memory  []processMemory
	// foreign is how many processors other programs kept busy: 1 is one of them all
	// the time.
	foreign float64
}

// processMemory is what one gateway used before and after the loads.
type processMemory struct {
	name        string
	idle, after memory
}

// quiet is how much of a processor other programs may use in a round that counts.
const quiet = 0.10

func (r round) quiet() bool { return r.foreign <= quiet }

// measurement takes the rounds.
type measurement struct {
	options
	// setUp makes a fresh stage for each round.
	setUp  func(ctx context.Context) (*stage, error)
	log    io.Writer
	rounds []round
}

// measure takes rounds until enough were quiet or the time is over, and keeps the
// quietest.
func (m *measurement) measure(ctx context.Context) error {
	end := time.Now().Add(m.limit)
	var taken []round
	counted := 0
	for counted < m.options.rounds && (len(taken) == 0 || time.Now().Before(end)) {
		r, err := m.round(ctx)
		if err != nil {
			return err
		}
		note := ": does not count"
		if r.quiet() {
			counted++
			note = ""
		}
		taken = append(taken, r)
		fmt.Fprintf(m.log, "round %d: other programs used %.2f processors%s\n", len(taken), r.foreign, note)
	}
	m.rounds = quietest(taken, m.options.rounds)
	return nil
}

// quietest returns the n rounds that other programs disturbed least, or all if
// there are fewer.
func quietest(rounds []round, n int) []round {
	sorted := slices.SortedStableFunc(slices.Values(rounds), func(a, b round) int { return cmp.Compare(a.foreign, b.foreign) })
	return sorted[:min(n, len(sorted))]
}

// turns is how often the variants take turns in a round. Each turn is short, so
// that whatever slows the machine down for a second falls on all variants alike.
const turns = 20

// warmUp is how many turns of each variant go before, and are not counted: they
// fill pools, caches and the stack of every connection.
const warmUp = 2

// round gives every variant its turns on a stage of their own: one process that is
// a little slower than another of the same program, as happens with memory that
// lies unluckily, spoils one round and not all.
func (m *measurement) round(ctx context.Context) (round, error) {
	s, err := m.setUp(ctx)
	if err != nil {
		return round{}, err
	}
	defer s.close()
	if _, err := s.turns(ctx, warmUp, m.requests/turns); err != nil {
		return round{}, err
	}
	before, err := s.busy()
	if err != nil {
		return round{}, err
	}
	sums, err := s.turns(ctx, turns, m.requests/turns)
	if err != nil {
		return round{}, err
	}
	after, err := s.busy()
	if err != nil {
		return round{}, err
	}
	foreign := (after.machine - before.machine) - (after.ours - before.ours)
	r := round{foreign: foreign.Seconds() / after.at.Sub(before.at).Seconds()}
	for i := range sums {
		r.samples = append(r.samples, sums[i].sample(s.variants[i]))
	}
	for _, p := range s.gateways {
		used, err := readMemory(p.pid)
		if err != nil {
			return round{}, err
		}
		r.memory = append(r.memory, processMemory{p.name, p.idle, used})
	}
	return r, nil
}

// turns gives each variant so many turns of so many requests. Another one begins
// each time.
func (s *stage) turns(ctx context.Context, turns, requests int) ([]sum, error) {
	sums := make([]sum, len(s.variants))
	for turn := range turns {
		for i := range s.variants {
			at := (turn + i) % len(s.variants)
			if err := s.turn(ctx, s.variants[at], requests, &sums[at]); err != nil {
				return nil, fmt.Errorf("measuring %q: %w", s.variants[at].name, err)
			}
		}
	}
	return sums, nil
}

// turn sends n requests of one variant.
func (s *stage) turn(ctx context.Context, v *variant, n int, into *sum) error {
	pages := s.site.pages.Load()
	before, err := processTime(v.process.pid)
	if err != nil {
		return err
	}
	began := time.Now()
	took, err := v.load.run(ctx, n)
	if err != nil {
		return err
	}
	into.wall += time.Since(began)
	after, err := processTime(v.process.pid)
	if err != nil {
		return err
	}
	if after < before {
		return fmt.Errorf("the gateway's CPU time fell by %v: one of its threads ended", before-after)
	}
	into.cpu += after - before
	into.took = append(into.took, took...)
	if pages = s.site.pages.Load() - pages; pages != int64(n) {
		return fmt.Errorf("%d requests reached the site, want %d", pages, n)
	}
	return nil
}

// busyTime is what the machine and our own processes have used up to a moment.
type busyTime struct {
	at            time.Time
	machine, ours time.Duration
}

func (s *stage) busy() (busyTime, error) {
	now := busyTime{at: time.Now()}
	pids := []int{os.Getpid()}
	for _, p := range s.gateways {
		pids = append(pids, p.pid)
	}
	for _, pid := range pids {
		used, err := processTime(pid)
		if err != nil {
			return busyTime{}, err
		}
		now.ours += used
	}
	var err error
	now.machine, err = machineTime()
	return now, err
}
