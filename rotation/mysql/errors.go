package mysql

import (
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/rotation"
)

// Codes of the servers.
const (
	tooManyConnections     = 1040
	dbAccessDenied         = 1044
	accessDenied           = 1045
	unknownDatabase        = 1049
	syntax                 = 1064
	hostBlocked            = 1129
	hostNotPrivileged      = 1130
	tableAccessDenied      = 1142
	columnAccessDenied     = 1143
	lockTimeout            = 1205
	deadlock               = 1213
	tooManyUserConnections = 1203
	limitReached           = 1226
	specificAccessDenied   = 1227
	optionPrevents         = 1290
	cannotUser             = 1396
	wrongStringLength      = 1470
	pluginNotLoaded        = 1524
	accessDeniedNoPassword = 1698
	notValidPassword       = 1819
	mustChangePassword     = 1820
	readOnlyMode           = 1836
	mustChangeToLogin      = 1862
	accountLockedMySQL     = 3118
	secureTransport        = 3159
	passwordHistory        = 3638
	incorrectCurrent       = 3891
	missingCurrent         = 3892
	retainOnPluginChange   = 3894
	cannotRetain           = 3895
	blockedByFailures      = 3955
	accountLockedMariaDB   = 4151
)

// number is the server's code for an error, or zero.
func number(err error) uint16 {
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return refused.Number
	}
	return 0
}

// refusedLogin gives the error of a login its meaning.
func (d *Database) refusedLogin(doing string, c rotation.Credential, err error) error {
	switch number(err) {
	case accessDenied, accessDeniedNoPassword, mustChangeToLogin:
		return refusal(doing, rotation.ErrAuth, err)
	}
	if errors.Is(err, mysql.ErrMalformPkt) {
		// The driver follows one switch to another plugin. MariaDB, which
		// refused what it had, asks for one more.
		return fmt.Errorf("%s: %w: the server wants a further way to log in", doing, rotation.ErrAuth)
	}
	return d.classify(doing, c, err)
}

// classify gives an error its meaning. The texts of the driver name user, host
// and address; none holds a password.
func (d *Database) classify(doing string, c rotation.Credential, err error) error {
	switch n := number(err); n {
	case 0:
	case syntax: // the server quotes the statement, which may hold a password
		return fmt.Errorf("%s: the server does not understand the statement (error %d)", doing, n)
	default:
		return refusal(doing, kinds[n], err)
	}
	for _, unfit := range []error{mysql.ErrCleartextPassword, mysql.ErrOldPassword, mysql.ErrNativePassword, mysql.ErrUnknownPlugin, mysql.ErrOldProtocol} {
		if errors.Is(err, unfit) {
			return fmt.Errorf("%s: %w: the server asks for a way to log in that is not used here, for it would give the password away", doing, rotation.ErrConfiguration)
		}
	}
	switch {
	case errors.Is(err, mysql.ErrNoTLS):
		return fmt.Errorf("%s: %w: %w", doing, rotation.ErrTLS, err)
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, driver.ErrBadConn):
		return fmt.Errorf("%s: %w: %w", doing, rotation.ErrNetwork, err)
	}
	return d.reach.Classify(doing, c, err)
}

// kinds are the meanings of the codes. In a session the server says "access
// denied" where a right is lacking.
//
//nolint:gochecknoglobals // a constant table.
var kinds = map[uint16]error{
	accessDenied:           rotation.ErrPermission,
	accessDeniedNoPassword: rotation.ErrPermission,
	dbAccessDenied:         rotation.ErrPermission,
	tableAccessDenied:      rotation.ErrPermission,
	columnAccessDenied:     rotation.ErrPermission,
	specificAccessDenied:   rotation.ErrPermission,
	hostNotPrivileged:      rotation.ErrPermission,
	mustChangePassword:     rotation.ErrAuth, // whoever may, gives the user another
	tooManyConnections:     rotation.ErrConflict,
	tooManyUserConnections: rotation.ErrConflict,
	limitReached:           rotation.ErrConflict,
	lockTimeout:            rotation.ErrConflict,
	deadlock:               rotation.ErrConflict,
	blockedByFailures:      rotation.ErrConflict,
	secureTransport:        rotation.ErrTLS,
	unknownDatabase:        rotation.ErrConfiguration,
	hostBlocked:            rotation.ErrConfiguration,
	optionPrevents:         rotation.ErrConfiguration,
	cannotUser:             rotation.ErrConfiguration,
	wrongStringLength:      rotation.ErrConfiguration,
	pluginNotLoaded:        rotation.ErrConfiguration,
	notValidPassword:       rotation.ErrConfiguration,
	readOnlyMode:           rotation.ErrConfiguration,
	accountLockedMySQL:     rotation.ErrConfiguration,
	accountLockedMariaDB:   rotation.ErrConfiguration,
	passwordHistory:        rotation.ErrConfiguration,
	missingCurrent:         rotation.ErrConfiguration,
	retainOnPluginChange:   rotation.ErrConfiguration,
	cannotRetain:           rotation.ErrConfiguration,
}

// refusal is an error that the server answered, of a kind that may be nil.
func refusal(doing string, kind, err error) error {
	if kind == nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %w: %w", doing, kind, err)
}
