package secretssql

import (
	"context"
	"database/sql/driver"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// A conn is a driver's connection that knows with which version of the secret
// it was made. Where the driver's does not have one of its methods, it answers
// as database/sql wants it to, so that this goes on as if there was none.
type conn struct {
	driver.Conn
	mark secrets.Mark
}

// A contextConn is a conn whose driver begins transactions with a context. The
// others leave it to database/sql to do without.
type contextConn struct{ *conn }

// wrap returns a connection with the methods that the driver's has.
func wrap(c *conn) driver.Conn {
	if _, ok := c.Conn.(driver.ConnBeginTx); ok {
		return contextConn{c}
	}
	return c
}

// Unwrap returns the driver's connection in what [database/sql.Conn.Raw] gives:
//
//	err := conn.Raw(func(c any) error {
//		return secretssql.Unwrap(c).(*stdlib.Conn).Conn().Ping(ctx)
//	})
//
// What is not of this package is returned as it is.
func Unwrap(driverConn any) any {
	switch c := driverConn.(type) {
	case contextConn:
		return c.Conn
	case *conn:
		return c.Conn
	}
	return driverConn
}

// IsValid is asked when the connection comes back to the pool.
func (c *conn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !c.mark.Superseded() && (!ok || v.IsValid())
}

// ResetSession is called before the connection is used again. The pool takes
// another one after ErrBadConn.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.mark.Superseded() {
		return driver.ErrBadConn
	}
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// Ping makes a round trip where the driver can.
func (c *conn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

// ExecContext runs a statement, or has it prepared first.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if e, ok := c.Conn.(driver.ExecerContext); ok {
		return e.ExecContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// QueryContext runs a query, or has it prepared first.
func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if q, ok := c.Conn.(driver.QueryerContext); ok {
		return q.QueryContext(ctx, query, args)
	}
	return nil, driver.ErrSkip
}

// CheckNamedValue takes the driver's own types of arguments.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if n, ok := c.Conn.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// PrepareContext prepares a statement.
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if p, ok := c.Conn.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	stmt, err := c.Prepare(query)
	if err == nil && ctx.Err() != nil {
		_ = stmt.Close()
		return nil, ctx.Err()
	}
	return stmt, err
}

// BeginTx begins a transaction.
func (c contextConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts) //nolint:errcheck // wrap has asked.
}
