package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stepgate/stepgate/store"
)

var concurrencyCases = []testCase{
	{"NoUpdateOfARecordIsLost", func(f *fixture) {
		const writers, each = 32, 20
		f.together(writers, func(int) error {
			for range each {
				if err := f.store.Update(f.Context(), "kind/count", increment); err != nil {
					return err
				}
			}
			return nil
		})
		f.wantRecord("kind/count", strconv.Itoa(writers*each), writers*each)
		f.wantCountedEvents(writers * each)
	}},

	// I3: whatever is used at most once is used by one such update.
	{"InvariantI3TokenIsConsumedExactlyOnce", func(f *fixture) {
		const tokens, takers = 6, 16
		for i := range tokens {
			f.put(tokenKey(i), "unused")
		}
		var mu sync.Mutex
		winners := map[int]int{}
		f.together(tokens*takers, func(n int) error {
			token, taker := n%tokens, n/tokens
			err := f.store.Update(f.Context(), tokenKey(token), consume(taker))
			if errors.Is(err, errConsumed) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			winners[token]++
			return err
		})
		for i := range tokens {
			if winners[i] != 1 {
				f.Errorf("%d of %d takers consumed token %d, want exactly one", winners[i], takers, i)
			}
			if r := f.get(tokenKey(i)); r.Version != 2 || !strings.HasPrefix(string(r.Value), "used by ") {
				f.Errorf("token is %s, want it used once", show(r))
			}
		}
		if events := f.auditLog(tokens); len(events) != tokens {
			f.Errorf("Audit() = %d events, want one for each of %d tokens", len(events), tokens)
		}
	}},

	{"OneDeletionWinsToo", func(f *fixture) {
		f.put("kind/pass", "unused")
		var mu sync.Mutex
		won := 0
		f.together(32, func(int) error {
			taken := false
			err := f.store.Update(f.Context(), "kind/pass", func(old *store.Record) (*store.Write, error) {
				if taken = old != nil; !taken {
					return nil, nil
				}
				return &store.Write{Delete: true}, nil
			})
			mu.Lock()
			defer mu.Unlock()
			if taken {
				won++
			}
			return err
		})
		if won != 1 {
			f.Errorf("%d of 32 deleted the record, want exactly one", won)
		}
	}},

	{"ConcurrentAdditionsAllCount", func(f *fixture) {
		const callers = 64
		sums := make([]int64, callers)
		f.together(callers, func(n int) (err error) {
			sums[n], err = f.store.Add(f.Context(), "sms/a", 1, time.Hour)
			return err
		})
		slices.Sort(sums)
		for i, sum := range sums {
			if sum != int64(i+1) {
				f.Fatalf("Add() returned the sums %v, want each of 1 to %d once", sums, callers)
			}
		}
	}},

	{"ReadersSeeWholeRecords", func(f *fixture) {
		pattern := func(version uint64) []byte { return bytes.Repeat([]byte{byte(version)}, 50_000) }
		rewrite := func(old *store.Record) (*store.Write, error) {
			return &store.Write{Value: pattern(old.Version + 1)}, nil
		}
		f.write("kind/a", &store.Write{Value: pattern(1)})
		written := make(chan struct{})
		f.together(5, func(n int) error {
			if n == 0 {
				defer close(written)
				for range 40 {
					if err := f.store.Update(f.Context(), "kind/a", rewrite); err != nil {
						return err
					}
				}
				return nil
			}
			for last := uint64(0); ; {
				r, err := f.store.Get(f.Context(), "kind/a")
				if err != nil {
					return err
				}
				if !bytes.Equal(r.Value, pattern(r.Version)) || r.Version < last {
					return fmt.Errorf("read %s after version %d, want all its bytes of one version", show(r), last)
				}
				last = r.Version
				select {
				case <-written:
					return nil
				default:
				}
			}
		})
	}},

	{"WriterReadsItsOwnWrite", func(f *fixture) {
		f.together(16, func(n int) error {
			key := store.Key(fmt.Sprintf("kind/%d", n))
			for i := range 10 {
				if err := f.store.Update(f.Context(), key, increment); err != nil {
					return err
				}
				r, err := f.store.Get(f.Context(), key)
				if err != nil || string(r.Value) != strconv.Itoa(i+1) {
					return fmt.Errorf("Get() = %s, %w, want the count %d just written", show(r), err, i+1)
				}
			}
			return nil
		})
	}},
}

// increment is a change that counts, and reports each count as an event.
func increment(old *store.Record) (*store.Write, error) {
	n := 0
	if old != nil {
		var err error
		if n, err = strconv.Atoi(string(old.Value)); err != nil {
			return nil, err
		}
	}
	next := []byte(strconv.Itoa(n + 1))
	return &store.Write{Value: next, Events: [][]byte{next}}, nil
}

// wantCountedEvents checks that the audit log counts from 1 to n: each event was
// written with its record, and in the order of the writes.
func (f *fixture) wantCountedEvents(n int) {
	f.Helper()
	events := f.auditLog(n)
	if len(events) != n {
		f.Fatalf("Audit() = %d events, want %d", len(events), n)
	}
	for i, e := range events {
		if string(e.Body) != strconv.Itoa(i+1) {
			f.Fatalf("event %d is %q, want %d", i, e.Body, i+1)
		}
	}
}

var errConsumed = errors.New("token is used")

func tokenKey(n int) store.Key { return store.Key(fmt.Sprintf("token/%d", n)) }

// consume is a change that uses a token up, once.
func consume(taker int) store.Change {
	return func(old *store.Record) (*store.Write, error) {
		if old == nil || string(old.Value) != "unused" {
			return nil, errConsumed
		}
		used := fmt.Appendf(nil, "used by %d", taker)
		return &store.Write{Value: used, Events: [][]byte{used}}, nil
	}
}

// together calls f n times at once, with 0 to n-1, and reports the errors.
func (f *fixture) together(n int, call func(n int) error) {
	f.Helper()
	start := make(chan struct{})
	failed := make(chan error, n)
	for i := range n {
		go func() {
			<-start
			failed <- call(i)
		}()
	}
	close(start)
	for range n {
		if err := <-failed; err != nil {
			f.Error(err)
		}
	}
	if f.Failed() {
		f.FailNow()
	}
}
