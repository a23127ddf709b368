// Package storetest is the suite that every store passes: what package store
// says in words, said in tests. A store is Stepgate's only judge of who came
// first, so a store that passes here may be trusted with codes, approvals and
// held requests, and one that does not may not.
//
// [Run] holds a store to its contract under a clock of the suite's own;
// [RunShared] does so for a store that several processes have open at once;
// [RunCrash] kills a process that writes and looks at what is left.
//
// The suite asks only for what the contract promises: it does not know how a
// store locks or lays out its records, and it does not measure speed.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stepgate/stepgate/store"
)

// A testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(f *fixture)
}

// Run runs the suite. For each case, open returns a new, empty store that goes by
// the clock now, and two for those of a move; the suite closes them. The cases run one
// after the other. Those of a move are for a [store.Mover].
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Records", recordCases},
		{"Limits", limitCases},
		{"Expiry", expiryCases},
		{"Scan", scanCases},
		{"Counters", counterCases},
		{"Audit", auditCases},
		{"Watch", watchCases},
		{"Concurrency", concurrencyCases},
		{"Calls", callCases},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					clock := newClock()
					c.run(&fixture{T: t, store: openOne(t, open, clock), clock: clock})
				})
			}
		})
	}
	t.Run("Move", func(t *testing.T) { runMoves(t, open) })
}

// openOne opens a store that the test closes.
func openOne(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store, clock *clock) store.Store {
	s := open(t, clock.Now)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Close() = %v", err)
		}
	})
	return s
}

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is a test with a store of its own.
type fixture struct {
	*testing.T
	store store.Store
	clock *clock
}

// put writes value under key, without expiry.
func (f *fixture) put(key store.Key, value string, events ...string) {
	f.Helper()
	f.write(key, &store.Write{Value: []byte(value), Events: byteSlices(events)})
}

// putUntil writes a record that expires after d.
func (f *fixture) putUntil(key store.Key, value string, d time.Duration) {
	f.Helper()
	f.write(key, &store.Write{Value: []byte(value), Expires: f.clock.Now().Add(d)})
}

func (f *fixture) remove(key store.Key, events ...string) {
	f.Helper()
	f.write(key, &store.Write{Delete: true, Events: byteSlices(events)})
}

func (f *fixture) write(key store.Key, w *store.Write) {
	f.Helper()
	if err := f.store.Update(f.Context(), key, always(w)); err != nil {
		f.Fatalf("Update(%q) = %v", key, err)
	}
}

// always is a change that does not look at what is there.
func always(w *store.Write) store.Change {
	return func(*store.Record) (*store.Write, error) { return w, nil }
}

func (f *fixture) get(key store.Key) store.Record {
	f.Helper()
	r, err := f.store.Get(f.Context(), key)
	if err != nil {
		f.Fatalf("Get(%q) = %v", key, err)
	}
	return r
}

// wantRecord checks the whole record.
func (f *fixture) wantRecord(key store.Key, value string, version uint64) {
	f.Helper()
	r := f.get(key)
	if r.Key != key || string(r.Value) != value || r.Version != version {
		f.Fatalf("Get(%q) = %s, want value %q of version %d", key, show(r), value, version)
	}
}

func (f *fixture) wantAbsent(key store.Key) {
	f.Helper()
	if r, err := f.store.Get(f.Context(), key); !errors.Is(err, store.ErrNotFound) {
		f.Fatalf("Get(%q) = %s, %v, want ErrNotFound", key, show(r), err)
	}
}

// wantEvents checks the whole audit log.
func (f *fixture) wantEvents(want ...string) {
	f.Helper()
	events := f.auditLog(len(want))
	var got []string
	for i, e := range events {
		if i > 0 && e.Seq <= events[i-1].Seq {
			f.Fatalf("Audit(): sequence number %d follows %d, want it to grow", e.Seq, events[i-1].Seq)
		}
		got = append(got, string(e.Body))
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		f.Fatalf("Audit() = %q, want %q", got, want)
	}
}

// auditLog returns the audit log, which has at least n entries: a store may keep the
// newest ones back for a moment.
func (f *fixture) auditLog(n int) (events []store.Event) {
	f.Helper()
	f.until(fmt.Sprintf("an audit log of %d entries", n), func() bool {
		var err error
		if events, err = f.store.Audit(f.Context(), 0, n+1000); err != nil {
			f.Fatalf("Audit() = %v", err)
		}
		return len(events) >= n
	})
	return events
}

// wantKeys checks a page of a scan.
func (f *fixture) wantKeys(prefix string, after store.Key, limit int, want ...store.Key) {
	f.Helper()
	records, err := f.store.Scan(f.Context(), prefix, after, limit)
	if err != nil {
		f.Fatalf("Scan(%q, %q, %d) = %v", prefix, after, limit, err)
	}
	var got []store.Key
	for _, r := range records {
		got = append(got, r.Key)
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		f.Fatalf("Scan(%q, %q, %d) = %q, want %q", prefix, after, limit, got, want)
	}
}

func (f *fixture) add(key store.Key, n int64, window time.Duration) int64 {
	f.Helper()
	sum, err := f.store.Add(f.Context(), key, n, window)
	if err != nil {
		f.Fatalf("Add(%q, %d, %v) = %v", key, n, window, err)
	}
	return sum
}

func (f *fixture) expire(limit int) int {
	f.Helper()
	n, err := f.store.Expire(f.Context(), limit)
	if err != nil {
		f.Fatalf("Expire(%d) = %v", limit, err)
	}
	return n
}

// patience bounds what should happen at once, so that a store that hangs fails a
// test rather than the run. No test waits for it to pass.
const patience = 60 * time.Second

func (f *fixture) await(what string, done <-chan struct{}) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		f.Fatalf("%s has not happened after %v", what, patience)
	}
}

// until asks again and again whether something is so.
func (f *fixture) until(what string, so func() bool) {
	f.Helper()
	for deadline := time.Now().Add(patience); !so(); runtime.Gosched() {
		if time.Now().After(deadline) {
			f.Fatalf("%s has not come true after %v", what, patience)
		}
	}
}

func byteSlices(in []string) (out [][]byte) {
	for _, s := range in {
		out = append(out, []byte(s))
	}
	return out
}

// show prints a record without the bulk of a long value.
func show(r store.Record) string {
	value := r.Value
	if len(value) > 40 {
		value = append(bytes.Clone(value[:40]), "…"...)
	}
	return fmt.Sprintf("{%q %q (%d bytes) version %d expires %v}", r.Key, value, len(r.Value), r.Version, r.Expires)
}
