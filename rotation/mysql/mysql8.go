package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// mySQL is MySQL 8.0.14 or later.
type mySQL struct{ release }

// errBlind means that a session may not see how its own account logs in.
var errBlind = fmt.Errorf("%w: a user cannot see its own hashes", rotation.ErrPermission)

// read reads mysql.user.
func (mySQL) read(ctx context.Context, s *session, n name) (account, error) {
	if n == s.own {
		return account{}, errBlind
	}
	var plugin, primary, second string
	err := s.row(ctx, fmt.Sprintf("reading how %v logs in", n), n, []any{&plugin, &primary, &second},
		"SELECT plugin, authentication_string, COALESCE(JSON_UNQUOTE(JSON_EXTRACT(User_attributes, '$.additional_password')), '') FROM mysql.user WHERE User = ? AND Host = ?")
	if err != nil {
		return account{}, err
	}
	a := account{name: n}
	m := method{plugin, primary}
	if !m.byPassword() {
		return a, nil
	}
	a.methods = append(a.methods, m)
	if second != "" {
		a.methods = append(a.methods, method{plugin, second})
	}
	return a, nil
}

// retain and discard are what MySQL has for two passwords.
const (
	retain  = " RETAIN CURRENT PASSWORD"
	discard = " DISCARD OLD PASSWORD"
)

func (mySQL) alter(a account, rest string) string { return "ALTER USER " + a.String() + rest }

func (mySQL) identified(m method) string {
	return "IDENTIFIED WITH " + literal(m.plugin) + " AS " + literal(m.stored)
}

// only makes m the primary one, and discards the other.
func (d mySQL) only(a account, m method) []string {
	var statements []string
	if len(a.methods) == 0 || a.methods[0] != m {
		statements = append(statements, d.alter(a, " "+d.identified(m)))
	}
	if len(a.methods) > 1 {
		statements = append(statements, d.alter(a, discard))
	}
	return statements
}

// both makes keep the primary one first where it is the second, for it is the
// primary one that is retained.
func (d mySQL) both(a account, added, keep method) ([]string, error) {
	var statements []string
	if a.methods[0] != keep {
		statements = append(statements, d.alter(a, " "+d.identified(keep)+retain))
	}
	return append(statements, d.alter(a, " "+d.identified(added)+retain)), nil
}

// setOwn sends the password as text: hashes take CREATE USER. What another may
// have been retained is discarded, where the user may do so.
func (mySQL) setOwn(ctx context.Context, s *session, password string) error {
	if err := alterOwn(ctx, s, password, ""); err != nil {
		return err
	}
	err := s.exec(ctx, "discarding the own old password", alterUserOwn+discard)
	if errors.Is(err, rotation.ErrPermission) {
		return nil // who may not have two has none
	}
	return err
}

// alterUserOwn begins the statements that change the session's own account.
const alterUserOwn = "ALTER USER USER()"

func ownPassword(password string, rest ...string) string {
	return alterUserOwn + " IDENTIFIED BY " + literal(password) + strings.Join(rest, "")
}

// replacing has the server check the primary password first.
func replacing(current string) string { return " REPLACE " + literal(current) }

// alterOwn sets the primary password of the session's own account. Where the
// server wants to be told the current one, it is.
func alterOwn(ctx context.Context, s *session, password, rest string) error {
	const doing = "setting the own password"
	_, err := s.conn.ExecContext(ctx, ownPassword(password, rest))
	if number(err) == missingCurrent {
		_, err = s.conn.ExecContext(ctx, ownPassword(password, replacing(s.login.Password.Reveal()), rest))
	}
	if err != nil {
		return s.classify(doing, err)
	}
	return nil
}

// addOwn adds a password to the session's own account, which keep opens. The
// server itself tells whether keep is the primary one, for that is what REPLACE
// compares with.
func addOwn(ctx context.Context, s *session, keep, password string) error {
	add := ownPassword(password, replacing(keep), retain)
	_, err := s.conn.ExecContext(ctx, add)
	if number(err) == incorrectCurrent {
		if err := alterOwn(ctx, s, keep, retain); err != nil {
			return err
		}
		_, err = s.conn.ExecContext(ctx, add)
	}
	if err != nil {
		return s.classify("adding an own password", err)
	}
	return nil
}

// dropOwn makes keep the only password of the session's own account.
func dropOwn(ctx context.Context, s *session, keep string) error {
	_, err := s.conn.ExecContext(ctx, ownPassword(keep, replacing(keep)))
	if number(err) == incorrectCurrent {
		err = alterOwn(ctx, s, keep, "")
	}
	if err != nil {
		return s.classify("keeping the own password", err)
	}
	return s.exec(ctx, "discarding the own old password", alterUserOwn+discard)
}

// options reads mysql.user.
func (d mySQL) options(ctx context.Context, s *session, n name) (loginOptions, error) {
	doing := fmt.Sprintf("reading the options of %v", n)
	const query = `SELECT ssl_type, ssl_cipher, x509_issuer, x509_subject,
		max_questions, max_updates, max_connections, max_user_connections, account_locked = 'Y', password_lifetime,
		Password_reuse_history, Password_reuse_time, COALESCE(Password_require_current, ''), COALESCE(User_attributes, '{}')
		FROM mysql.user WHERE User = ? AND Host = ?`
	var ssl, cipher, issuer, subject, current, attributes string
	var limits [4]json.RawMessage
	var isLocked bool
	var lifetime, history, reuse *int
	err := s.row(ctx, doing, n, []any{
		&ssl, &cipher, &issuer, &subject,
		(*[]byte)(&limits[0]), (*[]byte)(&limits[1]), (*[]byte)(&limits[2]), (*[]byte)(&limits[3]),
		&isLocked, &lifetime, &history, &reuse, &current, &attributes,
	}, query)
	if err != nil {
		return loginOptions{}, err
	}
	kinds := map[string]string{"": "NONE", "ANY": "SSL"}
	kind, ok := kinds[ssl]
	if !ok {
		kind = ssl // X509, SPECIFIED
	}
	o := loginOptions{clauses: []string{
		require(kind, cipher, issuer, subject),
		"WITH " + limit("MAX_QUERIES_PER_HOUR", limits[0]) + limit("MAX_UPDATES_PER_HOUR", limits[1]) +
			limit("MAX_CONNECTIONS_PER_HOUR", limits[2]) + limit("MAX_USER_CONNECTIONS", limits[3]),
		locked(isLocked), expire(lifetime),
		"PASSWORD HISTORY " + orDefault(history, ""), "PASSWORD REUSE INTERVAL " + orDefault(reuse, " DAY"),
		"PASSWORD REQUIRE CURRENT" + map[string]string{"Y": "", "N": " OPTIONAL", "": " DEFAULT"}[current],
	}}
	if err := d.attributes(&o, attributes); err != nil {
		return loginOptions{}, fmt.Errorf("%s: %w", doing, err)
	}
	o.roles, err = d.defaults(ctx, s, n)
	return o, err
}

// orDefault writes a number that may be left to the server.
func orDefault(n *int, unit string) string {
	if n == nil {
		return "DEFAULT"
	}
	return fmt.Sprint(*n) + unit
}

// attributes reads those that are no columns of mysql.user. Servers before
// 8.0.19 do not know them.
func (d mySQL) attributes(o *loginOptions, text string) error {
	var a struct {
		Metadata json.RawMessage `json:"metadata"`
		Locking  struct {
			Attempts int `json:"failed_login_attempts"`
			Days     int `json:"password_lock_time_days"`
		} `json:"Password_locking"`
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return err
	}
	if !d.before(8, 0, 19) {
		days := fmt.Sprint(a.Locking.Days)
		if a.Locking.Days < 0 {
			days = "UNBOUNDED"
		}
		o.clauses = append(o.clauses, fmt.Sprintf("FAILED_LOGIN_ATTEMPTS %d PASSWORD_LOCK_TIME %s", a.Locking.Attempts, days))
	}
	o.attributes = string(a.Metadata)
	return nil
}

// defaults are the default roles of an account.
func (mySQL) defaults(ctx context.Context, s *session, n name) ([]name, error) {
	var roles []name
	var role name
	err := s.each(ctx, fmt.Sprintf("reading the default roles of %v", n), func() { roles = append(roles, role) }, []any{&role.user, &role.host},
		"SELECT DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles WHERE USER = ? AND HOST = ? ORDER BY 1, 2", n.user, n.host)
	return roles, err
}

func (mySQL) defaultRoles(n name, roles []name) string {
	list := []string{"NONE"}
	if len(roles) > 0 {
		list = nil
	}
	for _, r := range roles {
		list = append(list, r.String())
	}
	return "ALTER USER " + n.String() + " DEFAULT ROLE " + strings.Join(list, ", ")
}
