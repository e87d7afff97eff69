package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/rotation"
)

// A session is a login at every server that a credential lists.
type session struct {
	nodes []*node
	user  string
}

var _ rotation.DualSession = (*session)(nil)

// Ping asks the servers for an answer. A consumer's user may lack the right to
// PING: a server that says so has answered the user.
func (s *session) Ping(ctx context.Context) error {
	return s.each(func(n *node) error {
		_, err := n.do(ctx, "PING")
		if err = n.classify("using the login", err); errors.Is(err, rotation.ErrPermission) {
			return nil
		}
		return err
	})
}

// Close ends the session.
func (s *session) Close(context.Context) error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.conn.Close())
	}
	return errors.Join(errs...)
}

// each does something at every server.
func (s *session) each(fn func(n *node) error) error {
	for _, n := range s.nodes {
		if err := fn(n); err != nil {
			return err
		}
	}
	return nil
}

// SetPassword replaces all passwords of a user by one.
func (s *session) SetPassword(ctx context.Context, user string, password rotation.Value) error {
	if len(s.nodes) > 1 {
		return fmt.Errorf("%w: a single password cannot change at %d servers at once; choose two passwords, or alternating users", rotation.ErrConfiguration, len(s.nodes))
	}
	return s.each(func(n *node) error {
		if err := s.mayChange(ctx, n, user); err != nil {
			return err
		}
		return n.change(ctx, user, "resetpass", "on", hash(password))
	})
}

// AddPassword adds one. A user has room for any number, so none goes.
func (s *session) AddPassword(ctx context.Context, user string, _, password rotation.Value) error {
	return s.each(func(n *node) error {
		if err := s.mayChange(ctx, n, user); err != nil {
			return err
		}
		return n.change(ctx, user, hash(password))
	})
}

// DropPassword removes one. Where the server does not know the one to keep, all
// stay: without the old one nobody might be let in.
func (s *session) DropPassword(ctx context.Context, user string, old, keep rotation.Value, inUse func(ctx context.Context) error) error {
	return s.each(func(n *node) error {
		has, err := n.user(ctx, user)
		if err != nil {
			return err
		}
		if user != s.user && has.administers() {
			return administrator(user)
		}
		switch {
		case slices.Contains(has, "nopass"):
			return fmt.Errorf("%w: the server takes every password for %q; set one (ACL SETUSER, resetpass)", rotation.ErrConfiguration, user)
		case !slices.Contains(has, hash(old)):
			return nil
		case !slices.Contains(has, hash(keep)):
			return fmt.Errorf("%w: the server at %s has not the current password of %q, so the old one stays", rotation.ErrConflict, n.login.Host, user)
		}
		if err := inUse(ctx); err != nil {
			return err
		}
		return n.change(ctx, user, rules{hash(old)}.without()...)
	})
}

// Revoke takes the passwords of a user away that it had before inUse was asked:
// one that a rotation sets meanwhile stays. Sessions that are open go on.
func (s *session) Revoke(ctx context.Context, user string, inUse func(ctx context.Context) error) error {
	return s.each(func(n *node) error {
		has, err := n.user(ctx, user)
		if err != nil {
			return err
		}
		if has.administers() {
			return administrator(user)
		}
		without := has.without()
		if len(without) == 0 {
			return nil
		}
		if err := inUse(ctx); err != nil {
			return err
		}
		return n.change(ctx, user, without...)
	})
}

// EnsureClone gives the clone the rules of the original, in one command.
func (s *session) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	return s.each(func(n *node) error {
		if original == clone {
			if err := s.mayChange(ctx, n, clone); err != nil {
				return err
			}
			return n.change(ctx, clone, "resetpass", "on", hash(password))
		}
		from, err := n.user(ctx, original)
		if err != nil {
			return err
		}
		to, err := n.user(ctx, clone)
		switch {
		case err != nil:
			return err
		case from == nil:
			return noUser(original)
		case from.administers():
			return administrator(original)
		case to.administers():
			return administrator(clone)
		}
		return n.change(ctx, clone, slices.Concat([]string{"reset"}, from.rights(), []string{"on", hash(password)})...)
	})
}

// mayChange checks that a user is there and no administrator. A session may
// change its own user in any case: it has the right to, or the server says so.
func (s *session) mayChange(ctx context.Context, n *node, user string) error {
	if user == s.user {
		return nil
	}
	switch has, err := n.user(ctx, user); {
	case err != nil:
		return err
	case has == nil:
		return noUser(user) // the server would make one
	case has.administers():
		return administrator(user)
	}
	return nil
}

func noUser(user string) error {
	return fmt.Errorf("%w: the server has no user %q", rotation.ErrConfiguration, user)
}

func administrator(user string) error {
	return fmt.Errorf("%w: %q may change users or the server itself, and such a password nobody else changes here; take that right away (ACL SETUSER, -@admin)", rotation.ErrPermission, user)
}

// A node is a connection to one server.
type node struct {
	conn  redis.Conn
	reach *rotation.Reach
	login rotation.Credential
}

// do runs a command.
func (n *node) do(ctx context.Context, command string, args ...any) (any, error) {
	return redis.DoContext(n.conn, ctx, command, args...)
}

// user returns the rules of a user; nil where there is none.
func (n *node) user(ctx context.Context, name string) (rules, error) {
	lines, err := redis.Strings(n.do(ctx, "ACL", "LIST"))
	if err != nil {
		return nil, n.classify("reading the users", err)
	}
	for _, line := range lines { // user NAME RULE...
		if fields := strings.Fields(line); len(fields) > 2 && fields[1] == name {
			return fields[2:], nil
		}
	}
	return nil, nil
}

// change applies rules to a user and has the server write them down, in one
// transaction: if this process ends on the way, it is both or neither.
func (n *node) change(ctx context.Context, user string, rules ...string) error {
	doing := fmt.Sprintf("changing the user %q at %s", user, n.login.Host)
	writeDown, err := n.writeDown(ctx)
	if err != nil {
		return n.classify(doing, err)
	}
	args := redis.Args{"SETUSER", user}.AddFlat(rules)
	err = errors.Join(n.conn.Send("MULTI"), n.conn.Send("ACL", args...))
	if writeDown != nil {
		err = errors.Join(err, n.conn.Send(writeDown[0], writeDown[1]))
	}
	if err != nil {
		return n.classify(doing, err)
	}
	replies, err := redis.Values(n.do(ctx, "EXEC"))
	for _, reply := range replies {
		if refused, ok := reply.(redis.Error); ok && err == nil {
			err = refused
		}
	}
	return n.classify(doing, err)
}

// writeDown finds the command that keeps users over a restart, by running it.
// There is none where the server has no file for them.
func (n *node) writeDown(ctx context.Context) ([]string, error) {
	_, err := n.do(ctx, "ACL", "SAVE")
	if err == nil || !strings.Contains(err.Error(), "not configured to use an ACL file") {
		return []string{"ACL", "SAVE"}, err
	}
	_, err = n.do(ctx, "CONFIG", "REWRITE")
	if err != nil && strings.Contains(err.Error(), "without a config file") {
		return nil, nil
	}
	return []string{"CONFIG", "REWRITE"}, err
}
