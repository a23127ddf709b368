package caddymodule

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/stepgate/stepgate/internal/seal"
	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

var ringTime = time.Date(2026, 3, 1, 5, 0, 0, 0, time.UTC)

func newKeyring(storage certmagic.Storage) keyring {
	return keyring{place: storagePlace{storage}, rand: rand.Reader, now: func() time.Time { return ringTime }}
}

func newFileStorage(t *testing.T) *certmagic.FileStorage {
	t.Helper()
	return &certmagic.FileStorage{Path: t.TempDir()}
}

func newStore(t *testing.T) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "stepgate.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// same reports whether two rings have the same keys.
func same(a, b *seal.Ring) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

func TestTheFirstStartMakesTheKeyRingAndLaterOnesFindIt(t *testing.T) {
	storage, s := newFileStorage(t), newStore(t)
	first, err := newKeyring(storage).open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(storage.Filename(keyringName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key ring's file is %v, %v, want mode 0600", info.Mode(), err)
	}
	later, err := newKeyring(storage).open(t.Context(), s)
	if err != nil || !same(first, later) {
		t.Errorf("the second open gave another ring, %v", err)
	}
	// An empty store takes the ring that there is.
	other, err := newKeyring(storage).open(t.Context(), newStore(t))
	if err != nil || !same(first, other) {
		t.Errorf("an empty store got another ring, %v", err)
	}
}

// Two nodes that start together must not seal under two rings.
func TestNodesThatStartTogetherShareOneKeyRing(t *testing.T) {
	storage, s := newFileStorage(t), newStore(t)
	rings := make([]*seal.Ring, 4)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			var err error
			if rings[i], err = newKeyring(storage).open(t.Context(), s); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, ring := range rings {
		if ring == nil || !same(ring, rings[0]) {
			t.Fatal("two nodes have different rings")
		}
	}
}

// With a new ring no account would be found, and each player would count as one
// without a second factor: what cannot be read is never replaced.
func TestAKeyRingThatCannotBeReadIsNeverReplaced(t *testing.T) {
	ring, err := seal.NewRing(rand.Reader, ringTime)
	if err != nil {
		t.Fatal(err)
	}
	whole := ring.Marshal()
	for name, doc := range map[string][]byte{
		"empty": nil, "cut off": whole[:len(whole)/2], "another format": bytes.Replace(whole, []byte(`"format":1`), []byte(`"format":3`), 1),
		"with something behind it": append(bytes.Clone(whole), "{}"...),
	} {
		storage := newFileStorage(t)
		if err := storage.Store(t.Context(), keyringName, doc); err != nil {
			t.Fatal(err)
		}
		_, err := newKeyring(storage).open(t.Context(), newStore(t))
		if err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("a ring that is %s: open = %v, want an error that says so", name, err)
		}
		if got, err := storage.Load(t.Context(), keyringName); err != nil || !bytes.Equal(got, doc) {
			t.Errorf("a ring that is %s was changed", name)
		}
		if err != nil && strings.Contains(err.Error(), string(whole[40:60])) {
			t.Errorf("a ring that is %s: the error quotes it: %v", name, err)
		}
	}
}

// failingStorage fails in one of its methods.
type failingStorage struct {
	certmagic.Storage
	load, lock, store error
}

func (f failingStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if f.load != nil {
		return nil, f.load
	}
	return f.Storage.Load(ctx, key)
}

func (f failingStorage) Lock(ctx context.Context, name string) error {
	if f.lock != nil {
		return f.lock
	}
	return f.Storage.Lock(ctx, name)
}

func (f failingStorage) Store(ctx context.Context, key string, value []byte) error {
	if f.store != nil {
		return f.store
	}
	return f.Storage.Store(ctx, key, value)
}

func TestAStorageThatFailsAbortsTheStart(t *testing.T) {
	down := errors.New("storage is down")
	for name, f := range map[string]failingStorage{"loading": {load: down}, "locking": {lock: down}, "storing": {store: down}} {
		files := newFileStorage(t)
		f.Storage = files
		s := newStore(t)
		if _, err := newKeyring(f).open(t.Context(), s); !errors.Is(err, down) {
			t.Errorf("%s fails: open = %v, want %v", name, err, down)
		}
		if files.Exists(t.Context(), keyringName) {
			t.Errorf("%s fails: a ring was made", name)
		}
		// The next start is as good as the first.
		if _, err := newKeyring(files).open(t.Context(), s); err != nil {
			t.Errorf("after %s failed: open = %v", name, err)
		}
	}
}

// The two came apart: a restored disk, another data folder, a store that was
// copied.
func TestAStoreKnowsItsKeyRingAgain(t *testing.T) {
	s := newStore(t)
	if _, err := newKeyring(newFileStorage(t)).open(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	empty := newFileStorage(t)
	if _, err := newKeyring(empty).open(t.Context(), s); !errors.Is(err, errNoKeyring) {
		t.Errorf("without the ring: open = %v, want %v", err, errNoKeyring)
	}
	if empty.Exists(t.Context(), keyringName) {
		t.Error("without the ring: a new one was made for an old store")
	}
	other := newFileStorage(t)
	if _, err := newKeyring(other).open(t.Context(), newStore(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := newKeyring(other).open(t.Context(), s); err == nil || !strings.Contains(err.Error(), "another key ring") {
		t.Errorf("with the ring of another store: open = %v, want an error that says so", err)
	}
}

// The mark has to outlive the keys that it was made beside.
func TestARotatedKeyRingStillFitsItsStore(t *testing.T) {
	storage, s := newFileStorage(t), newStore(t)
	ring, err := newKeyring(storage).open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := ring.Rotate(rand.Reader, ringTime, ringTime)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.Store(t.Context(), keyringName, rotated.Marshal()); err != nil {
		t.Fatal(err)
	}
	got, err := newKeyring(storage).open(t.Context(), s)
	if err != nil || !same(got, rotated) {
		t.Errorf("open = %v, want the rotated ring", err)
	}
}
