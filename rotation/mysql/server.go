package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// A server is what differs between MySQL and MariaDB.
type server interface {
	// read reads how an account logs in. The error is errBlind where it is
	// the session's own account, and the session may not see that.
	read(ctx context.Context, s *session, n name) (account, error)
	// only are the statements that make m, which the account may have already,
	// its only password.
	only(a account, m method) []string
	// both are the statements that make added a password beside keep, which is
	// one of the account's. At no moment keep is refused.
	both(a account, added, keep method) ([]string, error)
	// setOwn makes a password the only one of the session's own account.
	setOwn(ctx context.Context, s *session, password string) error
	// options reads what else belongs to the login of an account.
	options(ctx context.Context, s *session, n name) (loginOptions, error)
	// identified is the clause of CREATE USER for a way to log in.
	identified(m method) string
	// defaultRoles is the statement that sets the roles which a session of the
	// account begins with.
	defaultRoles(n name, roles []name) string
}

// serverOf tells the server by its VERSION().
func serverOf(version string) (server, error) {
	v := parseVersion(version)
	if strings.Contains(version, "MariaDB") {
		if v.before(10, 4, 0) {
			return nil, fmt.Errorf("%w: the server is %q; it takes MariaDB 10.4 or later", rotation.ErrConfiguration, version)
		}
		return mariaDB{}, nil
	}
	if v.before(8, 0, 14) {
		return nil, fmt.Errorf("%w: the server is %q; it takes MySQL 8.0.14 or later", rotation.ErrConfiguration, version)
	}
	return mySQL{v}, nil
}

// A release is the number of one: major, minor, patch.
type release [3]int

// parseVersion reads the number before any other text, such as "-log".
func parseVersion(version string) (r release) {
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &r[0], &r[1], &r[2]) // what cannot be read is 0
	return r
}

func (r release) before(major, minor, patch int) bool {
	for i, n := range []int{major, minor, patch} {
		if r[i] != n {
			return r[i] < n
		}
	}
	return false
}
