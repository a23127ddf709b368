package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stepgate/stepgate/store"
)

// Get implements [store.Store].
func (s *Store) Get(ctx context.Context, key store.Key) (store.Record, error) {
	if err := key.Validate(); err != nil {
		return store.Record{}, fmt.Errorf("reading record: %w", err)
	}
	var found *stored
	err := s.call(ctx, "reading record", func(ctx context.Context) (err error) {
		found, err = s.read(ctx, key)
		s.recent.put(key, found)
		return err
	})
	if err != nil {
		return store.Record{}, err
	}
	live := found.live(key, s.now())
	if live == nil {
		return store.Record{}, store.ErrNotFound
	}
	return *live, nil
}

// stored is a record as it is in the database, live or not.
type stored struct {
	value             []byte
	version, revision int64
	expires           *int64
	// gone is set for what was just deleted.
	gone bool
}

func (r *stored) isLive(now time.Time) bool {
	return r != nil && (r.expires == nil || now.UnixMicro() < *r.expires)
}

// live returns the record, or nil if there is none or it has expired.
func (r *stored) live(key store.Key, now time.Time) *store.Record {
	if !r.isLive(now) {
		return nil
	}
	// The caller owns its value.
	return &store.Record{Key: key, Value: bytes.Clone(r.value), Version: uint64(r.version), Expires: timeOf(r.expires)}
}

// read returns what is stored under key, nil if nothing is.
func (s *Store) read(ctx context.Context, key store.Key) (found *stored, err error) {
	err = s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
		r := new(stored)
		err := c.QueryRow(ctx, s.sql.get, string(key)).Scan(&r.value, &r.version, &r.revision, &r.expires)
		if errors.Is(err, pgx.ErrNoRows) {
			found = nil
			return nil
		}
		found = r
		return err
	})
	return found, err
}

// Update implements [store.Store]. If its error is that of a lost connection or of
// ctx, the write may have happened.
func (s *Store) Update(ctx context.Context, key store.Key, change store.Change) error {
	if err := key.Validate(); err != nil {
		return fmt.Errorf("updating record: %w", err)
	}
	var verdict error
	announce := false
	err := s.call(ctx, "updating record", func(ctx context.Context) error {
		leave, err := s.queues.enter(ctx, key)
		if err != nil {
			return err
		}
		defer leave()
		// What was seen last is tried first: mostly it is still so, and a read is saved.
		old, fresh := s.recent.take(key), false
		for {
			if old == nil {
				if old, err = s.read(ctx, key); err != nil {
					return err
				}
				fresh = true
			}
			now := s.now()
			w, err := change(old.live(key, now))
			if err == nil && w != nil {
				next, err := s.write(ctx, key, old, w, now)
				if err != nil {
					return err
				}
				if next != nil {
					announce = w.Announce
					s.recent.put(key, next)
					return nil
				}
			} else if fresh {
				verdict = err
				return nil
			}
			// Another process was first, or may have been.
			old, fresh = nil, false
		}
	})
	if err != nil {
		return err
	}
	if announce {
		s.watches.Notify(key)
	}
	return verdict
}

// write puts w in the place of what was read and returns what stands there now, or
// nil if somebody else has written since.
func (s *Store) write(ctx context.Context, key store.Key, old *stored, w *store.Write, now time.Time) (*stored, error) {
	next, err := nextOf(old, w, now)
	if err != nil {
		return nil, err
	}
	sql, args := s.statement(key, old, next, w)
	var written, announced int
	err = s.do(ctx, undone, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, sql, args...).Scan(&written, &announced)
	})
	if err == nil && written == 0 {
		return nil, nil
	}
	if err == nil {
		return next, nil
	}
	// A lost connection leaves open whether its statement was committed. Once its session
	// is over, what stands there tells, unless a third party has written since. What
	// certainly did nothing, as on a read-only database, is not tried on and on.
	lost, ok := errors.AsType[*lostError](err)
	if !ok || undone(err) || ctx.Err() != nil || !s.over(ctx, lost) {
		return nil, err
	}
	is, unread := s.read(ctx, key)
	switch {
	case unread != nil || is == nil:
		return nil, err
	case is.revision == next.revision:
		return next, nil
	case old != nil && is.revision == old.revision:
		return nil, nil
	default:
		return nil, err
	}
}

// nextOf returns what w makes of what is stored. It is gone if w deletes it, or is
// expired from the start.
func nextOf(old *stored, w *store.Write, now time.Time) (*stored, error) {
	if len(w.Value) > store.MaxValueLength && !w.Delete {
		return nil, fmt.Errorf("value of %d bytes: want at most %d", len(w.Value), store.MaxValueLength)
	}
	next := &stored{value: append([]byte{}, w.Value...), version: 1, revision: rand.Int64()}
	if old.isLive(now) {
		next.version = old.version + 1
	}
	next.gone = w.Delete || !w.Expires.IsZero() && !now.Before(w.Expires)
	if next.gone {
		return next, nil
	}
	var err error
	next.expires, err = instantOf(w.Expires)
	return next, err
}

// statement returns what writes next in the place of old, with its parameters.
func (s *Store) statement(key store.Key, old, next *stored, w *store.Write) (sql string, args []any) {
	switch {
	case next.gone && old == nil:
		sql, args = s.sql.note, []any{string(key)}
	case next.gone:
		sql, args = s.sql.remove, []any{string(key), old.revision}
	case old == nil:
		sql, args = s.sql.insert, []any{string(key), next.value, next.version, next.expires, next.revision}
	default:
		sql, args = s.sql.update, []any{string(key), next.value, next.version, next.expires, next.revision, old.revision}
	}
	channel := ""
	if w.Announce {
		channel = s.listener.channel
	}
	// NULL is no list of events.
	return sql, append(args, append([][]byte{}, w.Events...), channel, string(key))
}

// Scan implements [store.Store].
func (s *Store) Scan(ctx context.Context, prefix string, after store.Key, limit int) (found []store.Record, err error) {
	err = s.call(ctx, "scanning records", func(ctx context.Context) error {
		return s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
			found = nil
			rows, err := c.Query(ctx, s.sql.scan, prefix, beyond(prefix), string(after), s.now().UnixMicro(), max(limit, 0))
			if err != nil {
				return err
			}
			var key string
			var r stored
			_, err = pgx.ForEachRow(rows, []any{&key, &r.value, &r.version, &r.expires}, func() error {
				found = append(found, store.Record{
					Key: store.Key(key), Value: r.value, Version: uint64(r.version), Expires: timeOf(r.expires),
				})
				return nil
			})
			return err
		})
	})
	return found, err
}

// beyond returns the first text after all that begin with prefix, nil if there is
// none. Keys are ASCII, so no byte is the last.
func beyond(prefix string) *string {
	if prefix == "" {
		return nil
	}
	last := len(prefix) - 1
	next := prefix[:last] + string(rune(prefix[last]+1))
	return &next
}

// maxYear bounds what is kept as a time, as RFC 3339 does.
const maxYear = 9999

// instantOf returns a time in microseconds since 1970 UTC, nil for never.
func instantOf(t time.Time) (*int64, error) {
	if t.IsZero() {
		return nil, nil
	}
	us := t.UnixMicro()
	if us <= 0 || t.UTC().Year() > maxYear {
		return nil, fmt.Errorf("expiry lies in the year %d: want 1970 to %d", t.UTC().Year(), maxYear)
	}
	return &us, nil
}

func timeOf(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return time.UnixMicro(*us).UTC()
}
