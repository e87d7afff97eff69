package refused_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/gomodule/redigo/redis"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stripe/stripe-go/v82"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/rekey-go/rekey/runtime/refused"
)

// mssqlError has the methods of go-mssqldb's Error, which is no pointer.
type mssqlError struct{ number int32 }

func (mssqlError) Error() string           { return "mssql: Login failed" }
func (e mssqlError) SQLErrorNumber() int32 { return e.number }

// oraError has the methods of godror's OraErr.
type oraError struct{ code int }

func (oraError) Error() string   { return "ORA-" }
func (e oraError) Code() int     { return e.code }
func (oraError) Message() string { return "" }

// status has the method of the AWS SDK's errors.
type status struct{ code int }

func (status) Error() string         { return "HTTP" }
func (e status) HTTPStatusCode() int { return e.code }

// answered has a field, and is a value.
type answered struct{ StatusCode int }

func (answered) Error() string { return "HTTP" }

func TestWhatIsARefusal(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(error) bool{
		"postgres": refused.Postgres, "mysql": refused.MySQL, "sqlserver": refused.SQLServer, "oracle": refused.Oracle,
		"redis": refused.Redis, "mongodb": refused.MongoDB, "http": refused.HTTP,
	}
	tests := map[string]struct {
		err  error
		kind string // empty for none
	}{
		"no error":                              {},
		"any error":                             {err: io.EOF},
		"a wrong password for PostgreSQL":       {err: &pgconn.PgError{Code: "28P01"}, kind: "postgres"},
		"a login refused by RDS Proxy":          {err: &pgconn.PgError{Code: "28000"}, kind: "postgres"},
		"a database that is not there":          {err: &pgconn.PgError{Code: "3D000"}},
		"too many connections":                  {err: &pgconn.PgError{Code: "53300"}},
		"a wrong password for MySQL":            {err: &mysql.MySQLError{Number: 1045}, kind: "mysql"},
		"no password for MySQL":                 {err: &mysql.MySQLError{Number: 1698}, kind: "mysql"},
		"a database that may not be used":       {err: &mysql.MySQLError{Number: 1044}},
		"a locked account of MySQL":             {err: &mysql.MySQLError{Number: 3118}},
		"a nil error of MySQL":                  {err: (*nilError)(nil)},
		"a wrong password for SQL Server":       {err: mssqlError{18456}, kind: "sqlserver"},
		"a database of SQL Server":              {err: mssqlError{4060}},
		"a wrong password for Oracle":           {err: &oraError{1017}, kind: "oracle"},
		"a locked account of Oracle":            {err: &oraError{28000}},
		"a wrong password for Redis":            {err: redis.Error("WRONGPASS invalid username-password pair or user is disabled."), kind: "redis"},
		"no login at Redis":                     {err: redis.Error("NOAUTH Authentication required."), kind: "redis"},
		"a command that may not be run":         {err: redis.Error("NOPERM this user has no permissions")},
		"a wrong password for MongoDB":          {err: mongo.CommandError{Code: 18, Name: "AuthenticationFailed"}, kind: "mongodb"},
		"an unknown user of MongoDB":            {err: mongo.CommandError{Code: 11, Name: "UserNotFound"}, kind: "mongodb"},
		"a command that MongoDB does not allow": {err: mongo.CommandError{Code: 13, Name: "Unauthorized"}},
		"an HTTP 401 with a method":             {err: status{401}, kind: "http"},
		"an HTTP 403 with a method":             {err: status{403}},
		"an HTTP 401 in a field":                {err: answered{401}, kind: "http"},
		"Stripe's 401":                          {err: &stripe.Error{HTTPStatusCode: 401}, kind: "http"},
		"Stripe's 402":                          {err: &stripe.Error{HTTPStatusCode: 402}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for form, err := range map[string]error{
				"itself":  tt.err,
				"wrapped": fmt.Errorf("connecting: %w", fmt.Errorf("logging in: %w", tt.err)),
				"joined":  errors.Join(io.ErrUnexpectedEOF, tt.err),
			} {
				sql := map[string]bool{"postgres": true, "mysql": true, "sqlserver": true, "oracle": true}[tt.kind]
				if got := refused.SQL(err); got != sql {
					t.Errorf("SQL, %s: got %v", form, got)
				}
				for kind, is := range kinds {
					if got := is(err); got != (kind == tt.kind) {
						t.Errorf("%s, %s: got %v", kind, form, got)
					}
				}
			}
		})
	}
}

// nilError is a nil pointer in an error, as careless code returns it.
type nilError struct{ Number uint16 }

func (*nilError) Error() string { return "nil" }
