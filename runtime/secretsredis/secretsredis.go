// Package secretsredis logs connections to Redis and Valkey in with a secret,
// and lives through the rotations of that secret. It is a dialer, which every
// Go client of Redis takes, and imports none of them:
//
//	dialer := secretsredis.NewDialer(client, "cache-credentials")
//	rdb := redis.NewClient(&redis.Options{Addr: "cache.internal:6379", Dialer: dialer.DialContext})
//
// The client is then given neither a user nor a password, nor a configuration
// of TLS: the dialer hands over connections that are encrypted and logged in.
// With go-redis that is Options.Dialer, also of its clients of clusters; with
// redigo redis.DialContextFunc.
//
// # Rotations
//
// Each new connection logs in with the secret as it is at that moment; a
// refused login (WRONGPASS) climbs the [secrets.Ladder] of the secret, so that
// no command meets it. Redis leaves connections open whose password was
// dropped. When another version becomes current, go-redis, which looks at an
// idle connection before it uses it again, finds the old ones ended and makes
// others: no command fails. Clients that do not look go on with the old ones;
// MaxConnLifetime of redigo's Pool bounds that. The client-side cache of
// go-redis is not for use with these connections where they are encrypted: it
// looks at the socket for what is inside.
//
// # The value
//
// The value is a JSON object, of which "password" must be there, and "username"
// where it is not the user default. See package login. No error holds a
// password.
package secretsredis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// Options configure a [Dialer].
type Options struct {
	// TLS is the configuration of connections. If nil, the server's
	// certificate is verified with the system's. The name to verify is that of
	// the address where ServerName is empty.
	TLS *tls.Config
	// AllowPlaintext lets a value with "ssl": false connect unencrypted, as
	// to a server on the same machine.
	AllowPlaintext bool
	// Dial makes the connection itself. If nil, it is that of a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds one try to connect and log in. If zero, it is five
	// seconds.
	Timeout time.Duration
}

// A Dialer makes connections that are logged in. It is safe for concurrent
// use.
type Dialer struct {
	name   string
	ladder *secrets.Ladder
	opts   Options
}

// NewDialer returns a dialer. It makes no call and no connection.
func NewDialer(client *secrets.Client, name string, optFns ...func(*Options)) *Dialer {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	if opts.TLS == nil {
		opts.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if opts.Dial == nil {
		opts.Dial = new(net.Dialer).DialContext
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 5 * time.Second
	}
	return &Dialer{name: name, ladder: client.Ladder(name), opts: opts}
}

// DialContext returns a connection to a server, encrypted and logged in. The
// error wraps one of package secrets where the secret could not be read, and
// an [AuthError] where the server refused the login.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var made net.Conn
	err := d.ladder.Login(ctx, refused.Redis, func(ctx context.Context, s *secrets.Secret) (err error) {
		ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
		defer cancel()
		made, err = d.login(ctx, s, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connecting with %s: %w", d.name, err)
	}
	return made, nil
}

// login makes a connection with a version of the secret.
func (d *Dialer) login(ctx context.Context, s *secrets.Secret, network, address string) (net.Conn, error) {
	mark := d.ladder.Mark(s)
	l, err := login.Parse(s, "password")
	if err != nil {
		return nil, err
	}
	raw, err := d.opts.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	ready, err := d.prepare(ctx, raw, l, address)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return conn{Conn: ready, raw: raw, mark: mark}, nil
}

// prepare encrypts a connection and logs in on it.
func (d *Dialer) prepare(ctx context.Context, raw net.Conn, l login.Login, address string) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	ready := raw
	if !d.opts.AllowPlaintext || !l.Plaintext {
		secure := tls.Client(raw, d.config(address))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		ready = secure
	}
	if err := authenticate(ready, l); err != nil {
		return nil, errors.Join(context.Cause(ctx), err)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	return ready, nil
}

func (d *Dialer) config(address string) *tls.Config {
	if d.opts.TLS.ServerName != "" {
		return d.opts.TLS
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	named := d.opts.TLS.Clone()
	named.ServerName = host
	return named
}

// An AuthError is the server's answer to a login that it did not accept, such
// as "WRONGPASS invalid username-password pair or user is disabled.".
type AuthError string

// Error returns the answer.
func (e AuthError) Error() string { return string(e) }

// maxAnswer bounds the answer to a login, which is a line.
const maxAnswer = 1 << 10

// authenticate sends AUTH and reads its answer, and nothing beyond it: the
// server says nothing unasked before the client has spoken.
func authenticate(conn net.Conn, l login.Login) error {
	words := []string{"AUTH", l.Username, l.Password()}
	if l.Username == "" {
		words = []string{"AUTH", l.Password()}
	}
	var request bytes.Buffer
	_, _ = fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, word := range words {
		_, _ = fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write(request.Bytes()); err != nil {
		return err
	}
	answer, err := bufio.NewReaderSize(io.LimitReader(conn, maxAnswer), maxAnswer).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the answer to the login: %w", err)
	}
	answer = strings.TrimRight(answer, "\r\n")
	switch {
	case answer == "+OK":
		return nil
	case strings.HasPrefix(answer, "-"):
		return AuthError(answer[1:])
	}
	return errors.New("the server does not speak the protocol of Redis")
}

// A conn knows with which version of the secret it was made. A client that
// looks at the socket of an idle connection before it uses it again is told
// that it has ended when another version has become current.
type conn struct {
	net.Conn          // encrypted, mostly
	raw      net.Conn // the connection below
	mark     secrets.Mark
}

// SyscallConn returns the socket, or an error in place of one that is not to
// be used any more.
func (c conn) SyscallConn() (syscall.RawConn, error) {
	if c.mark.Superseded() {
		return nil, io.EOF
	}
	if s, ok := c.raw.(syscall.Conn); ok {
		return s.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
