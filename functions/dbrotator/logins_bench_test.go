package dbrotator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/internal/mysqltest"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretspgx"
)

// BenchmarkLogins rotates a login as fast as rotations end, while four
// consumers log in all the time, each login on a new connection over TLS with
// what the consumer holds in memory. After a rotation each consumer gets the
// event; when none has a login with the old version under way, that is retired,
// and the next rotation begins. It reports the logins, how many of them failed, and
// of PostgreSQL how many it refused.
//
// With a single user nothing is retired: the consumers' pools climb the ladder
// of package secretspgx after a login that was refused. The others have no help
// beside the overlap.
func BenchmarkLogins(b *testing.B) {
	for name, run := range map[string]func(*testing.B) *load{
		"postgres/single-user":       postgresSingle,
		"postgres/alternating-users": postgresAlternating,
		"mariadb/dual-password":      func(b *testing.B) *load { return mariadb(b, rotation.NameDualPassword) },
		"mariadb/alternating-users":  func(b *testing.B) *load { return mariadb(b, rotation.NameAlternatingUsers) },
	} {
		b.Run(name, func(b *testing.B) {
			l := run(b)
			stop := l.start(b)
			for b.Loop() {
				l.rotate(b)
			}
			stop()
			if n := l.failed.Load(); n > 0 {
				b.Errorf("%d of %d logins failed, first: %v", n, l.logins.Load(), *l.first.Load())
			}
			b.ReportMetric(float64(l.logins.Load()), "logins")
			b.ReportMetric(float64(l.failed.Load()), "failed")
			if l.db != nil {
				b.ReportMetric(float64(strings.Count(l.db.Log(), "password authentication failed")), "refused")
			}
			b.ReportMetric(float64(l.logins.Load())/b.Elapsed().Seconds(), "logins/s")
		})
	}
}

const (
	consumers = 4
	// workers log in at once in each consumer.
	workers = 2
)

// A load is a secret under rotation, and consumers that log in with it.
type load struct {
	*bench
	secret string // ARN
	// overlap says that the superseded login works until it is retired.
	overlap bool
	// newLogin returns what logs in once, as a consumer with the client does.
	newLogin func(*testing.B, *secrets.Client) func(context.Context) error

	consumers      []*consumer
	logins, failed atomic.Int64
	first          atomic.Pointer[error] // of those that failed
}

// A consumer is a process that uses the secret.
type consumer struct {
	client *secrets.Client
	login  func(context.Context) error

	mu       sync.Mutex
	underWay *sync.WaitGroup // :: mu; logins, of those that began since the last drain
}

// start has the consumers log in until the returned function is called.
func (l *load) start(b *testing.B) (stop func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range consumers {
		client := secrets.New(l.Client)
		c := &consumer{client: client, login: l.newLogin(b, client), underWay: new(sync.WaitGroup)}
		l.consumers = append(l.consumers, c)
		for range workers {
			all.Go(func() {
				for ctx.Err() == nil {
					l.count(c.once())
				}
			})
		}
	}
	return func() { cancel(); all.Wait() }
}

func (l *load) count(err error) {
	l.logins.Add(1)
	if err != nil {
		l.failed.Add(1)
		l.first.CompareAndSwap(nil, &err)
	}
}

// once logs in. A login is never cut off by the end of the load: that would
// count as one that failed.
func (c *consumer) once() error {
	c.mu.Lock()
	underWay := c.underWay
	underWay.Add(1)
	c.mu.Unlock()
	defer underWay.Done()
	return c.login(context.Background())
}

// drain waits for the logins that have begun already.
func (c *consumer) drain() {
	c.mu.Lock()
	underWay := c.underWay
	c.underWay = new(sync.WaitGroup)
	c.mu.Unlock()
	underWay.Wait()
}

// rotate rotates, tells the consumers, and retires what no consumer holds any
// more.
func (l *load) rotate(b *testing.B) {
	b.Helper()
	event := l.bench.rotate(b, l.secret)
	var told sync.WaitGroup
	for _, c := range l.consumers {
		told.Go(func() {
			if err := c.client.Invalidate(b.Context(), event); err != nil {
				b.Error(err)
			}
			c.drain()
		})
	}
	told.Wait()
	if !l.overlap {
		return
	}
	store := rotation.NewStore(l.Client)
	choose, err := strategy.Databases(store, l.getenv)
	must(b, err)
	must(b, rotation.Retire(b.Context(), store, choose, l.secret, event.PreviousVersionID))
}

// postgresSingle is a load through pools that climb the ladder.
func postgresSingle(b *testing.B) *load {
	b.Helper()
	l := postgres(b, rotation.NameSingleUser)
	l.newLogin = func(b *testing.B, client *secrets.Client) func(context.Context) error {
		b.Helper()
		pool, err := secretspgx.NewPool(client, l.secret, secretspgx.FromEnv(l.getenv), func(o *secretspgx.Options) {
			o.Configure = func(cfg *pgxpool.Config) { cfg.MaxConns = workers }
		})
		must(b, err)
		b.Cleanup(pool.Close)
		return func(ctx context.Context) error {
			conn, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			_, err = conn.Exec(ctx, "SELECT 1")
			_ = conn.Conn().Close(ctx) // so that the next login is on a new one
			return err
		}
	}
	return l
}

// postgresAlternating is a load without a ladder.
func postgresAlternating(b *testing.B) *load {
	b.Helper()
	l := postgres(b, rotation.NameAlternatingUsers)
	l.overlap = true
	l.newLogin = func(_ *testing.B, client *secrets.Client) func(context.Context) error {
		cfg, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user=unset dbname=postgres sslmode=disable", l.db.Host, l.db.Port))
		must(b, err)
		cfg.TLSConfig = verifying(l.db.Host, l.db.CA)
		return func(ctx context.Context) error {
			c, err := credential(ctx, client, l.secret)
			if err != nil {
				return err
			}
			as := cfg.Copy()
			as.User, as.Password = c.Username, c.Password.Reveal()
			conn, err := pgx.ConnectConfig(ctx, as)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(ctx) }()
			_, err = conn.Exec(ctx, "SELECT 1")
			return err
		}
	}
	return l
}

func postgres(b *testing.B, strategy string) *load {
	b.Helper()
	l := &load{bench: newBench(b, map[string]string{"REKEY_STRATEGY": strategy})}
	pgtest.Exec(b, l.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
	l.secret = l.create(b, "dev-database-credentials", `{"host":"127.0.0.1","username":"app","password":"first"}`, nil)
	return l
}

// mariadb is a load without a ladder.
func mariadb(b *testing.B, strategy string) *load {
	b.Helper()
	db := mysqltest.Start(b, mysqltest.Options{})
	const value = `{"engine":"mariadb","host":%q,"port":%d,"username":%q,"password":%q}`
	l := &load{overlap: true, bench: newBenchFor(b, fmt.Sprintf(value, db.Host, db.Port, db.User, db.Password),
		map[string]string{"REKEY_STRATEGY": strategy, "REKEY_DATABASE_CA": db.CA})}
	mysqltest.Exec(b, db, `CREATE USER app IDENTIFIED BY 'first'`)
	l.secret = l.create(b, "dev-database-credentials", fmt.Sprintf(value, db.Host, db.Port, "app", "first"), nil)
	l.newLogin = func(_ *testing.B, client *secrets.Client) func(context.Context) error {
		config := verifying(db.Host, db.CA)
		return func(ctx context.Context) error {
			c, err := credential(ctx, client, l.secret)
			if err != nil {
				return err
			}
			cfg := mysql.NewConfig()
			cfg.Net, cfg.Addr, cfg.TLS = "tcp", db.Addr(), config
			cfg.User, cfg.Passwd = c.Username, c.Password.Reveal()
			connector, err := mysql.NewConnector(cfg)
			if err != nil {
				return err
			}
			pool := sql.OpenDB(connector)
			defer func() { _ = pool.Close() }()
			return pool.PingContext(ctx)
		}
	}
	return l
}

// credential is the login that a client holds.
func credential(ctx context.Context, client *secrets.Client, secret string) (rotation.Credential, error) {
	s, err := client.Get(ctx, secret)
	if err != nil {
		return rotation.Credential{}, err
	}
	return rotation.ParseCredential(rotation.NewValue(s.Reveal()))
}

func verifying(host, ca string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca))
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
}
