// Package secretsmongo lets MongoDB's driver log in with a secret, and live
// through the rotations of that secret.
//
//	db := secretsmongo.New(client, "orders-database", func(o *options.ClientOptions) {
//		o.SetHosts([]string{"db.internal:27017"}).SetTLSConfig(&tls.Config{})
//	})
//	err := db.Do(ctx, func(ctx context.Context, c *mongo.Client) error {
//		return c.Database("shop").Collection("orders").FindOne(ctx, filter).Decode(&order)
//	})
//
// # Rotations
//
// The login of a client of the driver cannot change, so each version of the
// secret has a client of its own. [DB.Do] gives the one that is current; a
// client that another version has taken the place of is disconnected when the
// last call that uses it has returned. So no call is cut off, and none should
// keep the client, a cursor or a session beyond its end.
//
// A client makes its connections when they are needed. If one is refused
// (AuthenticationFailed), Do climbs the [secrets.Ladder] of the secret and makes
// the call again with the client of another version. The operation that needed
// the connection was not sent; what the call did before it is done twice. One
// operation in each call, or a transaction, is right.
//
// # The value
//
// The value is a JSON object with "username" and "password", and "authSource"
// where the user does not belong to "dbname" or else to admin. See package
// login. No error holds a password.
package secretsmongo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// A DB is a MongoDB that is logged in to with a secret. It is safe for
// concurrent use.
type DB struct {
	name      string
	ladder    *secrets.Ladder
	configure func(*options.ClientOptions)

	mu     sync.Mutex
	latest *session            // the one that was used last
	open   map[string]*session // :: version id -> client
	closed bool
	ending sync.WaitGroup // the disconnections under way
}

// A session is the client of one version.
type session struct {
	client  *mongo.Client
	version string
	calls   int // under way
}

// ErrClosed means that the DB was closed.
var ErrClosed = errors.New("the database was closed")

// New returns a DB. It makes no call and no connection. Configure sets all
// options of the driver's clients beside the login; without TLSConfig
// connections are not encrypted.
func New(client *secrets.Client, name string, configure func(*options.ClientOptions)) *DB {
	return &DB{name: name, ladder: client.Ladder(name), configure: configure, open: make(map[string]*session)}
}

// Do calls use with the client of a version of the secret, and again with
// another one as long as the login is refused. The error is that of use, or
// wraps one of package secrets where the secret could not be read.
func (d *DB) Do(ctx context.Context, use func(context.Context, *mongo.Client) error) error {
	return d.ladder.Do(ctx, isRefused, func(ctx context.Context, s *secrets.Secret) error {
		held, err := d.acquire(ctx, s)
		if err != nil {
			return err
		}
		defer d.release(ctx, held)
		return use(ctx, held.client)
	})
}

// isRefused reports whether a login was refused: that of the call, or that of
// another one, for which the driver then takes all that wait for a connection
// out of its pool, with an error that gives the reason as text only.
func isRefused(err error) bool {
	return refused.MongoDB(err) ||
		err != nil && strings.Contains(err.Error(), "was cleared because another operation failed with") &&
			strings.Contains(err.Error(), "unable to authenticate using mechanism")
}

// Close disconnects when the calls that are under way have returned, and waits
// for that, but no longer than ctx allows.
func (d *DB) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed, d.latest = true, nil
	d.sweep(ctx)
	d.mu.Unlock()
	done := make(chan struct{})
	go func() { d.ending.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// acquire returns the client of a version, and keeps it until release.
func (d *DB) acquire(ctx context.Context, s *secrets.Secret) (*session, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("using %s: %w", d.name, ErrClosed)
	}
	held := d.open[s.VersionID()]
	if held == nil {
		client, err := d.connect(s)
		if err != nil {
			return nil, err
		}
		held = &session{client: client, version: s.VersionID()}
		d.open[held.version] = held
		d.ending.Add(1)
	}
	held.calls++
	d.latest = held
	d.sweep(ctx)
	return held, nil
}

// connect makes a client. It opens no connection.
func (d *DB) connect(s *secrets.Secret) (*mongo.Client, error) {
	l, err := login.Parse(s, "username", "password")
	if err != nil {
		return nil, err
	}
	opts := options.Client()
	d.configure(opts)
	opts.SetAuth(options.Credential{
		AuthSource: cmp.Or(l.AuthSource, l.Database, "admin"),
		Username:   l.Username, Password: l.Password(), PasswordSet: true,
	})
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("configuring a client for %s: %w", d.name, err)
	}
	return client, nil
}

func (d *DB) release(ctx context.Context, held *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held.calls--
	d.sweep(ctx)
}

// disconnecting bounds how long connections are waited for that nobody uses.
const disconnecting = 10 * time.Second

// sweep disconnects the clients that are neither used nor the latest. It holds
// d.mu.
func (d *DB) sweep(ctx context.Context) {
	for version, s := range d.open {
		if s.calls > 0 || s == d.latest {
			continue
		}
		delete(d.open, version)
		go func() {
			defer d.ending.Done()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnecting)
			defer cancel()
			_ = s.client.Disconnect(ctx) // its connections are closed in any case
		}()
	}
}
