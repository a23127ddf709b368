package bolt

import (
	"context"
	"fmt"
	"math"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// auditFill is how full the pages of the audit log are made. It only grows at its
// end, so there is no room to leave for later.
const auditFill = 0.95

// appendEvents adds events to the audit log.
func appendEvents(p *part, events [][]byte) error {
	log := p.tx.Bucket(auditBucket)
	log.FillPercent = auditFill
	for _, body := range events {
		seq, err := log.NextSequence()
		if err != nil {
			return err
		}
		p.writing(len(body))
		// bbolt keeps what it is given until the commit; the caller owns body.
		if err := log.Put(auditKey(seq), append([]byte{}, body...)); err != nil {
			return err
		}
	}
	return nil
}

// Audit implements [store.Store].
func (s *Store) Audit(ctx context.Context, after uint64, limit int) ([]store.Event, error) {
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading audit log: %w", err)
	}
	defer leave()

	if after == math.MaxUint64 {
		return nil, nil
	}
	var events []store.Event
	err = s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(auditBucket).Cursor()
		for k, b := c.Seek(auditKey(after + 1)); k != nil && len(events) < limit; k, b = c.Next() {
			seq, err := parseAuditKey(k)
			if err != nil {
				return err
			}
			events = append(events, store.Event{Seq: seq, Body: append([]byte{}, b...)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading audit log: %w", err)
	}
	return events, nil
}
