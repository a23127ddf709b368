package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stepgate/stepgate/store"
)

// Add implements [store.Store]. The window must be positive where n is not 0. A
// sum that would not fit is refused and the counter stays as it was: a limit must
// not be passed by wrapping round.
func (s *Store) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (sum int64, err error) {
	if err := key.Validate(); err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	if n != 0 && window <= 0 {
		return 0, fmt.Errorf("counting: window of %v: want more than 0", window)
	}
	err = s.call(ctx, "counting", func(ctx context.Context) error {
		now := s.now()
		until, err := instantOf(now.Add(window))
		if err != nil {
			return err
		}
		again := undone
		if n == 0 {
			again = harmless
		}
		return s.do(ctx, again, func(ctx context.Context, c *pgxpool.Conn) error {
			if n != 0 {
				return c.QueryRow(ctx, s.sql.add, string(key), n, until, now.UnixMicro()).Scan(&sum)
			}
			err := c.QueryRow(ctx, s.sql.count, string(key), now.UnixMicro()).Scan(&sum)
			if errors.Is(err, pgx.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

// Expire implements [store.Store].
func (s *Store) Expire(ctx context.Context, limit int) (deleted int, err error) {
	err = s.call(ctx, "expiring records", func(ctx context.Context) error {
		for _, sql := range []string{s.sql.expireRecords, s.sql.expireNs} {
			if limit <= deleted {
				return nil
			}
			tag, err := s.pool.Exec(ctx, sql, s.now().UnixMicro(), limit-deleted)
			if err != nil {
				return err
			}
			deleted += int(tag.RowsAffected())
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

// Audit implements [store.Store].
func (s *Store) Audit(ctx context.Context, after uint64, limit int) (events []store.Event, err error) {
	err = s.call(ctx, "reading audit log", func(ctx context.Context) error {
		if after > 1<<63-1 {
			return nil
		}
		return s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
			events = nil
			rows, err := c.Query(ctx, s.sql.audit, int64(after), max(limit, 0))
			if err != nil {
				return err
			}
			var seq int64
			var body []byte
			_, err = pgx.ForEachRow(rows, []any{&seq, &body}, func() error {
				events = append(events, store.Event{Seq: uint64(seq), Body: body})
				return nil
			})
			return err
		})
	})
	return events, err
}
