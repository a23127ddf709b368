package main

import (
	"math"
	"slices"
	"time"
)

// sample is one variant's share of a round.
type sample struct {
	name string
	// target is the most that the variant may cost, as a ratio of CPU time; 0 if
	// there is none.
	target float64
	// cpu is the time that the gateway's process used for each request, and perSecond
	// how many requests went through in a second.
	cpu       time.Duration
	perSecond float64
	p50, p99  time.Duration
}

// sum is what a variant's turns in a round have added up to.
type sum struct {
	cpu, wall time.Duration
	took      []time.Duration // by each request
}

// sample returns what the sum says of its variant.
func (s *sum) sample(v *variant) sample {
	slices.Sort(s.took)
	n := len(s.took)
	return sample{
		name: v.name, target: v.target,
		cpu:       s.cpu / time.Duration(n),
		perSecond: float64(n) / s.wall.Seconds(),
		p50:       percentile(s.took, 50),
		p99:       percentile(s.took, 99),
	}
}

// spread is the median of some values, with the least and the most.
type spread struct {
	median, least, most float64
}

// spreadOf returns the spread of values; NaN if there are none.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// percentile returns the smallest of the sorted values that p of 100 do not
// exceed (nearest rank); 0 if there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// The figures of a sample.
func cpuMicros(s sample) float64 { return micros(s.cpu) }
func perSecond(s sample) float64 { return s.perSecond }
func p50Micros(s sample) float64 { return micros(s.p50) }
func p99Micros(s sample) float64 { return micros(s.p99) }

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// values is one figure of a variant in every round.
func values(rounds []round, variant int, figure func(sample) float64) []float64 {
	list := make([]float64, len(rounds))
	for i, r := range rounds {
		list[i] = figure(r.samples[variant])
	}
	return list
}

// ratios is one figure of a variant in every round, over that of the first variant
// in the same round.
func ratios(rounds []round, variant int, figure func(sample) float64) []float64 {
	list := make([]float64, len(rounds))
	for i, r := range rounds {
		list[i] = figure(r.samples[variant]) / figure(r.samples[0])
	}
	return list
}
