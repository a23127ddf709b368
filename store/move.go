package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Errors of a move. A caller branches on them, and an operator reads them.
var (
	// ErrUnfinished says that the store holds a copy that is not finished. A record
	// that has not come yet looks like one that never was, so a player would seem to
	// have no second factor: whoever serves requests must not open such a store.
	ErrUnfinished = errors.New("the store holds a copy that is not finished, in which players would seem to have no second factor: " +
		"run the same `stepgate store copy` again until it says that it is finished, or empty the store")
	// ErrNoStore says that there is no store where one was expected.
	ErrNoStore = errors.New("there is no store")
	// ErrNotEmpty says that a copy was begun into a store that holds something.
	ErrNotEmpty = errors.New("the store is not empty, and a copy never overwrites what a gateway has written: name an empty one")
	// ErrOtherCopy says that the store's mark is another than the copy expected.
	ErrOtherCopy = errors.New("another copy has come between")
	// ErrInUse says that somebody else has the store open.
	ErrInUse = errors.New("another process has the store open: stop the gateways and other copies first")
)

// MaxBatch is the most items that one [Batch] holds.
const MaxBatch = 1000

// Part is one of the three things that a store keeps. A move takes them in this
// order. The numbers stand in marks and never change.
type Part int

// The parts, and what follows the last one.
const (
	PartRecords Part = iota
	PartCounters
	PartAudit
	PartEnd
)

// Cursor is a place in the contents of a store: everything up to an item of a part.
// The zero value is the beginning.
type Cursor struct {
	Part Part `json:"part"`
	// Key is the last record or counter that lies before the cursor, empty at the
	// beginning of its part.
	Key Key `json:"key,omitempty"`
	// Seq is the last audit entry that lies before the cursor.
	Seq uint64 `json:"seq,omitempty"`
}

// Counter is one stored counter.
type Counter struct {
	Key Key
	Sum int64
	// Until is the end of its window.
	Until time.Time
}

// Batch is a part of a store's contents on its way to another store. Times in it are
// exact to the microsecond.
type Batch struct {
	Records  []Record
	Counters []Counter
	// Events are bodies of audit entries, in the order of the log. Their numbers
	// belong to the store that they come from.
	Events [][]byte
	// Next is the cursor behind the batch.
	Next Cursor
}

// Len returns the number of items.
func (b Batch) Len() int { return len(b.Records) + len(b.Counters) + len(b.Events) }

// Validate reports what is wrong with a batch, or nil. Stores call it first.
func (b Batch) Validate() error {
	if b.Len() > MaxBatch {
		return fmt.Errorf("batch of %d items: want at most %d", b.Len(), MaxBatch)
	}
	for _, r := range b.Records {
		if err := r.Key.Validate(); err != nil {
			return err
		}
		if r.Version == 0 || r.Version > 1<<63-1 || len(r.Value) > MaxValueLength {
			return fmt.Errorf("record of version %d and %d bytes: want a version from 1 and at most %d bytes", r.Version, len(r.Value), MaxValueLength)
		}
	}
	for _, c := range b.Counters {
		if err := c.Key.Validate(); err != nil {
			return err
		}
		if c.Until.IsZero() {
			return errors.New("counter has no end of its window")
		}
	}
	return nil
}

// Mark stands in a store while a copy into it is under way, and says which copy that
// is and how far it has come.
type Mark struct {
	// Source is the [Mover.Name] of the store that is copied.
	Source string `json:"source"`
	// AsOf is the instant as of which the source is copied. It stays the same when a
	// copy that was interrupted goes on, so the copy is that of one state.
	AsOf time.Time `json:"as_of"`
	// Reached is the cursor up to which the copy has come.
	Reached Cursor `json:"reached"`
}

// Encode returns the mark as stores keep it: JSON in UTF-8.
func (m Mark) Encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding mark of a copy: %w", err)
	}
	return b, nil
}

// ParseMark reads what Encode wrote and nothing else.
func ParseMark(b []byte) (Mark, error) {
	var m Mark
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Mark{}, fmt.Errorf("reading mark of a copy: %w", err)
	}
	// One canonical form: marks are compared as they are kept.
	if again, err := m.Encode(); err != nil || !bytes.Equal(again, b) || m.Reached.Part < PartRecords || m.Reached.Part > PartEnd {
		return Mark{}, errors.New("reading mark of a copy: it is damaged")
	}
	return m, nil
}

// Mover is what a store implements beside [Store] if its contents can be moved to
// another store and from one. A move is made while no gateway runs on either store:
// package storecopy makes it.
//
// A store with a mark is unfinished. Opening it for a gateway fails with
// [ErrUnfinished]; only who asks for it by an option gets it, to go on with the copy.
type Mover interface {
	Store

	// Name names the place in which the store is, the same whenever it is opened, in
	// valid UTF-8 and without a secret. Two stores with one name are one store.
	Name() string

	// Alone returns [ErrInUse] if another process has the store open. A process that
	// opens the store at the same time either is seen here, or sees the mark that was
	// set before the call.
	Alone(ctx context.Context) error

	// Export returns up to limit items behind the cursor that are live at asOf, all of
	// one part: records and counters in the order of their keys, audit entries in
	// that of their numbers. It returns fewer where they are large. A batch may be
	// empty; the contents end where Next is at [PartEnd]. limit is from 1 to
	// [MaxBatch]. Pages follow one another without a gap as long as nobody writes.
	Export(ctx context.Context, asOf time.Time, after Cursor, limit int) (Batch, error)

	// Mark returns the mark, or nil if the store has none.
	Mark(ctx context.Context) (*Mark, error)

	// Import adds a batch and replaces the mark before by after, as one atomic and
	// durable step. Where the store's mark is not before it writes nothing and returns
	// [ErrOtherCopy], so no batch is written twice, whoever tries. nil is no mark:
	// before is nil to begin a copy, and anything in the store then is
	// [ErrNotEmpty]; after is nil to finish it. Records keep version and expiry; audit
	// entries get new numbers and keep their order. A record or counter that is there
	// already is an error, never overwritten. Watches hear of nothing. When it returns
	// any other error the step may or may not have happened.
	Import(ctx context.Context, b Batch, before, after *Mark) error
}
