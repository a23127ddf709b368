package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadIsTheMedianWithTheLeastAndTheMost(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   spread
	}{
		"one":              {[]float64{3}, spread{3, 3, 3}},
		"odd":              {[]float64{9, 1, 2}, spread{2, 1, 9}},
		"even":             {[]float64{4, 1, 2, 100}, spread{3, 1, 100}},
		"equal":            {[]float64{5, 5, 5, 5}, spread{5, 5, 5}},
		"an outlier above": {[]float64{1, 1, 1, 1, 1000}, spread{1, 1, 1000}},
	} {
		t.Run(name, func(t *testing.T) {
			before := append([]float64(nil), c.values...)
			if got := spreadOf(c.values); got != c.want {
				t.Errorf("spreadOf(%v) = %v, want %v", c.values, got, c.want)
			}
			if diff := cmp.Diff(before, c.values); diff != "" {
				t.Errorf("spreadOf changed what it was given (-was +is):\n%s", diff)
			}
		})
	}
}

func TestSpreadOfNothingIsNoNumber(t *testing.T) {
	if got := spreadOf(nil); !math.IsNaN(got.median) || !math.IsNaN(got.least) || !math.IsNaN(got.most) {
		t.Errorf("spreadOf(nil) = %v, want NaN", got)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred, 0, 1},
		{hundred[:10], 99, 10},
		{hundred[:3], 50, 2},
		{hundred[:1], 50, 1},
		{nil, 50, 0},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("percentile(of %d, %v) = %d, want %d", len(c.sorted), c.p, got, c.want)
		}
	}
}

// A machine that is half as fast in one round must not show in the ratios.
func TestRatiosAreTakenWithinTheirRound(t *testing.T) {
	rounds := []round{
		{samples: []sample{{cpu: 100}, {cpu: 102}}},
		{samples: []sample{{cpu: 200}, {cpu: 204}}},
		{samples: []sample{{cpu: 50}, {cpu: 51}}},
	}
	for _, got := range ratios(rounds, 1, cpuMicros) {
		if math.Abs(got-1.02) > 1e-9 {
			t.Errorf("ratio = %v, want 1.02", got)
		}
	}
	if diff := cmp.Diff([]float64{0.102, 0.204, 0.051}, values(rounds, 1, cpuMicros)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}
