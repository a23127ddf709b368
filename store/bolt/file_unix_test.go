//go:build unix

package bolt

import (
	"path/filepath"
	"syscall"
	"testing"
)

// Opening a pipe waits for whoever writes to it, for ever if need be.
func TestOpenRefusesAPipeWithoutWaitingForIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stepgate.db")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, path, "a named pipe")
}
