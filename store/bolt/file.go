package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

const (
	fileMode   fs.FileMode = 0o600
	folderMode fs.FileMode = 0o700
)

// openPrivate opens the store's file for bbolt, or creates it. The checks are
// made on what was opened, not only on its name: whoever can write the folder
// could otherwise exchange the file between the two.
func openPrivate(path string, flag int, mode fs.FileMode) (*os.File, error) {
	// With O_EXCL a symbolic link is not followed, so a dangling one cannot make
	// the gateway create a file somewhere else.
	created, err := os.OpenFile(path, flag|os.O_CREATE|os.O_EXCL, mode)
	if !errors.Is(err, fs.ErrExist) {
		return created, err
	}
	named, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	// Before opening it: a pipe would keep the call waiting for a writer.
	if err := checkFile(named); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, flag&^os.O_CREATE, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil {
		err = checkFile(opened)
	}
	if err == nil && !os.SameFile(named, opened) {
		err = errors.New("the file was exchanged while it was being opened")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkFile refuses what is not a file of the gateway's own.
func checkFile(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("not a regular file but %s: name the file itself", kind(info.Mode()))
	}
	// Windows has no such bits; its files take their access from the folder.
	if perm := info.Mode().Perm(); runtime.GOOS != "windows" && perm&0o077 != 0 {
		return fmt.Errorf("mode %#o lets other users at it: chmod 600 the file", perm)
	}
	return nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}

// makeFolder creates dir and what is missing above it. Each new folder's name is
// made durable: a store that is lost with its folder's name is as lost as one
// that was never synced.
func makeFolder(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolder(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// syncFolder makes the names in dir durable.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there, and its names need not be
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil // a file system that does not know the call
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("syncing folder: %w", err)
	}
	return nil
}
