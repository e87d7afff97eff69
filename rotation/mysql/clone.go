package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// EnsureClone makes the clone, or brings it into shape. Neither may be an
// administrator. The password comes last: until then nobody can log in as a
// clone that is made by halves.
func (s *session) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	return s.locked(ctx, clone, func() error {
		from, err := s.ordinary(ctx, original)
		if err != nil {
			return err
		}
		if original == clone {
			return s.only(ctx, from, password)
		}
		plugin, err := from.plugin()
		if err != nil {
			return err
		}
		to, err := s.cloneOf(ctx, from, clone)
		if err != nil {
			return err
		}
		if err := s.shape(ctx, from.name, to.name); err != nil {
			return err
		}
		m, err := newMethod(plugin, password.Reveal())
		if err != nil {
			return err
		}
		return s.exec(ctx, "setting the password of "+to.String(), s.server.only(to, m)...)
	})
}

// cloneOf is the clone of an account. Where there is none it is made, with a
// password that nobody knows.
func (s *session) cloneOf(ctx context.Context, from account, clone string) (account, error) {
	to, err := s.ordinary(ctx, clone)
	switch {
	case err == nil && to.host != from.host:
		return account{}, fmt.Errorf("%w: %v is to be the clone of %v, but may connect from other hosts; rename it if that is right: RENAME USER %v TO %v",
			rotation.ErrConfiguration, to.name, from.name, to.name, name{clone, from.host})
	case !errors.Is(err, errNoAccount):
		return to, err
	}
	to = account{name: name{clone, from.host}}
	m, err := newMethod(from.methods[0].plugin, rotation.NewPassword().Reveal())
	if err != nil {
		return account{}, err
	}
	return to, s.exec(ctx, fmt.Sprintf("making the user %v", to.name), "CREATE USER "+to.String()+" "+s.server.identified(m))
}

// shape gives the clone what belongs to the original's login, and its rights.
func (s *session) shape(ctx context.Context, from, to name) error {
	wanted, err := s.server.options(ctx, s, from)
	if err != nil {
		return err
	}
	has, err := s.server.options(ctx, s, to)
	if err != nil {
		return err
	}
	rights, err := s.rights(ctx, from)
	if err != nil {
		return err
	}
	hasRights, err := s.rights(ctx, to)
	if err != nil {
		return err
	}
	var statements []string
	if text := wanted.toward(has); text != "" {
		statements = append(statements, "ALTER USER "+to.String()+text)
	}
	statements = append(statements, rights.toward(to, hasRights)...)
	if !slices.Equal(wanted.roles, has.roles) {
		statements = append(statements, s.server.defaultRoles(to, wanted.roles))
	}
	return s.exec(ctx, fmt.Sprintf("making %v a clone of %v", to, from), statements...)
}

// toward are the clauses that turn other options into these; empty where they
// are the same.
func (o loginOptions) toward(other loginOptions) string {
	var clauses []string
	if !slices.Equal(o.clauses, other.clauses) {
		clauses = o.clauses
	}
	if o.attributes != other.attributes {
		clauses = append(slices.Clone(clauses), "ATTRIBUTE "+literal(patch(other.attributes, o.attributes)))
	}
	if len(clauses) == 0 {
		return ""
	}
	return " " + strings.Join(clauses, " ")
}

// patch is the JSON that turns one object into another where it is merged into
// it (RFC 7396): what the other has not is null.
func patch(from, to string) string {
	var had map[string]json.RawMessage
	_ = json.Unmarshal([]byte(from), &had) // what is no object has no members
	merged := make(map[string]json.RawMessage)
	for key := range had {
		merged[key] = json.RawMessage("null")
	}
	_ = json.Unmarshal([]byte(to), &merged) // as above
	text, _ := json.Marshal(merged)         // what was parsed can be written
	return string(text)
}
