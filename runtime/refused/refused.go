// Package refused tells whether an error means that a credential was refused,
// so that another version of the secret should be tried:
//
//	err := secrets.Use(ctx, ref, refused.Postgres, func(ctx context.Context, v Login) error { ... })
//
// The functions go by the codes of the servers and import no driver: what they
// need to know of an error they read from its methods and fields. They look
// through wrapped and joined errors. They are false for errors that another
// credential does not help with: a server that is full, a database that is not
// there, an account that is locked.
//
// Beside the drivers named below, whoever has the same methods is understood.
// For all others, write a function of your own: it is a func(error) bool.
package refused

import (
	"errors"
	"iter"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// Postgres knows the errors of pgx, and of lib/pq from version 1.10.4 on:
// SQLSTATE 28P01, and 28000, which is what RDS Proxy answers.
func Postgres(err error) bool {
	e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err)
	return ok && (e.SQLState() == "28P01" || e.SQLState() == "28000")
}

// MySQL knows the errors of go-sql-driver/mysql, of MySQL and MariaDB: 1045,
// access denied, and 1698, access denied without a password.
func MySQL(err error) bool {
	return hasCode(err, "go-sql-driver/mysql", "Number", 1045, 1698)
}

// SQLServer knows the errors of go-mssqldb: 18456, login failed.
func SQLServer(err error) bool {
	e, ok := errors.AsType[interface {
		error
		SQLErrorNumber() int32
	}](err)
	return ok && e.SQLErrorNumber() == 18456
}

// Oracle knows the errors of godror and go-ora: ORA-01017, invalid username or
// password. An account that is locked, ORA-28000, would only be held locked by
// further logins.
func Oracle(err error) bool {
	const invalid = 1017
	e, ok := errors.AsType[interface {
		error
		Code() int
		Message() string
	}](err)
	return ok && e.Code() == invalid || hasCode(err, "sijms/go-ora", "ErrCode", invalid)
}

// SQL knows what [Postgres], [MySQL], [SQLServer] and [Oracle] know.
func SQL(err error) bool { return Postgres(err) || MySQL(err) || SQLServer(err) || Oracle(err) }

// Redis knows the errors of go-redis and redigo, of Redis and Valkey: WRONGPASS,
// and NOAUTH, with which the server answers whoever has not logged in.
func Redis(err error) bool {
	for e := range chain(err) {
		if text := e.Error(); strings.HasPrefix(text, "WRONGPASS ") || strings.HasPrefix(text, "NOAUTH ") {
			return true
		}
	}
	return false
}

// MongoDB knows the errors of the official driver: 18, authentication failed,
// and 11, user not found.
func MongoDB(err error) bool {
	return hasCode(err, "mongo-driver", "Code", 18, 11)
}

// HTTP knows errors that have a status, as a method or a field named
// HTTPStatusCode or StatusCode, such as those of the AWS SDK and of Stripe: 401,
// unauthorized. 403 is not one: the key is known, and may not do this.
func HTTP(err error) bool {
	if e, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return e.HTTPStatusCode() == http.StatusUnauthorized
	}
	if e, ok := errors.AsType[interface {
		error
		StatusCode() int
	}](err); ok {
		return e.StatusCode() == http.StatusUnauthorized
	}
	return hasCode(err, "", "HTTPStatusCode", http.StatusUnauthorized) || hasCode(err, "", "StatusCode", http.StatusUnauthorized)
}

// hasCode reports whether an error is a struct, from a package whose path
// contains a text, with one of the codes in a field.
func hasCode(err error, path, field string, codes ...int64) bool {
	for e := range chain(err) {
		v := reflect.Indirect(reflect.ValueOf(e))
		if v.Kind() != reflect.Struct || !strings.Contains(v.Type().PkgPath(), path) {
			continue
		}
		switch f := v.FieldByName(field); {
		case !f.IsValid():
		case f.CanInt() && slices.Contains(codes, f.Int()),
			f.CanUint() && f.Uint() <= 1<<31 && slices.Contains(codes, int64(f.Uint())): //nolint:gosec // it fits.
			return true
		}
	}
	return false
}

// chain is an error and all that it wraps.
func chain(err error) iter.Seq[error] {
	return func(yield func(error) bool) { walk(err, yield) }
}

func walk(err error, yield func(error) bool) bool {
	if err == nil {
		return true
	}
	if !yield(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // this is what walks the chain.
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), yield)
	case interface{ Unwrap() []error }:
		for _, wrapped := range e.Unwrap() {
			if !walk(wrapped, yield) {
				return false
			}
		}
	}
	return true
}
