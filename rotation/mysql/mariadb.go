package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// mariaDB is MariaDB 10.4 or later.
type mariaDB struct{}

// read reads SHOW CREATE USER, which every user may do for itself.
func (mariaDB) read(ctx context.Context, s *session, n name) (account, error) {
	doing := fmt.Sprintf("reading how %v logs in", n)
	var text string
	if err := s.conn.QueryRowContext(ctx, "SHOW CREATE USER "+n.String()).Scan(&text); err != nil {
		return account{}, s.classify(doing, err)
	}
	a := account{name: n}
	all, err := parseIdentified(text)
	if err != nil {
		return account{}, fmt.Errorf("%s: %w", doing, err)
	}
	for _, m := range all {
		if m.byPassword() {
			a.methods = append(a.methods, m)
		} else {
			a.others = append(a.others, m)
		}
	}
	return a, nil
}

func (d mariaDB) only(a account, m method) []string { return d.alternatives(a, m) }

// both wants passwords of mysql_native_password. MariaDB tries one alternative
// after the other by telling the client to switch, and clients as Go's driver
// follow a single switch: the first of two passwords of ed25519 takes it.
func (d mariaDB) both(a account, added, keep method) ([]string, error) {
	if keep.plugin != nativePassword {
		return nil, fmt.Errorf("%w: %v logs in by %s, of which clients cannot try two passwords; choose alternating users", rotation.ErrConfiguration, a.name, keep.plugin)
	}
	return d.alternatives(a, added, keep), nil
}

// alternatives is the statement that lets an account log in by any of some
// passwords, and by what takes none.
func (d mariaDB) alternatives(a account, by ...method) []string {
	var ways []string
	for _, m := range append(by, a.others...) {
		ways = append(ways, d.way(m))
	}
	return []string{"ALTER USER " + a.String() + " IDENTIFIED VIA " + strings.Join(ways, " OR ")}
}

func (mariaDB) way(m method) string {
	if m.stored == "" {
		return identifier(m.plugin)
	}
	return identifier(m.plugin) + " USING " + literal(m.stored)
}

func (d mariaDB) identified(m method) string { return "IDENTIFIED VIA " + d.way(m) }

// setOwn needs no right where the account has one password. Of several SET
// PASSWORD would change but the first.
func (d mariaDB) setOwn(ctx context.Context, s *session, password string) error {
	a, err := d.read(ctx, s, s.own)
	if err != nil {
		return err
	}
	if len(a.methods) != 1 {
		return s.only(ctx, a, rotation.NewValue(password))
	}
	m, err := newMethod(a.methods[0].plugin, password)
	if err != nil {
		return err
	}
	return s.exec(ctx, "setting the own password", "SET PASSWORD = "+literal(m.stored))
}

// options reads mysql.global_priv, of which mysql.user shows a part only.
func (mariaDB) options(ctx context.Context, s *session, n name) (loginOptions, error) {
	doing := fmt.Sprintf("reading the options of %v", n)
	var text string
	if err := s.row(ctx, doing, n, []any{&text}, "SELECT Priv FROM mysql.global_priv WHERE User = ? AND Host = ?"); err != nil {
		return loginOptions{}, err
	}
	var priv struct {
		SSL         int             `json:"ssl_type"`
		Cipher      string          `json:"ssl_cipher"`
		Issuer      string          `json:"x509_issuer"`
		Subject     string          `json:"x509_subject"`
		Queries     json.RawMessage `json:"max_questions"`
		Updates     json.RawMessage `json:"max_updates"`
		Connections json.RawMessage `json:"max_connections"`
		AtOnce      json.RawMessage `json:"max_user_connections"`
		Seconds     json.RawMessage `json:"max_statement_time"`
		Locked      bool            `json:"account_locked"`
		Lifetime    *int            `json:"password_lifetime"`
		DefaultRole string          `json:"default_role"`
	}
	if err := json.Unmarshal([]byte(text), &priv); err != nil {
		return loginOptions{}, fmt.Errorf("%s: %w", doing, err)
	}
	if priv.Lifetime != nil && *priv.Lifetime < 0 { // the server's default
		priv.Lifetime = nil
	}
	requirements := []string{"NONE", "SSL", "X509", "SPECIFIED"}
	if priv.SSL < 0 || priv.SSL >= len(requirements) {
		return loginOptions{}, fmt.Errorf("%s: %w: %d is no kind of REQUIRE", doing, rotation.ErrConfiguration, priv.SSL)
	}
	o := loginOptions{clauses: []string{
		require(requirements[priv.SSL], priv.Cipher, priv.Issuer, priv.Subject),
		"WITH " + limit("MAX_QUERIES_PER_HOUR", priv.Queries) + limit("MAX_UPDATES_PER_HOUR", priv.Updates) +
			limit("MAX_CONNECTIONS_PER_HOUR", priv.Connections) + limit("MAX_USER_CONNECTIONS", priv.AtOnce) + limit("MAX_STATEMENT_TIME", priv.Seconds),
		locked(priv.Locked), expire(priv.Lifetime),
	}}
	if priv.DefaultRole != "" {
		o.roles = []name{{user: priv.DefaultRole}}
	}
	return o, nil
}

// defaultRoles sets the one that there may be.
func (mariaDB) defaultRoles(n name, roles []name) string {
	role := "NONE"
	if len(roles) > 0 {
		role = roles[0].String()
	}
	return "SET DEFAULT ROLE " + role + " FOR " + n.String()
}
