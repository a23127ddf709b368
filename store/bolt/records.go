package bolt

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := key.Validate(); err != nil {
		return store.Record{}, fmt.Errorf("reading record: %w", err)
	}
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return store.Record{}, fmt.Errorf("reading record: %w", err)
	}
	defer leave()

	var found *store.Record
	err = s.view(func(tx *bbolt.Tx) error {
		found, _, err = readRecord(tx, key, s.now())
		return err
	})
	switch {
	case err != nil:
		return store.Record{}, fmt.Errorf("reading record: %w", err)
	case found == nil:
		return store.Record{}, store.ErrNotFound
	}
	return *found, nil
}

// Update implements [store.Store]. An error of ctx means that nothing was
// written.
func (s *Store) Update(ctx context.Context, key store.Key, change store.Change) error {
	if err := key.Validate(); err != nil {
		return fmt.Errorf("updating record: %w", err)
	}
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return fmt.Errorf("updating record: %w", err)
	}
	defer leave()

	var verdict error
	announce := false
	err = s.write(ctx, func(p *part) error {
		now := s.now()
		var live *store.Record
		var indexed instant
		err := guard(func() (err error) {
			live, indexed, err = readRecord(p.tx, key, now)
			return err
		})
		if err != nil {
			return err
		}
		w, err := change(live)
		if err != nil || w == nil {
			verdict = err
			return nil
		}
		next, err := nextRecord(live, w, now)
		if err != nil {
			return err
		}
		announce = w.Announce
		return guard(func() error { return putRecord(p, key, indexed, next, w.Events) })
	})
	if err != nil {
		return fmt.Errorf("updating record: %w", err)
	}
	if announce {
		s.watches.Notify(key)
	}
	return verdict
}

// readRecord returns the live record under key, or nil, and the expiry under
// which the index has what is stored there, live or not.
func readRecord(tx *bbolt.Tx, key store.Key, now time.Time) (*store.Record, instant, error) {
	b := tx.Bucket(recordsBucket).Get([]byte(key))
	if b == nil {
		return nil, 0, nil
	}
	r, err := parseRecord(b)
	if err != nil {
		return nil, 0, err
	}
	if r.expires.past(now) {
		return nil, r.expires, nil
	}
	live := r.export(key)
	return &live, r.expires, nil
}

// nextRecord returns what w makes of the live record, nil for a deletion.
func nextRecord(live *store.Record, w *store.Write, now time.Time) (*record, error) {
	if w.Delete {
		return nil, nil
	}
	if len(w.Value) > store.MaxValueLength {
		return nil, fmt.Errorf("value of %d bytes: want at most %d", len(w.Value), store.MaxValueLength)
	}
	if !w.Expires.IsZero() && !now.Before(w.Expires) {
		return nil, nil // as good as absent from the start
	}
	expires, err := newInstant(w.Expires)
	if err != nil {
		return nil, err
	}
	next := &record{version: 1, expires: expires, value: w.Value}
	if live != nil {
		next.version = live.Version + 1
	}
	return next, nil
}

// putRecord replaces the record stored under key and its entry in the expiry
// index by next, and appends the events.
func putRecord(p *part, key store.Key, indexed instant, next *record, events [][]byte) error {
	records := p.tx.Bucket(recordsBucket)
	if next == nil {
		p.writing(len(key))
		next = &record{}
		if err := records.Delete([]byte(key)); err != nil {
			return err
		}
	} else {
		b := next.encode()
		p.writing(len(b))
		if err := records.Put([]byte(key), b); err != nil {
			return err
		}
	}
	if err := reindex(p.tx, recordTag, key, indexed, next.expires); err != nil {
		return err
	}
	return appendEvents(p, events)
}

// scanCheck is after how many records a scan looks whether its caller has gone.
const scanCheck = 256

// Scan implements [store.Store].
func (s *Store) Scan(ctx context.Context, prefix string, after store.Key, limit int) ([]store.Record, error) {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("scanning records: %w", err)
	}
	defer leave()

	var found []store.Record
	err = s.view(func(tx *bbolt.Tx) error {
		now := s.now()
		c := tx.Bucket(recordsBucket).Cursor()
		k, b := c.Seek([]byte(max(prefix, string(after))))
		for seen := 1; len(found) < limit && k != nil && bytes.HasPrefix(k, []byte(prefix)); seen++ {
			r, err := parseRecord(b)
			if err != nil {
				return err
			}
			if key := store.Key(k); key != after && !r.expires.past(now) {
				found = append(found, r.export(key))
			}
			if seen%scanCheck == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			k, b = c.Next()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scanning records: %w", err)
	}
	return found, nil
}
