package caddymodule

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/stepgate/stepgate/internal/gate"
)

// errCleanedUp is what a request meets that outlived its configuration, if that
// configuration never opened the store.
var errCleanedUp = errors.New("the configuration of this request was replaced before it opened the store")

// backing opens a configuration's backend when it is first needed, and lets go of
// it once.
type backing struct {
	// open returns the backend and what lets go of it.
	open func() (*gate.Backend, func(), error)

	// ready is set once open has succeeded. It stays set after close: a request
	// that is still under way goes on with the store while a newer configuration
	// keeps it open, and learns from the store itself when it is closed.
	ready atomic.Pointer[gate.Backend]

	mu      sync.Mutex // guards failed, release and closed
	failed  error
	release func() // nil unless something was acquired that is not yet let go
	closed  bool
}

// get returns the backend for a request. It tries to open it once; afterwards it
// is for start to try again, because requests that wait for an attempt each would
// heap up.
func (b *backing) get() (*gate.Backend, error) {
	if backend := b.ready.Load(); backend != nil {
		return backend, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil {
		return nil, b.failed
	}
	return b.opened()
}

// start opens the backend unless a request has done so.
func (b *backing) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.opened()
	return err
}

// opened returns the open backend. Callers hold mu.
func (b *backing) opened() (*gate.Backend, error) {
	if backend := b.ready.Load(); backend != nil {
		return backend, nil
	}
	if b.closed {
		return nil, errCleanedUp
	}
	backend, release, err := b.open()
	b.failed = err
	if err != nil {
		return nil, err
	}
	b.release = release
	b.ready.Store(backend)
	return backend, nil
}

// close lets go of what was acquired. It may be called any number of times, and
// when nothing was ever acquired: letting go of a shared store that is not ours
// would close it under the configuration that is serving.
func (b *backing) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.release != nil {
		b.release()
		b.release = nil
	}
}
