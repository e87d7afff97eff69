package redistest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// errNotFound means that this machine has no Redis.
var errNotFound = errors.New("no redis-server or valkey-server found")

// installHint says how to get Redis.
const installHint = "install it (apt-get install redis-server, brew install redis, dnf install valkey)"

// Users says where a server keeps its users.
type Users int

// Where users are kept.
const (
	InACLFile    Users = iota // the ACL file, written by ACL SAVE
	InConfigFile              // the configuration file, written by CONFIG REWRITE
	InMemory                  // nowhere: a restart forgets them
)

// Options configure [Start].
type Options struct {
	// Users are kept in the ACL file if zero.
	Users Users
	// Arguments are further ones of the server, such as "--maxclients", "3".
	Arguments []string
}

// A Server is a running Redis.
type Server struct {
	// Host and Port are where it listens.
	Host string
	Port int
	// User and Password are the superuser's.
	User, Password string
	// CA is the certificate that signed the server's, as PEM.
	CA string
	// Dir is the folder with all of the server's files.
	Dir string

	binary  string
	opts    Options
	process *child.Process
}

// start starts a server and waits until it takes connections. It returns an
// error that wraps errNotFound where there is no Redis.
func start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{Host: "127.0.0.1", User: "default", Password: rand.Text(), opts: opts}
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			s.binary = path
			break
		}
	}
	if s.binary == "" {
		return nil, errNotFound
	}
	err := s.prepare()
	if err == nil {
		err = child.OnPort(ctx, 0, func(port int) error { s.Port = port; return s.Restart(ctx) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare writes the certificates and the superuser.
func (s *Server) prepare() (err error) {
	if s.Dir, err = os.MkdirTemp("", "rekey-redis-"); err != nil {
		return fmt.Errorf("making Redis's folder: %w", err)
	}
	certs, err := child.NewCertificates()
	if err != nil {
		return err
	}
	s.CA = string(certs.CA)
	super := fmt.Sprintf("user %s on #%x ~* &* +@all\n", s.User, sha256.Sum256([]byte(s.Password)))
	files := map[string]string{"server.pem": string(certs.Leaf), "server.key": string(certs.Key), "ca.pem": s.CA}
	switch s.opts.Users {
	case InACLFile:
		files["users.acl"] = super
	case InConfigFile:
		files["redis.conf"] = super
	case InMemory:
	}
	for name, text := range files {
		err = errors.Join(err, os.WriteFile(s.path(name), []byte(text), 0o600))
	}
	return err
}

func (s *Server) path(name string) string { return filepath.Join(s.Dir, name) }

func (s *Server) arguments() []string {
	args := []string{
		"--port", "0", "--tls-port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir,
		"--tls-cert-file", s.path("server.pem"), "--tls-key-file", s.path("server.key"), "--tls-ca-cert-file", s.path("ca.pem"),
		"--tls-auth-clients", "no", "--save", "", "--appendonly", "no",
	}
	switch s.opts.Users {
	case InACLFile:
		args = append(args, "--aclfile", s.path("users.acl"))
	case InConfigFile:
		args = slices.Insert(args, 0, s.path("redis.conf"))
	case InMemory:
		args = append(args, "--requirepass", s.Password)
	}
	return append(args, s.opts.Arguments...)
}

// Restart starts the server's process at the same port and over the same files,
// after [Server.Kill].
func (s *Server) Restart(ctx context.Context) error {
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()              // the server has its own
	cmd := exec.Command(s.binary, s.arguments()...) //nolint:gosec,noctx // the binary that was found; Close ends it, not a context.
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.Dir
	if s.process, err = child.Start(cmd, nil, syscall.SIGTERM); err != nil {
		return fmt.Errorf("starting %s: %w", s.binary, err)
	}
	err = s.process.Await(ctx, func() bool {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
		return err == nil && conn.Close() == nil
	})
	switch {
	case !errors.Is(err, child.ErrEnded):
		return err
	case strings.Contains(s.Log(), "Address already in use"):
		return fmt.Errorf("port %d: %w", s.Port, child.ErrPortTaken)
	}
	return fmt.Errorf("starting %s: %w: %s", s.binary, err, child.Why(s.Log()))
}

// Kill ends the process by SIGKILL.
func (s *Server) Kill() error { return s.process.Stop() }

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.file("log") }

// Users is what the server would know of its users after a restart.
func (s *Server) Users() string { return s.file("users.acl") + s.file("redis.conf") }

// SetUsers replaces the ACL file of a server that is not running.
func (s *Server) SetUsers(text string) error {
	return os.WriteFile(s.path("users.acl"), []byte(text), 0o600)
}

func (s *Server) file(name string) string {
	data, _ := os.ReadFile(s.path(name)) // what cannot be read is empty
	return string(data)
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Close stops the server and removes its folder.
func (s *Server) Close() error {
	return errors.Join(s.process.Stop(syscall.SIGTERM), os.RemoveAll(s.Dir))
}
