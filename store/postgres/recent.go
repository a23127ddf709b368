package postgres

import (
	"sync"

	"github.com/stepgate/stepgate/store"
)

const (
	// maxRecent bounds how many records are remembered, and maxRecentValue how long
	// each may be: together 64 MiB at the very most, and in practice a kilobyte each.
	maxRecent      = 1 << 12
	maxRecentValue = 16 << 10
)

// recent remembers records as this process saw them last, so that an update need not
// read first what was read or written an instant ago. It may be out of date: whoever
// uses it writes only if the revision still stands, and concludes nothing from it
// otherwise. It is safe for concurrent use.
type recent struct {
	mu   sync.Mutex // guards seen
	seen map[store.Key]*stored
}

func newRecent() *recent { return &recent{seen: map[store.Key]*stored{}} }

// take returns what was seen under key and forgets it, nil if nothing was.
func (r *recent) take(key store.Key) *stored {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.seen[key]
	delete(r.seen, key)
	return s
}

// put remembers what was seen under key. The stored record must not change any more.
func (r *recent) put(key store.Key, s *stored) {
	if s == nil || s.gone || len(s.value) > maxRecentValue {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) >= maxRecent {
		for old := range r.seen {
			delete(r.seen, old)
			break
		}
	}
	r.seen[key] = s
}
