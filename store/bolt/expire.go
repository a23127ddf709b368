package bolt

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// reindex moves a key in the expiry index from one instant to another; 0 is not
// in the index.
func reindex(tx *bbolt.Tx, tag byte, key store.Key, from, to instant) error {
	index := tx.Bucket(expiryBucket)
	if from == to {
		return nil
	}
	if from != 0 {
		if err := index.Delete(expiry{from, tag, key}.encode()); err != nil {
			return err
		}
	}
	if to != 0 {
		return index.Put(expiry{to, tag, key}.encode(), nil)
	}
	return nil
}

// Expire implements [store.Store]. It holds other writers up while it deletes,
// so a limit of some hundreds is better than one of many thousands.
func (s *Store) Expire(ctx context.Context, limit int) (int, error) {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("expiring records: %w", err)
	}
	defer leave()

	var due []expiry
	// Looked up first without a commit: mostly nothing has expired.
	err = s.view(func(tx *bbolt.Tx) (err error) {
		due, err = expired(tx, s.now(), min(limit, 1))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("expiring records: %w", err)
	}
	if len(due) == 0 {
		return 0, nil
	}
	err = s.write(ctx, func(p *part) error {
		return guard(func() (err error) {
			if due, err = expired(p.tx, s.now(), limit); err != nil {
				return err
			}
			return deleteExpired(p, due)
		})
	})
	if err != nil {
		return 0, fmt.Errorf("expiring records: %w", err)
	}
	return len(due), nil
}

// expired returns up to limit entries of the index that are past, the oldest
// first. Each has been compared with what it stands for: an index that does not
// agree must not delete a live record.
func expired(tx *bbolt.Tx, now time.Time, limit int) ([]expiry, error) {
	var due []expiry
	c := tx.Bucket(expiryBucket).Cursor()
	for k, _ := c.First(); k != nil && len(due) < limit; k, _ = c.Next() {
		e, err := parseExpiry(k)
		if err != nil {
			return nil, err
		}
		if !e.at.past(now) {
			break
		}
		if at, err := storedExpiry(tx, e); err != nil {
			return nil, err
		} else if at != e.at {
			return nil, errExpiry
		}
		due = append(due, e)
	}
	return due, nil
}

// storedExpiry returns the expiry of what e stands for, 0 if there is no such
// record or counter.
func storedExpiry(tx *bbolt.Tx, e expiry) (instant, error) {
	b := tx.Bucket(bucketOf(e.tag)).Get([]byte(e.key))
	if b == nil {
		return 0, nil
	}
	if e.tag == counterTag {
		c, err := parseCounter(b)
		return c.until, err
	}
	r, err := parseRecord(b)
	return r.expires, err
}

func bucketOf(tag byte) []byte {
	if tag == counterTag {
		return countBucket
	}
	return recordsBucket
}

func deleteExpired(p *part, due []expiry) error {
	for _, e := range due {
		p.writing(headerLength + len(e.key))
		if err := p.tx.Bucket(bucketOf(e.tag)).Delete([]byte(e.key)); err != nil {
			return err
		}
		if err := reindex(p.tx, e.tag, e.key, e.at, 0); err != nil {
			return err
		}
	}
	return nil
}
