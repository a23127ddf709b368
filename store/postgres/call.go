package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stepgate/stepgate/store"
)

// call runs f as one call of the store: counted, and within the timeout. what names
// it in errors.
func (s *Store) call(ctx context.Context, what string, f func(ctx context.Context) error) error {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := f(ctx); err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
			err = errors.Join(ctx.Err(), err)
		}
		return fmt.Errorf("%s: %w", what, plain(err))
	}
	return nil
}

// tries is how often a statement is sent that certainly did nothing: after a restart
// of the database each connection of the pool may fail once.
const tries = 3

// do runs f on a connection. If f fails before the server can have done anything, or
// the server says that it did nothing, f runs again on another connection.
func (s *Store) do(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) (err error) {
	for range tries {
		if err = s.once(ctx, f); err == nil || !undone(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (s *Store) once(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	if err = f(ctx, c); err != nil && useless(err) {
		// The pool drops what is closed, and connects anew: to the new primary, say.
		_ = c.Conn().Close(context.WithoutCancel(ctx))
	}
	return err
}

// SQLSTATE classes and codes (PostgreSQL, Appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	readOnlyTransaction  = "25006"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
)

// undone reports whether what failed certainly did nothing and may go through if it
// is tried again.
func undone(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case serializationFailure, deadlockDetected, readOnlyTransaction, cannotConnectNow:
			return true
		default:
			return false
		}
	}
	return pgconn.SafeToRetry(err)
}

// useless reports whether the connection cannot be of use any more, whatever pgx
// thinks of it.
func useless(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch e.Code {
	case readOnlyTransaction, adminShutdown, crashShutdown, cannotConnectNow:
		return true
	default:
		return false
	}
}

// plain makes errors of pgx fit for a log. Of a server's error only message and code
// are kept: its detail quotes values. An error about an address names hosts and
// users and never a password, which pgx sees to.
func plain(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &serverError{e.Message, e.Code}
	}
	return err
}

// serverError is what the database said.
type serverError struct{ message, code string }

func (e *serverError) Error() string {
	return fmt.Sprintf("the database says: %s (SQLSTATE %s)", e.message, e.code)
}

// queues let the updates of one record pass one after the other within this process,
// where they would otherwise keep overtaking each other. Records that share a queue
// wait for each other without need, and no longer than one update takes.
type queues [256]chan struct{}

var queueSeed = maphash.MakeSeed()

// enter waits for its turn; leave gives it on.
func (q *queues) enter(ctx context.Context, key store.Key) (leave func(), err error) {
	turn := q[maphash.String(queueSeed, string(key))%uint64(len(q))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newQueues() (q queues) {
	for i := range q {
		q[i] = make(chan struct{}, 1)
	}
	return q
}
