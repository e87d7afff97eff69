package secretssql_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretssql"
)

// A journal is what a driver was asked for.
type journal struct{ lines []string }

func (j *journal) note(format string, args ...any) {
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// plain is a connection with the minimum.
type plain struct{ *journal }

func (c plain) Prepare(query string) (driver.Stmt, error) {
	c.note("prepare %s", query)
	return stmt(c), nil
}
func (c plain) Close() error              { c.note("close"); return nil }
func (c plain) Begin() (driver.Tx, error) { c.note("begin"); return tx(c), nil }

type tx struct{ *journal }

func (t tx) Commit() error   { t.note("commit"); return nil }
func (t tx) Rollback() error { t.note("rollback"); return nil }

type stmt struct{ *journal }

func (s stmt) Close() error  { s.note("close statement"); return nil }
func (s stmt) NumInput() int { return -1 }
func (s stmt) Exec(args []driver.Value) (driver.Result, error) {
	s.note("run %v", args)
	return driver.RowsAffected(1), nil
}

func (s stmt) Query(args []driver.Value) (driver.Rows, error) {
	s.note("ask %v", args)
	return rows{}, nil
}

type rows struct{}

func (rows) Columns() []string         { return []string{"n"} }
func (rows) Close() error              { return nil }
func (rows) Next([]driver.Value) error { return io.EOF }

// skipping is a connection that has every method, and leaves statements to
// their preparation.
type skipping struct{ plain }

func (c skipping) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	c.note("prepare with a context %s", query)
	return stmt{c.journal}, nil
}

func (c skipping) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, driver.ErrSkip
}

func (c skipping) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, driver.ErrSkip
}

func (c skipping) BeginTx(_ context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.note("begin %v", opts)
	return tx{c.journal}, nil
}
func (c skipping) Ping(context.Context) error         { c.note("ping"); return nil }
func (c skipping) ResetSession(context.Context) error { c.note("reset"); return nil }
func (c skipping) IsValid() bool                      { c.note("valid"); return true }
func (c skipping) CheckNamedValue(v *driver.NamedValue) error {
	if _, ok := v.Value.(own); ok {
		v.Value = "own type"
		return nil
	}
	return driver.ErrSkip
}

// own is a type of argument that only the driver knows.
type own struct{}

// modern is a connection that has every method.
type modern struct{ skipping }

func (c modern) ExecContext(_ context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.note("run %s %v", query, args)
	return driver.RowsAffected(1), nil
}

func (c modern) QueryContext(_ context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.note("ask %s %v", query, args)
	return rows{}, nil
}

// A maker is a connector, and the driver, of connections.
type maker func() driver.Conn

func (m maker) Connect(context.Context) (driver.Conn, error) { return m(), nil }
func (m maker) Driver() driver.Driver                        { return m }
func (m maker) Open(string) (driver.Conn, error)             { return m(), nil }

// use does all that a consumer can, and returns what it got. Arguments of
// a type of the driver's are only for drivers that have one.
func use(ctx context.Context, db *sql.DB, types bool) (got []string) {
	note := func(doing string, err error) { got = append(got, fmt.Sprint(doing, ": ", err)) }
	note("ping", db.PingContext(ctx))
	_, err := db.ExecContext(ctx, "UPDATE", 1, "two", 3.0)
	note("exec", err)
	if types {
		_, err = db.ExecContext(ctx, "UPDATE", own{})
		note("exec with a type of the driver's", err)
	}
	_, err = db.ExecContext(ctx, "UPDATE", sql.Named("a", 1))
	note("exec with a name", err)
	note("query", db.QueryRowContext(ctx, "SELECT", 1).Scan(new(int)))
	s, err := db.PrepareContext(ctx, "PREPARED")
	note("prepare", err)
	_, err = s.ExecContext(ctx, 1)
	note("exec prepared", err)
	note("close", s.Close())
	for _, opts := range []*sql.TxOptions{nil, {}, {ReadOnly: true}, {Isolation: sql.LevelSerializable}} {
		tx, err := db.BeginTx(ctx, opts)
		note("begin", err)
		if err == nil {
			note("commit", tx.Commit())
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = db.ExecContext(ended, "UPDATE")
	note("exec after the end", err)
	conn, err := db.Conn(ctx)
	note("conn", err)
	note("raw", conn.Raw(func(c any) error { return fmt.Errorf("%T", secretssql.Unwrap(c)) }))
	note("close", conn.Close())
	return got
}

func TestADriverIsUsedAsWithoutThisPackage(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*journal) driver.Conn{
		"with the minimum":                 func(j *journal) driver.Conn { return plain{j} },
		"that has statements prepared":     func(j *journal) driver.Conn { return skipping{plain{j}} },
		"with all that database/sql knows": func(j *journal) driver.Conn { return modern{skipping{plain{j}}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var bare, wrapped journal
			_, types := connect(&bare).(driver.NamedValueChecker)
			without := sql.OpenDB(maker(func() driver.Conn { return connect(&bare) }))
			with := sql.OpenDB(secretssql.NewConnector(stagetest.New("{}").Client(), "db", func(*secrets.Secret) (driver.Connector, error) {
				return maker(func() driver.Conn { return connect(&wrapped) }), nil
			}))
			want, got := use(t.Context(), without, types), use(t.Context(), with, types)
			_, _ = without.Close(), with.Close()
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the consumer gets (-without +with):\n%s", diff)
			}
			if diff := cmp.Diff(bare.lines, wrapped.lines); diff != "" {
				t.Errorf("the driver is asked for (-without +with):\n%s", diff)
			}
		})
	}
}

func TestADriverThatTakesADataSourceName(t *testing.T) {
	t.Parallel()
	var j journal
	m := maker(func() driver.Conn { return plain{&j} })
	c := secretssql.NewConnector(stagetest.New("app:hunter2@h").Client(), "db", func(s *secrets.Secret) (driver.Connector, error) {
		return secretssql.DSN(m, s.Reveal())
	})
	db := sql.OpenDB(c)
	defer func() { _ = db.Close() }()
	if _, err := db.Driver().Open(""); err == nil {
		t.Error("a driver opened something before it was known")
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	if _, ok := db.Driver().(maker); !ok {
		t.Errorf("the driver is %T", db.Driver())
	}
	connector, err := secretssql.DSN(m, "app:hunter2@h")
	if text := fmt.Sprintf("%v %+v %#v", connector, connector, connector); err != nil || strings.Contains(text, "hunter2") {
		t.Errorf("it prints as %s, %v", text, err)
	}
}

func TestWhatCannotBeALogin(t *testing.T) {
	t.Parallel()
	errOpen := errors.New("a driver's error")
	tests := map[string]struct {
		store *stagetest.Store
		open  error
		want  error
	}{
		"a secret without a value":     {store: new(stagetest.Store), want: secrets.ErrNoValue},
		"a value of another shape":     {store: stagetest.New("hunter2"), open: secrets.ErrDecode, want: secrets.ErrDecode},
		"a value the driver wants not": {store: stagetest.New("hunter2"), open: errOpen, want: errOpen},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := sql.OpenDB(secretssql.NewConnector(tt.store.Client(), "db", func(*secrets.Secret) (driver.Connector, error) { return nil, tt.open }))
			defer func() { _ = db.Close() }()
			if err := db.PingContext(t.Context()); !errors.Is(err, tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
