package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"

	"go.etcd.io/bbolt"
)

// Writers share commits. A goroutine of the store's own, the committer, opens a
// transaction for the first writer that comes, hands it to each writer that is
// waiting by then, one after the other, and commits when none is left. Whoever
// comes during the commit shares the next one. So a lone writer waits for its own
// two syncs only, and thirty-two pay for hardly more of them than one.
//
// bbolt's own DB.Batch was measured against this. It collects for a fixed time
// after the first call, which a lone writer waits out for nothing (the timer alone
// is a millisecond on some machines); it runs a change again when another one in
// the batch fails; and it commits in a goroutine of a timer, where a panic at a
// damaged page cannot be caught.
//
// A writer uses the transaction in its own goroutine. A change that panics, or
// that ends its goroutine, does so where its caller can see it.

const (
	maxTurns      = 256     // writers in one commit
	maxTurnsBytes = 8 << 20 // and what they write, about
)

// A turn is one writer's part in a shared transaction.
type turn struct {
	tx   chan *bbolt.Tx // the committer hands the transaction over; closed when there is none
	back chan part      // the writer hands it back
	done chan error     // how the commit went
}

// A part is what one writer did to the transaction.
type part struct {
	tx    *bbolt.Tx
	bytes int   // written, about
	err   error // why the transaction must not be committed
}

var errHalfway = errors.New("a write was left halfway")

// writing must be called before something is written to the transaction. From
// then on the transaction is good only if apply returns nil.
func (p *part) writing(bytes int) {
	p.bytes += bytes
	p.err = errHalfway
}

// write runs apply in a write transaction and returns when that is durable. It
// returns apply's error, unless the commit fails. It gives up with ctx while it
// waits for its turn, and stays from then on: an error of ctx means that apply
// was never called.
func (s *Store) write(ctx context.Context, apply func(p *part) error) error {
	t := &turn{
		tx:   make(chan *bbolt.Tx, 1),
		back: make(chan part, 1),
		done: make(chan error, 1),
	}
	select {
	case s.turns <- t:
	case <-ctx.Done():
		return ctx.Err()
	}
	tx, ok := <-t.tx
	if !ok {
		return <-t.done
	}
	err := t.take(tx, apply)
	// What apply saw may have been written by others in this same transaction. Even
	// an answer that changes nothing ("this code was used") must not leave before
	// what it rests on is durable.
	if failed := <-t.done; failed != nil {
		return failed
	}
	return err
}

// take runs apply and hands the transaction back in any case. Half a write must
// not go in with those of the others.
func (t *turn) take(tx *bbolt.Tx, apply func(p *part) error) error {
	p := part{tx: tx}
	defer func() { t.back <- p }()
	err := apply(&p)
	if p.err != nil {
		p.err = err
	}
	return err
}

// commitTurns is the committer.
func (s *Store) commitTurns() {
	defer close(s.stopped)
	for {
		select {
		case t := <-s.turns:
			// Those whom the last commit has just set free come first, to share this
			// one. On a single processor they would otherwise never meet.
			runtime.Gosched()
			s.commit(t)
		case <-s.stop:
			return
		}
	}
}

// commit makes one transaction of first and of whoever else is waiting.
func (s *Store) commit(first *turn) {
	var group []*turn
	complete := false
	err := s.broken
	if err == nil {
		err = guard(func() error {
			return s.db.Update(func(tx *bbolt.Tx) error {
				bytes := 0
				for t := first; t != nil; t = s.next(len(group), bytes) {
					group = append(group, t)
					t.tx <- tx
					p := <-t.back
					if p.err != nil {
						return p.err
					}
					bytes += p.bytes
				}
				complete = true
				return nil
			})
		})
	}
	if err != nil {
		err = s.failed(err, complete)
	}
	if group == nil {
		close(first.tx)
		group = []*turn{first}
	}
	for _, t := range group {
		t.done <- err
	}
}

// next returns a writer that is waiting and still fits into the transaction, or
// nil.
func (s *Store) next(turns, bytes int) *turn {
	if turns >= maxTurns || bytes >= maxTurnsBytes {
		return nil
	}
	select {
	case t := <-s.turns:
		return t
	default:
		return nil
	}
}

// failed decides what a failed transaction means for those after it.
func (s *Store) failed(err error, complete bool) error {
	var panicked *panicError
	switch {
	case s.broken != nil:
	case errors.As(err, &panicked):
		s.wrecked = true
		s.broken = fmt.Errorf("writing has ended until the gateway is started again: %w", err)
	case complete && !refused(err):
		// Linux marks pages that it could not write as clean. A later sync would
		// succeed without them, and what rests on them would be acknowledged.
		s.broken = fmt.Errorf("writing has ended until the gateway is started again, because a commit failed: %w", err)
	}
	if s.broken != nil {
		return s.broken
	}
	return err
}

// refused reports whether a commit failed because the disk has no room for its
// pages. None of them is in use yet then, and the next commit may find room.
func refused(err error) bool {
	var failed *fs.PathError
	return errors.As(err, &failed) && failed.Op == "write" &&
		(errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}
