package storecopy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

const (
	fromVariable = "STORECOPY_TEST_FROM"
	toVariable   = "STORECOPY_TEST_TO"
)

// copyChild copies and ends, in the process that a test starts; in any other it does
// nothing.
func copyChild() {
	from, ok := os.LookupEnv(fromVariable)
	if !ok {
		return
	}
	sum, err := copyInChild(address(from), address(os.Getenv(toVariable)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(sum)
	os.Exit(0)
}

func copyInChild(from, to address) (sum Sum, err error) {
	ctx := context.Background()
	f, err := from.open(ctx, source)
	if err != nil {
		return Sum{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s, err := to.open(ctx, target)
	if err != nil {
		return Sum{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return Copy(ctx, f, s, Options{Batch: 3, Wait: time.Minute, Progress: func(p Progress) { fmt.Println(p.Stage, p.Counts) }})
}

// I7: what was acknowledged survives, also the move to another store. However often the
// copy is killed, in the end everything is there once; and until then, I1, no gateway
// opens what is there.
func TestInvariantI7ACopySurvivesKills(t *testing.T) {
	file, schema := places(t)
	for _, c := range []struct {
		name     string
		from, to address
	}{
		{"bolt to postgres", file(), schema()},
		{"postgres to bolt", schema(), file()},
	} {
		t.Run(c.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 7))
			c.from.fill(t, 50)
			kills, unfinished := 0, 0
			for {
				last, killed := runAndKill(t, c.from, c.to, random, kills < mostKills)
				if !killed {
					if want := (Counts{50, 50, 99}).String(); !strings.HasPrefix(last, want) {
						t.Fatalf("the copy ended with %q, want %s", last, want)
					}
					break
				}
				kills++
				s, err := c.to.open(t.Context(), gateway)
				switch {
				case errors.Is(err, store.ErrUnfinished):
					unfinished++
				case err != nil:
					t.Fatalf("opening the target after kill %d: %v", kills, err)
				default: // killed before the copy has begun: there is nothing
					if got, err := sumOf(t.Context(), s, time.Now(), 10, func(Counts) {}); err != nil || got.Counts != (Counts{}) {
						t.Fatalf("after kill %d a gateway opens a target with %v, %v", kills, got, err)
					}
					_ = s.Close()
				}
			}
			t.Logf("%d kills, %d of them left an unfinished copy", kills, unfinished)
			if unfinished < 3 {
				t.Error("too few kills met a copy in its middle")
			}
			from, to := c.from.mustOpen(t, source), c.to.mustOpen(t, gateway)
			now := time.Now()
			want, err := sumOf(t.Context(), from, now, 10, func(Counts) {})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := sumOf(t.Context(), to, now, 10, func(Counts) {}); err != nil || got != want {
				t.Errorf("the copy holds %v, %v, want %v", got, err, want)
			}
		})
	}
}

// mostKills is how many copies are killed before one may run to its end.
const mostKills = 10

// runAndKill runs a copy and kills it after some of its batches and a little more, and
// reports what it said last.
func runAndKill(t *testing.T, from, to address, random *rand.Rand, mayKill bool) (last string, killed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), fromVariable+"="+string(from), toVariable+"="+string(to))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	batches, late := random.IntN(16), time.Duration(random.IntN(3000))*time.Microsecond
	var kill *time.Timer
	if mayKill && batches == 0 { // while it opens the stores
		kill = time.AfterFunc(10*late, func() { _ = cmd.Process.Kill() })
	}
	lines := bufio.NewScanner(stdout)
	for n := 1; lines.Scan(); n++ {
		last = lines.Text()
		if mayKill && n == batches {
			kill = time.AfterFunc(late, func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	if kill != nil {
		kill.Stop()
	}
	if err != nil && (ctx.Err() != nil || cmd.ProcessState.Exited()) {
		t.Fatalf("the copy failed: %v\n%s", err, stderr.String())
	}
	return last, err != nil
}
