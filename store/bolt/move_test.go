package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stepgate/stepgate/store"
)

// I1, I7: in a half-copied store players seem to have no second factor. A gateway that
// opened one would let their requests through, and let anybody enrol in their names.
func TestInvariantI1AGatewayRefusesAnUnfinishedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	mark := store.Mark{Source: "bolt:elsewhere"}
	change := func(before, after *store.Mark) {
		t.Helper()
		s, err := Open(path, Options{Unfinished: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Import(t.Context(), store.Batch{}, before, after); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	change(nil, &mark)
	for range 2 { // looking does not finish it
		if s, err := Open(path, Options{}); !errors.Is(err, store.ErrUnfinished) {
			t.Fatalf("Open() = %v, %v in the middle of a copy, want ErrUnfinished", s, err)
		}
	}
	if s, err := Open(path, Options{Existing: true}); !errors.Is(err, store.ErrUnfinished) {
		t.Fatalf("Open() = %v, %v for a source that is half a copy itself, want ErrUnfinished", s, err)
	}
	change(&mark, nil)
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatalf("Open() = %v after the copy", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// A mark that cannot be read is a mark.
func TestInvariantI1ADamagedMarkIsStillOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.write(t.Context(), func(p *part) error { return p.tx.Bucket(metaBucket).Put(markKey, []byte("?")) })
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.Mark(t.Context()); err == nil {
		t.Errorf("Mark() = %v, want an error", m)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}); !errors.Is(err, store.ErrUnfinished) {
		t.Errorf("Open() = %v, want ErrUnfinished", err)
	}
}

// A mistyped path must not become an empty source, which would copy well.
func TestAnExistingStoreIsNotMade(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none.db"), filepath.Join(dir, "no", "folder.db"), empty} {
		if s, err := Open(path, Options{Existing: true}); !errors.Is(err, store.ErrNoStore) {
			t.Errorf("Open(%s) = %v, %v, want ErrNoStore", path, s, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("opening has left %v, %v", left, err)
	}
	if info, err := os.Stat(empty); err != nil || info.Size() != 0 {
		t.Errorf("opening has written to an empty file: %v, %v", info, err)
	}
}
