package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// report prints the medians of the rounds, of which there is at least one.
func report(out io.Writer, o options, rounds []round) error {
	fmt.Fprintf(out, "Medians of %d rounds, %d requests of each variant in a round, %d connections, GOMAXPROCS %d.\n"+
		"A ratio is to plain Caddy in the same round; least and most in brackets.\n\n",
		len(rounds), o.requests, o.connections, o.procs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
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
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	fmt.Fprintln(out)
	noisy := len(rounds) - len(slices.DeleteFunc(slices.Clone(rounds), func(r round) bool { return !r.quiet() }))
	_ = noisy
	for i, p := range rounds[0].memory {
		mebibytes := func(of func(processMemory) int64) float64 {
			list := make([]float64, len(rounds))
			for n, r := range rounds {
				list[n] = float64(of(r.memory[i])) / 1024
			}
			return spreadOf(list).median
		}
		fmt.Fprintf(out, "%s: %.0f MiB resident when idle, %.0f after the load, %.0f at most\n", p.name,
			mebibytes(func(p processMemory) int64 { return p.idle.resident }),
			mebibytes(func(p processMemory) int64 { return p.after.resident }),
			mebibytes(func(p processMemory) int64 { return p.after.peak }))
	}
	noisy := 0
	for _, r := range rounds {
		if !r.quiet() {
			noisy++
		}
	}
	if noisy > 0 {
		fmt.Fprintf(out, "\nIn %d of the %d rounds other programs used more than %.2f processors: these figures are no evidence. Run it again on a quiet machine.\n",
			noisy, len(rounds), quiet)
	}
	return nil
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "missed"
}
