package mongodb

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/rekey-go/rekey/rotation"
)

// A user is what usersInfo says of one.
type user struct {
	Roles        []role        `bson:"roles"`
	CustomData   bson.Raw      `bson:"customData"`
	Mechanisms   []string      `bson:"mechanisms"`
	Restrictions bson.RawValue `bson:"authenticationRestrictions"`
	// Privileges are those of all roles, the inherited ones too. They are nil
	// where the server does not tell.
	Privileges []privilege `bson:"inheritedPrivileges"`
}

type role struct {
	Role string `bson:"role"`
	DB   string `bson:"db"`
}

type privilege struct {
	Resource struct {
		Collection string `bson:"collection"`
		Any        bool   `bson:"anyResource"`
	} `bson:"resource"`
	Actions []string `bson:"actions"`
}

// user reads a user of a database; nil if there is none.
func (s *session) user(ctx context.Context, database, name string) (*user, error) {
	var found struct {
		Users []user `bson:"users"`
	}
	command := bson.D{{Key: "usersInfo", Value: bson.D{{Key: "user", Value: name}, {Key: "db", Value: database}}}}
	err := s.run(ctx, database, slices.Concat(command, bson.D{
		{Key: "showPrivileges", Value: true}, {Key: "showAuthenticationRestrictions", Value: true},
	}), &found)
	if unsupported(err) { // DocumentDB
		err = s.run(ctx, database, command, &found)
	}
	switch {
	case err != nil:
		return nil, s.classify(fmt.Sprintf("looking for the user %q in %q", name, database), err)
	case len(found.Users) == 0:
		return nil, nil
	}
	return &found.Users[0], nil
}

// ordinary reads a user that a superuser may change: one that is there, and no
// administrator.
func (s *session) ordinary(ctx context.Context, name string) (*user, error) {
	u, err := s.user(ctx, s.users, name)
	switch {
	case err != nil:
		return nil, err
	case u == nil:
		return nil, fmt.Errorf("%w: the database %q has no user %q", rotation.ErrConfiguration, s.users, name)
	case u.administers():
		return nil, administrator(name)
	}
	return u, nil
}

func administrator(name string) error {
	return fmt.Errorf("%w: %q may change users or has a role that this cannot be told of, and such a password nobody else changes here", rotation.ErrPermission, name)
}

// powers are the actions by which a user can take any right.
//
//nolint:gochecknoglobals // a constant list.
var powers = []string{"anyAction", "internal", "changePassword", "grantRole", "createUser", "createRole"}

// writes change a collection. Those that users and roles are kept in only
// administrators may change: "restore" is such a role.
//
//nolint:gochecknoglobals // a constant list.
var writes = []string{"insert", "update", "remove"}

// harmless are the server's own roles without a power. Where a server does not
// tell privileges, every other role counts as an administrator's.
//
//nolint:gochecknoglobals // a constant list.
var harmless = []string{
	"read", "readWrite", "dbAdmin", "readAnyDatabase", "readWriteAnyDatabase", "dbAdminAnyDatabase", "clusterMonitor", "enableSharding",
}

// administers reports whether a user has a power.
func (u *user) administers() bool {
	if u.Privileges == nil {
		return slices.ContainsFunc(u.Roles, func(r role) bool { return !slices.Contains(harmless, r.Role) })
	}
	return slices.ContainsFunc(u.Privileges, func(p privilege) bool {
		users := p.Resource.Any || p.Resource.Collection == "system.users" || p.Resource.Collection == "system.roles"
		return slices.ContainsFunc(p.Actions, func(action string) bool {
			return slices.Contains(powers, action) || users && slices.Contains(writes, action)
		})
	})
}

// fields are what a user has beside its password, for a command that gives it to
// another. What the other has of its own goes, if it is there.
func (u *user) fields(other *user) bson.D {
	fields := bson.D{{Key: "roles", Value: u.Roles}}
	add := func(name string, has, otherHas bool, value, none any) {
		if has {
			fields = append(fields, bson.E{Key: name, Value: value})
		} else if otherHas {
			fields = append(fields, bson.E{Key: name, Value: none})
		}
	}
	if other == nil {
		other = &user{}
	}
	add("customData", len(u.CustomData) > 0, len(other.CustomData) > 0, u.CustomData, bson.D{})
	add("authenticationRestrictions", !u.Restrictions.IsZero(), !other.Restrictions.IsZero(), u.Restrictions, bson.A{})
	if len(u.Mechanisms) > 0 {
		fields = append(fields, bson.E{Key: "mechanisms", Value: u.Mechanisms})
	}
	return fields
}
