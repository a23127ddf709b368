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

// tries is how often a statement is sent whose failure did no harm. The first loss of a
// connection empties the pool, so the second try has a new one.
const tries = 2

// do runs f on a connection. If f fails and again says that it may run once more, it
// does, on another connection if this one has failed. If there is no time for that, the
// first failure is what says why.
func (s *Store) do(ctx context.Context, again func(error) bool, f func(ctx context.Context, c *pgxpool.Conn) error) (failed error) {
	for range tries {
		err := s.once(ctx, f)
		if err == nil {
			return nil
		}
		if failed == nil || ctx.Err() == nil {
			failed = err
		}
		if ctx.Err() != nil || !again(err) {
			break
		}
	}
	return failed
}

func (s *Store) once(ctx context.Context, f func(ctx context.Context, c *pgxpool.Conn) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	err = f(ctx, c)
	if err == nil || !useless(err) && !c.Conn().IsClosed() {
		return err
	}
	// The pool drops what is closed, and connects anew: to the new primary, say.
	_ = c.Conn().Close(context.WithoutCancel(ctx))
	if ctx.Err() != nil {
		return err // pgx closes a connection on which it stops waiting
	}
	// What ended this connection has ended the idle ones too.
	s.pool.Reset()
	return &lostError{err, c.Conn().PgConn().PID()}
}

// lostError is a failure that the connection did not survive. What was under way may
// have happened, and may be under way still in the server's session.
type lostError struct {
	error
	session uint32
}

func (e *lostError) Unwrap() error { return e.error }

// SQLSTATE codes (PostgreSQL, Appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	readOnlyTransaction  = "25006"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
)

// code returns the SQLSTATE of a server's error, empty for any other.
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// undone reports whether what failed certainly did nothing and may go through if it
// is tried again.
func undone(err error) bool {
	switch code(err) {
	case serializationFailure, deadlockDetected, readOnlyTransaction, cannotConnectNow:
		return true
	case "":
		return pgconn.SafeToRetry(err)
	default:
		return false
	}
}

// harmless is undone for what only reads.
func harmless(err error) bool {
	_, lost := errors.AsType[*lostError](err)
	return lost || undone(err)
}

// over reports whether the session of a lost connection has ended: whatever it was to
// do has then been done, or never will be.
func (s *Store) over(ctx context.Context, lost *lostError) bool {
	if ended(lost) {
		return true
	}
	var there bool
	err := s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", int64(lost.session)).Scan(&there)
	})
	return err == nil && !there
}

// ended reports whether the server itself has said that it ended the session.
func ended(err error) bool { return code(err) == adminShutdown || code(err) == crashShutdown }

// useless reports whether the connection cannot be of use any more, whatever pgx
// thinks of it.
func useless(err error) bool {
	return ended(err) || code(err) == readOnlyTransaction || code(err) == cannotConnectNow
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
