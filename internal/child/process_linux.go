package child

import (
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"syscall"
)

// start starts a server process that ends with this one, whatever ends it.
// The kernel ties the two to the thread that forked, so that thread is kept
// until the process is over.
func start(cmd *exec.Cmd, account *Account, end syscall.Signal) (wait func() error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: end, Setpgid: true, Credential: account.credential()}
	started, done := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	return func() error { return <-done }, <-started
}

// An Account is the user that the server runs as; nil is the user of this
// process.
type Account struct {
	uid, gid uint32
}

func (a *Account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives a file to the account.
func (a *Account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// Unprivileged returns the account to use in place of root, which servers
// refuse to run as: the first of the names that there is, or nobody's.
func Unprivileged(names ...string) *Account {
	if os.Geteuid() != 0 {
		return nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &Account{uid: uint32(uid), gid: uint32(gid)}
		}
	}
	return &Account{uid: 65534, gid: 65534}
}
