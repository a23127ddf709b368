package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/bolt"
)

func init() { caddy.RegisterModule(new(BoltStore)) }

// BoltStore keeps everything in one file, with no server beside it: the store of
// a single node.
//
// The file is locked while a gateway runs. Put no backup in its place meanwhile.
//
// `stepgate store copy` moves what it holds to another store. A file into which a copy
// is not finished is not opened.
type BoltStore struct {
	// The file, which is made with mode 0600 if there is none, its folders with
	// 0700. It must not be a link, and only its owner may have access. Placeholders
	// such as {env.HOME} are replaced when the configuration is loaded. Default:
	// stepgate/stepgate.db in Caddy's data folder.
	Path string `json:"path,omitempty"`

	// path is the resolved one.
	path string
}

// CaddyModule returns the Caddy module information.
func (*BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storeNamespace + ".bolt", New: func() caddy.Module { return new(BoltStore) }}
}

// Provision finds out which file is meant.
func (b *BoltStore) Provision(caddy.Context) error {
	path := filepath.Join(caddy.AppDataDir(), "stepgate", "stepgate.db")
	if b.Path != "" {
		var err error
		if path, err = caddy.NewReplacer().ReplaceOrErr(b.Path, true, true); err != nil {
			return fmt.Errorf("reading path of the store: %w", err)
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("resolving path of the store: %w", err)
	}
	folder, err := resolve(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("resolving path of the store: %w", err)
	}
	b.path = filepath.Join(folder, filepath.Base(path))
	return nil
}

// resolve follows the links in a path, as far as it exists. What does not exist
// yet cannot be a link, so the result is the same after it was made.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	parent := filepath.Dir(path)
	if !errors.Is(err, fs.ErrNotExist) || parent == path {
		return real, err
	}
	if parent, err = resolve(parent); err != nil {
		return "", err
	}
	return filepath.Join(parent, filepath.Base(path)), nil
}

// Validate reports what would keep the file from being opened. It does not open
// it: the gateway that runs has it locked.
func (b *BoltStore) Validate() error {
	info, err := os.Lstat(b.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkWritable(filepath.Dir(b.path))
	case err != nil:
		return fmt.Errorf("looking at the store: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("store %s is not a regular file: name the file itself", b.path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("store %s has mode %#o, which lets other users at it: chmod 600 it", b.path, info.Mode().Perm())
	}
	return nil
}

// checkWritable tries whether a file, or the missing folders above it, can be
// made.
func checkWritable(folder string) error {
	info, err := os.Stat(folder)
	if parent := filepath.Dir(folder); errors.Is(err, fs.ErrNotExist) && parent != folder {
		return checkWritable(parent)
	}
	if err != nil {
		return fmt.Errorf("looking at the store's folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("store cannot be made: %s is not a folder", folder)
	}
	probe, err := os.CreateTemp(folder, ".stepgate-*")
	if err != nil {
		return fmt.Errorf("store cannot be made: %w", err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// Key returns the resolved path.
func (b *BoltStore) Key() string { return b.path }

// Open opens and locks the file.
func (b *BoltStore) Open() (store.Store, error) { return bolt.Open(b.path, bolt.Options{}) }

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	store bolt [<path>]
func (b *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		if b.Path = d.Val(); b.Path == "" {
			return d.Errf("the path of the store is empty: write one, or leave it out for the default")
		}
	}
	return finish(d, "store bolt")
}

var (
	_ caddy.Provisioner     = (*BoltStore)(nil)
	_ caddy.Validator       = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
	_ StoreOpener           = (*BoltStore)(nil)
)
