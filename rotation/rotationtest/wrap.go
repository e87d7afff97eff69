package rotationtest

import (
	"context"
	"net/http"

	"github.com/rekey-go/rekey/rotation"
)

// Database returns a database whose every call goes through call. Its sessions
// are [rotation.DualSession]s where those of the database are.
func Database(to rotation.Database, call Call) rotation.Database { return database{to, call} }

type database struct {
	to   rotation.Database
	call Call
}

// Login passes on.
func (d database) Login(ctx context.Context, c rotation.Credential) (rotation.Session, error) {
	var opened rotation.Session
	err := d.call(func() (err error) { opened, err = d.to.Login(ctx, c); return err })
	if err != nil {
		if opened != nil {
			_ = opened.Close(ctx) // the dead process's connection
		}
		return nil, err
	}
	if dual, ok := opened.(rotation.DualSession); ok {
		return dualSession{session{dual, d.call}, dual}, nil
	}
	return session{opened, d.call}, nil
}

type session struct {
	rotation.Session
	call Call
}

// Ping passes on.
func (s session) Ping(ctx context.Context) error {
	return s.call(func() error { return s.Session.Ping(ctx) })
}

// SetPassword passes on.
func (s session) SetPassword(ctx context.Context, user string, v rotation.Value) error {
	return s.call(func() error { return s.Session.SetPassword(ctx, user, v) })
}

// EnsureClone passes on.
func (s session) EnsureClone(ctx context.Context, from, to string, v rotation.Value) error {
	return s.call(func() error { return s.Session.EnsureClone(ctx, from, to, v) })
}

// Revoke passes on.
func (s session) Revoke(ctx context.Context, user string, inUse func(context.Context) error) error {
	return s.call(func() error { return s.Session.Revoke(ctx, user, inUse) })
}

type dualSession struct {
	session
	dual rotation.DualSession
}

// AddPassword passes on.
func (s dualSession) AddPassword(ctx context.Context, user string, keep, v rotation.Value) error {
	return s.call(func() error { return s.dual.AddPassword(ctx, user, keep, v) })
}

// DropPassword passes on.
func (s dualSession) DropPassword(ctx context.Context, user string, old, keep rotation.Value, inUse func(context.Context) error) error {
	return s.call(func() error { return s.dual.DropPassword(ctx, user, old, keep, inUse) })
}

// Transport returns a transport whose every request goes through call, for
// strategies that work on an HTTP API.
func Transport(to http.RoundTripper, call Call) http.RoundTripper { return transport{to, call} }

type transport struct {
	to   http.RoundTripper
	call Call
}

// RoundTrip passes on.
func (t transport) RoundTrip(r *http.Request) (res *http.Response, err error) {
	failed := t.call(func() error { res, err = t.to.RoundTrip(r); return err }) //nolint:bodyclose // the caller closes it.
	if failed != nil && err == nil && res != nil {
		_ = res.Body.Close() // nobody sees the answer
		res = nil
	}
	return res, failed
}
