package seal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/store"
)

// Records keeps values of type T as sealed JSON in a store. All fields must be set.
// It is safe for concurrent use.
//
// Who can write the store can neither read a record, nor alter it, nor move it to
// another key. They can still delete it or put back an older state of the same one,
// so a store must be as hard to write to as the gateway itself. A record's expiry
// stands outside the seal and is for tidiness: a time that must not be extended
// belongs into the value.
//
// What is read must be exactly what some T encodes to: a field that T does not
// have is an error, because a version of Stepgate that does not know a limit must
// not decide without it.
type Records[T any] struct {
	Store store.Store
	Ring  *Ring
	// Rand is crypto/rand.Reader outside of tests.
	Rand io.Reader
	// Kind is the first part of the records' keys, such as "account".
	Kind string
}

// Next is what a change makes of a record.
type Next[T any] struct {
	// Value replaces the record's value; it must not be nil unless Delete is set.
	Value *T
	// Expires replaces the record's expiry in the store; zero means never.
	Expires time.Time
	// Delete removes the record.
	Delete bool
	// Events are appended to the audit log in the same write.
	Events []audit.Event
	// Announce is [store.Write.Announce].
	Announce bool
}

// Key returns the key of the record with an id, which must consist of what a
// [store.Key] may.
func (r Records[T]) Key(id string) store.Key { return store.NewKey(r.Kind, id) }

// Get returns the record with an id, or an error that is [store.ErrNotFound]. It is
// [ErrOpen] if the record was not sealed under the ring and for this id; such a
// record is not absent, and the caller must refuse.
func (r Records[T]) Get(ctx context.Context, id string) (*T, error) {
	key := r.Key(id)
	record, err := r.Store.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.Kind, err)
	}
	return r.open(key, record.Value)
}

// Update changes the record with an id in one atomic and durable step, as
// [store.Store.Update] does. change gets the value, nil if there is none, and
// returns what is next, nil to leave everything as it is. The value is a fresh copy
// in every call: change may alter it and return it. An error of change is returned
// unchanged, and nothing is written. change may be called several times; it must
// not block and must not use the store.
func (r Records[T]) Update(ctx context.Context, id string, change func(old *T) (*Next[T], error)) error {
	key := r.Key(id)
	return r.Store.Update(ctx, key, func(record *store.Record) (*store.Write, error) {
		var old *T
		if record != nil {
			var err error
			if old, err = r.open(key, record.Value); err != nil {
				return nil, err
			}
		}
		next, err := change(old)
		if err != nil || next == nil {
			return nil, err
		}
		return r.write(key, next)
	})
}

// write seals what is next under the record's key.
func (r Records[T]) write(key store.Key, next *Next[T]) (*store.Write, error) {
	w := &store.Write{Delete: next.Delete, Expires: next.Expires, Announce: next.Announce}
	for _, e := range next.Events {
		w.Events = append(w.Events, e.Encode())
	}
	if next.Delete {
		return w, nil
	}
	if next.Value == nil {
		return nil, fmt.Errorf("writing %s: no value", r.Kind)
	}
	plain, err := json.Marshal(next.Value)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", r.Kind, err)
	}
	if w.Value, err = r.Ring.Seal(r.Rand, string(key), plain); err != nil {
		return nil, fmt.Errorf("writing %s: %w", r.Kind, err)
	}
	return w, nil
}

// errForm is all that is said of a record that is genuine but does not decode: the
// error of a decoder may quote what it could not read (invariant I8).
var errForm = errors.New("not in the form of this version of Stepgate")

// open opens a value for the key that was asked for, whatever the store says whose
// it is.
func (r Records[T]) open(key store.Key, sealed []byte) (*T, error) {
	plain, err := r.Ring.Open(string(key), sealed)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", r.Kind, err)
	}
	value := new(T)
	if err := decodeStrict(plain, value); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", r.Kind, errForm)
	}
	return value, nil
}
