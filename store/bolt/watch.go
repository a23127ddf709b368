package bolt

import (
	"strings"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// Watch implements [store.Store]. The file has one process, so changed hears of
// every write and is never told that one was missed.
func (s *Store) Watch(prefix string, changed func(store.Key)) (stop func()) {
	return s.watchers.add(prefix, changed)
}

type watcher struct {
	prefix  string
	changed func(store.Key)
}

type watchers struct {
	mu sync.RWMutex // guards set
	// set is replaced, never altered, so that it can be walked without mu: changed
	// may then end watches itself.
	set []*watcher
}

func (ws *watchers) add(prefix string, changed func(store.Key)) (stop func()) {
	w := &watcher{prefix, changed}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.set = append(ws.set[:len(ws.set):len(ws.set)], w)
	return func() { ws.remove(w) }
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	var rest []*watcher
	for _, other := range ws.set {
		if other != w {
			rest = append(rest, other)
		}
	}
	ws.set = rest
}

func (ws *watchers) notify(key store.Key) {
	ws.mu.RLock()
	set := ws.set
	ws.mu.RUnlock()
	for _, w := range set {
		if strings.HasPrefix(string(key), w.prefix) {
			w.changed(key)
		}
	}
}
