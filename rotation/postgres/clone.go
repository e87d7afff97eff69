package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/rotation"
)

// MaxName is the length at which PostgreSQL cuts a name, in bytes.
const MaxName = 63

// EnsureClone makes the clone, or brings it into shape.
func (s *session) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	if len(clone) > MaxName {
		return fmt.Errorf("%w: the user name %q is longer than %d bytes", rotation.ErrConfiguration, clone, MaxName)
	}
	secret, err := verifier(password)
	if err != nil {
		return err
	}
	return s.locked(ctx, clone, func() error {
		if original != clone {
			if err := s.shape(ctx, original, clone); err != nil {
				return err
			}
		}
		return s.setPassword(ctx, clone, secret)
	})
}

// shape makes the clone where there is none, and gives it what belongs to the
// original's login.
func (s *session) shape(ctx context.Context, original, clone string) error {
	f, err := s.facts(ctx, original, clone)
	if err != nil {
		return err
	}
	settings, err := s.settings(ctx, original, clone)
	if err != nil {
		return err
	}
	var statements []string
	if !f.cloneExists {
		statements = append(statements, "CREATE ROLE "+quote(clone)+" LOGIN")
	}
	if f.createDB != f.cloneCreateDB { // only who may create databases himself may say so
		statements = append(statements, "ALTER ROLE "+quote(clone)+map[bool]string{true: " CREATEDB", false: " NOCREATEDB"}[f.createDB])
	}
	statements = append(statements,
		fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d VALID UNTIL %s", quote(clone), f.connections, literal(f.validUntil)),
		"GRANT "+quote(original)+" TO "+quote(clone),
		"ALTER ROLE "+quote(clone)+" RESET ALL",
		"ALTER ROLE "+quote(clone)+" SET role = "+quote(original))
	statements = append(statements, settings...) // an original that acts as yet another role has that in them
	if err := s.exec(ctx, fmt.Sprintf("making %q a clone of %q", clone, original), strings.Join(statements, "; ")); err != nil {
		return err
	}
	if f.cloneOwns {
		return s.adopt(ctx, original, clone)
	}
	return nil
}

// facts are what the catalogue says of a user and its clone.
type facts struct {
	connections              int
	validUntil               string
	createDB                 bool
	cloneExists              bool
	cloneCreateDB, cloneOwns bool
}

func (s *session) facts(ctx context.Context, original, clone string) (f facts, err error) {
	const sql = `SELECT o.rolconnlimit, coalesce(o.rolvaliduntil::text, 'infinity'), o.rolcreatedb,
			c.oid IS NOT NULL, coalesce(c.rolcreatedb, false),
			EXISTS (SELECT FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = c.oid
				AND d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
		FROM pg_roles o LEFT JOIN pg_roles c ON c.rolname = $2 WHERE o.rolname = $1`
	err = s.conn.QueryRow(ctx, sql, original, clone).
		Scan(&f.connections, &f.validUntil, &f.createDB, &f.cloneExists, &f.cloneCreateDB, &f.cloneOwns)
	if err == pgx.ErrNoRows { //nolint:errorlint // Scan returns it bare.
		return f, fmt.Errorf("%w: the server has no user %q to clone", rotation.ErrConfiguration, original)
	}
	if err != nil {
		return f, s.classify(fmt.Sprintf("reading the rights of %q", original), err)
	}
	return f, nil
}

// adopt gives the original what the clone owns in this database: what it made
// when it did not act as the original yet, as the clones of other tools do.
// Who may not do so leaves it as it was.
func (s *session) adopt(ctx context.Context, original, clone string) error {
	sql := "SAVEPOINT adopt; REASSIGN OWNED BY " + quote(clone) + " TO " + quote(original)
	_, err := s.conn.Exec(ctx, sql)
	if sqlState(err) == insufficientPrivilege {
		_, err = s.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT adopt")
	}
	if err != nil {
		return s.classify(fmt.Sprintf("giving %q what %q owns", original, clone), err)
	}
	return nil
}

// settings are the statements that copy ALTER ROLE ... SET, for all databases
// and for each one.
func (s *session) settings(ctx context.Context, original, clone string) ([]string, error) {
	const sql = `SELECT coalesce(d.datname, ''), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
		FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
		LEFT JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c
		WHERE r.rolname = $1 ORDER BY 1, 2`
	rows, err := s.conn.Query(ctx, sql, original)
	if err != nil {
		return nil, s.classify(fmt.Sprintf("reading the settings of %q", original), err)
	}
	var statements []string
	var database, name, value string
	_, err = pgx.ForEachRow(rows, []any{&database, &name, &value}, func() error {
		where := ""
		if database != "" {
			where = " IN DATABASE " + quote(database)
		}
		statements = append(statements, "ALTER ROLE "+quote(clone)+where+" SET "+quoteSetting(name)+" = "+settingValue(name, value))
		return nil
	})
	if err != nil {
		return nil, s.classify(fmt.Sprintf("reading the settings of %q", original), err)
	}
	return statements, nil
}
