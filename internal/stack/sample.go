package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/crypto/bcrypt"

	"github.com/rekey-go/rekey/internal/pgserver"
)

// The sample application's database: one table of users, and the login that
// the README stores first. Both passwords are in the README; they open
// nothing but this database, which listens on the loopback interface only.
const (
	sampleDatabase = "app"
	// SampleUser and SamplePassword log in to the sample database.
	SampleUser     = "test"
	SamplePassword = "test123"
	// SampleEmail and SampleEmailPassword log in to the sample application.
	SampleEmail         = "test@example.com"
	SampleEmailPassword = "password123"
	// sampleCost keeps the hashing of a demonstration's load from taking both
	// cores of a small machine.
	sampleCost = 6
)

// fill makes the sample data where it is not there yet.
func fill(ctx context.Context, server *pgserver.Server) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(SampleEmailPassword), sampleCost)
	if err != nil {
		return err
	}
	err = execute(ctx, server, server.User, "CREATE DATABASE "+sampleDatabase)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "42P04" { // duplicate_database
		return nil
	}
	if err != nil {
		return err
	}
	return execute(ctx, server, sampleDatabase,
		fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", SampleUser, SamplePassword),
		"CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE NOT NULL, password_hash text NOT NULL)",
		fmt.Sprintf("INSERT INTO users (email, password_hash) VALUES ('%s', '%s')", SampleEmail, hash),
		"ALTER TABLE users OWNER TO "+SampleUser,
	)
}

// execute runs statements as the superuser.
func execute(ctx context.Context, server *pgserver.Server, database string, statements ...string) error {
	conn, err := server.Login(ctx, server.User, server.Password, database)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is lost with a session
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
