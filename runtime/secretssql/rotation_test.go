package secretssql_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/rekey-go/rekey/internal/mysqltest"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretssql"
)

// A server starts a real one, and returns what makes databases on it.
type server func(*testing.T) (newDatabase func(t *testing.T, app string) *database)

//nolint:gochecknoglobals // a constant table.
var servers = map[string]server{"PostgreSQL": postgres, "MariaDB": mariadb}

// A database has the users app and clone, a secret for app, and a pool.
type database struct {
	*sql.DB
	app, clone string

	store  *stagetest.Store
	client *secrets.Client
	logins *atomic.Int64

	value func(user, password string) string
	// exec runs a statement as the superuser.
	exec func(statement string)
	// set is the statement that gives a user a password, both one that adds
	// it to the one before.
	set, both func(user, password, before string) string
	whoami    string
}

const first = "password-1"

// open fills in what all kinds have.
func (d *database) open(t *testing.T, create string, connect func(login.Login) (driver.Connector, error)) *database {
	t.Helper()
	d.logins = new(atomic.Int64)
	d.clone = d.app + "_clone"
	for _, user := range []string{d.app, d.clone} {
		d.exec(fmt.Sprintf(create, user, first))
	}
	d.store = stagetest.New(d.value(d.app, first))
	d.client = d.store.Client()
	d.DB = sql.OpenDB(secretssql.NewConnector(d.client, "db", func(s *secrets.Secret) (driver.Connector, error) {
		l, err := login.Parse(s, "host", "username", "password")
		if err != nil {
			return nil, err
		}
		c, err := connect(l)
		return counted{c, d.logins}, err
	}))
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// counted counts the logins by a driver's connector.
type counted struct {
	driver.Connector
	logins *atomic.Int64
}

func (c counted) Connect(ctx context.Context) (driver.Conn, error) {
	c.logins.Add(1)
	return c.Connector.Connect(ctx)
}

func postgres(t *testing.T) func(*testing.T, string) *database {
	t.Helper()
	s := pgtest.Start(t, pgserver.Options{})
	return func(t *testing.T, app string) *database { return onPostgres(t, s, app) }
}

func onPostgres(t *testing.T, s *pgserver.Server, app string) *database {
	t.Helper()
	admin, err := pgtest.Login(t, s, s.User, s.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	d := &database{
		app: app,
		value: func(user, password string) string {
			return stagetest.JSON("engine", "postgres", "host", s.Host, "port", s.Port, "username", user, "password", password, "dbname", "postgres")
		},
		exec: func(statement string) {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		},
		set:    func(user, password, _ string) string { return "ALTER ROLE " + user + " PASSWORD '" + password + "'" },
		whoami: "SELECT current_user",
	}
	return d.open(t, "CREATE ROLE %s LOGIN PASSWORD '%s'", func(l login.Login) (driver.Connector, error) {
		cfg, err := pgx.ParseConfig("host=unset user=unset password=unset sslmode=disable")
		if err != nil {
			return nil, err
		}
		cfg.Host, cfg.Port, cfg.Database, cfg.User, cfg.Password = l.Host, l.Port, l.Database, l.Username, l.Password()
		cfg.TLSConfig = trust(s.CA, l.Host)
		return stdlib.GetConnector(*cfg), nil
	})
}

func mariadb(t *testing.T) func(*testing.T, string) *database {
	t.Helper()
	s := mysqltest.Start(t, mysqltest.Options{})
	return func(t *testing.T, app string) *database { return onMariaDB(t, s, app) }
}

func onMariaDB(t *testing.T, s *mysqltest.Server, app string) *database {
	t.Helper()
	admin, err := mysqltest.Login(t, s, s.User, s.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	const plugin = "mysql_native_password USING PASSWORD('%s')"
	d := &database{
		app: app,
		value: func(user, password string) string {
			return stagetest.JSON("engine", "mariadb", "host", s.Host, "port", s.Port, "username", user, "password", password)
		},
		exec: func(statement string) {
			if _, err := admin.ExecContext(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		},
		set: func(user, password, _ string) string {
			return fmt.Sprintf("ALTER USER "+user+" IDENTIFIED VIA "+plugin, password)
		},
		both: func(user, password, before string) string {
			return fmt.Sprintf("ALTER USER "+user+" IDENTIFIED VIA "+plugin+" OR "+plugin, password, before)
		},
		whoami: "SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)",
	}
	return d.open(t, "CREATE USER %s IDENTIFIED BY '%s'", func(l login.Login) (driver.Connector, error) {
		cfg := mysql.NewConfig()
		cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", l.Addr(3306), l.Username, l.Password()
		cfg.TLS, cfg.Logger = trust(s.CA, l.Host), new(mysql.NopLogger)
		return mysql.NewConnector(cfg)
	})
}

func trust(ca, host string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca))
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
}

// A phase waits until each client has begun and ended queries.
type phase func()

// rotations are the ways of a password from one version to the next.
//
//nolint:gochecknoglobals // a constant table.
var rotations = map[string]func(t *testing.T, d *database, n int, during phase){
	"single user": func(_ *testing.T, d *database, n int, during phase) {
		version, password := fmt.Sprint("v", n), rand.Text()
		d.store.Stage("AWSPENDING", version, d.value(d.app, password))
		d.exec(d.set(d.app, password, ""))
		during() // only the pending password works
		d.store.Stage("AWSCURRENT", version, "")
		during() // no event tells of it
	},
	"alternating users": func(t *testing.T, d *database, n int, during phase) {
		before, next := d.app, d.clone
		if n%2 == 1 {
			before, next = next, before
		}
		password := rand.Text()
		d.exec(d.set(next, password, ""))
		d.store.Promote(t, d.client, fmt.Sprint("v", n), d.value(next, password))
		during()
		d.exec(d.set(before, rand.Text(), "")) // retired
		during()
	},
	"two passwords": func(t *testing.T, d *database, n int, during phase) {
		before, password := first, fmt.Sprint("password-", n)
		if n > 2 {
			before = fmt.Sprint("password-", n-1)
		}
		d.exec(d.both(d.app, password, before))
		during()
		d.store.Promote(t, d.client, fmt.Sprint("v", n), d.value(d.app, password))
		during()
		d.exec(d.set(d.app, password, "")) // retired
		during()
	},
}

func TestRotations(t *testing.T) {
	t.Parallel()
	for engine, start := range servers {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			newDatabase := start(t)
			for name, rotate := range rotations {
				if engine == "PostgreSQL" && name == "two passwords" {
					continue // it has one for each user
				}
				t.Run("no query fails, "+name, func(t *testing.T) {
					noQueryFails(t, newDatabase(t, strings.ReplaceAll(name, " ", "_")), rotate)
				})
			}
			t.Run("what is in flight ends as it began", func(t *testing.T) { inFlight(t, newDatabase(t, "flying")) })
			t.Run("a password that is wrong for good", func(t *testing.T) { wrong(t, newDatabase(t, "wrong")) })
		})
	}
}

func noQueryFails(t *testing.T, d *database, rotate func(*testing.T, *database, int, phase)) {
	const clients, turns = 6, 5
	d.SetMaxIdleConns(clients)
	var begun atomic.Int64
	l := stagetest.NewLoad(t, clients, func() error {
		var one int
		if begun.Add(1)%clients > 0 {
			return d.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
		}
		conn, err := d.Conn(t.Context())
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		err = conn.QueryRowContext(t.Context(), "SELECT 1").Scan(&one)
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // it is closed, and the next query logs in
		return err
	})
	for n := 2; n < 2+turns && !t.Failed(); n++ {
		rotate(t, d, n, l.During)
	}
	queries, failed := l.Stop()
	t.Logf("%d rotations: %d queries, %d failed, %d logins", turns, queries, failed, d.logins.Load())
}

func (d *database) user(t *testing.T) string {
	t.Helper()
	var name string
	if err := d.QueryRowContext(t.Context(), d.whoami).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

func inFlight(t *testing.T, d *database) {
	tx, err := d.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := d.QueryContext(t.Context(), "SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3")
	if err != nil {
		t.Fatal(err)
	}
	d.store.Promote(t, d.client, "v2", d.value(d.clone, first))
	if got := d.user(t); got != d.clone {
		t.Errorf("after the rotation a query ran as %s", got)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if rows.Err() != nil || n != 3 {
		t.Errorf("the query in flight gave %d rows and %v", n, rows.Err())
	}
	var name string
	if err := tx.QueryRowContext(t.Context(), d.whoami).Scan(&name); err != nil || name != d.app {
		t.Errorf("the transaction in flight goes on as %s, %v", name, err)
	}
	if err := tx.Commit(); err != nil {
		t.Error(err)
	}
	for range 5 {
		if got := d.user(t); got != d.clone {
			t.Errorf("the old connection was used again, as %s", got)
		}
	}
	if got := d.logins.Load(); got != 3 {
		t.Errorf("%d logins, want 3: those of the rotation's two sides are kept", got)
	}
}

func TestAKilledSessionIsReplaced(t *testing.T) {
	t.Parallel()
	d := mariadb(t)(t, "app")
	d.SetMaxOpenConns(1)
	for range 20 {
		var id int
		if err := d.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
			t.Fatal(err)
		}
		d.exec(fmt.Sprint("KILL ", id))
		if _, err := d.ExecContext(t.Context(), "DO 1"); err != nil {
			t.Fatalf("after the session was killed: %v", err)
		}
	}
}

func TestTheDriversOwnConnectionIsInside(t *testing.T) {
	t.Parallel()
	d := postgres(t)(t, "app")
	conn, err := d.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		own, ok := secretssql.Unwrap(c).(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("got a %T", secretssql.Unwrap(c))
		}
		return own.Conn().Ping(t.Context())
	})
	if err != nil {
		t.Error(err)
	}
	if got := secretssql.Unwrap(t); got != any(t) {
		t.Errorf("what is not wrapped became a %T", got)
	}
}

func wrong(t *testing.T, d *database) {
	d.store.Stage("AWSCURRENT", "v2", d.value(d.app, "hunter2-wrong"))
	d.store.Stage("AWSPREVIOUS", "v3", d.value(d.app, "hunter2-older"))
	began := time.Now()
	for range 10 {
		err := d.PingContext(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2") || errors.Is(err, secrets.ErrDecode) {
			t.Errorf("got %v, want the server's refusal", err)
		}
	}
	most := 3 * (1 + int64(time.Since(began)/time.Second)) // a climb in each second
	if got := d.logins.Load(); got > most {
		t.Errorf("%d logins, want at most %d", got, most)
	}
}
