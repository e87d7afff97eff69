package mongodb

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/rekey-go/rekey/rotation"
)

type session struct {
	client *mongo.Client
	db     *Database
	login  rotation.Credential
	users  string // the database whose users are changed, beside the login's own
}

// run runs a command, and reads the answer if somebody wants it.
func (s *session) run(ctx context.Context, database string, command bson.D, into any) error {
	result := s.client.Database(database).RunCommand(ctx, command)
	if into == nil || result.Err() != nil {
		return result.Err()
	}
	return result.Decode(into)
}

// Ping asks the server for an answer.
func (s *session) Ping(ctx context.Context) error {
	return s.classify("using the login", s.run(ctx, source(s.login), bson.D{{Key: "ping", Value: 1}}, nil))
}

// Close ends the session, also where the caller's time is over.
func (s *session) Close(ctx context.Context) error {
	return s.client.Disconnect(context.WithoutCancel(ctx))
}

// SetPassword changes a password. The own one takes a role with the action
// changeOwnPassword.
func (s *session) SetPassword(ctx context.Context, name string, password rotation.Value) error {
	if name == s.login.Username {
		return s.update(ctx, source(s.login), name, password, nil)
	}
	if _, err := s.ordinary(ctx, name); err != nil {
		return err
	}
	return s.update(ctx, s.users, name, password, nil)
}

// EnsureClone gives the clone what the original has, in one command.
func (s *session) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	from, err := s.ordinary(ctx, original)
	if err != nil {
		return err
	}
	if original == clone {
		return s.update(ctx, s.users, clone, password, nil)
	}
	to, err := s.user(ctx, s.users, clone)
	if err == nil && to == nil {
		err = s.change(ctx, "createUser", s.users, clone, password, from.fields(nil))
		if !hasCode(err, userExists) {
			return s.classify(fmt.Sprintf("creating %q as a clone of %q", clone, original), err)
		}
		to, err = s.user(ctx, s.users, clone) // somebody else was faster
	}
	switch {
	case err != nil:
		return err
	case to != nil && to.administers():
		return administrator(clone)
	}
	return s.update(ctx, s.users, clone, password, from.fields(to))
}

// Revoke gives a user a password that nobody knows: a user without one is not to
// be had. Connections that are open go on.
//
// The server has no change on a condition, so inUse is asked once more after it:
// a rotation that set the password in between has to set it again.
func (s *session) Revoke(ctx context.Context, name string, inUse func(ctx context.Context) error) error {
	u, err := s.user(ctx, s.users, name)
	switch {
	case err != nil || u == nil:
		return err
	case u.administers():
		return administrator(name)
	}
	if err := inUse(ctx); err != nil {
		return err
	}
	if err := s.update(ctx, s.users, name, rotation.NewPassword(), nil); err != nil {
		return err
	}
	return inUse(ctx)
}

// update changes a user that is there.
func (s *session) update(ctx context.Context, database, name string, password rotation.Value, fields bson.D) error {
	err := s.change(ctx, "updateUser", database, name, password, fields)
	return s.classify(fmt.Sprintf("changing the user %q in %q", name, database), err)
}

// change runs a command on a user that sets its password, and waits until a
// majority of the servers has it.
func (s *session) change(ctx context.Context, command, database, name string, password rotation.Value, fields bson.D) error {
	return s.run(ctx, database, slices.Concat(
		bson.D{{Key: command, Value: name}, {Key: "pwd", Value: password.Reveal()}}, fields,
		bson.D{{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}}},
	), nil)
}
