package redis

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/rotation"
)

// answers are the beginnings of the errors that a server answers with, and what
// they mean.
//
//nolint:gochecknoglobals // a constant table.
var answers = []struct {
	prefix string
	kind   error
}{
	{"WRONGPASS", rotation.ErrAuth},
	{"NOAUTH", rotation.ErrAuth},
	{"NOPERM", rotation.ErrPermission},
	{"LOADING", rotation.ErrConflict},
	{"MASTERDOWN", rotation.ErrConflict},
	{"BUSY", rotation.ErrConflict},
	{"ERR max number of clients", rotation.ErrConflict},
	{"DENIED", rotation.ErrConfiguration},                                   // protected mode
	{"ERR unknown command", rotation.ErrConfiguration},                      // before Redis 6, or a service that manages its users itself
	{"ERR Unknown subcommand", rotation.ErrConfiguration},                   // likewise
	{"ERR unknown subcommand", rotation.ErrConfiguration},                   // likewise
	{"ERR wrong number of arguments for 'auth'", rotation.ErrConfiguration}, // before Redis 6
	{"ERR Usernames can't", rotation.ErrConfiguration},
	{"ERR Error in ACL SETUSER", rotation.ErrConfiguration},
	{"ERR Rewriting config file", rotation.ErrConfiguration},
	{"ERR There was an error trying to save the ACLs", rotation.ErrConfiguration},
}

// classify gives an error its meaning; nil stays nil. The server's texts name
// users and commands, and sometimes the hash of a password, which is left out.
func (n *node) classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	answer, ok := errors.AsType[redis.Error](err)
	if !ok {
		return n.reach.Classify(doing, n.login, err)
	}
	text := hashes.ReplaceAllString(answer.Error(), "[redacted]")
	if strings.Contains(text, "password you are trying to remove") { // somebody else did
		return fmt.Errorf("%s: %w: %s", doing, rotation.ErrConflict, text)
	}
	for _, a := range answers {
		if strings.HasPrefix(text, a.prefix) {
			return fmt.Errorf("%s: %w: %s", doing, a.kind, text)
		}
	}
	return fmt.Errorf("%s: %s", doing, text)
}

//nolint:gochecknoglobals // a constant.
var hashes = regexp.MustCompile(`[0-9a-f]{64}`)
