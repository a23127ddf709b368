package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

func TestNewFileAndFoldersArePrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no mode bits there")
	}
	dir := filepath.Join(t.TempDir(), "one", "two")
	path := filepath.Join(dir, "stepgate.db")
	s := open(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, dir: 0o700, filepath.Dir(dir): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s = %#o, want %#o", filepath.Base(name), got, want)
		}
	}
}

func TestOpenRefusesWhatIsNotAPrivateFile(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(path string) error
		want string
	}{
		{"readable by the group", func(path string) error { return chmodFile(path, 0o640) }, "chmod 600"},
		{"readable by all", func(path string) error { return chmodFile(path, 0o604) }, "chmod 600"},
		{"writable by the group", func(path string) error { return chmodFile(path, 0o620) }, "chmod 600"},
		{"folder", func(path string) error { return os.Mkdir(path, 0o700) }, "a folder"},
		{"symbolic link to a file", func(path string) error {
			if err := chmodFile(path+".target", 0o600); err != nil {
				return err
			}
			return os.Symlink(path+".target", path)
		}, "a symbolic link"},
		// Following it would create a file where the attacker says.
		{"dangling symbolic link", func(path string) error { return os.Symlink(path+".target", path) }, "a symbolic link"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stepgate.db")
			if err := tt.make(path); err != nil {
				t.Fatal(err)
			}
			wantOpenError(t, path, tt.want)
		})
	}
}

func chmodFile(path string, mode fs.FileMode) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Chmod(path, mode)
}

func TestOpenRefusesFilesItDoesNotUnderstand(t *testing.T) {
	inBucket := func(name, key, value string) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(name))
			if err != nil {
				return err
			}
			return b.Put([]byte(key), []byte(value))
		}
	}
	for _, tt := range []struct {
		name  string
		alter func(tx *bbolt.Tx) error
		fresh bool // alter an empty database, not a store
		want  string
	}{
		{"newer format", inBucket("meta", "format", "2"), false, "newer Stepgate"},
		{"much newer format", inBucket("meta", "format", "170"), false, "newer Stepgate"},
		{"no format", func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) }, false, "which format"},
		{"format in no number", inBucket("meta", "format", "one"), false, "which format"},
		{"format zero", inBucket("meta", "format", "0"), false, "which format"},
		{"no records", func(tx *bbolt.Tx) error { return tx.DeleteBucket(recordsBucket) }, false, `no bucket "records"`},
		{"no expiry index", func(tx *bbolt.Tx) error { return tx.DeleteBucket(expiryBucket) }, false, `no bucket "expiry"`},
		{"somebody else's database", inBucket("users", "a", "b"), true, "not one of Stepgate's"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stepgate.db")
			if !tt.fresh {
				if err := open(t, path).Close(); err != nil {
					t.Fatal(err)
				}
			}
			alter(t, path, tt.alter)
			wantOpenError(t, path, tt.want)
		})
	}
	t.Run("no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "stepgate.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 4096)), 0o600); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, path, "invalid database")
	})
}

// alter changes a closed store behind its back.
func alter(t *testing.T, path string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func wantOpenError(t *testing.T, path, want string) {
	t.Helper()
	s, err := Open(path, Options{LockTimeout: -1})
	if err == nil {
		closeLater(t, s)
		t.Fatalf("Open() = nil, want an error with %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("Open() = %v, want an error with %q", err, want)
	}
}

func TestSecondOpenIsRefusedUntilTheFirstHasClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	first := open(t, path)
	wantOpenError(t, path, "another process has it open")
	if err := first.Update(t.Context(), "kind/a", write("one")); err != nil {
		t.Errorf("Update() after the refused Open = %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, path)
	if _, err := second.Get(t.Context(), "kind/a"); err != nil {
		t.Errorf("Get() = %v", err)
	}
}

func TestRefusedOpenLeavesNoLockBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, path, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, []byte("2")) })
	wantOpenError(t, path, "newer Stepgate")
	wantOpenError(t, path, "newer Stepgate") // not "another process has it open"
}

// I7: whoever trades syncs for speed must find this first.
func TestInvariantI7EveryCommitIsSynced(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	if s.db.NoSync || s.db.NoGrowSync {
		t.Errorf("NoSync, NoGrowSync = %v, %v, want false: an acknowledged write must be on the disk", s.db.NoSync, s.db.NoGrowSync)
	}
}

// open opens a store that the test closes at its end, if it has not before.
func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{LockTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	closeLater(t, s)
	return s
}

func closeLater(t testing.TB, s *Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Close() = %v", err)
		}
	})
}

func write(value string) store.Change {
	return func(*store.Record) (*store.Write, error) { return &store.Write{Value: []byte(value)}, nil }
}
