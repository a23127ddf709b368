package storetest

import (
	"errors"
	"sync"

	"github.com/stepgate/stepgate/store"
)

var watchCases = []testCase{
	{"ChangedIsCalledBeforeUpdateReturns", func(f *fixture) {
		w := watch(f, "kind/")
		f.put("kind/a", "one")
		w.want(f, "kind/a")
		f.remove("kind/a")
		w.want(f, "kind/a")
		f.putUntil("kind/b", "one", patience)
		w.want(f, "kind/b")
	}},

	{"OnlyThePrefixIsWatched", func(f *fixture) {
		w, all := watch(f, "kind/"), watch(f, "")
		f.put("other/a", "one")
		f.put("kin", "one")
		f.put("kind/a", "one")
		w.want(f, "kind/a")
		all.want(f, "other/a", "kin", "kind/a")
	}},

	{"WhatWritesNothingIsNotReported", func(f *fixture) {
		w := watch(f, "")
		f.mustUpdate("kind/nil", always(nil))
		refusal := errors.New("refused")
		err := f.store.Update(f.Context(), "kind/refused", func(*store.Record) (*store.Write, error) { return nil, refusal })
		if err != refusal {
			f.Fatalf("Update() = %v, want the change's own error", err)
		}
		f.wantAbsent("kind/read")
		f.put("kind/a", "one")
		w.want(f, "kind/a")
	}},

	{"StopEndsTheWatch", func(f *fixture) {
		w, other := watch(f, "kind/"), watch(f, "kind/")
		f.put("kind/a", "one")
		w.want(f, "kind/a")
		w.stop()
		f.put("kind/after", "one")
		w.want(f)
		other.want(f, "kind/a", "kind/after")
		w.stop() // once more is no harm
	}},
}

// reports collects what a watch says.
type reports struct {
	stop func()
	mu   sync.Mutex // guards keys
	keys map[store.Key]bool
}

func watch(f *fixture, prefix string) *reports {
	r := &reports{keys: map[store.Key]bool{}}
	r.stop = f.store.Watch(prefix, func(key store.Key) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys[key] = true
	})
	f.Cleanup(r.stop)
	return r
}

// want checks that these keys and no others were reported since it was last
// called. Twice is as good as once, and the empty key stands for all.
func (r *reports) want(f *fixture, keys ...store.Key) {
	f.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if !r.keys[key] && !r.keys[""] {
			f.Errorf("Update(%q) returned before its watch was called", key)
		}
		delete(r.keys, key)
	}
	for key := range r.keys {
		if key != "" {
			f.Errorf("watch reported %q, want %q only", key, keys)
		}
	}
	clear(r.keys)
}
