// Package recall remembers what records of a store say, for as long as they say it.
package recall

import (
	"strings"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// Memory remembers what was read of the records of a kind, by their ids, so that it need
// not be read again. The store tells it of every write that is announced
// ([store.Write.Announce]): before the write is acknowledged where this process made it, so
// that whoever asks next hears of it; as soon as may be where another did. While the store
// does not hear of the others, nothing that is remembered counts. It is safe for concurrent
// use.
type Memory[V any] struct {
	kind  string
	most  int
	watch store.Watch

	mu sync.RWMutex
	// mu guards known, writes and closed. writes counts the changes heard of so far: what
	// was read from the store is remembered only if none came in between.
	known  map[string]V
	writes uint64
	closed bool
}

// New returns the memory of a kind of records. Beyond most of them an arbitrary one gives
// way.
func New[V any](s store.Store, kind string, most int) *Memory[V] {
	m := &Memory[V]{kind: kind, most: most, known: map[string]V{}}
	m.watch = s.Watch(kind+"/", m.forget)
	return m
}

func (m *Memory[V]) forget(key store.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes++
	if key == "" {
		clear(m.known)
		return
	}
	delete(m.known, strings.TrimPrefix(string(key), m.kind+"/"))
}

// Get returns what is remembered of a record, or what read returns.
func (m *Memory[V]) Get(id string, read func() (V, error)) (V, error) {
	m.mu.RLock()
	known, ok := m.known[id]
	writes := m.writes
	m.mu.RUnlock()
	// Asked after it was looked up: what was heard of by now has been forgotten.
	if ok && m.watch.Current() {
		return known, nil
	}
	fresh, err := read()
	if err != nil {
		var none V
		return none, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes != writes || m.closed {
		return fresh, nil
	}
	if len(m.known) >= m.most {
		for old := range m.known {
			delete(m.known, old)
			break
		}
	}
	m.known[id] = fresh
	return fresh, nil
}

// Close ends the watch of the store. The memory can still be asked; it then remembers
// nothing.
func (m *Memory[V]) Close() {
	m.mu.Lock()
	clear(m.known)
	m.closed = true
	m.mu.Unlock()
	// Only now that nothing is remembered may nobody tell of writes any more: the other way
	// round, a write in between would go unseen.
	m.watch.Stop()
}
