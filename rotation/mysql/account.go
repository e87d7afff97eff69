package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// An account is one account of the server, and how it logs in.
type account struct {
	name

	// methods are the ways by password: on MySQL the first is the primary
	// one, the second the one that was retained.
	methods []method
	// others are MariaDB's alternatives that take no password, such as the
	// user of the operating system. They stay.
	others []method
}

// by is the way that a password opens.
func (a account) by(password string) (method, bool) {
	i := slices.IndexFunc(a.methods, func(m method) bool { return m.accepts(password) })
	if i < 0 {
		return method{}, false
	}
	return a.methods[i], true
}

// plugin is the one that the account's passwords are for.
func (a account) plugin() (string, error) {
	if len(a.methods) == 0 {
		return "", fmt.Errorf("%w: %v does not log in by %s, %s or %s, and other passwords are not rotated here",
			rotation.ErrConfiguration, a.name, cachingSHA2, nativePassword, ed25519Plugin)
	}
	return a.methods[0].plugin, nil
}

// changed is the error for an account that does not have the password which
// has just been seen to work.
func (a account) changed() error {
	return fmt.Errorf("%w: %v does not have the password that worked; somebody changes it at the same time, or another account of that name took the login",
		rotation.ErrConflict, a.name)
}

// parseName reads an account as CURRENT_USER() gives it.
func parseName(text string) name {
	i := strings.LastIndexByte(text, '@')
	if i < 0 {
		return name{user: text}
	}
	return name{text[:i], text[i+1:]}
}

var errNoAccount = fmt.Errorf("%w: the server has no such user", rotation.ErrConfiguration)

// find is the only account of a user.
func (s *session) find(ctx context.Context, user string) (name, error) {
	var found []name
	var n name
	err := s.each(ctx, fmt.Sprintf("looking for the accounts of %q", user), func() {
		if n.user == user && n.host != "" { // to the server spaces at the end are none; no host has a role
			found = append(found, n)
		}
	}, []any{&n.user, &n.host}, "SELECT User, Host FROM mysql.user WHERE User = ?", user)
	switch {
	case err != nil:
		return name{}, err
	case len(found) == 0:
		return name{}, fmt.Errorf("%q: %w", user, errNoAccount)
	case len(found) > 1:
		return name{}, fmt.Errorf("%w: the user %q has %d accounts, %v; a secret's user is to have one, for which of them a login gets depends on where it comes from",
			rotation.ErrConfiguration, user, len(found), found)
	}
	return found[0], nil
}

// ordinary is the only account of a user who is no administrator.
func (s *session) ordinary(ctx context.Context, user string) (account, error) {
	n, err := s.find(ctx, user)
	if err != nil {
		return account{}, err
	}
	why, err := s.administers(ctx, n, make(map[name]bool))
	if err != nil {
		return account{}, err
	}
	if why != "" {
		return account{}, fmt.Errorf("%w: %v is an administrator (%s), whose password nobody else changes here", rotation.ErrPermission, n, why)
	}
	return s.server.read(ctx, s, n)
}

// administers says by which right an account may change others, itself or
// through a role; empty if by none.
func (s *session) administers(ctx context.Context, n name, seen map[name]bool) (string, error) {
	if seen[n] {
		return "", nil
	}
	seen[n] = true
	r, err := s.rights(ctx, n)
	if err != nil {
		return "", err
	}
	if why := r.administers(); why != "" {
		return why, nil
	}
	for role := range r.roles {
		why, err := s.administers(ctx, role, seen)
		if err != nil {
			return "", err
		}
		if why != "" {
			return fmt.Sprintf("%s, by the role %v", why, role), nil
		}
	}
	return "", nil
}

// rights are those that were given to an account or a role itself.
func (s *session) rights(ctx context.Context, n name) (rights, error) {
	r := newRights()
	var line string
	var bad error
	err := s.each(ctx, fmt.Sprintf("reading the rights of %v", n), func() {
		bad = errors.Join(bad, r.add(n, line))
	}, []any{&line}, "SHOW GRANTS FOR "+n.String())
	return r, errors.Join(err, bad)
}
