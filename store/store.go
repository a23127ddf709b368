// Package store is the storage contract of Stepgate: what it keeps, and what it
// relies on when two requests, two processes or two machines touch the same
// record at once.
//
// # Records
//
// A record is an opaque value under a key. Whoever owns the record seals its
// value before it comes here, and no key carries personal data: subjects, login
// names and phone numbers appear in keys as keyed hashes only. A store can be
// read by whoever reads its disk; what it holds must not help them.
//
// # What everything rests on
//
// The one guarantee that the gateway's security rests on is that [Store.Update]
// of a single key is atomic and, once it has returned nil, durable: a code, an
// approval and a held request are each consumed by exactly one such update.
// There is no transaction over several keys, and none is needed.
//
// # Not here
//
// A store does not know accounts or challenges, opens nothing that it is not
// given a key for, and never holds a transaction open while its caller talks to
// a network: a change function must not block.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors on which callers branch. Every other error means that the store could
// not say: the caller must refuse, never assume.
var (
	// ErrNotFound says that no live record stands under the key.
	ErrNotFound = errors.New("no such record")
	// ErrClosed says that the store was closed. It is not worth another try.
	ErrClosed = errors.New("store is closed")
)

// MaxKeyLength is the longest key that a store accepts, in bytes.
const MaxKeyLength = 200

// MaxValueLength is the longest value that a store accepts, in bytes. It leaves
// room for a held request of 1 MiB and its sealing.
const MaxValueLength = 2 << 20

// Key names a record, as kind and id: "account/Jx3…". It consists of letters,
// digits and "_-./", so that every backend can hold it unescaped.
type Key string

// NewKey returns the key of the record of the given kind and id.
func NewKey(kind, id string) Key { return Key(kind + "/" + id) }

// Validate reports what is wrong with a key, or nil. Stores call it first.
func (k Key) Validate() error {
	if k == "" || len(k) > MaxKeyLength {
		return fmt.Errorf("key of %d bytes: want 1 to %d", len(k), MaxKeyLength)
	}
	for i := 0; i < len(k); i++ {
		c := k[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '_', c == '-', c == '.', c == '/':
		default:
			return fmt.Errorf("key has byte %#02x at %d: want letters, digits and _-./", c, i)
		}
	}
	return nil
}

// Record is one stored value.
type Record struct {
	Key   Key
	Value []byte
	// Version counts the writes of this record, from 1. A record that was deleted
	// or has expired starts again at 1.
	Version uint64
	// Expires is the instant from which the record is as good as absent; zero
	// means never. It is kept to the second at least.
	Expires time.Time
}

// Write is what a change function wants written. Value and Events are written
// together or not at all.
type Write struct {
	// Value replaces the record's value. It is ignored when Delete is set.
	Value []byte
	// Expires replaces the record's expiry; zero means never.
	Expires time.Time
	// Delete removes the record. Deleting what is not there is no error.
	Delete bool
	// Events are appended to the audit log, in this order, in the same write.
	Events [][]byte
	// Announce tells every watch of the key, in every process. To announce what
	// nobody must hear at once costs other writers time: databases pass announcements
	// on one commit after the other.
	Announce bool
}

// Change computes the next state of a record. It is given the live record, or
// nil if there is none, and must not keep or alter it. It returns nil to leave
// everything as it is. An error aborts the update and is returned unchanged by
// Update. A store may call it several times for one update, each time with the
// then current record, so it must have no effect but its result; it must not
// block, and must not use the store.
type Change func(old *Record) (*Write, error)

// Event is one entry of the audit log.
type Event struct {
	// Seq grows strictly from entry to entry. Gaps are allowed.
	Seq  uint64
	Body []byte
}

// Watch is what [Store.Watch] begins. Its methods are safe for concurrent use.
type Watch interface {
	// Current reports whether the watch hears of other processes' writes. While it
	// does not, what was learnt from the store must not be relied on but asked for
	// anew. It costs no more than looking at a clock. A store says how late it may
	// notice that it hears nothing any more; so late may a write be heard of.
	Current() bool
	// Stop ends the watch; once more is no harm.
	Stop()
}

// Store keeps records, counters and the audit log. All methods may be called
// from several goroutines at once, and honour ctx while they wait.
type Store interface {
	// Get returns the live record under key, or ErrNotFound. The caller owns the
	// returned value.
	Get(ctx context.Context, key Key) (Record, error)

	// Update reads the record under key, asks change for its next state and
	// writes that, as one atomic step: no other update of the key happens in
	// between. When it returns nil the write survives a crash of the process and
	// of the machine. When it returns an error that is not change's own, the
	// write may or may not have happened.
	Update(ctx context.Context, key Key, change Change) error

	// Scan returns up to limit live records whose keys begin with prefix and sort
	// after the key after ("" for the first page), in key order.
	Scan(ctx context.Context, prefix string, after Key, limit int) ([]Record, error)

	// Add adds n to the counter under key and returns its sum. The counter's
	// window begins with the first addition and lasts for window; then the counter
	// is as good as absent. Adding 0 reads it and begins nothing.
	Add(ctx context.Context, key Key, n int64, window time.Duration) (int64, error)

	// Audit returns up to limit entries of the audit log with Seq greater than
	// after, in order. No entry ever appears before one that was returned, so a
	// reader who goes on from the last Seq misses none. For that, the newest entries
	// may be kept back while a write that began earlier is under way.
	Audit(ctx context.Context, after uint64, limit int) ([]Event, error)

	// Watch calls changed after every committed write that says [Write.Announce] and
	// whose key begins with prefix, whichever process made it: before the Update
	// that wrote it returns where that is this process, and as soon as may be where
	// it is another. changed must be quick and must not use the store. An empty key
	// says that writes may have been missed: forget everything.
	Watch(prefix string, changed func(Key)) Watch

	// Expire deletes up to limit records and counters that have expired and
	// returns how many it deleted. Expired records are never returned whether or
	// not it is called.
	Expire(ctx context.Context, limit int) (int, error)

	// Close waits for running calls and releases the store. Later calls return
	// ErrClosed.
	Close() error
}
