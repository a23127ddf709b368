// Package calls counts the calls that run in a store, so that closing it waits for
// them and refuses those that come later, as package store demands.
package calls

import (
	"context"
	"sync"

	"github.com/stepgate/stepgate/store"
)

// Calls are the calls that run. The zero value is an open store without any. It is
// safe for concurrent use.
type Calls struct {
	mu      sync.Mutex // guards closed, and running.Add against running.Wait
	closed  bool
	running sync.WaitGroup
}

// Enter counts a call in; leave counts it out. It returns [store.ErrClosed] when
// the store is closed, and the error of ctx when the caller has gone.
func (c *Calls) Enter(ctx context.Context) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.running.Add(1)
	return c.running.Done, nil
}

// Close lets no further call in and waits for those that run. The second time it
// returns [store.ErrClosed] at once.
func (c *Calls) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return store.ErrClosed
	}
	c.closed = true
	c.mu.Unlock()
	c.running.Wait()
	return nil
}
