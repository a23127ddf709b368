package account_test

import (
	"context"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// memory is as much of a store as a book needs, without a disk: Get, Update and
// Watch. Like a database that is shared, it lets change functions run on records that
// are not the newest any more, and runs them again.
type memory struct {
	store.Store
	// stale decides whether an update meets a conflict that is not there: its change
	// then runs once more, on the record before the newest.
	stale func() bool

	mu sync.Mutex // guards records, before and watches
	// records are the newest, before those that they replaced.
	records, before map[store.Key]store.Record
	watches         []func(store.Key)
}

func newMemory(stale func() bool) *memory {
	return &memory{stale: stale, records: map[store.Key]store.Record{}, before: map[store.Key]store.Record{}}
}

func (m *memory) Get(_ context.Context, key store.Key) (store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[key]; ok {
		return r, nil
	}
	return store.Record{}, store.ErrNotFound
}

func (m *memory) Update(_ context.Context, key store.Key, change store.Change) error {
	m.mu.Lock()
	old, conflict := m.before[key], m.stale()
	m.mu.Unlock()
	if conflict && old.Version > 0 {
		_, _ = change(&old) // the conflict is noticed when it is written
	}
	for {
		m.mu.Lock()
		old, ok := m.records[key]
		m.mu.Unlock()
		var record *store.Record
		if ok {
			record = &old
		}
		w, err := change(record)
		if err != nil || w == nil {
			return err
		}
		if m.write(key, old, w) {
			return nil
		}
	}
}

// write replaces a record if it is still the newest.
func (m *memory) write(key store.Key, old store.Record, w *store.Write) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[key].Version != old.Version {
		return false
	}
	m.before[key] = old
	m.records[key] = store.Record{Key: key, Value: w.Value, Version: old.Version + 1}
	if w.Announce {
		for _, changed := range m.watches {
			changed(key)
		}
	}
	return true
}

func (m *memory) Watch(_ string, changed func(store.Key)) store.Watch {
	m.watches = append(m.watches, changed)
	return hearing{}
}

// hearing is a watch that hears of everything.
type hearing struct{}

func (hearing) Current() bool { return true }
func (hearing) Stop()         {}

// version counts the writes of a record.
func (m *memory) version(key store.Key) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[key].Version
}
