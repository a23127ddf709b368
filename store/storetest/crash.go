package storetest

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

// Crash is what [RunCrash] needs to know.
type Crash struct {
	// Open opens the store that lives in dir under the real clock, and creates it
	// the first time. A store without files of its own derives its name from dir,
	// which is unique to the run. Open is called in this process and, through
	// [CrashChild], in the one that is killed.
	Open func(dir string) (store.Store, error)
	// Rounds is how often the writer is killed. 0 means 8: about three seconds.
	Rounds int
	// Seed makes the moments of the kills. A failure names the round.
	Seed uint64
}

const crashRounds = 8

// RunCrash checks durability (invariant I7): what a store has acknowledged
// survives a clean close, and the kill of the process that wrote it at any moment.
// It runs the test binary again as the writer, so the package's TestMain must call
// [CrashChild] first.
//
// A killed process leaves what it gave to the kernel. That the kernel gave it to
// the disk is not seen here; a store answers for its syncs in its own tests.
func RunCrash(t *testing.T, c Crash) {
	t.Run("CleanCloseKeepsEverything", func(t *testing.T) { cleanClose(t, c.Open) })
	t.Run("InvariantI7AcknowledgedWritesSurviveKill", func(t *testing.T) {
		if c.Rounds == 0 {
			c.Rounds = crashRounds
		}
		random := rand.New(rand.NewPCG(c.Seed, 7))
		dir := t.TempDir()
		acknowledged := newLedger()
		for round := range c.Rounds {
			// Some die while they open the store, or create it.
			moment := killTime{starting: time.Duration(random.IntN(150)) * time.Millisecond}
			if round%4 != 0 {
				moment = killTime{lines: 1 + random.IntN(400)}
			}
			moment.late = time.Duration(random.IntN(3000)) * time.Microsecond
			runAndKill(t, dir, round, moment, acknowledged)
			verify(t, c.Open, dir, round, acknowledged)
			if t.Failed() {
				t.FailNow()
			}
		}
		t.Logf("%d acknowledged writes survived %d kills", len(acknowledged.events), c.Rounds)
		if len(acknowledged.events) == 0 {
			t.Error("the writers acknowledged nothing, so nothing was tested")
		}
	})
}

// killTime says when a writer dies: so long after its start, or after so many
// acknowledged writes and a little more, in the middle of whatever it does then.
type killTime struct {
	starting time.Duration
	lines    int
	late     time.Duration
}

// runAndKill runs a writer until its time has come and notes what it has
// acknowledged.
func runAndKill(t *testing.T, dir string, round int, moment killTime, acknowledged *ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), crashDirVariable+"="+dir, fmt.Sprintf("%s=%d", crashRoundVariable, round))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting the writer: %v", err)
	}
	var kill *time.Timer
	killAfter := func(d time.Duration) { kill = time.AfterFunc(d, func() { _ = cmd.Process.Kill() }) }
	if moment.lines == 0 {
		killAfter(moment.starting)
	}
	lines := bufio.NewReader(stdout)
	for n := 1; ; n++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the end; half a line was not acknowledged
		}
		acknowledged.note(t, strings.TrimSuffix(line, "\n"))
		if n == moment.lines {
			killAfter(moment.late)
		}
	}
	err = cmd.Wait()
	if kill == nil || kill.Stop() || ctx.Err() != nil {
		t.Fatalf("round %d: the writer ended before it was killed: %v\n%s", round, err, stderr.String())
	}
	if cmd.ProcessState.Exited() {
		t.Fatalf("round %d: the writer exited: %v\n%s", round, err, stderr.String())
	}
}

// ledger is what the writers have acknowledged.
type ledger struct {
	events map[string]bool
	hits   int64
}

func newLedger() *ledger { return &ledger{events: map[string]bool{}} }

func (l *ledger) note(t *testing.T, line string) {
	t.Helper()
	var sum int64
	if n, _ := fmt.Sscanf(line, hitsLine, &sum); n == 1 {
		l.hits = max(l.hits, sum)
		return
	}
	if l.events[line] {
		t.Errorf("%q was acknowledged twice", line)
	}
	l.events[line] = true
}

// verify opens the store that a killed writer left. The audit log tells, write by
// write, how its records came to be what they are; the records must agree with it
// to the byte, and everything acknowledged must be in it.
func verify(t *testing.T, open func(string) (store.Store, error), dir string, round int, acknowledged *ledger) {
	t.Helper()
	s, err := open(dir)
	if err != nil {
		t.Fatalf("round %d: opening what the killed writer left: %v", round, err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("round %d: Close() = %v", round, err)
		}
	}()
	history := replay{texts: map[store.Key]string{}, versions: map[store.Key]uint64{}, seen: map[string]bool{}}
	for after := uint64(0); ; {
		events, err := s.Audit(t.Context(), after, 500)
		if err != nil {
			t.Fatalf("round %d: Audit() = %v", round, err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.Seq <= after {
				t.Fatalf("round %d: Audit(%d) returned number %d", round, after, e.Seq)
			}
			after = e.Seq
			if err := history.play(string(e.Body)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
	if err := history.compare(t.Context(), s); err != nil {
		t.Errorf("round %d: %v", round, err)
	}
	for event := range acknowledged.events {
		if !history.seen[event] {
			t.Errorf("round %d: %q was acknowledged and is lost", round, event)
		}
	}
	if sum, err := s.Add(t.Context(), hitsKey, 0, 0); err != nil || sum < acknowledged.hits {
		t.Errorf("round %d: Add(0) = %d, %v, want %d or more", round, sum, err, acknowledged.hits)
	}
}

// cleanClose checks that a store that was closed in order comes back whole.
func cleanClose(t *testing.T, open func(string) (store.Store, error)) {
	dir := t.TempDir()
	f := &fixture{T: t, clock: &clock{now: time.Now().Truncate(time.Second)}}
	reopen := func() {
		if f.store != nil {
			if err := f.store.Close(); err != nil {
				t.Fatalf("Close() = %v", err)
			}
		}
		s, err := open(dir)
		if err != nil {
			t.Fatalf("opening: %v", err)
		}
		f.store = s
	}
	reopen()
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Close() = %v", err)
		}
	})
	f.put("kind/a", "one", "first")
	f.put("kind/a", "two")
	f.putUntil("kind/b", "until", time.Hour)
	f.put("kind/gone", "value")
	f.remove("kind/gone")
	f.add("sms/a", 3, time.Hour)
	before := f.auditLog(1)
	if len(before) != 1 {
		t.Fatalf("Audit() = %d events, want 1", len(before))
	}
	want := f.get("kind/b")

	reopen()
	f.wantRecord("kind/a", "two", 2)
	if got := f.get("kind/b"); string(got.Value) != "until" || !got.Expires.Equal(want.Expires) {
		t.Errorf("Get() = %s, want %s", show(got), show(want))
	}
	f.wantAbsent("kind/gone")
	f.wantKeys("", "", 10, "kind/a", "kind/b")
	if sum := f.add("sms/a", 1, time.Hour); sum != 4 {
		t.Errorf("Add() = %d, want 4", sum)
	}
	f.put("kind/a", "three", "second")
	f.wantRecord("kind/a", "three", 3)
	f.wantEvents("first", "second")
	if after, err := f.store.Audit(t.Context(), before[0].Seq, 10); err != nil || len(after) != 1 {
		t.Errorf("Audit() after the last number of before = %d events, %v, want the new one", len(after), err)
	}
}
