package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/caddyserver/certmagic"

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
var errNoKeyring = errors.New("no key ring in Caddy's storage under " + keyringName)

// keyring reads the key ring, and makes it at the very first start.
//
// A new ring beside an old store would be a disaster that looks like a good start:
// no account is found under it, every player counts as one without a second
// factor, and a stolen session may enrol its own. So a ring is made only where
// there is none and the store has never seen one, and each store keeps a mark by
// which it knows its own ring again.
type keyring struct {
	storage certmagic.Storage
	rand    io.Reader
	now     func() time.Time
}

// open returns the ring that belongs to the store.
func (k keyring) open(ctx context.Context, s store.Store) (*seal.Ring, error) {
	ring, err := k.load(ctx)
	if errors.Is(err, errNoKeyring) {
		ring, err = k.create(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	if err := k.mark(ctx, s, ring); err != nil {
		return nil, err
	}
	return ring, nil
}

// load reads the ring. Its error is errNoKeyring if the storage says for certain
// that there is none; everything else that goes wrong is no reason to make one.
func (k keyring) load(ctx context.Context) (*seal.Ring, error) {
	doc, err := k.storage.Load(ctx, keyringName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKeyring
	}
	if err != nil {
		return nil, fmt.Errorf("reading key ring %s from Caddy's storage: %w", keyringName, err)
	}
	ring, err := seal.ParseRing(doc)
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage is damaged; put it back from a backup: %w", keyringName, err)
	}
	return ring, nil
}

// create makes the ring, unless another process does so at the same time.
func (k keyring) create(ctx context.Context, s store.Store) (ring *seal.Ring, err error) {
	if err := k.storage.Lock(ctx, keyringLock); err != nil {
		return nil, fmt.Errorf("locking Caddy's storage to make the key ring: %w", err)
	}
	defer func() {
		if unlock := k.storage.Unlock(context.WithoutCancel(ctx), keyringLock); unlock != nil {
			err = errors.Join(err, fmt.Errorf("unlocking Caddy's storage: %w", unlock))
		}
	}()
	if ring, err = k.load(ctx); !errors.Is(err, errNoKeyring) {
		return ring, err
	}
	switch _, err := s.Get(ctx, keyringMark); {
	case err == nil:
		return nil, fmt.Errorf("%w, but the store was made with one: put it back from a backup, or point Caddy's storage to where it is", errNoKeyring)
	case !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("looking for the key ring's mark in the store: %w", err)
	}
	if ring, err = seal.NewRing(k.rand, k.now()); err != nil {
		return nil, err
	}
	if err := k.storage.Store(ctx, keyringName, ring.Marshal()); err != nil {
		return nil, fmt.Errorf("writing key ring %s to Caddy's storage: %w", keyringName, err)
	}
	if err := k.sync(); err != nil {
		return nil, fmt.Errorf("writing key ring %s to Caddy's storage: %w", keyringName, err)
	}
	// What is used is what can be read back.
	return k.load(ctx)
}

// sync makes the name of a ring that lies in a file durable. Caddy's file storage
// syncs the file and not its folder, which is right for a certificate that can be
// had again; a store that survives a power loss without its ring is lost.
func (k keyring) sync() error {
	files, ok := k.storage.(interface{ Filename(key string) string })
	if !ok || runtime.GOOS == "windows" {
		return nil
	}
	dir := filepath.Dir(files.Filename(keyringName))
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		f, err := os.Open(folder)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
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
			return nil, errors.New("the store was made with another key ring than the one in Caddy's storage: " +
				"bring the two together again, or start with an empty store")
		default:
			return nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("comparing key ring and store: %w", err)
	}
	return nil
}
