//go:build !linux

package main

import "errors"

// folderInMemory finds none: only Linux has one that is known to be in memory.
func folderInMemory() (string, error) {
	return "", withHint(errors.New("--file needs a folder in memory, which this system has not"), "use --env")
}
