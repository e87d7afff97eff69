package rotation

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ReachOptions configure a [Reach].
type ReachOptions struct {
	// Port and Database are for credentials that name none. Zero and empty
	// leave them to the kind of server.
	Port     int
	Database string
	// CA holds PEM certificates to verify servers with, beside the system's.
	CA string
	// AllowPlaintext lets a credential with "ssl": false do without TLS.
	AllowPlaintext bool
	// Hosts are the servers that may be reached.
	Hosts Hosts
	// Timeout bounds connecting and logging in; 5 s if zero.
	Timeout time.Duration
}

// ReachFromEnv reads the variables of the functions: REKEY_DATABASE_PORT,
// REKEY_DATABASE_NAME, REKEY_DATABASE_CA, REKEY_ALLOW_PLAINTEXT and
// REKEY_ALLOWED_HOSTS.
func ReachFromEnv(getenv func(string) string) (*Reach, error) {
	hosts, err := ParseHosts(getenv("REKEY_ALLOWED_HOSTS"))
	if err != nil {
		return nil, fmt.Errorf("REKEY_ALLOWED_HOSTS: %w", err)
	}
	opts := ReachOptions{
		Database: getenv("REKEY_DATABASE_NAME"), CA: getenv("REKEY_DATABASE_CA"),
		AllowPlaintext: getenv("REKEY_ALLOW_PLAINTEXT") == "true", Hosts: hosts,
	}
	if text := getenv("REKEY_DATABASE_PORT"); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return nil, configurationf("REKEY_DATABASE_PORT is not a port: %q", text)
		}
		opts.Port = int(port)
	}
	return NewReach(opts)
}

// A Reach is how database servers are reached: over TLS 1.2 or later with a
// certificate that is verified, at a host that is allowed. There is no falling
// back to plaintext.
type Reach struct {
	opts  ReachOptions
	roots *x509.CertPool
}

// NewReach returns a Reach. The error says that the CA holds no certificate.
func NewReach(opts ReachOptions) (*Reach, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if opts.CA != "" && !roots.AppendCertsFromPEM([]byte(opts.CA)) {
		return nil, configurationf("the CA holds no PEM certificate")
	}
	opts.Timeout = cmp.Or(opts.Timeout, 5*time.Second)
	return &Reach{opts: opts, roots: roots}, nil
}

// Plain is the same without a port and a database for credentials that name
// none: they are for servers of another kind.
func (r *Reach) Plain() *Reach {
	plain := *r
	plain.opts.Port, plain.opts.Database = 0, ""
	return &plain
}

// Timeout bounds connecting and logging in.
func (r *Reach) Timeout() time.Duration { return r.opts.Timeout }

// Port is the one of a credential, else the one that was set, else the usual
// one of the kind of server.
func (r *Reach) Port(c Credential, usual int) int { return cmp.Or(c.Port, r.opts.Port, usual) }

// Database is the one of a credential, else the one that was set, which may be
// empty.
func (r *Reach) Database(c Credential) string { return cmp.Or(c.Database, r.opts.Database) }

// TLS returns how the connection for a credential is secured. It is nil for
// plaintext, which takes the credential's word and the function's.
func (r *Reach) TLS(c Credential) *tls.Config {
	if c.Plaintext && r.opts.AllowPlaintext {
		return nil
	}
	return &tls.Config{RootCAs: r.roots, ServerName: c.Host, MinVersion: tls.VersionTLS12}
}

// Dial connects to "host:port", where the host is allowed.
func (r *Reach) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return r.opts.Hosts.Dial(ctx, network, address)
}

// Classify gives an error of a connection, which the server did not answer,
// its meaning. Doing says what was being done, and whereto.
func (r *Reach) Classify(doing string, c Credential, err error) error {
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, isAlert := errors.AsType[tls.AlertError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	_, isNetwork := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, ErrConfiguration), errors.Is(err, ErrTLS), errors.Is(err, ErrNetwork):
		return fmt.Errorf("%s: %w", doing, err)
	case isCertificate, isAlert, isRecord, strings.Contains(err.Error(), "refused TLS"):
		err = fmt.Errorf("%s: %w: %w", doing, ErrTLS, err)
		if c.Plaintext && !r.opts.AllowPlaintext {
			err = fmt.Errorf(`%w; the secret says "ssl": false, which counts only where the function allows plaintext (REKEY_ALLOW_PLAINTEXT=true)`, err)
		}
		return err
	case isNetwork, errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s: %w: %w", doing, ErrNetwork, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
