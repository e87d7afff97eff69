// Package mongodb changes the users of MongoDB, and of Amazon DocumentDB, for
// the strategies of package rotation.
//
// Connections are over TLS 1.2 or later with a certificate that is verified;
// there is no falling back.
//
// # Where users are
//
// A user belongs to a database: that of the value's member "authSource", else
// "dbname", which is what AWS's templates take, else "admin". A superuser logs
// in at its own, and changes the users of the secret's.
//
// # Passwords
//
// A login proves the password by SCRAM and does not send it. A change does, over
// TLS: the server makes its verifiers itself, and MongoDB writes the commands
// that hold passwords neither to its log nor to its profiler. (A client may send
// a digest instead, but only for SCRAM-SHA-1, which nobody should begin with.)
//
// # Two users
//
// A user has one password, so the strategy without a gap is that of alternating
// users. The clone gets the roles of the original, with its custom data, its
// mechanisms and the addresses that it may log in from; all in one command, and
// at every rotation again.
//
// Each change is one command on one user that can be repeated, so there is no
// lock: whoever creates a user that another one has just created updates it.
package mongodb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/rekey-go/rekey/rotation"
)

// A Database is any MongoDB that a credential names.
type Database struct{ reach *rotation.Reach }

var _ rotation.Database = (*Database)(nil)

// New returns a Database whose servers are reached so.
func New(reach *rotation.Reach) *Database { return &Database{reach} }

const (
	usualPort = 27017
	// usualSource is the database that has the users where no value says so.
	usualSource = "admin"
)

// source is the database that a login belongs to. A superuser's credential
// names another one in Database: see [rotation.SuperuserFrom].
func source(c rotation.Credential) string {
	return cmp.Or(c.Member("authSource"), c.Member("dbname"), c.Member("database"), usualSource)
}

// Login opens a session at the server that the credential names, or at the
// primary of the replica set whose members it lists ("a, b:27018").
func (d *Database) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	if c.Engine != "" && c.Engine != "mongo" && c.Engine != "mongodb" {
		return nil, fmt.Errorf("%w: the secret's engine is %q, not mongo", rotation.ErrConfiguration, c.Engine)
	}
	hosts := d.hosts(c)
	ctx, cancel := context.WithTimeout(ctx, d.reach.Timeout())
	defer cancel()
	var failed atomic.Pointer[error]
	dial := dialer{reach: d.reach, login: c, failed: func(err error) {
		failed.Store(&err)
		if len(hosts) == 1 { // the driver would try again until the time is over
			cancel()
		}
	}}
	client, err := mongo.Connect(options.Client().SetHosts(hosts).SetDirect(len(hosts) == 1).SetDialer(dial).
		SetAuth(options.Credential{AuthSource: source(c), Username: c.Username, Password: c.Password.Reveal(), PasswordSet: true}).
		SetServerSelectionTimeout(d.reach.Timeout()).SetMaxPoolSize(1).SetRetryReads(false).SetRetryWrites(false).
		SetServerMonitoringMode("poll").SetAppName("rekey"))
	s := &session{client: client, db: d, login: c, users: cmp.Or(c.Database, usualSource)}
	doing := fmt.Sprintf("logging in to MongoDB at %s as %q", c.Host, c.Username)
	if err != nil {
		return nil, s.classify(doing, err)
	}
	if err := s.run(ctx, source(c), bson.D{{Key: "ping", Value: 1}}, nil); err != nil {
		if cause := failed.Load(); cause != nil {
			err = errors.Join(*cause, err)
		}
		return nil, errors.Join(s.classify(doing, err), s.Close(ctx))
	}
	return s, nil
}

// hosts are those of a credential, each with its port.
func (d *Database) hosts(c rotation.Credential) []string {
	var hosts []string
	for host := range strings.SplitSeq(c.Host, ",") {
		host = strings.TrimSpace(host)
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, strconv.Itoa(d.reach.Port(c, usualPort)))
		}
		hosts = append(hosts, host)
	}
	return hosts
}

// A dialer connects the driver, over TLS: so what is wrong with a certificate is
// known as it is, and no setting of the driver weakens how it is verified.
type dialer struct {
	reach  *rotation.Reach
	login  rotation.Credential
	failed func(error)
}

// DialContext connects to a member of the set.
func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		d.failed(err)
	}
	return conn, err
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.reach.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	at := d.login
	if at.Host, _, err = net.SplitHostPort(address); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	secure := d.reach.TLS(at)
	if secure == nil {
		return conn, nil
	}
	secured := tls.Client(conn, secure)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}
