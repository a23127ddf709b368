// Command bench measures what Stepgate costs: CPU time, throughput and latency of
// requests through it, as ratios to a plain Caddy beside it.
//
//	go run ./bench [-rounds n] [-requests n] [-connections n] [-procs n] [-limit d]
//
// # What is compared
//
// One site, which answers 1 KiB, stands behind five gateways: two of plain Caddy, and
// three of Stepgate with ten rules. The same bytes are sent to all, the player's cookies
// and a grant included, except for a path of the same length, and for the last one
// cookies of its own:
//
//   - plain: through plain Caddy;
//   - plain, again: through another process of plain Caddy. Its distance from 1 is
//     the noise, and no smaller difference of the others means anything;
//   - unprotected: through Stepgate, to a path of no rule;
//   - protected: through Stepgate, to a path of a rule that the grant opens. The
//     grant was got by passing a challenge;
//   - every route: through Stepgate with new_device, whose rule every request to the
//     site meets, and the session pass of a player who has passed its challenge.
//
// # How
//
// Each round starts the gateways anew, in an order left to chance, all on one
// processor which the load and the site keep off. In it each variant sends a fixed number of
// requests, in many short turns, and each ratio is taken within its round, so that a
// machine that grows slower in between does not matter. The CPU time is that of the gateway's process alone; the site
// and the load are part of this program. A round in which other programs used the
// machine does not count. Of all rounds the median is reported, with the least and
// the most.
//
// Every answer is checked, and the site counts: a request that was refused, or
// answered by anybody but the site, ends the measurement.
//
// # Not here
//
// Absolute figures are those of this machine at this hour; nothing compares them
// with another. TLS, HTTP/2 and the network are left out, since they cost both
// gateways the same and would make Stepgate's share look smaller.
//
// It needs Linux, for the times in /proc, and the go command. Everything listens
// on the loopback address only, and ends with this program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the command line's.
type options struct {
	rounds      int
	requests    int
	connections int
	procs       int
	limit       time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 24, "undisturbed rounds to measure")
	flag.IntVar(&o.requests, "requests", 8_000, "requests of each variant in a round; rounded down to a multiple of 20")
	flag.IntVar(&o.connections, "connections", 32, "connections that the requests of a round share")
	flag.IntVar(&o.procs, "procs", 1, "GOMAXPROCS of the gateways; more than 1 lets idle threads that look for work blur the times")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "when to measure no further; building the gateways does not count")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 || o.connections < 1 || o.requests < turns || o.procs < 1 || o.limit <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.requests -= o.requests % turns
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures and reports to out; progress goes to log.
func run(ctx context.Context, o options, out, log io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "stepgate-bench-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Fprintln(log, "building the gateways")
	bin, err := build(ctx, dir)
	if err != nil {
		return err
	}
	if err := stayAside(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit+time.Minute)
	defer cancel()
	m := &measurement{options: o, log: log, setUp: func(ctx context.Context) (*stage, error) { return setUp(ctx, dir, bin, o) }}
	if err := m.measure(ctx); err != nil {
		return err
	}
	return report(out, o, m.rounds)
}
