package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/seal"
)

const (
	// followEvery is how often a running gateway reads its key ring again.
	followEvery = time.Minute
	// followTimeout bounds one reading.
	followTimeout = 20 * time.Second
	// minLead is how long before it is current a new key must lie where gateways
	// read it by themselves: each has read it by then, though one reading failed.
	minLead = 2 * time.Minute
)

// follow reads the ring again at every tick, until ctx is done, and takes over
// what has become of it. What cannot be read or is another ring changes nothing:
// the gateway goes on with what it has.
func (k keyring) follow(ctx context.Context, ring *seal.Ring, ticks <-chan time.Time, logger *zap.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		changed, err := k.readAgain(ctx, ring)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			logger.Error("key ring is not taken over; the one in use stays", zap.Stringer("place", k.place), zap.Error(err))
		case changed:
			logger.Info("key ring taken over", zap.Stringer("place", k.place), zap.Any("keys", ring.IDs()), zap.Uint32("current", uint32(ring.Current())))
		}
	}
}

func (k keyring) readAgain(ctx context.Context, ring *seal.Ring) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	next, err := k.load(ctx)
	if err != nil {
		return false, err
	}
	return ring.Adopt(next)
}

// startFollowing follows the ring in a goroutine of its own. The returned function
// ends that and does not wait for it: a storage that hangs must not keep a reload
// from ending, and nothing but the ring and its place is touched.
func (k keyring) startFollowing(ring *seal.Ring, logger *zap.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ticker := time.NewTicker(followEvery)
	go func() {
		defer ticker.Stop()
		k.follow(ctx, ring, ticker.C, logger)
	}()
	return cancel
}
