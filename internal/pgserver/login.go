package pgserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Login opens a session on the server, over TLS that is verified.
func (s *Server) Login(ctx context.Context, user, password, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d user='' sslmode=disable", s.Host, s.Port)) // TLS is set below
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.CA))
	cfg.User, cfg.Password, cfg.Database = user, password, database
	cfg.TLSConfig = &tls.Config{RootCAs: roots, ServerName: s.Host, MinVersion: tls.VersionTLS12}
	return pgx.ConnectConfig(ctx, cfg)
}
