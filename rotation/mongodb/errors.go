package mongodb

import (
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/rekey-go/rekey/rotation"
)

// userExists is the code of createUser for a user that is there.
const userExists = 51003

// codes are the server's, and what they mean.
//
//nolint:gochecknoglobals // a constant table.
var codes = map[int]error{
	18:    rotation.ErrAuth,          // AuthenticationFailed
	11:    rotation.ErrConfiguration, // UserNotFound
	31:    rotation.ErrConfiguration, // RoleNotFound
	2:     rotation.ErrConfiguration, // BadValue
	59:    rotation.ErrConfiguration, // CommandNotFound
	8000:  rotation.ErrConfiguration, // AtlasError: Atlas changes its users by an API of its own
	13:    rotation.ErrPermission,    // Unauthorized
	10107: rotation.ErrConfiguration, // NotWritablePrimary: the host is a secondary
	13435: rotation.ErrConfiguration, // NotPrimaryNoSecondaryOk: likewise
	11600: rotation.ErrConflict,      // InterruptedAtShutdown
	11602: rotation.ErrConflict,      // InterruptedDueToReplStateChange
	189:   rotation.ErrConflict,      // PrimarySteppedDown
	112:   rotation.ErrConflict,      // WriteConflict
	64:    rotation.ErrConflict,      // WriteConcernTimeout
}

// classify gives an error its meaning; nil stays nil. The texts name users,
// databases and addresses, and hold no password.
func (s *session) classify(doing string, err error) error {
	if err == nil {
		return nil
	}
	code, text := answer(err)
	if text == "" {
		return s.db.reach.Classify(doing, s.login, err)
	}
	if kind := codes[code]; kind != nil {
		return fmt.Errorf("%s: %w: %s (code %d)", doing, kind, text, code)
	}
	return fmt.Errorf("%s: %s (code %d)", doing, text, code)
}

// answer is the code and the text of an error that the server answered; empty
// where it did not.
func answer(err error) (code int, text string) {
	if e, ok := errors.AsType[mongo.CommandError](err); ok && e.Message != "" && e.Code != 0 {
		return int(e.Code), e.Message
	}
	if e, ok := errors.AsType[mongo.WriteException](err); ok && e.WriteConcernError != nil {
		return e.WriteConcernError.Code, e.WriteConcernError.Message
	}
	return 0, ""
}

func hasCode(err error, want int) bool {
	code, _ := answer(err)
	return code == want
}

// unsupported reports whether the server does not know a field of a command.
func unsupported(err error) bool {
	code, text := answer(err)
	switch code {
	case 9, 72, 303, 304, 40415: // FailedToParse, InvalidOptions, and of DocumentDB
		return true
	}
	return text != "" && strings.Contains(strings.ToLower(text), "not supported")
}
