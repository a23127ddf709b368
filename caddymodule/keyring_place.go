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

	"github.com/caddyserver/certmagic"
)

// ringPlace is where the document of a key ring lies.
type ringPlace interface {
	// load returns the document. Its error is errNoKeyring if there is none for
	// certain, and says what to do.
	load(ctx context.Context) ([]byte, error)
	// String names the place in errors and answers. It holds no secret.
	String() string
}

// ringKeeper is a place in which a document can be put.
type ringKeeper interface {
	ringPlace
	// change replaces the document by what next makes of it. Nobody else changes it
	// meanwhile, and a crash leaves either the old one or the new one.
	change(ctx context.Context, next func(doc []byte) ([]byte, error)) error
}

// maxDocument bounds what is read as a key ring, in bytes. A key takes 150.
const maxDocument = 1 << 20

// storagePlace is Caddy's storage.
type storagePlace struct{ storage certmagic.Storage }

func (storagePlace) String() string { return keyringName + " in Caddy's storage" }

func (p storagePlace) load(ctx context.Context) ([]byte, error) {
	doc, err := p.storage.Load(ctx, keyringName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in Caddy's storage under %s", errNoKeyring, keyringName)
	}
	if err != nil {
		return nil, fmt.Errorf("reading key ring %s: %w", p, err)
	}
	return doc, nil
}

func (p storagePlace) change(ctx context.Context, next func([]byte) ([]byte, error)) error {
	return p.locked(ctx, func() error {
		doc, err := p.load(ctx)
		if err != nil {
			return err
		}
		if doc, err = next(doc); err != nil {
			return err
		}
		return p.store(ctx, doc)
	})
}

// locked calls do while no other process makes or changes the ring.
func (p storagePlace) locked(ctx context.Context, do func() error) (err error) {
	if err := p.storage.Lock(ctx, keyringLock); err != nil {
		return fmt.Errorf("locking Caddy's storage for the key ring: %w", err)
	}
	defer func() {
		if unlock := p.storage.Unlock(context.WithoutCancel(ctx), keyringLock); unlock != nil {
			err = errors.Join(err, fmt.Errorf("unlocking Caddy's storage: %w", unlock))
		}
	}()
	return do()
}

// store writes the document. Callers hold the lock.
func (p storagePlace) store(ctx context.Context, doc []byte) error {
	own, path := owner{}, ""
	if files, ok := p.storage.(interface{ Filename(key string) string }); ok {
		path = files.Filename(keyringName)
		var err error
		if own, err = ownerOf(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("writing key ring %s: %w", p, err)
		}
	}
	if err := p.storage.Store(ctx, keyringName, doc); err != nil {
		return fmt.Errorf("writing key ring %s: %w", p, err)
	}
	if path == "" {
		return nil
	}
	if err := errors.Join(own.give(path), syncNames(filepath.Dir(path))); err != nil {
		return fmt.Errorf("writing key ring %s: %w", p, err)
	}
	return nil
}

// syncNames makes the name of a ring that lies in a file durable, with that of its
// folder. Caddy's file storage syncs the file and not its folder, which is right
// for a certificate that can be had again; a store that survives a power loss
// without its ring is lost.
func syncNames(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
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

// filePlace is a file of its own.
type filePlace string

func (p filePlace) String() string { return "file " + string(p) }

func (p filePlace) load(context.Context) ([]byte, error) {
	doc, err := readPrivate(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: put it there from a backup or from another node; "+
			"only for a gateway with an empty store, make one: stepgate keys new > FILE, and chmod 600 it", errNoKeyring, p)
	}
	if err != nil {
		return nil, fmt.Errorf("reading key ring in %s: %w", p, err)
	}
	return doc, nil
}

// readPrivate reads a file to which only its owner has access. The checks are made
// on what was opened, not only on its name: whoever can write the folder could
// otherwise exchange the file between the two.
func readPrivate(path string) (doc []byte, err error) {
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	// Before opening it: a pipe would keep the call waiting for a writer.
	if err := checkPrivate(named); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	opened, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(opened); err != nil {
		return nil, err
	}
	if !os.SameFile(named, opened) {
		return nil, errors.New("the file was exchanged while it was being opened")
	}
	doc, err = io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(doc) > maxDocument {
		return nil, errors.New("the file is too long for a key ring")
	}
	return doc, err
}

func checkPrivate(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file: name the file itself, and no link to it")
	}
	// Windows has no such bits; its files take their access from the folder.
	if perm := info.Mode().Perm(); runtime.GOOS != "windows" && perm&0o077 != 0 {
		return fmt.Errorf("mode %#o lets other users at it: chmod 600 the file", perm)
	}
	return nil
}

// change writes the new document beside the old one and puts it in its place. The
// file that it writes is the lock as well.
func (p filePlace) change(ctx context.Context, next func([]byte) ([]byte, error)) (err error) {
	beside := string(p) + ".new"
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("changing key ring: %s is there: another change is under way, or was cut off; in that case remove it", beside)
	}
	if err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(beside))
		}
	}()
	if err := p.write(ctx, f, next); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	if err := os.Rename(beside, string(p)); err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	// The new ring is in place: an error must not remove it.
	if unsynced := syncNames(filepath.Dir(string(p))); unsynced != nil {
		return fmt.Errorf("changing key ring: it was changed, but may be as before after a power loss: %w", unsynced)
	}
	return nil
}

// write writes into f what next makes of the document.
func (p filePlace) write(ctx context.Context, f *os.File, next func([]byte) ([]byte, error)) error {
	doc, err := p.load(ctx)
	if err != nil {
		return err
	}
	own, err := ownerOf(string(p))
	if err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	if doc, err = next(doc); err != nil {
		return err
	}
	if _, err := f.Write(doc); err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	if err := errors.Join(own.give(f.Name()), f.Sync()); err != nil {
		return fmt.Errorf("changing key ring: %w", err)
	}
	return nil
}

// envPlace is an environment variable.
type envPlace string

func (p envPlace) String() string { return "environment variable " + string(p) }

func (p envPlace) load(context.Context) ([]byte, error) {
	doc := os.Getenv(string(p))
	if doc == "" {
		return nil, fmt.Errorf("%w in %s: set it to the document that the other nodes have; "+
			"only for a gateway with an empty store, make one: stepgate keys new", errNoKeyring, p)
	}
	return bytes.TrimSpace([]byte(doc)), nil
}

var (
	_ ringKeeper = storagePlace{}
	_ ringKeeper = filePlace("")
	_ ringPlace  = envPlace("")
)
