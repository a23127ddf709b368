package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// report prints the medians of the rounds, of which there is at least one.
func report(out io.Writer, o options, rounds []round) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Medians of %d rounds, %d requests of each variant in a round, %d connections, GOMAXPROCS %d.\n"+
		"A ratio is to plain Caddy in the same round; least and most in brackets.\n\n",
		len(rounds), o.requests, o.connections, o.procs)
	tabulate(&b, rounds)
	b.WriteString("\n")
	noisy := 0
	for _, r := range rounds {
		if !r.quiet() {
			noisy++
		}
	}
	for i, s := range rounds[0].samples {
		if s.target > 0 {
			got := spreadOf(ratios(rounds, i, cpuMicros)).median
			fmt.Fprintf(&b, "%s: CPU ratio %.3f, target at most %.2f: %s\n", s.name, got, s.target, verdict(got <= s.target, noisy > 0))
		}
	}
	for i, p := range rounds[0].memory {
		idle := spreadOf(mebibytes(rounds, i, func(p processMemory) int64 { return p.idle.resident }))
		after := spreadOf(mebibytes(rounds, i, func(p processMemory) int64 { return p.after.resident }))
		peak := spreadOf(mebibytes(rounds, i, func(p processMemory) int64 { return p.after.peak }))
		fmt.Fprintf(&b, "%s: %.0f MiB resident when idle, %.0f after the load, %.0f at most\n", p.name, idle.median, after.median, peak.median)
	}
	if noisy > 0 {
		fmt.Fprintf(&b, "\nIn %d of the %d rounds other programs used more than %.2f processors: these figures are no evidence. Run it again on a quiet machine.\n",
			noisy, len(rounds), quiet)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return nil
}

// tabulate writes a line for each variant.
func tabulate(b *strings.Builder, rounds []round) {
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tCPU us/request\tratio\trequests/s\tratio\tp50 us\tratio\tp99 us\tratio\t")
	for i, s := range rounds[0].samples {
		fmt.Fprintf(table, "%s\t", s.name)
		for _, f := range []struct {
			of     func(sample) float64
			format string
		}{{cpuMicros, "%.1f"}, {perSecond, "%.0f"}, {p50Micros, "%.0f"}, {p99Micros, "%.0f"}} {
			ratio := spreadOf(ratios(rounds, i, f.of))
			fmt.Fprintf(table, f.format+"\t%.3f (%.3f to %.3f)\t", spreadOf(values(rounds, i, f.of)).median, ratio.median, ratio.least, ratio.most)
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush() // a Builder never fails
}

// mebibytes is one figure of a gateway's memory in every round.
func mebibytes(rounds []round, gateway int, kib func(processMemory) int64) []float64 {
	list := make([]float64, len(rounds))
	for i, r := range rounds {
		list[i] = float64(kib(r.memory[gateway])) / 1024
	}
	return list
}

func verdict(met, noisy bool) string {
	switch {
	case noisy:
		return "not known, the machine was busy"
	case met:
		return "met"
	default:
		return "missed"
	}
}
