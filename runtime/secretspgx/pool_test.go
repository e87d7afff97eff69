package secretspgx_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretspgx"
)

// database is a server with a role app, a secret for it, and a pool.
type database struct {
	*pgserver.Server
	store  *stagetest.Store
	client *secrets.Client
	pool   *secretspgx.Pool
	dials  *atomic.Int32
}

func start(t *testing.T, configure func(*pgxpool.Config)) *database {
	t.Helper()
	d := &database{
		Server: pgtest.Start(t, pgserver.Options{}),
		store:  new(stagetest.Store),
		dials:  new(atomic.Int32),
	}
	pgtest.Exec(t, d.Server, "postgres", "CREATE ROLE app LOGIN PASSWORD 'password-1'")
	d.store.Stage("AWSCURRENT", "v1", d.value("app", "password-1"))
	d.client = d.store.Client()
	pool, err := secretspgx.NewPool(d.client, "db", func(o *secretspgx.Options) {
		o.CA, o.Database = d.CA, "postgres"
		o.Configure = func(c *pgxpool.Config) {
			dialer := new(net.Dialer)
			c.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
				d.dials.Add(1)
				return dialer.DialContext(ctx, network, address)
			}
			if configure != nil {
				configure(c)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	d.pool = pool
	return d
}

// value is a secret's value.
func (d *database) value(user, password string) string {
	return stagetest.JSON("engine", "postgres", "host", d.Host, "port", d.Port, "username", user, "password", password)
}

// user returns who a query is run as.
func (d *database) user(t *testing.T) string {
	t.Helper()
	var name string
	if err := d.pool.QueryRow(t.Context(), "SELECT current_user").Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestASingleUsersPasswordIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	d := start(t, func(c *pgxpool.Config) {
		c.MaxConns = 8
		c.MaxConnLifetime = time.Millisecond // so that nearly every query logs in
	})
	admin, err := pgtest.Login(t, d.Server, d.User, d.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	const clients, turns = 6, 10
	load := stagetest.NewLoad(t, clients, func() error {
		var one int
		return d.pool.QueryRow(t.Context(), "SELECT 1").Scan(&one)
	})
	for n := 2; n < 2+turns && !t.Failed(); n++ {
		version, password := fmt.Sprint("v", n), "password-"+rand.Text()
		d.store.Stage("AWSPENDING", version, d.value("app", password))
		if _, err := admin.Exec(t.Context(), "ALTER ROLE app PASSWORD '"+password+"'"); err != nil {
			t.Fatal(err)
		}
		load.During() // only the pending password works
		d.store.Stage("AWSCURRENT", version, "")
		load.During() // no event tells of it
	}
	queries, failed := load.Stop()
	t.Logf("%d rotations: %d queries, %d failed, %d logins", turns, queries, failed, d.dials.Load())
}

func TestTheLadderIsThreeLoginsHigh(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for i, label := range []string{"AWSCURRENT", "AWSPENDING"} {
		d.store.Stage(label, fmt.Sprint("w", i), d.value("app", fmt.Sprint("wrong-hunter2-", i)))
	}
	d.store.Stage("AWSPREVIOUS", "w2", d.value("app", "wrong-hunter2-2"))
	err := d.pool.Ping(t.Context())
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("got %v, want the server's refusal without a password", err)
	}
	if got := d.dials.Load(); got != 3 {
		t.Errorf("%d logins, want 3", got)
	}
}

func TestWhichRungHolds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		stages [][2]string // label and password, in order
		logins int32
	}{
		"the current one is newer than that in memory": {stages: [][2]string{{"AWSCURRENT", "password-1"}}, logins: 2},
		"the pending one":  {stages: [][2]string{{"AWSPENDING", "password-1"}}, logins: 2},
		"the previous one": {stages: [][2]string{{"AWSPENDING", "x"}, {"AWSPREVIOUS", "password-1"}}, logins: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := start(t, nil)
			d.store.Stage("AWSCURRENT", "wrong", d.value("app", "wrong"))
			d.store.Stage("AWSPREVIOUS", "none", d.value("app", "none"))
			if _, err := d.client.Get(t.Context(), "db"); err != nil { // in memory
				t.Fatal(err)
			}
			for i, s := range tt.stages {
				d.store.Stage(s[0], fmt.Sprint("s", i), d.value("app", s[1]))
			}
			for range 2 { // what was found is remembered
				if err := d.pool.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := d.dials.Load(); got != tt.logins {
				t.Errorf("%d logins, want %d", got, tt.logins)
			}
		})
	}
}

func TestAnotherUserTakesOverWithoutAFailedQuery(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	pgtest.Exec(t, d.Server, "postgres", "CREATE ROLE app_clone LOGIN PASSWORD 'password-2'")
	if got := d.user(t); got != "app" {
		t.Fatalf("logged in as %s", got)
	}
	rows, err := d.pool.Query(t.Context(), "SELECT current_user, generate_series(1, 3)") // in flight
	if err != nil {
		t.Fatal(err)
	}
	d.store.Promote(t, d.client, "v2", d.value("app_clone", "password-2"))
	if got := d.user(t); got != "app_clone" {
		t.Errorf("after the rotation a query ran as %s", got)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != 3 {
		t.Errorf("the query in flight gave %d rows and %v", n, rows.Err())
	}
	for range 5 {
		if got := d.user(t); got != "app_clone" {
			t.Errorf("the old connection was used again, as %s", got)
		}
	}
}

func TestATerminatedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	d := start(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	admin, err := pgtest.Login(t, d.Server, d.User, d.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		var pid int
		if err := d.pool.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			t.Fatal(err)
		}
		var ended bool // waits until the session is gone
		if err := admin.QueryRow(t.Context(), "SELECT pg_terminate_backend($1, 5000)", pid).Scan(&ended); err != nil || !ended {
			t.Fatalf("terminating the session: %v, %v", ended, err)
		}
		if _, err := d.pool.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Fatalf("after the session was terminated: %v", err)
		}
	}
}

func TestConnectionsAreEncryptedAndVerified(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	var encrypted bool
	if err := d.pool.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&encrypted); err != nil || !encrypted {
		t.Errorf("encrypted: %v, %v", encrypted, err)
	}
	strangers, err := secretspgx.NewPool(d.client, "db", func(o *secretspgx.Options) { o.Database = "postgres" })
	if err != nil {
		t.Fatal(err)
	}
	defer strangers.Close()
	if err := strangers.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "x509") {
		t.Errorf("a server with an unknown certificate: %v", err)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	d := start(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	for _, end := range []func(pgx.Tx) error{
		func(tx pgx.Tx) error { return tx.Commit(t.Context()) },
		func(tx pgx.Tx) error { return tx.Rollback(t.Context()) },
	} {
		tx, err := d.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err) // the one connection was not given back
		}
		if _, err := tx.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Error(err)
		}
		if err := end(tx); err != nil {
			t.Error(err)
		}
	}
	var n int
	if err := d.pool.QueryRow(t.Context(), "SELECT 1 WHERE false").Scan(&n); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("no row: %v, want ErrNoRows", err)
	}
}

func TestASecretThatCannotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	c := new(stagetest.Store).Client()
	pool, err := secretspgx.NewPool(c, "db")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); !errors.Is(err, secrets.ErrNoValue) {
		t.Errorf("got %v, want ErrNoValue", err)
	}
}
