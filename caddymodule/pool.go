package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"

	"github.com/stepgate/stepgate/store"
)

// StoreOpener is what a module of the namespace `stepgate.stores` implements.
type StoreOpener interface {
	// Key names what the store keeps its records in, the same for every
	// configuration that means the same place: the resolved path of a file, a hash
	// of an address. Configurations with the same key share one store, so a key
	// that is too coarse mixes two gateways up and one that is too fine opens a
	// file twice. It must not hold a secret. It is asked for once, when the module
	// has been provisioned.
	Key() string
	// Open opens the store. It may wait for locks and networks for some seconds.
	// Its error tells an operator what to do.
	Open() (store.Store, error)
}

const (
	// expireEvery and expireBatch are how often expired records are deleted, and
	// how many in one write.
	expireEvery = time.Minute
	expireBatch = 500
)

// stores are the open stores of this process, by module and key. A store outlives
// the configuration that opened it for as long as a newer one uses it.
var stores = caddy.NewUsagePool()

// acquireStore returns the store under a key, opened if nobody else has it open.
// The returned function gives it back and must be called exactly once.
func acquireStore(key string, opener StoreOpener) (store.Store, func(), error) {
	v, _, err := stores.LoadOrNew(key, func() (caddy.Destructor, error) {
		s, err := opener.Open()
		if err != nil {
			return nil, err
		}
		return newPooledStore(s, time.NewTicker(expireEvery)), nil
	})
	if err != nil {
		return nil, nil, err
	}
	pooled, ok := v.(*pooledStore)
	if !ok {
		return nil, nil, fmt.Errorf("store pool holds %T", v) // unreachable
	}
	return pooled.store, func() { giveBack(key) }, nil
}

func giveBack(key string) {
	if _, err := stores.Delete(key); err != nil {
		caddy.Log().Named(appName).Error("closing store", zap.Error(err))
	}
}

// pooledStore is a store with the one goroutine that deletes what has expired.
type pooledStore struct {
	store store.Store
	stop  func()
	ended chan struct{}
}

func newPooledStore(s store.Store, ticker *time.Ticker) *pooledStore {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pooledStore{store: s, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		defer ticker.Stop()
		deleteExpired(ctx, s, ticker.C)
	}()
	return p
}

// Destruct closes the store when no configuration uses it any more.
func (p *pooledStore) Destruct() error {
	p.stop()
	<-p.ended
	return p.store.Close()
}

// deleteExpired deletes what has expired at every tick, until ctx is done.
func deleteExpired(ctx context.Context, s store.Store, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		for {
			n, err := s.Expire(ctx, expireBatch)
			if err != nil && !errors.Is(err, context.Canceled) {
				// The process's logger: the configuration that opened the store may be gone.
				caddy.Log().Named(appName).Error("deleting expired records", zap.Error(err))
			}
			if err != nil || n < expireBatch {
				break
			}
		}
	}
}

var _ caddy.Destructor = (*pooledStore)(nil)
