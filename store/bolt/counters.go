package bolt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// Add implements [store.Store]. The window must be positive where n is not 0. A
// sum that would not fit is refused and the counter stays as it was: a limit must
// not be passed by wrapping round.
func (s *Store) Add(ctx context.Context, key store.Key, n int64, window time.Duration) (int64, error) {
	if err := key.Validate(); err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	if n != 0 && window <= 0 {
		return 0, fmt.Errorf("counting: window of %v: want more than 0", window)
	}
	leave, err := s.calls.Enter(ctx)
	if err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	defer leave()

	var c counter
	if n == 0 {
		err = s.view(func(tx *bbolt.Tx) (err error) {
			c, _, err = readCounter(tx, key, s.now())
			return err
		})
	} else {
		err = s.write(ctx, func(p *part) error {
			return guard(func() (err error) {
				c, err = addToCounter(p, key, n, s.now(), window)
				return err
			})
		})
	}
	if err != nil {
		return 0, fmt.Errorf("counting: %w", err)
	}
	return c.sum, nil
}

// readCounter returns the live counter under key, or the zero counter, and the
// expiry under which the index has what is stored there, live or not.
func readCounter(tx *bbolt.Tx, key store.Key, now time.Time) (live counter, indexed instant, err error) {
	b := tx.Bucket(countBucket).Get([]byte(key))
	if b == nil {
		return counter{}, 0, nil
	}
	c, err := parseCounter(b)
	if err != nil {
		return counter{}, 0, err
	}
	if c.until.past(now) {
		return counter{}, c.until, nil
	}
	return c, c.until, nil
}

func addToCounter(p *part, key store.Key, n int64, now time.Time, window time.Duration) (counter, error) {
	c, indexed, err := readCounter(p.tx, key, now)
	if err != nil {
		return counter{}, err
	}
	if n > 0 && c.sum > math.MaxInt64-n || n < 0 && c.sum < math.MinInt64-n {
		return counter{}, errors.New("the sum does not fit into 64 bits")
	}
	c.sum += n
	if c.until == 0 {
		if c.until, err = newInstant(now.Add(window)); err != nil {
			return counter{}, err
		}
	}
	b := c.encode()
	p.writing(len(b))
	if err := p.tx.Bucket(countBucket).Put([]byte(key), b); err != nil {
		return counter{}, err
	}
	return c, reindex(p.tx, counterTag, key, indexed, c.until)
}
