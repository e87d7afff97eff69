package strategy

import (
	"context"
	"fmt"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/mongodb"
	"github.com/rekey-go/rekey/rotation/mysql"
	"github.com/rekey-go/rekey/rotation/postgres"
	"github.com/rekey-go/rekey/rotation/redis"
)

// databases are the kinds of database servers, and how the functions reach
// them.
type databases struct {
	getenv    func(string) string
	superuser rotation.Superuser
	reach     *rotation.Reach
}

// Databases returns the chooser for database logins. It reads REKEY_STRATEGY,
// REKEY_SUPERUSER, which names the secret with the superuser's login, and the
// variables of [rotation.ReachFromEnv].
//
// A secret that names no strategy is rotated with two passwords where its
// server has them, with alternating users where its value names a superuser's
// secret (masterarn), and else with a single user.
func Databases(store rotation.Store, getenv func(string) string) (rotation.Chooser, error) {
	reach, err := rotation.ReachFromEnv(getenv)
	if err != nil {
		return nil, err
	}
	d := &databases{getenv, rotation.SuperuserFrom(store, getenv("REKEY_SUPERUSER")), reach}
	return d.choose, nil
}

// A server is a kind of database server.
type server struct {
	rotation.Database
	dual    bool // a user may have two passwords
	maxName int  // the longest name of a user in bytes; the usual one if zero
}

// server returns the kind that the member "engine" of a value names, by the
// names that AWS uses. The port and the database in the function's settings are
// for PostgreSQL, and for values that name no engine.
func (d *databases) server(engine string) (server, error) {
	other := d.reach.Plain()
	switch engine {
	case "", "postgres", "postgresql", "aurora-postgresql":
		return server{Database: postgres.New(d.reach), maxName: postgres.MaxName}, nil
	case "mysql", "aurora-mysql":
		return server{Database: mysql.New(other), dual: true, maxName: mysql.MaxName}, nil
	case "mariadb":
		return server{Database: mysql.New(other), dual: true, maxName: mysql.MaxNameMariaDB}, nil
	case "redis", "valkey":
		return server{Database: redis.New(other), dual: true}, nil
	case "mongo", "mongodb":
		return server{Database: mongodb.New(other)}, nil
	}
	return server{}, fmt.Errorf("%w: no strategy is for the engine %q of the secret's value", rotation.ErrConfiguration, engine)
}

func (d *databases) choose(_ context.Context, s rotation.Secret, v rotation.Value) (rotation.Strategy, error) {
	c, err := rotation.ParseCredential(v)
	if err != nil {
		return nil, err
	}
	at, err := d.server(c.Engine)
	if err != nil {
		return nil, err
	}
	name := named(s, d.getenv)
	switch {
	case name != "":
	case at.dual:
		name = rotation.NameDualPassword
	case c.MasterARN != "":
		name = rotation.NameAlternatingUsers
	default:
		name = rotation.NameSingleUser
	}
	switch name {
	case rotation.NameSingleUser:
		return rotation.SingleUser{Database: at, Superuser: d.superuser}, nil
	case rotation.NameAlternatingUsers:
		return rotation.AlternatingUsers{Database: at, Superuser: d.superuser, MaxName: at.maxName}, nil
	case rotation.NameDualPassword:
		return rotation.DualPassword{Database: at, Superuser: d.superuser}, nil
	}
	return nil, unknown(name, rotation.NameSingleUser, rotation.NameAlternatingUsers, rotation.NameDualPassword)
}
