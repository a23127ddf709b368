package bolt

import (
	"fmt"
	"runtime/debug"
)

// panicError is what a panic inside bbolt becomes. bbolt panics where a page does
// not say what it must; in a goroutine of the store's own, that would take the
// whole gateway down and the site behind it with it.
type panicError struct{ reason any }

func (e *panicError) Error() string { return fmt.Sprintf("the file is damaged: %v", e.reason) }

// guard runs f, which calls bbolt and no code of the store's callers, and turns
// its panic into an error. A page that the disk cannot read, or that was cut off
// the mapped file, is a fault rather than a panic; it is caught as well.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = &panicError{reason}
		}
	}()
	return f()
}
