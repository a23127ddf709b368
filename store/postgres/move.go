package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stepgate/stepgate/store"
)

// exportBytes is from how many bytes on a batch takes no further item.
const exportBytes = 4 << 20

// application is how the names of all sessions begin, of gateways and of copies.
const application = "stepgate"

// sessionName returns the name of a store's sessions. Whatever an operator's address
// calls them, it begins as all do: by it a copy sees who is there.
func sessionName(own, session string) string {
	if session != "" {
		return application + " " + session
	}
	return strings.TrimSpace(application + " " + strings.TrimSpace(strings.TrimPrefix(own, application)))
}

// checkFinished refuses a schema into which a copy is not finished.
func checkFinished(ctx context.Context, db rower, schema string) error {
	var finished bool
	err := db.QueryRow(ctx, "SELECT copy IS NULL FROM "+pgx.Identifier{schema, "settings"}.Sanitize()).Scan(&finished)
	if err != nil {
		return err // no row too: nobody knows then
	}
	if !finished {
		return store.ErrUnfinished
	}
	return nil
}

// checkThere refuses a schema that is not there, or not up to date.
func checkThere(ctx context.Context, db rower, schema string) error {
	version, err := schemaVersion(ctx, db, schema)
	switch {
	case err != nil:
		return err
	case version == 0:
		return fmt.Errorf("schema %s: %w", schema, store.ErrNoStore)
	case version != newest:
		return fmt.Errorf("schema %s has version %d, want %d: run `stepgate store migrate`, or the Stepgate that wrote it", schema, version, newest)
	}
	return nil
}

// Name implements [store.Mover]. It names the first host of the address.
func (s *Store) Name() string {
	c := s.pool.Config().ConnConfig
	return strings.ToValidUTF8(fmt.Sprintf("postgres:%s:%d/%s schema %s", c.Host, c.Port, c.Database, s.schema), "?")
}

// Alone implements [store.Mover]: no session on the database may have a name that
// begins as those of gateways and copies do, but for those of [Options.Session], which
// is needed here. It does not tell which schema a session is for, so a gateway on
// another schema of the same database is in the way too.
func (s *Store) Alone(ctx context.Context) error {
	if s.session == "" {
		return errors.New("looking for other sessions: the store was opened without a name for its own")
	}
	return s.call(ctx, "looking for other sessions", func(ctx context.Context) error {
		return s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
			own := c.Conn().Config().RuntimeParams["application_name"]
			// The server lists a session for a moment after its client has closed it.
			for tries := 20; ; tries-- {
				var others int
				err := c.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
					WHERE datname = current_database() AND starts_with(application_name, $1)
					AND application_name NOT IN ($2, $3)`, application, own, own+listenerSuffix).Scan(&others)
				switch {
				case err != nil || others == 0:
					return err
				case tries == 0:
					return fmt.Errorf("%w (%d sessions on this database are Stepgate's)", store.ErrInUse, others)
				}
				if _, err := c.Exec(ctx, "SELECT pg_sleep(0.05)"); err != nil {
					return err
				}
			}
		})
	})
}

// Mark implements [store.Mover].
func (s *Store) Mark(ctx context.Context) (mark *store.Mark, err error) {
	err = s.call(ctx, "reading mark of a copy", func(ctx context.Context) error {
		return s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) error {
			var text *string
			if err := c.QueryRow(ctx, s.sql.mark).Scan(&text); err != nil || text == nil {
				mark = nil
				return err
			}
			m, err := store.ParseMark([]byte(*text))
			mark = &m
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return mark, nil
}

// Export implements [store.Mover]. Unlike Audit it keeps no entry back: nobody writes
// while a store is moved, and a long transaction of somebody else's on the server,
// such as a backup, must not cost the newest entries.
func (s *Store) Export(ctx context.Context, asOf time.Time, after store.Cursor, limit int) (batch store.Batch, err error) {
	if limit < 1 || limit > store.MaxBatch {
		return batch, fmt.Errorf("exporting %d items: want 1 to %d", limit, store.MaxBatch)
	}
	err = s.call(ctx, "exporting", func(ctx context.Context) error {
		return s.do(ctx, harmless, func(ctx context.Context, c *pgxpool.Conn) (err error) {
			batch, err = s.export(ctx, c, asOf, after, limit)
			return err
		})
	})
	return batch, err
}

func (s *Store) export(ctx context.Context, c *pgxpool.Conn, asOf time.Time, after store.Cursor, limit int) (store.Batch, error) {
	batch := store.Batch{Next: after}
	var take func(rows pgx.Rows) (size int, err error)
	var rows pgx.Rows
	var err error
	switch after.Part {
	case store.PartRecords:
		take = func(rows pgx.Rows) (int, error) { return takeRecord(rows, &batch) }
		rows, err = c.Query(ctx, s.sql.exportRecords, string(after.Key), asOf.UnixMicro(), limit)
	case store.PartCounters:
		take = func(rows pgx.Rows) (int, error) { return takeCounter(rows, &batch) }
		rows, err = c.Query(ctx, s.sql.exportCounters, string(after.Key), asOf.UnixMicro(), limit)
	case store.PartAudit:
		if after.Seq > 1<<63-1 {
			return batch, errors.New("the audit log has no such number")
		}
		take = func(rows pgx.Rows) (int, error) { return takeEvent(rows, &batch) }
		rows, err = c.Query(ctx, s.sql.exportAudit, int64(after.Seq), limit)
	default:
		return batch, fmt.Errorf("no part has the number %d", after.Part)
	}
	if err != nil {
		return batch, err
	}
	defer rows.Close()
	size := 0
	for rows.Next() {
		n, err := take(rows)
		if err != nil {
			return batch, err
		}
		size += n
	}
	if err := rows.Err(); err != nil {
		return batch, err
	}
	if batch.Len() < limit && size < exportBytes { // neither bound has cut it off
		batch.Next = store.Cursor{Part: after.Part + 1}
	}
	return batch, nil
}

func takeRecord(rows pgx.Rows, batch *store.Batch) (int, error) {
	var key string
	var r stored
	if err := rows.Scan(&key, &r.value, &r.version, &r.expires); err != nil {
		return 0, err
	}
	batch.Next.Key = store.Key(key)
	batch.Records = append(batch.Records, store.Record{
		Key: store.Key(key), Value: r.value, Version: uint64(r.version), Expires: timeOf(r.expires),
	})
	return len(r.value), nil
}

func takeCounter(rows pgx.Rows, batch *store.Batch) (int, error) {
	var key string
	var sum, until int64
	if err := rows.Scan(&key, &sum, &until); err != nil {
		return 0, err
	}
	batch.Next.Key = store.Key(key)
	batch.Counters = append(batch.Counters, store.Counter{Key: store.Key(key), Sum: sum, Until: timeOf(&until)})
	return 0, nil // bounded by their number
}

func takeEvent(rows pgx.Rows, batch *store.Batch) (int, error) {
	var seq int64
	var body []byte
	if err := rows.Scan(&seq, &body); err != nil {
		return 0, err
	}
	batch.Next.Seq = uint64(seq)
	batch.Events = append(batch.Events, body)
	return len(body), nil
}

// Import implements [store.Mover]. Its role must own the schema.
func (s *Store) Import(ctx context.Context, b store.Batch, before, after *store.Mark) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	columns, err := columnsOf(b)
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	want, err := textOf(before)
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	next, err := textOf(after)
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	return s.call(ctx, "importing", func(ctx context.Context) error {
		return s.do(ctx, undone, func(ctx context.Context, c *pgxpool.Conn) error {
			return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
				if err := s.checkMark(ctx, tx, want); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, s.sql.importRecords, columns.keys, columns.values, columns.versions, columns.expires); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, s.sql.importCounters, columns.counters, columns.sums, columns.untils); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, s.sql.importAudit, columns.events); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, s.sql.setMark, next)
				return err
			})
		})
	})
}

// checkMark locks the mark, so that of two copies one waits, and reports whether a
// copy may go on, or begin, where the mark want stands.
func (s *Store) checkMark(ctx context.Context, tx pgx.Tx, want *string) error {
	var found *string
	if err := tx.QueryRow(ctx, s.sql.lockMark).Scan(&found); err != nil {
		return err
	}
	if want == nil != (found == nil) || want != nil && *want != *found {
		return store.ErrOtherCopy
	}
	if want != nil {
		return nil
	}
	var filled bool
	if err := tx.QueryRow(ctx, s.sql.filled).Scan(&filled); err != nil {
		return err
	}
	if filled {
		return store.ErrNotEmpty
	}
	return nil
}

// columns are a batch as the statements take it.
type columns struct {
	keys     []string
	values   [][]byte
	versions []int64
	expires  []*int64

	counters []string
	sums     []int64
	untils   []int64

	events [][]byte
}

func columnsOf(b store.Batch) (columns, error) {
	c := columns{events: filledOut(b.Events)}
	for _, r := range b.Records {
		expires, err := instantOf(r.Expires)
		if err != nil {
			return columns{}, err
		}
		c.keys = append(c.keys, string(r.Key))
		c.values = append(c.values, r.Value)
		c.versions = append(c.versions, int64(r.Version))
		c.expires = append(c.expires, expires)
	}
	c.values = filledOut(c.values)
	for _, n := range b.Counters {
		until, err := instantOf(n.Until)
		if err != nil {
			return columns{}, err
		}
		c.counters = append(c.counters, string(n.Key))
		c.sums = append(c.sums, n.Sum)
		c.untils = append(c.untils, *until)
	}
	return c, nil
}

// filledOut returns texts in which what is empty is not NULL.
func filledOut(texts [][]byte) [][]byte {
	out := make([][]byte, len(texts))
	for i, text := range texts {
		if out[i] = text; text == nil {
			out[i] = []byte{}
		}
	}
	return out
}

// textOf encodes a mark, nil as NULL.
func textOf(m *store.Mark) (*string, error) {
	if m == nil {
		return nil, nil
	}
	b, err := m.Encode()
	text := string(b)
	return &text, err
}

var _ store.Mover = (*Store)(nil)
