package rotationtest

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/rekey-go/rekey/rotation"
)

// A Server is a [rotation.Database] in memory, for tests of what uses a
// database. It is safe for concurrent use.
type Server struct {
	mu        sync.Mutex
	passwords map[string]string // :: user name; an empty one lets nobody in
	second    map[string]string // :: user name; the older of two passwords
	admin     string
	down      error
}

// NewServer returns a server with its administrator, who alone may change
// other users.
func NewServer(admin, password string) *Server {
	return &Server{admin: admin, passwords: map[string]string{admin: password}, second: map[string]string{}}
}

// SetUser sets a user's password.
func (s *Server) SetUser(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[user] = password
}

// Users returns the users and their passwords.
func (s *Server) Users() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.passwords)
}

// logins returns the users with the newer and the older of their passwords.
func (s *Server) logins() (first, second map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.passwords), maps.Clone(s.second)
}

// Fail lets every login fail from now on; with nil no longer.
func (s *Server) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// Login opens a session.
func (s *Server) Login(_ context.Context, c rotation.Credential) (rotation.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if password := c.Password.Reveal(); password == "" || password != s.passwords[c.Username] && password != s.second[c.Username] {
		return nil, fmt.Errorf("logging in as %q: %w", c.Username, rotation.ErrAuth)
	}
	return &serverSession{server: s, user: c.Username}, nil
}

type serverSession struct {
	server *Server
	user   string
}

// Ping succeeds.
func (*serverSession) Ping(context.Context) error { return nil }

// Close does nothing.
func (*serverSession) Close(context.Context) error { return nil }

// mayLocked checks that the session may change a user. The server's lock is held.
func (s *serverSession) mayLocked(user string) error {
	if s.user != user && (s.user != s.server.admin || user == s.server.admin) {
		return fmt.Errorf("%q changing %q: %w", s.user, user, rotation.ErrPermission)
	}
	return nil
}

// SetPassword changes a password.
func (s *serverSession) SetPassword(_ context.Context, user string, password rotation.Value) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if err := s.mayLocked(user); err != nil {
		return err
	}
	s.server.passwords[user] = password.Reveal()
	return nil
}

// AddPassword keeps two.
func (s *serverSession) AddPassword(_ context.Context, user string, keep, password rotation.Value) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if err := s.mayLocked(user); err != nil {
		return err
	}
	s.server.passwords[user], s.server.second[user] = password.Reveal(), keep.Reveal()
	return nil
}

// DropPassword leaves one.
func (s *serverSession) DropPassword(ctx context.Context, user string, old, keep rotation.Value, inUse func(context.Context) error) error {
	if err := inUse(ctx); err != nil {
		return err
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if err := s.mayLocked(user); err != nil {
		return err
	}
	if old := old.Reveal(); old == s.server.passwords[user] || old == s.server.second[user] {
		s.server.passwords[user] = keep.Reveal()
		delete(s.server.second, user)
	}
	return nil
}

// EnsureClone makes a user.
func (s *serverSession) EnsureClone(ctx context.Context, original, clone string, password rotation.Value) error {
	if _, ok := s.server.Users()[original]; !ok {
		return fmt.Errorf("cloning %q: %w", original, rotation.ErrConfiguration)
	}
	return s.SetPassword(ctx, clone, password)
}

// Revoke empties a password.
func (s *serverSession) Revoke(ctx context.Context, user string, inUse func(context.Context) error) error {
	if _, ok := s.server.Users()[user]; !ok {
		return nil
	}
	if err := inUse(ctx); err != nil {
		return err
	}
	return s.SetPassword(ctx, user, rotation.Value{})
}
