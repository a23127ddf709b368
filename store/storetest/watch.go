package storetest

import (
	"errors"
	"sync"

	"github.com/stepgate/stepgate/store"
)

var watchCases = []testCase{
	{"ChangedIsCalledBeforeUpdateReturns", func(f *fixture) {
		w := newReports(f, "kind/")
		f.announce("kind/a", &store.Write{Value: []byte("one")})
		w.want(f, "kind/a")
		f.announce("kind/a", &store.Write{Delete: true})
		w.want(f, "kind/a")
		f.announce("kind/b", &store.Write{Value: []byte("one"), Expires: f.clock.Now().Add(patience)})
		w.want(f, "kind/b")
	}},

	{"OnlyThePrefixIsWatched", func(f *fixture) {
		w, all := newReports(f, "kind/"), newReports(f, "")
		for _, key := range []store.Key{"other/a", "kin", "kind/a"} {
			f.announce(key, &store.Write{Value: []byte("one")})
		}
		w.want(f, "kind/a")
		all.want(f, "other/a", "kin", "kind/a")
	}},

	{"WhatIsNotAnnouncedOrNotWrittenIsNotReported", func(f *fixture) {
		w := newReports(f, "")
		f.put("kind/quiet", "one")
		f.mustUpdate("kind/nil", always(nil))
		refusal := errors.New("refused")
		err := f.store.Update(f.Context(), "kind/refused", func(*store.Record) (*store.Write, error) {
			return &store.Write{Announce: true}, refusal
		})
		if err != refusal {
			f.Fatalf("Update() = %v, want the change's own error", err)
		}
		f.wantAbsent("kind/read")
		f.announce("kind/a", &store.Write{Value: []byte("one")})
		w.want(f, "kind/a")
	}},

	{"StopEndsTheWatch", func(f *fixture) {
		w, other := newReports(f, "kind/"), newReports(f, "kind/")
		f.announce("kind/a", &store.Write{Value: []byte("one")})
		w.want(f, "kind/a")
		w.watch.Stop()
		f.announce("kind/after", &store.Write{Value: []byte("one")})
		w.want(f)
		other.want(f, "kind/a", "kind/after")
		w.watch.Stop() // once more is no harm
	}},

	{"WatchBecomesCurrent", func(f *fixture) {
		w := newReports(f, "")
		f.until("Current()", w.watch.Current)
	}},
}

// announce writes and announces it.
func (f *fixture) announce(key store.Key, w *store.Write) {
	f.Helper()
	w.Announce = true
	f.write(key, w)
}

// reports collects what a watch says.
type reports struct {
	watch store.Watch
	mu    sync.Mutex // guards what follows
	keys  map[store.Key]bool
	// before are keys that were wanted before: what tells of a write of this process may
	// come once more, as that of another one would, and late.
	before map[store.Key]bool
}

func newReports(f *fixture, prefix string) *reports {
	r := &reports{keys: map[store.Key]bool{}, before: map[store.Key]bool{}}
	r.watch = f.store.Watch(prefix, func(key store.Key) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys[key] = true
	})
	f.Cleanup(r.watch.Stop)
	return r
}

// heard reports whether a key was reported, or that some may have been missed.
func (r *reports) heard(key store.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys[key] || r.keys[""]
}

// want checks that these keys and no others were reported since it was last
// called, but for those that it was called with before. Twice is as good as once, and
// the empty key stands for all.
func (r *reports) want(f *fixture, keys ...store.Key) {
	f.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys {
		if !r.keys[key] && !r.keys[""] {
			f.Errorf("Update(%q) returned before its watch was called", key)
		}
		r.before[key] = true
	}
	for key := range r.keys {
		if key != "" && !r.before[key] {
			f.Errorf("watch reported %q, want %q only", key, keys)
		}
	}
	clear(r.keys)
}
