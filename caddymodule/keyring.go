package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
)

const (
	// keyringName is where the key ring lies in Caddy's storage.
	keyringName = "stepgate/keys.json"
	// keyringLock is the storage lock under which it is made.
	keyringLock = "stepgate_keys"
	// keyringMark is the record by which a store remembers its key ring.
	keyringMark = store.Key("keyring/mark")
)

// errNoKeyring says that the key ring is not where it should be.
var errNoKeyring = errors.New("no key ring")

// keyring reads the key ring. In Caddy's storage it is made at the very first
// start; elsewhere it is the operator who puts it there.
//
// A new ring beside an old store would be a disaster that looks like a good start:
// no account is found under it, every player counts as one without a second
// factor, and a stolen session may enrol its own. So a ring is made only where
// there is none and the store has never seen one, and each store keeps a mark by
// which it knows its own ring again.
type keyring struct {
	place ringPlace
	rand  io.Reader
	now   func() time.Time
}

// open returns the ring that belongs to the store.
func (k keyring) open(ctx context.Context, s store.Store) (*seal.Ring, error) {
	ring, err := k.load(ctx)
	if storage, ok := k.place.(storagePlace); ok && errors.Is(err, errNoKeyring) {
		ring, err = k.create(ctx, storage, s)
	}
	if err != nil {
		return nil, err
	}
	if err := k.mark(ctx, s, ring); err != nil {
		return nil, err
	}
	return ring, nil
}

// load reads the ring. Its error is errNoKeyring if there is none for certain;
// everything else that goes wrong is no reason to make one.
func (k keyring) load(ctx context.Context) (*seal.Ring, error) {
	doc, err := k.place.load(ctx)
	if err != nil {
		return nil, err
	}
	return k.parse(doc)
}

func (k keyring) parse(doc []byte) (*seal.Ring, error) {
	ring, err := seal.ParseRing(doc)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged; put it back from a backup: %w", k.place, err)
	}
	ring.Clock = k.now
	return ring, nil
}

// create makes the ring, unless another process does so at the same time.
func (k keyring) create(ctx context.Context, storage storagePlace, s store.Store) (ring *seal.Ring, err error) {
	err = storage.locked(ctx, func() error {
		if ring, err = k.load(ctx); !errors.Is(err, errNoKeyring) {
			return err
		}
		missing := err
		switch _, err := s.Get(ctx, keyringMark); {
		case err == nil:
			return fmt.Errorf("%w, but the store was made with one: put it back from a backup, or point Caddy's storage to where it is", missing)
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("looking for the key ring's mark in the store: %w", err)
		}
		made, err := seal.NewRing(k.rand, k.now())
		if err != nil {
			return err
		}
		if err := storage.store(ctx, made.Marshal()); err != nil {
			return err
		}
		// What is used is what can be read back.
		ring, err = k.load(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ring, nil
}

// mark compares the store's mark with the ring, and sets it in a store that has
// none. The mark is made under the ring's lookup secret, which no rotation changes.
func (k keyring) mark(ctx context.Context, s store.Store, ring *seal.Ring) error {
	// A subject is hashed as one part, so no account has this id.
	sum := ring.MAC(seal.Subject, "keyring", "mark")
	err := s.Update(ctx, keyringMark, func(old *store.Record) (*store.Write, error) {
		switch {
		case old == nil:
			return &store.Write{Value: sum[:]}, nil
		case !bytes.Equal(old.Value, sum[:]):
			return nil, fmt.Errorf("the store was made with another key ring than %s: "+
				"bring the two together again, or start with an empty store", k.place)
		default:
			return nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("comparing key ring and store: %w", err)
	}
	return nil
}
