// Package redis changes the users of Redis (6 and later) and of Valkey, for the
// strategies of package rotation.
//
// Connections are over TLS 1.2 or later with a certificate that is verified;
// there is no falling back. A password is named to the server by its SHA-256
// hash, as it keeps it; only a login sends the text, as every login does.
//
// # Two passwords
//
// A user has as many passwords as it is given, and each change is one command,
// so there is no moment at which a user has none. AddPassword adds to the set
// and DropPassword takes from it: made at the same time they come to the same
// end in any order, which is why there is no lock here.
//
// # What outlives a restart
//
// The server holds its users in memory. A change is made in a transaction with
// what writes them down: ACL SAVE, or CONFIG REWRITE where the server has no ACL
// file. That is tried before anything changes, so that a server that cannot
// write is not changed. One with neither file forgets what it was told when it
// restarts; whoever starts it so has to give it the users.
//
// # Several servers
//
// Users do not replicate: every node of a cluster, and every replica, has its
// own. The member "host" of a value may list them, "a, b:6380, c"; a login is
// one at all of them, and a change is made at each. Two passwords and
// alternating users do that without a gap; a single password cannot.
package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/rotation"
)

// A Database is any Redis or Valkey server that a credential names.
type Database struct{ reach *rotation.Reach }

var _ rotation.Database = (*Database)(nil)

// New returns a Database whose servers are reached so.
func New(reach *rotation.Reach) *Database { return &Database{reach} }

// usualPort is the one of a server that has no other, with TLS or without.
const usualPort = 6379

// Login opens a session, a [rotation.DualSession], at every server that the
// credential lists.
func (d *Database) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	if c.Engine != "" && c.Engine != "redis" && c.Engine != "valkey" {
		return nil, fmt.Errorf("%w: the secret's engine is %q, not redis or valkey", rotation.ErrConfiguration, c.Engine)
	}
	ctx, cancel := context.WithTimeout(ctx, d.reach.Timeout())
	defer cancel()
	s := &session{user: c.Username}
	for host := range strings.SplitSeq(c.Host, ",") {
		n, err := d.login(ctx, at(c, strings.TrimSpace(host)))
		if err != nil {
			return nil, errors.Join(err, s.Close(ctx))
		}
		s.nodes = append(s.nodes, n)
	}
	return s, nil
}

// at is a login at one of the servers that its host lists.
func at(c rotation.Credential, host string) rotation.Credential {
	c.Host = host
	if name, text, err := net.SplitHostPort(host); err == nil {
		if port, err := strconv.ParseUint(text, 10, 16); err == nil {
			c.Host, c.Port = name, int(port)
		}
	}
	return c
}

// login opens a connection and logs in.
func (d *Database) login(ctx context.Context, c rotation.Credential) (*node, error) {
	n := &node{reach: d.reach, login: c}
	doing := fmt.Sprintf("logging in to Redis at %s as %q", c.Host, c.Username)
	var err error
	if n.conn, err = d.connect(ctx, c); err != nil {
		return nil, n.classify(doing, err)
	}
	if _, err := n.do(ctx, "AUTH", c.Username, c.Password.Reveal()); err != nil {
		_ = n.conn.Close() // what is wrong the server has said
		return nil, n.classify(doing, err)
	}
	return n, nil
}

// connect opens a connection over TLS.
func (d *Database) connect(ctx context.Context, c rotation.Credential) (redis.Conn, error) {
	address := net.JoinHostPort(c.Host, strconv.Itoa(d.reach.Port(c, usualPort)))
	return redis.DialContext(ctx, "tcp", address, redis.DialContextFunc(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := d.reach.Dial(ctx, network, address)
		secure := d.reach.TLS(c)
		if err != nil || secure == nil {
			return conn, err
		}
		secured := tls.Client(conn, secure)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secured, nil
	}))
}
