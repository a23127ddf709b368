//go:build unix

package caddymodule

import (
	"fmt"
	"os"
	"syscall"
)

// owner is whose file a key ring is. A command that root runs must leave the file
// to the gateway's user, who could not read it any more, and would not start.
type owner struct {
	uid, gid int
	known    bool
}

// ownerOf returns the owner of a file, or an error if we could not give a new file
// to them.
func ownerOf(path string) (owner, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return owner{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, nil
	}
	if euid := os.Geteuid(); euid != 0 && euid != int(stat.Uid) {
		return owner{}, fmt.Errorf("the file belongs to the user with id %d: run the command as that user", stat.Uid)
	}
	return owner{int(stat.Uid), int(stat.Gid), true}, nil
}

// give makes a file the owner's.
func (o owner) give(path string) error {
	if !o.known || o.uid == os.Geteuid() && o.gid == os.Getegid() {
		return nil
	}
	return os.Lchown(path, o.uid, o.gid)
}
