package account

import (
	"strings"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// maxEpochs bounds the cache; beyond it an arbitrary entry gives way. At 80
// bytes an entry it stays under 20 MiB.
const maxEpochs = 1 << 18

// epochs remembers the epoch of accounts, so that a request with a grant costs
// no read of the store. The store tells it of every change of an epoch: before the
// write is acknowledged where this process made it, so a revocation is seen by the
// next request; as soon as may be where another did. While the store does not hear
// of the others, nothing that is remembered counts (invariant I9).
type epochs struct {
	watch store.Watch

	mu sync.RWMutex
	// mu guards known, writes and closed. writes counts the changes heard of so far:
	// an epoch that was read from the store is remembered only if none came in
	// between.
	known  map[ID]uint64
	writes uint64
	closed bool
}

func watchEpochs(s store.Store) *epochs {
	e := &epochs{known: map[ID]uint64{}}
	e.watch = s.Watch(kind+"/", e.forget)
	return e
}

func (e *epochs) forget(key store.Key) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes++
	if key == "" {
		clear(e.known)
		return
	}
	delete(e.known, ID(strings.TrimPrefix(string(key), kind+"/")))
}

// get returns the remembered epoch, or the one that read returns.
func (e *epochs) get(id ID, read func() (uint64, error)) (uint64, error) {
	e.mu.RLock()
	epoch, ok := e.known[id]
	writes := e.writes
	e.mu.RUnlock()
	// Asked after the epoch was looked up: what was heard of by now has been
	// forgotten.
	if ok && e.watch.Current() {
		return epoch, nil
	}
	epoch, err := read()
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.writes != writes || e.closed {
		return epoch, nil
	}
	if len(e.known) >= maxEpochs {
		for old := range e.known {
			delete(e.known, old)
			break
		}
	}
	e.known[id] = epoch
	return epoch, nil
}

func (e *epochs) close() {
	e.mu.Lock()
	clear(e.known)
	e.closed = true
	e.mu.Unlock()
	// Only now that nothing is remembered may nobody tell of writes any more: the
	// other way round, a revocation in between would go unseen (invariant I9).
	e.watch.Stop()
}
