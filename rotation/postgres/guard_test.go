package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func TestASettingOfTheUserIsNoSQLForTheSuperuser(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE victim LOGIN`, `CREATE ROLE app LOGIN PASSWORD 'old'`, `ALTER ROLE app SET my.own = 'a, "b"'`)
	user, err := pgtest.Login(t, s, "app", "old", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	// Without a space in it PostgreSQL takes all of this as the name of a schema.
	for _, sql := range []string{
		`SELECT set_config('search_path', 'public;DROP/**/ROLE/**/victim', false)`,
		`ALTER ROLE app SET search_path FROM CURRENT`,
		`ALTER ROLE app SET application_name = 'x''; DROP ROLE victim; --'`,
	} {
		if _, err := user.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := superuser(t, s).EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	clone, err := pgtest.Login(t, s, "app_clone", "new", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var victims int
	var name, own string
	const facts = `SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'victim'), current_setting('application_name'), current_setting('my.own')`
	if err := clone.QueryRow(t.Context(), facts).Scan(&victims, &name, &own); err != nil {
		t.Fatal(err)
	}
	if victims != 1 {
		t.Error("the superuser ran what the user had put into its settings")
	}
	if own != `a, "b"` {
		t.Errorf("the setting my.own is %s", own)
	}
}

func TestNoFunctionOfTheDatabasesOwnerRunsAsTheSuperuser(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`, `CREATE TABLE ran (name text)`, `GRANT ALL ON ran TO PUBLIC`,
		`CREATE FUNCTION public.hashtextextended(text, integer) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO public.ran VALUES ('hash'); SELECT 1::bigint $$`,
		`CREATE FUNCTION public.substr(text, integer) RETURNS text LANGUAGE sql AS $$ INSERT INTO public.ran VALUES ('substr'); SELECT '1s' $$`,
		`ALTER ROLE app SET statement_timeout = '7s'`, `ALTER DATABASE postgres SET search_path = public, pg_catalog`)
	super := superuser(t, s)
	if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	conn, err := pgtest.Login(t, s, s.User, s.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM public.ran`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d functions of another schema ran: %v", n, err)
	}
}

func TestAnAdministratorIsChangedByNobodyElse(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres",
		`CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'old'`, `CREATE ROLE maker CREATEROLE LOGIN PASSWORD 'old'`,
		`CREATE ROLE replica REPLICATION LOGIN PASSWORD 'old'`, `CREATE ROLE member LOGIN PASSWORD 'old' IN ROLE `+quote(s.User))
	super := superuser(t, s)
	free := func(context.Context) error { return nil }
	for _, user := range []string{"boss", "maker", "replica", "member"} {
		if err := super.SetPassword(t.Context(), user, rotation.NewValue("new")); !errors.Is(err, rotation.ErrPermission) {
			t.Errorf("setting the password of %s: got %v, want %v", user, err, rotation.ErrPermission)
		}
		if err := super.Revoke(t.Context(), user, free); !errors.Is(err, rotation.ErrPermission) {
			t.Errorf("revoking %s: got %v, want %v", user, err, rotation.ErrPermission)
		}
		if _, err := pgtest.Login(t, s, user, "old", "postgres"); err != nil {
			t.Errorf("%s was changed: %v", user, err)
		}
	}
	boss, err := database(t, s).Login(t.Context(), credential(t, s, "boss", "old"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = boss.Close(t.Context()) }()
	if err := boss.SetPassword(t.Context(), "boss", rotation.NewValue("new")); err != nil {
		t.Errorf("an administrator changing itself: %v", err)
	}
}

func TestWhatAnotherToolsCloneOwnsBecomesTheOriginals(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", // as the template of AWS leaves it
		`CREATE ROLE app LOGIN PASSWORD 'old'`, `CREATE ROLE app_clone LOGIN PASSWORD 'stale'`, `GRANT app TO app_clone`,
		`CREATE SCHEMA shop AUTHORIZATION app`, `SET ROLE app_clone`, `CREATE TABLE shop.made_by_clone (n int)`)
	if err := superuser(t, s).EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	for user, password := range map[string]string{"app": "old", "app_clone": "new"} {
		conn, err := pgtest.Login(t, s, user, password, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{`INSERT INTO shop.made_by_clone VALUES (1)`, `ALTER TABLE shop.made_by_clone ADD ` + user + `_was_here int`} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Errorf("as %s, %s: %v", user, sql, err)
			}
		}
	}
}

func TestALoginThatItsDatabaseDoesNotLetInIsRestored(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`, `CREATE DATABASE shop`)
	store := rotationtest.NewStore(rotation.NewValue(fmt.Sprintf(
		`{"host":%q,"port":%d,"username":"app","password":"old","database":"shop"}`, s.Host, s.Port)), nil)
	rotator := rotation.New(store, rotation.Options{
		Choose: rotation.Only(rotation.SingleUser{Database: database(t, s)}),
		Logger: slog.New(slog.DiscardHandler),
	})
	step := func(step rotation.Step) error {
		e := store.Begin("version-2")
		e.Step = step
		return rotator.Step(t.Context(), e)
	}
	for _, next := range []rotation.Step{rotation.StepCreate, rotation.StepSet} {
		if err := step(next); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, s, "postgres", `REVOKE CONNECT ON DATABASE shop FROM PUBLIC`)
	if err := step(rotation.StepTest); !errors.Is(err, rotation.ErrPermission) {
		t.Errorf("got %v, want %v", err, rotation.ErrPermission)
	}
	pgtest.Exec(t, s, "postgres", `GRANT CONNECT ON DATABASE shop TO PUBLIC`)
	if _, err := pgtest.Login(t, s, "app", "old", "shop"); err != nil {
		t.Errorf("the current login was not restored: %v", err)
	}
}

func TestRetireTakesThePasswordAndNoSession(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	super := superuser(t, s)
	if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	value := func(user, password string) rotation.Value {
		return rotation.NewValue(fmt.Sprintf(`{"host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, user, password))
	}
	store := rotationtest.NewStore(value("app", "old"), nil)
	store.Replace("version-2", value("app_clone", "new"))
	open, err := pgtest.Login(t, s, "app", "old", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	admin := superuserOf(t, s)
	for range 2 {
		if err := rotation.Retire(t.Context(), store, rotation.Only(rotation.AlternatingUsers{Database: database(t, s), Superuser: admin}), "db", "version-1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pgtest.Login(t, s, "app", "old", "postgres"); err == nil {
		t.Error("the revoked login is let in")
	}
	if err := open.Ping(t.Context()); err != nil {
		t.Errorf("a session that was open has ended: %v", err)
	}
	clone, err := pgtest.Login(t, s, "app_clone", "new", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clone.Exec(t.Context(), `CREATE TEMP TABLE works (n int)`); err != nil {
		t.Errorf("the current login, after the other was revoked: %v", err)
	}
}

func TestNamesInASettingAreSplitAsPostgreSQLDoes(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		``:                        nil,
		`public`:                  {"public"},
		`"$user", public`:         {"$user", "public"},
		`Shop,"Two ""Words""" ,x`: {"shop", `Two "Words"`, "x"},
		`"open`:                   {"open"},
		`"a""`:                    {`a"`},
		`a;DROP/**/ROLE/**/b`:     {"a;drop/**/role/**/b"},
	} {
		if got := splitNames(list); !slices.Equal(got, want) {
			t.Errorf("splitNames(%s) = %q, want %q", list, got, want)
		}
	}
}

func TestPlaintextNeedsTheSecretsWordAndTheFunctions(t *testing.T) {
	t.Parallel()
	c, err := rotation.ParseCredential(rotation.NewValue(`{"host":"db","username":"app","password":"x","ssl":false}`))
	if err != nil {
		t.Fatal(err)
	}
	for allowed, wantTLS := range map[bool]bool{false: true, true: false} {
		db := New(reach(t, rotation.ReachOptions{AllowPlaintext: allowed}))
		cfg, err := db.config(c)
		if err != nil {
			t.Fatal(err)
		}
		if hasTLS := cfg.TLSConfig != nil; hasTLS != wantTLS || len(cfg.Fallbacks) > 0 {
			t.Errorf("allowed %v: TLS %v, %d fallbacks", allowed, hasTLS, len(cfg.Fallbacks))
		}
	}
	engine := c
	engine.Engine = "mysql"
	db := New(reach(t, rotation.ReachOptions{}))
	if _, err := db.config(engine); !errors.Is(err, rotation.ErrConfiguration) || !strings.Contains(err.Error(), "mysql") {
		t.Errorf("another engine: got %v, want %v", err, rotation.ErrConfiguration)
	}
}
