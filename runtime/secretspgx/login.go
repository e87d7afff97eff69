package secretspgx

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/runtime/login"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// login reads a secret into a connection's configuration.
func (o *Options) login(cfg *pgx.ConnConfig, s *secrets.Secret, roots *x509.CertPool) error {
	l, err := login.Parse(s, "host", "username", "password")
	if err != nil {
		return err
	}
	switch l.Engine {
	case "", "postgres", "postgresql", "aurora-postgresql":
	default:
		return fmt.Errorf("reading the login %v: the engine is not postgres: %w", s, secrets.ErrDecode)
	}
	cfg.Host, cfg.Port = l.Host, cmp.Or(l.Port, o.Port)
	cfg.User, cfg.Password = l.Username, l.Password()
	cfg.Database = cmp.Or(l.Database, o.Database)
	cfg.Fallbacks = nil
	cfg.TLSConfig = &tls.Config{RootCAs: roots, ServerName: l.Host, MinVersion: tls.VersionTLS12}
	if o.AllowPlaintext && l.Plaintext {
		cfg.TLSConfig = nil
	}
	return nil
}
