package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestAThreadsTimeIsTheFirstOfItsFigures(t *testing.T) {
	for schedstat, want := range map[string]time.Duration{
		"547676113 32313438 217\n": 547676113,
		"0 0 0\n":                  0,
	} {
		if got, err := parseThreadTime([]byte(schedstat)); err != nil || got != want {
			t.Errorf("parseThreadTime(%q) = %v, %v, want %v", schedstat, got, err, want)
		}
	}
}

func TestMachineTimeIsAllThatIsNeitherIdleNorCountedTwice(t *testing.T) {
	// user 100, nice 20, system 30, idle 4000, iowait 500, irq 6, softirq 7, steal 8,
	// of which guest 50 and guest_nice 5 are in user and nice.
	const stat = "cpu  100 20 30 4000 500 6 7 8 50 5\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 1\n"
	const want = 171 * 10 * time.Millisecond
	if got, err := parseMachineTime([]byte(stat)); err != nil || got != want {
		t.Errorf("parseMachineTime = %v, %v, want %v", got, err, want)
	}
}

func TestMemoryIsWhatIsResidentAndWasAtMost(t *testing.T) {
	const status = "Name:\tcaddy\nVmPeak:\t 1290000 kB\nVmHWM:\t   70656 kB\nVmRSS:\t   51200 kB\nRssAnon:\t   20000 kB\nThreads:\t9\n"
	if got, err := parseMemory([]byte(status)); err != nil || got != (memory{resident: 51200, peak: 70656}) {
		t.Errorf("parseMemory = %v, %v", got, err)
	}
}

// Wrong figures would pass for a measurement; so what is not understood is an
// error.
func TestWhatIsNotUnderstoodIsNoFigure(t *testing.T) {
	for _, schedstat := range []string{"", "\n", "1 2", "1 2 3 4", "x 2 3", "-1 2 3", "99999999999999999999 2 3"} {
		if got, err := parseThreadTime([]byte(schedstat)); !errors.Is(err, errProc) {
			t.Errorf("parseThreadTime(%q) = %v, %v, want errProc", schedstat, got, err)
		}
	}
	for _, stat := range []string{"", "cpu", "cpu0 1 2 3 4 5 6 7 8 9 10", "cpu 1 2 3 4 5 6 7", "cpu 1 2 3 4 5 6 7 x"} {
		if got, err := parseMachineTime([]byte(stat)); !errors.Is(err, errProc) {
			t.Errorf("parseMachineTime(%q) = %v, %v, want errProc", stat, got, err)
		}
	}
	for _, status := range []string{"", "Name:\tkthreadd\n", "VmRSS:\t 12 kB\n", "VmRSS:\t 12 MB\nVmHWM:\t 12 kB\n"} {
		if got, err := parseMemory([]byte(status)); !errors.Is(err, errProc) {
			t.Errorf("parseMemory(%q) = %v, %v, want errProc", status, got, err)
		}
	}
}

func TestTheKernelsOwnFilesAreUnderstood(t *testing.T) {
	needProc(t)
	before, err := processTime(os.Getpid())
	if err != nil || before <= 0 {
		t.Fatalf("processTime = %v, %v", before, err)
	}
	if machine, err := machineTime(); err != nil || machine < before/2 {
		t.Errorf("machineTime = %v, %v, want about our own %v at least", machine, err, before)
	}
	if m, err := readMemory(os.Getpid()); err != nil || m.resident > m.peak {
		t.Errorf("readMemory = %+v, %v", m, err)
	}
	for began := time.Now(); time.Since(began) < 10*time.Second; {
		_ = strings.Repeat("x", 1<<20)
		if after, err := processTime(os.Getpid()); err != nil || after > before {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no CPU time was counted in ten seconds of work")
}

func TestAProcessThatIsGoneHasNoTime(t *testing.T) {
	const none = 1 << 30 // above every process id
	if got, err := processTime(none); err == nil {
		t.Errorf("processTime = %v, want an error", got)
	}
}

// needProc skips a test on systems without Linux's /proc.
func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skip("this system has no /proc with times of threads")
	}
}
