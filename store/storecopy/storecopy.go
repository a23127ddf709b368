// Package storecopy moves everything that one store holds to another: records with
// their versions and expiry, counters, and the audit log.
//
// # What it promises
//
// The target is equal to the source, or no gateway opens it. From the first write to the last
// check it bears a mark ([store.Mark]); the mark is lifted only after both stores were
// read again and agree in numbers and in a digest of every byte. A half-copied store
// would show players without their second factor (invariants I1 and I7).
//
// A copy that was killed goes on where it was: each batch is written in one step with
// the mark that says so, so nothing is lost and no audit entry is doubled. It is the
// source as of the instant at which the copy was first begun: what had expired then
// stays behind, what expires later expires in the target. What the target holds
// already is never overwritten.
//
// # What it asks for
//
// Nobody writes to either store meanwhile. A file has its lock; of a database other
// sessions of Stepgate are looked for at the beginning and before the end
// ([store.Mover.Alone]). Whoever writes to the source all the same and leaves is found
// by the digest, unless it is what the copy read in both its passes.
//
// # Not here
//
// The key ring is not moved: without it the copy cannot be opened. What the source
// holds is not deleted: it must not serve again, for codes and approvals that have been
// used since would be good there once more.
package storecopy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepgate/stepgate/store"
)

// Options are the settings of a copy. The zero value is what an operator wants.
type Options struct {
	// Batch is how many items are written in one step, at most [store.MaxBatch].
	// Default: 500.
	Batch int
	// Wait is how long the sessions of others are waited for: those of a copy that was
	// killed end a moment after it. Default: 5 seconds.
	Wait time.Duration
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Progress is called with what has happened so far, after each batch. Nil: nobody
	// wants to know.
	Progress func(Progress)
}

func (o *Options) defaults() {
	if o.Batch == 0 {
		o.Batch = 500
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
}

// Stage is what a copy does.
type Stage string

// The stages of a copy, in their order.
const (
	Copying  Stage = "copying"
	Checking Stage = "checking"
)

// Progress is how far a copy has come.
type Progress struct {
	Stage Stage
	// Resumed says that this copy goes on with one that was interrupted.
	Resumed bool
	// Counts are what this stage has seen so far: not what an interrupted copy did.
	Counts
}

// Counts are numbers of items.
type Counts struct{ Records, Counters, Events int }

func (c *Counts) add(b store.Batch) {
	c.Records += len(b.Records)
	c.Counters += len(b.Counters)
	c.Events += len(b.Events)
}

// Errors on which callers may branch. Those of package store come through as well.
var (
	// ErrSame says that source and target are one store.
	ErrSame = errors.New("source and target are the same store")
	// ErrEmpty says that the source holds nothing. It is refused: a mistyped name would
	// otherwise give a gateway without any player's factor.
	ErrEmpty = errors.New("the source is empty: name the store that the gateway has used")
	// ErrOtherSource says that an unfinished copy of another store stands in the target.
	ErrOtherSource = errors.New("the target holds an unfinished copy of another store: finish that one, or empty the target")
	// ErrDiffers says that the copy is not equal to the source. The target stays
	// unfinished.
	ErrDiffers = errors.New("the copy is not what the source holds, and no gateway will open it: " +
		"see that nobody writes to the source, empty the target, and copy again")
)

// Copy copies from to to, or goes on with a copy that was interrupted, and returns what
// both hold then. Both stores must be open, to in a way that allows an unfinished copy,
// from in one that does not. After any error the same call may be made again.
func Copy(ctx context.Context, from, to store.Mover, o Options) (Sum, error) {
	o.defaults()
	c := &copying{from: from, to: to, o: o}
	if from.Name() == to.Name() {
		return Sum{}, ErrSame
	}
	if err := c.alone(ctx); err != nil {
		return Sum{}, err
	}
	if err := c.begin(ctx); err != nil {
		return Sum{}, err
	}
	// Again: a gateway that opened the target before it had its mark did not see it.
	if err := c.alone(ctx); err != nil {
		return Sum{}, err
	}
	if err := c.run(ctx); err != nil {
		return Sum{}, err
	}
	sum, err := c.check(ctx)
	if err != nil {
		return Sum{}, err
	}
	if err := c.alone(ctx); err != nil {
		return Sum{}, err
	}
	if err := to.Import(ctx, store.Batch{}, c.mark, nil); err != nil {
		return Sum{}, fmt.Errorf("finishing the copy: %w", err)
	}
	return sum, nil
}

// copying is one attempt at a copy.
type copying struct {
	from, to store.Mover
	o        Options
	mark     *store.Mark // what stands in the target
	resumed  bool
}

// alone waits until nobody else has a store open.
func (c *copying) alone(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, c.o.Wait)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for _, end := range []struct {
		what string
		of   store.Mover
	}{{"source", c.from}, {"target", c.to}} {
		for {
			err := end.of.Alone(ctx)
			if err == nil {
				break
			}
			if !errors.Is(err, store.ErrInUse) {
				return fmt.Errorf("looking who uses the %s: %w", end.what, err)
			}
			select {
			case <-again.C:
			case <-waiting.Done():
				if ctx.Err() != nil {
					err = ctx.Err()
				}
				return fmt.Errorf("looking who uses the %s: %w", end.what, err)
			}
		}
	}
	return nil
}

// begin finds the mark of this copy, or sets it in an empty target.
func (c *copying) begin(ctx context.Context) error {
	mark, err := c.to.Mark(ctx)
	if err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	if mark != nil {
		if mark.Source != c.from.Name() {
			return ErrOtherSource
		}
		c.mark, c.resumed = mark, true
		return nil
	}
	asOf := c.o.Now().UTC().Truncate(time.Microsecond)
	if empty, err := isEmpty(ctx, c.from, asOf); err != nil {
		return fmt.Errorf("looking at the source: %w", err)
	} else if empty {
		return ErrEmpty
	}
	mark = &store.Mark{Source: c.from.Name(), AsOf: asOf}
	if err := c.to.Import(ctx, store.Batch{}, nil, mark); err != nil {
		return fmt.Errorf("beginning the copy: %w", err)
	}
	c.mark = mark
	return nil
}

// run copies what lies behind the mark.
func (c *copying) run(ctx context.Context) error {
	progress := Progress{Stage: Copying, Resumed: c.resumed}
	for c.mark.Reached.Part != store.PartEnd {
		b, err := c.from.Export(ctx, c.mark.AsOf, c.mark.Reached, c.o.Batch)
		if err != nil {
			return fmt.Errorf("reading the source: %w", err)
		}
		next := *c.mark
		next.Reached = b.Next
		if err := c.to.Import(ctx, b, c.mark, &next); err != nil {
			return fmt.Errorf("writing the target: %w", err)
		}
		c.mark = &next
		progress.add(b)
		c.o.Progress(progress)
	}
	return nil
}

// check reads both stores anew and compares them. The source comes last, so that the
// time in which a write to it would go unseen is short.
func (c *copying) check(ctx context.Context) (Sum, error) {
	seen := func(n Counts) { c.o.Progress(Progress{Stage: Checking, Resumed: c.resumed, Counts: n}) }
	to, err := sumOf(ctx, c.to, c.mark.AsOf, c.o.Batch, seen)
	if err != nil {
		return Sum{}, fmt.Errorf("reading the target again: %w", err)
	}
	from, err := sumOf(ctx, c.from, c.mark.AsOf, c.o.Batch, func(Counts) {})
	if err != nil {
		return Sum{}, fmt.Errorf("reading the source again: %w", err)
	}
	if from != to {
		return Sum{}, fmt.Errorf("comparing %v with %v: %w", to.Counts, from.Counts, ErrDiffers)
	}
	return from, nil
}

// isEmpty reports whether a store holds nothing that a copy would take.
func isEmpty(ctx context.Context, from store.Mover, asOf time.Time) (bool, error) {
	for at := (store.Cursor{}); at.Part != store.PartEnd; {
		b, err := from.Export(ctx, asOf, at, 1)
		if err != nil || b.Len() > 0 {
			return false, err
		}
		at = b.Next
	}
	return true, nil
}

// Look reads the source as a copy would and writes nothing. It fails where a copy would
// be refused. to is nil where the target has yet to be made.
func Look(ctx context.Context, from, to store.Mover, o Options) (Sum, error) {
	o.defaults()
	if to != nil {
		if from.Name() == to.Name() {
			return Sum{}, ErrSame
		}
		c := &copying{from: from, to: to, o: o}
		if err := c.alone(ctx); err != nil {
			return Sum{}, err
		}
		if err := lookAtTarget(ctx, from, to); err != nil {
			return Sum{}, err
		}
	} else if err := from.Alone(ctx); err != nil {
		return Sum{}, fmt.Errorf("looking who uses the source: %w", err)
	}
	asOf := o.Now().UTC().Truncate(time.Microsecond)
	sum, err := sumOf(ctx, from, asOf, o.Batch, func(n Counts) { o.Progress(Progress{Stage: Checking, Counts: n}) })
	if err != nil {
		return Sum{}, fmt.Errorf("reading the source: %w", err)
	}
	if sum.Counts == (Counts{}) {
		return Sum{}, ErrEmpty
	}
	return sum, nil
}

// lookAtTarget reports why a copy into the target would be refused.
func lookAtTarget(ctx context.Context, from, to store.Mover) error {
	mark, err := to.Mark(ctx)
	if err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	if mark != nil {
		if mark.Source != from.Name() {
			return ErrOtherSource
		}
		return nil
	}
	// As of the beginning of time, when nothing had expired.
	empty, err := isEmpty(ctx, to, time.Unix(0, 0))
	if err == nil && !empty {
		err = store.ErrNotEmpty
	}
	if err != nil {
		return fmt.Errorf("looking at the target: %w", err)
	}
	return nil
}
