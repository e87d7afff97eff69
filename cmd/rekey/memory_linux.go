package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// folderInMemory finds a folder whose files are on no disk.
func folderInMemory() (string, error) {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		var of unix.Statfs_t
		if dir == "" || unix.Statfs(dir, &of) != nil || unix.Access(dir, unix.W_OK) != nil {
			continue
		}
		if of.Type == unix.TMPFS_MAGIC || of.Type == unix.RAMFS_MAGIC {
			return dir, nil
		}
	}
	return "", withHint(errors.New("there is no folder in memory for the files: neither XDG_RUNTIME_DIR nor /dev/shm is a tmpfs"),
		"mount one and set XDG_RUNTIME_DIR, or use --env")
}
