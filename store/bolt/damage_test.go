package bolt

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/stepgate/stepgate/store"
)

// A record that cannot be read is not a record that is not there: an account
// without a record has no second factor to ask for.
func TestInvariantI1DamagedRecordIsAnErrorAndNeverAbsent(t *testing.T) {
	good := record{version: 1, value: []byte("value")}.encode()
	for name, damaged := range map[string][]byte{
		"empty":            {},
		"cut off":          good[:headerLength-1],
		"other tag":        append([]byte{counterTag}, good[1:]...),
		"version 0":        record{value: []byte("value")}.encode(),
		"negative expiry":  record{version: 1, expires: -1, value: []byte("value")}.encode(),
		"longer than ever": record{version: 1, value: make([]byte, store.MaxValueLength+1)}.encode(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stepgate.db")
			s := open(t, path)
			put(t, s, "kind/good")
			put(t, s, "kind/bad")
			s = altered(t, s, path, func(tx *bbolt.Tx) error {
				return tx.Bucket(recordsBucket).Put([]byte("kind/bad"), damaged)
			})

			_, err := s.Get(t.Context(), "kind/bad")
			wantDamage(t, "Get", err)
			err = s.Update(t.Context(), "kind/bad", func(*store.Record) (*store.Write, error) {
				t.Error("Update() called change, want no guess at what was there")
				return nil, nil
			})
			wantDamage(t, "Update", err)
			_, err = s.Scan(t.Context(), "kind/", "", 10)
			wantDamage(t, "Scan", err)

			if _, err := s.Get(t.Context(), "kind/good"); err != nil {
				t.Errorf("Get() of another record = %v", err)
			}
			if err := s.Update(t.Context(), "kind/good", write("two")); err != nil {
				t.Errorf("Update() of another record = %v", err)
			}
		})
	}
}

func TestDamagedCounterIsAnErrorAndNeverZero(t *testing.T) {
	good := counter{sum: 5, until: 1 << 60}.encode()
	for name, damaged := range map[string][]byte{
		"empty":       {},
		"cut off":     good[:len(good)-1],
		"too long":    append(bytes.Clone(good), 0),
		"other tag":   append([]byte{recordTag}, good[1:]...),
		"no end":      counter{sum: 5}.encode(),
		"end in 1969": counter{sum: 5, until: -1}.encode(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stepgate.db")
			s := altered(t, open(t, path), path, func(tx *bbolt.Tx) error {
				return tx.Bucket(countBucket).Put([]byte("sms/a"), damaged)
			})
			for _, n := range []int64{0, 1} {
				_, err := s.Add(t.Context(), "sms/a", n, time.Hour)
				wantDamage(t, "Add", err)
			}
		})
	}
}

// An index that does not agree with the records must not delete live ones.
func TestExpireTrustsTheIndexOnlyWhereTheRecordAgrees(t *testing.T) {
	for name, entry := range map[string][]byte{
		"of a record that lives on": expiry{1, recordTag, "kind/live"}.encode(),
		"of a record never written": expiry{1, recordTag, "kind/none"}.encode(),
		"of a counter that is none": expiry{1, counterTag, "kind/live"}.encode(),
		"cut off":                   {0, 0, 0, 0},
		"of an unknown tag":         expiry{1, 'x', "kind/live"}.encode(),
		"of no key":                 expiry{1, recordTag, ""}.encode(),
		"of no time":                expiry{0, recordTag, "kind/live"}.encode(),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "stepgate.db")
			s := open(t, path)
			put(t, s, "kind/live")
			s = altered(t, s, path, func(tx *bbolt.Tx) error { return tx.Bucket(expiryBucket).Put(entry, nil) })
			n, err := s.Expire(t.Context(), 10)
			wantDamage(t, "Expire", err)
			if _, err := s.Get(t.Context(), "kind/live"); n != 0 || err != nil {
				t.Errorf("Expire() = %d and Get() = %v, want nothing deleted", n, err)
			}
		})
	}
}

func TestDamagedAuditLogIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	s := altered(t, open(t, path), path, func(tx *bbolt.Tx) error {
		return tx.Bucket(auditBucket).Put([]byte("notanumber"), []byte("event"))
	})
	_, err := s.Audit(t.Context(), 0, 10)
	wantDamage(t, "Audit", err)
}

// A damaged page makes bbolt panic, or read beyond the file. The gateway goes on,
// refusing what it cannot know.
func TestDamagedPagesAreErrorsAndNoCrash(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be altered there")
	}
	for name, damage := range map[string]func(f *os.File, size int64) error{
		"overwritten with ones":  func(f *os.File, size int64) error { return fill(f, size, 0xff) },
		"overwritten with zeros": func(f *os.File, size int64) error { return fill(f, size, 0) },
		"cut off":                func(f *os.File, _ int64) error { return f.Truncate(int64(2 * os.Getpagesize())) },
	} {
		t.Run(name, func(t *testing.T) {
			s, damageIt := damageable(t, damage)
			damageIt()
			_, err := s.Get(t.Context(), "kind/a")
			wantDamage(t, "Get", err)
			wantDamage(t, "Update", s.Update(t.Context(), "kind/b", write("two")))
			_, err = s.Scan(t.Context(), "", "", 100)
			wantDamage(t, "Scan", err)
			// It may not be able to release the file, but it comes back.
			t.Logf("Close() = %v", s.Close())
		})
		t.Run(name+" during an update", func(t *testing.T) {
			s, damageIt := damageable(t, damage)
			err := s.Update(t.Context(), "kind/a", func(*store.Record) (*store.Write, error) {
				damageIt()
				return &store.Write{Value: []byte("two")}, nil
			})
			wantDamage(t, "Update", err)
			wantDamage(t, "Update", s.Update(t.Context(), "kind/b", write("two")))
			t.Logf("Close() = %v", s.Close())
		})
	}
}

// damageable returns a store with some hundred records, and what damages its file
// while it is open.
func damageable(t *testing.T, damage func(f *os.File, size int64) error) (*Store, func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stepgate.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		put(t, s, store.Key("kind/"+string(rune('a'+i%26))+strings.Repeat("x", i%50)))
	}
	return s, func() {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Error(err)
			return
		}
		info, err := f.Stat()
		if err != nil {
			t.Error(err)
			return
		}
		if err := errors.Join(damage(f, info.Size()), f.Close()); err != nil {
			t.Error(err)
		}
	}
}

// fill overwrites all but the two pages that say where the others are.
func fill(f *os.File, size int64, with byte) error {
	from := int64(2 * os.Getpagesize())
	_, err := f.WriteAt(bytes.Repeat([]byte{with}, int(size-from)), from)
	return err
}

// I7: after a commit that failed in the middle, a later one must not be
// acknowledged on top of what the disk may have lost.
func TestInvariantI7NothingIsAcknowledgedAfterAFailedCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	var file *os.File
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{OpenFile: func(name string, flag int, mode fs.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(db, time.Now)
	put(t, s, "kind/a")
	if err := file.Close(); err != nil { // from now on every write to it fails
		t.Fatal(err)
	}
	for range 2 {
		err := s.Update(t.Context(), "kind/a", write("two"))
		if err == nil || !strings.Contains(err.Error(), "started again") {
			t.Errorf("Update() = %v, want an error that says what to do", err)
		}
	}
	if _, err := s.Add(t.Context(), "sms/a", 1, time.Hour); err == nil {
		t.Error("Add() = nil, want an error")
	}
	if r, err := s.Get(t.Context(), "kind/a"); err != nil || string(r.Value) != "value" {
		t.Errorf("Get() = %q, %v, want what was last acknowledged", r.Value, err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close() = nil, want bbolt's error about the file")
	}
}

func TestOnlyAFullDiskIsWorthAnotherTry(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&fs.PathError{Op: "write", Err: syscall.ENOSPC}, true},
		{&fs.PathError{Op: "write", Err: syscall.EDQUOT}, true},
		{&fs.PathError{Op: "write", Err: syscall.EIO}, false},
		{&fs.PathError{Op: "sync", Err: syscall.ENOSPC}, false},
		{syscall.ENOSPC, false}, // as fdatasync returns it
		{syscall.EIO, false},
		{errors.New("file sync error: no space left on device"), false},
	} {
		if got := refused(tt.err); got != tt.want {
			t.Errorf("refused(%v) = %v, want %v", tt.err, got, tt.want)
		}
	}
}

func TestChangeThatEndsItsGoroutineHoldsNobodyUp(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Update(context.Background(), "kind/a", func(*store.Record) (*store.Write, error) {
			runtime.Goexit()
			return nil, nil
		})
	}()
	<-ended
	put(t, s, "kind/a")
	if r, err := s.Get(t.Context(), "kind/a"); err != nil || r.Version != 1 {
		t.Errorf("Get() = version %d, %v, want 1", r.Version, err)
	}
}

func TestOutOfRangeExpiryIsRefused(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "stepgate.db"))
	for _, at := range []time.Time{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0)} {
		err := s.Update(t.Context(), "kind/a", func(*store.Record) (*store.Write, error) {
			return &store.Write{Value: []byte("value"), Expires: at}, nil
		})
		if err == nil || !strings.Contains(err.Error(), "expiry") {
			t.Errorf("Update() with expiry %v = %v, want it refused", at, err)
		}
	}
	if _, err := s.Get(t.Context(), "kind/a"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get() = %v, want ErrNotFound", err)
	}
}

func put(t *testing.T, s *Store, key store.Key) {
	t.Helper()
	if err := s.Update(t.Context(), key, write("value")); err != nil {
		t.Fatalf("Update(%q) = %v", key, err)
	}
}

// altered closes the store, changes its file and opens it again.
func altered(t *testing.T, s *Store, path string, change func(tx *bbolt.Tx) error) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	alter(t, path, change)
	return open(t, path)
}

func wantDamage(t *testing.T, call string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%s() = %v, want an error that says what is damaged", call, err)
	}
}
