//go:build unix

package pgserver

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// unprivileged returns the user as whom a server runs that root starts; false for
// whoever is not root and runs it as themselves.
func unprivileged() (uid, gid uint32, ok bool) {
	if os.Getuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		id, err1 := strconv.ParseUint(u.Uid, 10, 32)
		group, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return uint32(id), uint32(group), true
		}
	}
	return 0, 0, false
}

// own gives the folder to the server's user.
func own(dir string) error {
	uid, gid, ok := unprivileged()
	if !ok {
		return nil
	}
	if err := os.Chown(dir, int(uid), int(gid)); err != nil {
		return fmt.Errorf("giving a folder to PostgreSQL's user: %w", err)
	}
	return nil
}
