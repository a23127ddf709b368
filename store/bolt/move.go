package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// markKey is where the mark of an unfinished copy stands in the bucket meta.
var markKey = []byte("copy")

// exportBytes is from how many bytes on a batch takes no further item.
const exportBytes = 4 << 20

// checkFinished refuses a store into which a copy is not finished.
func checkFinished(db *bbolt.DB) error {
	return db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(metaBucket).Get(markKey) != nil {
			return store.ErrUnfinished
		}
		return nil
	})
}

// checkThere refuses a path with no file that could hold a store. An empty file would
// become one.
func checkThere(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode().IsRegular() && info.Size() == 0 {
		return fmt.Errorf("%s: %w", path, store.ErrNoStore)
	}
	return err
}

// Name implements [store.Mover].
func (s *Store) Name() string {
	path := s.db.Path()
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return "bolt:" + strings.ToValidUTF8(path, "?")
}

// Alone implements [store.Mover]. The lock on the file has seen to it.
func (s *Store) Alone(ctx context.Context) error {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return err
	}
	leave()
	return nil
}

// Mark implements [store.Mover].
func (s *Store) Mark(ctx context.Context) (*store.Mark, error) {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading mark of a copy: %w", err)
	}
	defer leave()
	var mark *store.Mark
	err = s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(metaBucket).Get(markKey)
		if b == nil {
			return nil
		}
		m, err := store.ParseMark(b)
		mark = &m
		return err
	})
	if err != nil {
		return nil, err
	}
	return mark, nil
}

// Export implements [store.Mover].
func (s *Store) Export(ctx context.Context, asOf time.Time, after store.Cursor, limit int) (store.Batch, error) {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return store.Batch{}, fmt.Errorf("exporting: %w", err)
	}
	defer leave()
	if limit < 1 || limit > store.MaxBatch {
		return store.Batch{}, fmt.Errorf("exporting %d items: want 1 to %d", limit, store.MaxBatch)
	}
	e := export{ctx: ctx, asOf: asOf, limit: limit, batch: store.Batch{Next: after}}
	err = s.view(func(tx *bbolt.Tx) error {
		switch after.Part {
		case store.PartRecords:
			return e.walk(tx.Bucket(recordsBucket), []byte(after.Key), e.record)
		case store.PartCounters:
			return e.walk(tx.Bucket(countBucket), []byte(after.Key), e.counter)
		case store.PartAudit:
			return e.walk(tx.Bucket(auditBucket), auditKey(after.Seq), e.event)
		default:
			return fmt.Errorf("no part has the number %d", after.Part)
		}
	})
	if err != nil {
		return store.Batch{}, fmt.Errorf("exporting: %w", err)
	}
	return e.batch, nil
}

// export is a batch in the making.
type export struct {
	ctx   context.Context // of the one call that the export lives for
	asOf  time.Time
	limit int
	batch store.Batch
}

// walk takes what stands behind the key after, and moves on to the next part at the
// bucket's end.
func (e *export) walk(bucket *bbolt.Bucket, after []byte, take func(k, b []byte) error) error {
	c := bucket.Cursor()
	k, b := c.Seek(after)
	if bytes.Equal(k, after) {
		k, b = c.Next()
	}
	size := 0
	for seen := 1; k != nil; seen++ {
		before := e.batch.Len()
		if err := take(k, b); err != nil {
			return err
		}
		if e.batch.Len() > before {
			size += len(k) + len(b)
		}
		if e.batch.Len() == e.limit || size >= exportBytes {
			return nil
		}
		if seen%scanCheck == 0 && e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		k, b = c.Next()
	}
	e.batch.Next = store.Cursor{Part: e.batch.Next.Part + 1}
	return nil
}

func (e *export) record(k, b []byte) error {
	r, err := parseRecord(b)
	if err != nil {
		return err
	}
	e.batch.Next.Key = store.Key(k)
	if !r.expires.past(e.asOf) {
		e.batch.Records = append(e.batch.Records, r.export(store.Key(k)))
	}
	return nil
}

func (e *export) counter(k, b []byte) error {
	c, err := parseCounter(b)
	if err != nil {
		return err
	}
	e.batch.Next.Key = store.Key(k)
	if !c.until.past(e.asOf) {
		e.batch.Counters = append(e.batch.Counters, store.Counter{Key: store.Key(k), Sum: c.sum, Until: c.until.time()})
	}
	return nil
}

func (e *export) event(k, b []byte) error {
	seq, err := parseAuditKey(k)
	if err != nil {
		return err
	}
	e.batch.Next.Seq = seq
	e.batch.Events = append(e.batch.Events, append([]byte{}, b...))
	return nil
}

// Import implements [store.Mover].
func (s *Store) Import(ctx context.Context, b store.Batch, before, after *store.Mark) error {
	if err := b.Validate(); err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	defer leave()
	err = s.write(ctx, func(p *part) error {
		return guard(func() error {
			if err := checkMark(p.tx, before); err != nil {
				return err
			}
			return importBatch(p, b, after)
		})
	})
	if err != nil {
		return fmt.Errorf("importing: %w", err)
	}
	return nil
}

// checkMark reports whether a copy may go on, or begin, where the mark want stands.
func checkMark(tx *bbolt.Tx, want *store.Mark) error {
	found := tx.Bucket(metaBucket).Get(markKey)
	if want != nil {
		b, err := want.Encode()
		if err == nil && !bytes.Equal(b, found) {
			err = store.ErrOtherCopy
		}
		return err
	}
	if found != nil {
		return store.ErrOtherCopy
	}
	for _, name := range [][]byte{recordsBucket, countBucket, auditBucket} {
		if k, _ := tx.Bucket(name).Cursor().First(); k != nil {
			return store.ErrNotEmpty
		}
	}
	return nil
}

// importBatch writes a batch and the mark that goes with it.
func importBatch(p *part, b store.Batch, after *store.Mark) error {
	p.writing(0)
	for _, r := range b.Records {
		expires, err := newInstant(r.Expires)
		if err != nil {
			return err
		}
		if err := checkAbsent(p.tx, recordsBucket, r.Key); err != nil {
			return err
		}
		next := &record{version: r.Version, expires: expires, value: r.Value}
		if err := putRecord(p, r.Key, 0, next, nil); err != nil {
			return err
		}
	}
	for _, c := range b.Counters {
		until, err := newInstant(c.Until)
		if err != nil {
			return err
		}
		if err := checkAbsent(p.tx, countBucket, c.Key); err != nil {
			return err
		}
		encoded := counter{sum: c.Sum, until: until}.encode()
		p.writing(len(encoded))
		if err := p.tx.Bucket(countBucket).Put([]byte(c.Key), encoded); err != nil {
			return err
		}
		if err := reindex(p.tx, counterTag, c.Key, 0, until); err != nil {
			return err
		}
	}
	if err := appendEvents(p, b.Events); err != nil {
		return err
	}
	meta := p.tx.Bucket(metaBucket)
	if after == nil {
		return meta.Delete(markKey)
	}
	encoded, err := after.Encode()
	if err != nil {
		return err
	}
	return meta.Put(markKey, encoded)
}

func checkAbsent(tx *bbolt.Tx, bucket []byte, key store.Key) error {
	if tx.Bucket(bucket).Get([]byte(key)) != nil {
		return fmt.Errorf("%s is there already", key)
	}
	return nil
}

var _ store.Mover = (*Store)(nil)
