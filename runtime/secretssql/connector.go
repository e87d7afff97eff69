package secretssql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// Options configure a [Connector].
type Options struct {
	// Refused reports whether an error of a login means that the server does
	// not accept the credential. If nil, it is [refused.SQL].
	Refused func(error) bool
}

// A Connector makes connections that log in with a secret. It is for
// [database/sql.OpenDB], and is safe for concurrent use.
type Connector struct {
	name   string
	ladder *secrets.Ladder
	open   func(*secrets.Secret) (driver.Connector, error)
	opts   Options
	last   atomic.Pointer[opened]
}

// An opened is a driver's connector for one version of the secret.
type opened struct {
	version   string
	connector driver.Connector
}

// NewConnector returns a connector. It makes no call and no connection: both
// come with the first query. Open makes a connector of the driver for a version
// of the secret; it is called when a version is first used, and should not
// connect.
func NewConnector(client *secrets.Client, name string, open func(*secrets.Secret) (driver.Connector, error), optFns ...func(*Options)) *Connector {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	if opts.Refused == nil {
		opts.Refused = refused.SQL
	}
	return &Connector{name: name, ladder: client.Ladder(name), open: open, opts: opts}
}

// Connect returns a new connection. It climbs the ladder if the login is
// refused. The error wraps one of package secrets where the secret could not
// be read.
func (c *Connector) Connect(ctx context.Context) (driver.Conn, error) {
	var made driver.Conn
	err := c.ladder.Login(ctx, c.opts.Refused, func(ctx context.Context, s *secrets.Secret) error {
		mark := c.ladder.Mark(s)
		connector, err := c.connector(s)
		if err != nil {
			return err
		}
		dc, err := connector.Connect(ctx)
		if err != nil {
			return err
		}
		made = wrap(&conn{Conn: dc, mark: mark})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connecting with %s: %w", c.name, err)
	}
	return made, nil
}

// connector returns the driver's connector for a version.
func (c *Connector) connector(s *secrets.Secret) (driver.Connector, error) {
	if o := c.last.Load(); o != nil && o.version == s.VersionID() {
		return o.connector, nil
	}
	connector, err := c.open(s)
	if err != nil {
		return nil, err
	}
	c.last.Store(&opened{version: s.VersionID(), connector: connector})
	return connector, nil
}

// Driver returns the driver of the latest connection. Before there is one, it
// returns a driver that opens nothing.
func (c *Connector) Driver() driver.Driver {
	if o := c.last.Load(); o != nil {
		return o.connector.Driver()
	}
	return none{}
}

// none is the driver of a connector that was never used.
type none struct{}

// Open opens nothing.
func (none) Open(string) (driver.Conn, error) {
	return nil, errors.New("the driver is known once a connection was made: use sql.OpenDB with the connector")
}

// DSN is the connector of a driver that has none of its own: one that takes a
// data source name. The name must not end up in errors; most drivers see to
// that.
func DSN(d driver.Driver, name string) (driver.Connector, error) {
	if dc, ok := d.(driver.DriverContext); ok {
		return dc.OpenConnector(name)
	}
	return dsn{driver: d, name: &name}, nil
}

type dsn struct {
	driver driver.Driver
	name   *string // a pointer: fmt follows none
}

// Connect opens a connection.
func (d dsn) Connect(context.Context) (driver.Conn, error) { return d.driver.Open(*d.name) }

// Driver returns the driver.
func (d dsn) Driver() driver.Driver { return d.driver }
