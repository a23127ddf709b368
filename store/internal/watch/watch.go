// Package watch holds the watches of a store's records and tells them of writes.
package watch

import (
	"strings"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// Set is the watches of one store. It is safe for concurrent use.
type Set struct {
	// Current is what every watch answers; nil means always true, for a store whose
	// writes are all made by this process.
	Current func() bool

	mu sync.RWMutex // guards watches
	// watches is replaced, never altered, so that it can be walked without mu:
	// changed may then end watches itself.
	watches []*watch
}

type watch struct {
	set     *Set
	prefix  string
	changed func(store.Key)
}

// Add begins a watch of the keys that begin with prefix.
func (s *Set) Add(prefix string, changed func(store.Key)) store.Watch {
	w := &watch{s, prefix, changed}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches = append(s.watches[:len(s.watches):len(s.watches)], w)
	return w
}

// Current implements [store.Watch].
func (w *watch) Current() bool { return w.set.Current == nil || w.set.Current() }

// Stop implements [store.Watch].
func (w *watch) Stop() {
	s := w.set
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []*watch
	for _, other := range s.watches {
		if other != w {
			rest = append(rest, other)
		}
	}
	s.watches = rest
}

// Notify tells the watches of a key, or all of them if it is empty.
func (s *Set) Notify(key store.Key) {
	s.mu.RLock()
	watches := s.watches
	s.mu.RUnlock()
	for _, w := range watches {
		if key == "" || strings.HasPrefix(string(key), w.prefix) {
			w.changed(key)
		}
	}
}
