// Package bolt keeps Stepgate's records in one file, with no server beside it:
// the store of a single node. It is an implementation of [store.Store] on bbolt.
//
// # What it promises
//
// Everything that package store promises. An update that has returned nil is on
// the disk: bbolt writes its pages, syncs the file, writes the page that points
// to them, and syncs again (invariant I7). Updates that arrive while the disk is
// busy share the next commit, so many writers cost as many syncs as few do, and
// a lone writer waits for nobody.
//
// A record that cannot be read back exactly as this package writes it is an
// error, never an absent record: an account whose record is damaged must not
// look like an account without a second factor. A commit whose sync failed ends
// all writing until the file is opened again, because the kernel may have
// dropped what it could not write and will not say so twice.
//
// A file bears a mark while a copy is made into it ([store.Mover]), and is opened for
// no gateway meanwhile.
//
// # Caveats
//
// One process opens the file at a time, and a second one is refused. Several
// nodes need store/postgres. The lock and the durability are those of a local
// disk; do not put the file on a network share.
//
// Never put a backup in place of the file while a gateway runs on it, and know
// what a restore brings back: codes, approvals and support passes that were used
// since can be used again until they expire, and factors that were removed since
// are there again. Rotate the keys, or let the longest of those times pass,
// before players reach a gateway that was restored.
//
// The file grows to its high-water mark and stays there: the room of deleted
// records is used again, but not given back to the file system. The audit log
// is never shortened. `bbolt compact` on a stopped gateway's file gives room back.
//
// The file is mode 0600 and holds sealed records only; the key ring is kept
// elsewhere. Whoever can write the file can still delete records or put old ones
// back, so its folder belongs to the gateway's own user.
package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/stepgate/stepgate/store"
	"github.com/stepgate/stepgate/store/internal/calls"
	"github.com/stepgate/stepgate/store/internal/watch"
)

// DefaultLockTimeout is how long [Open] waits for another process to release
// the file: long enough for a predecessor that is shutting down.
const DefaultLockTimeout = 2 * time.Second

// Options are the settings of a [Store]. The zero value is what a gateway wants.
type Options struct {
	// Now is the clock that expiry and counter windows go by. Nil means time.Now.
	Now func() time.Time
	// LockTimeout is how long Open waits for the file while another process has
	// it open. 0 means DefaultLockTimeout; a negative value does not wait.
	LockTimeout time.Duration
	// Existing opens a store that is there and makes none: a path without one is
	// [store.ErrNoStore].
	Existing bool
	// Unfinished opens also a store into which a copy is not finished. It is for who
	// goes on with that copy, and never for a gateway.
	Unfinished bool
}

// Store is a [store.Store] in one file.
type Store struct {
	db  *bbolt.DB
	now func() time.Time

	turns   chan *turn    // writers on their way to the committer
	stop    chan struct{} // closed by Close when no call is left
	stopped chan struct{} // closed by the committer when it has ended

	// broken and wrecked belong to the committer; Close reads them after it.
	broken  error // why nothing is written any more
	wrecked bool  // bbolt panicked and may still hold its locks

	calls   calls.Calls
	watches watch.Set
}

// Open opens the store in the file at path and locks it. A missing file is
// created with mode 0600, its missing folders with mode 0700. Open refuses a file
// that is not a regular file (a symbolic link is not), that others than its owner
// have any access to, that was written by a newer Stepgate, or that another
// process has open.
func Open(path string, o Options) (*Store, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.Existing {
		if err := checkThere(path); err != nil {
			return nil, fmt.Errorf("opening store: %w", err)
		}
	}
	dir := filepath.Dir(path)
	if err := makeFolder(dir); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	db, err := openDatabase(path, o.LockTimeout)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	if err := errors.Join(guard(func() error { return prepare(db, o) }), syncFolder(dir)); err != nil {
		return nil, fmt.Errorf("opening store %s: %w", path, errors.Join(err, guard(db.Close)))
	}
	return newStore(db, o.Now), nil
}

// newStore starts a store on a database that has been prepared.
func newStore(db *bbolt.DB, now func() time.Time) *Store {
	s := &Store{
		db:      db,
		now:     now,
		turns:   make(chan *turn),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go s.commitTurns()
	return s
}

// openDatabase opens and locks the file, and says in an operator's words why not.
func openDatabase(path string, lockTimeout time.Duration) (db *bbolt.DB, err error) {
	var file *os.File
	options := &bbolt.Options{
		Timeout: lockTimeout,
		OpenFile: func(path string, flag int, mode fs.FileMode) (f *os.File, err error) {
			file, err = openPrivate(path, flag, mode)
			return file, err
		},
		// The list of free pages is not written with every commit but found again
		// at the next start. It would otherwise grow with the high-water mark, and a
		// flood of held requests would slow every commit down for ever after.
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
	}
	// bbolt panics at some files that are not a database.
	err = guard(func() (err error) {
		db, err = bbolt.Open(path, fileMode, options)
		return err
	})
	if err == nil {
		return db, nil
	}
	if file != nil {
		_ = file.Close() // after a panic bbolt has not, and its lock would stay
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%s: another process has it open: stop the other gateway, or use store/postgres for several nodes", path)
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// Close waits for running calls and for the file to be released. Later calls,
// of Close too, return [store.ErrClosed].
func (s *Store) Close() error {
	if err := s.calls.Close(); err != nil {
		return err
	}
	close(s.stop)
	<-s.stopped
	if s.wrecked {
		// bbolt would wait here for a lock that nobody is left to release.
		return fmt.Errorf("closing store: the file stays locked until this process ends: %w", s.broken)
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("closing store: %w", err)
	}
	return nil
}

// Watch implements [store.Store]. The file has one process, so changed hears of
// every write and is never told that one was missed.
func (s *Store) Watch(prefix string, changed func(store.Key)) store.Watch {
	return s.watches.Add(prefix, changed)
}

// view runs read in a transaction that sees one committed state of the store.
func (s *Store) view(read func(tx *bbolt.Tx) error) error {
	return guard(func() error { return s.db.View(read) })
}

var _ store.Store = (*Store)(nil)
