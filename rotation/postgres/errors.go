package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/rotation"
)

// Codes of the server (SQLSTATE).
const (
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	insufficientPrivilege = "42501"
	unknownDatabase       = "3D000"
	unknownObject         = "42704"
	tooManyConnections    = "53300"
	serialization         = "40001"
	deadlock              = "40P01"
)

// classify gives an error its meaning. The texts of pgx name user, database
// and address; none holds a password.
func (d *Database) classify(doing string, c rotation.Credential, err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refusal(doing, refused)
	}
	return d.reach.Classify(doing, c, err)
}

// refusal is an error that the server answered.
func refusal(doing string, e *pgconn.PgError) error {
	var kind error
	switch e.Code {
	case invalidPassword, invalidAuthorization:
		kind = rotation.ErrAuth
	case insufficientPrivilege:
		kind = rotation.ErrPermission
	case unknownDatabase, unknownObject:
		kind = rotation.ErrConfiguration
	case tooManyConnections, serialization, deadlock:
		kind = rotation.ErrConflict
	default:
		return fmt.Errorf("%s: %s (SQLSTATE %s)", doing, e.Message, e.Code)
	}
	text := e.Message
	if e.Detail != "" { // such as which right it takes
		text += ": " + e.Detail
	}
	return fmt.Errorf("%s: %w: %s (SQLSTATE %s)", doing, kind, text, e.Code)
}
