package secretspgx

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// A Pool is a pool of connections to PostgreSQL. It is safe for concurrent
// use.
type Pool struct {
	ladder *secrets.Ladder
	opts   Options
	roots  *x509.CertPool
	pool   *pgxpool.Pool
	stop   func() // ends the calls on a change of the secret
}

// baseConfig keeps pgx from reading a login out of the environment: every
// part of it is replaced before each connection.
const baseConfig = "host=unset port=5432 user=unset password=unset dbname=unset sslmode=disable"

// NewPool returns a pool that logs in with a secret. It makes no call and no
// connection: both come with the first query.
func NewPool(client *secrets.Client, name string, optFns ...func(*Options)) (*Pool, error) {
	opts := Options{Port: 5432}
	for _, fn := range optFns {
		fn(&opts)
	}
	if opts.Port == 0 {
		opts.Port = 5432
	}
	roots, err := opts.roots()
	if err == nil {
		err = opts.err
	}
	if err != nil {
		return nil, fmt.Errorf("making a pool for %s: %w", name, err)
	}
	cfg, err := pgxpool.ParseConfig(baseConfig)
	if err != nil {
		return nil, fmt.Errorf("making a pool for %s: %w", name, err)
	}
	if opts.Configure != nil {
		opts.Configure(cfg)
	}
	p := &Pool{ladder: client.Ladder(name), opts: opts, roots: roots}
	cfg.BeforeConnect = p.beforeConnect
	cfg.ShouldPing = shouldPing
	if p.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		return nil, fmt.Errorf("making a pool for %s: %w", name, err)
	}
	p.stop = client.OnChange(name, func(_, _ *secrets.Secret) { p.pool.Reset() })
	return p, nil
}

// shouldPing reports whether a connection may be dead: after a while, and when
// the server has said something unasked, which is mostly a farewell.
func shouldPing(_ context.Context, params pgxpool.ShouldPingParams) bool {
	return params.IdleDuration > time.Second || spoke(params.Conn.PgConn().Conn())
}

// Close closes all connections and waits for those in use.
func (p *Pool) Close() {
	p.stop()
	p.pool.Close()
}

// Stat returns the pool's counts.
func (p *Pool) Stat() *pgxpool.Stat { return p.pool.Stat() }

// An attempt goes with the context of an acquisition to the connection that is
// made for it, if one has to be made.
type attempt struct {
	login *secrets.Secret // to log in with, and then what was logged in with; nil for what comes first
}

type attemptKey struct{}

// beforeConnect sets the login of a new connection.
func (p *Pool) beforeConnect(ctx context.Context, cfg *pgx.ConnConfig) (err error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok { // the pool makes connections of its own accord, too
		a = new(attempt)
	}
	if a.login == nil {
		if a.login, err = p.ladder.First(ctx); err != nil {
			return err
		}
	}
	return p.opts.login(cfg, a.login, p.roots)
}

// Acquire returns a connection, to be released. It climbs the ladder if the
// login is refused. The error wraps one of package secrets where the secret
// could not be read.
func (p *Pool) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	first := new(attempt)
	conn, err := p.pool.Acquire(context.WithValue(ctx, attemptKey{}, first))
	if refused.Postgres(err) && first.login != nil {
		err = p.ladder.Climb(ctx, first.login, err, refused.Postgres, func(ctx context.Context, s *secrets.Secret) (err error) {
			conn, err = p.pool.Acquire(context.WithValue(ctx, attemptKey{}, &attempt{login: s}))
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return conn, nil
}

// Begin starts a transaction. Its Commit or Rollback gives the connection
// back.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction with options.
func (p *Pool) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	return retry(ctx, p, func(conn *pgxpool.Conn) (pgx.Tx, error) {
		t, err := conn.BeginTx(ctx, options)
		if err != nil {
			conn.Release()
			return nil, err
		}
		return &tx{Tx: t, conn: conn}, nil
	})
}

// Exec runs a statement.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return retry(ctx, p, func(conn *pgxpool.Conn) (pgconn.CommandTag, error) {
		defer conn.Release()
		return conn.Exec(ctx, sql, args...)
	})
}

// Query runs a query. The rows must be read to their end or closed.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return retry(ctx, p, func(conn *pgxpool.Conn) (pgx.Rows, error) {
		r, err := conn.Query(ctx, sql, args...)
		if err != nil {
			conn.Release()
			return nil, err
		}
		return &rows{Rows: r, conn: conn}, nil
	})
}

// QueryRow runs a query for one row. Its Scan returns the error, if there is
// one, and [pgx.ErrNoRows] where there is no row.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return row(func(dest ...any) error {
		_, err := retry(ctx, p, func(conn *pgxpool.Conn) (struct{}, error) {
			defer conn.Release()
			return struct{}{}, conn.QueryRow(ctx, sql, args...).Scan(dest...)
		})
		return err
	})
}

// Ping makes a round trip to the database.
func (p *Pool) Ping(ctx context.Context) error {
	_, err := retry(ctx, p, func(conn *pgxpool.Conn) (struct{}, error) {
		defer conn.Release()
		return struct{}{}, conn.Ping(ctx)
	})
	return err
}

// retry runs something on a connection, and once more on another if the first
// turns out to be dead before anything was sent.
func retry[T any](ctx context.Context, p *Pool, do func(*pgxpool.Conn) (T, error)) (T, error) {
	for try := 1; ; try++ {
		conn, err := p.Acquire(ctx)
		if err != nil {
			var zero T
			return zero, err
		}
		result, err := do(conn)
		if err == nil || try == 2 || ctx.Err() != nil || !pgconn.SafeToRetry(err) {
			return result, err
		}
	}
}
