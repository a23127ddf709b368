package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errProc says that a file in /proc is not as proc(5) describes it.
var errProc = errors.New("unknown format")

// processTime returns the CPU time that the threads of a process have used, in user
// and kernel mode. The times in /proc/pid/stat say the same, but in steps of 10 ms,
// in which a hundred requests disappear.
func processTime(pid int) (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("reading the times of process %d: it has ended, or the kernel keeps none", pid)
	}
	var total time.Duration
	for _, thread := range threads {
		b, err := os.ReadFile(thread)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has ended just now
		}
		if err != nil {
			return 0, fmt.Errorf("reading a thread's time: %w", err)
		}
		used, err := parseThreadTime(b)
		if err != nil {
			return 0, err
		}
		total += used
	}
	return total, nil
}

// parseThreadTime reads the first of the three figures of a schedstat file: the
// time spent on a processor, in nanoseconds (Documentation/scheduler/sched-stats
// of Linux).
func parseThreadTime(schedstat []byte) (time.Duration, error) {
	fields := strings.Fields(string(schedstat))
	if len(fields) != 3 {
		return 0, fmt.Errorf("reading a thread's time: %w", errProc)
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil || ns < 0 {
		return 0, fmt.Errorf("reading a thread's time: %w", errProc)
	}
	return time.Duration(ns), nil
}

// tick is the unit of the times in /proc/stat (USER_HZ), which Linux fixes at
// 1/100 s for every architecture that Go runs on.
const tick = 10 * time.Millisecond

// machineTime returns the time that all processors together were busy since the
// start, with what the hypervisor took from them.
func machineTime() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("reading the machine's times: %w", err)
	}
	return parseMachineTime(b)
}

func parseMachineTime(stat []byte) (time.Duration, error) {
	first, _, _ := strings.Cut(string(stat), "\n")
	// cpu user nice system idle iowait irq softirq steal guest guest_nice; the
	// times of guests are counted in user and nice already.
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("reading the machine's times: %w", errProc)
	}
	var ticks uint64
	for _, f := range append(fields[1:4:4], fields[6:9]...) {
		n, err := strconv.ParseUint(f, 10, 40)
		if err != nil {
			return 0, fmt.Errorf("reading the machine's times: %w", errProc)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// memory is what a process has in RAM, in KiB.
type memory struct {
	resident, peak int64
}

func readMemory(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("reading a process's memory: %w", err)
	}
	return parseMemory(b)
}

func parseMemory(status []byte) (memory, error) {
	var m memory
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var into *int64
		switch name {
		case "VmRSS":
			into = &m.resident
		case "VmHWM":
			into = &m.peak
		default:
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("reading a process's memory: %w", errProc)
		}
		*into = kib
	}
	if m.resident == 0 || m.peak == 0 {
		return memory{}, fmt.Errorf("reading a process's memory: %w", errProc)
	}
	return m, nil
}
