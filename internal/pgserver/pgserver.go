// Package pgserver runs a real PostgreSQL on the loopback interface, for the
// demonstration, for the local stack, and for tests.
//
// The server is as strict as one in production: it takes TLS connections only
// (unless [Options.Plaintext] says otherwise), and passwords only by
// scram-sha-256. It runs from the binaries that are on
// the machine; where there are none, they are downloaded. Started by root, it
// runs as the user postgres or nobody. It ends when its starter does, even by
// SIGKILL.
package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

// Options configure [Start].
type Options struct {
	// Dir keeps the database over restarts. If empty, it lies in a temporary
	// folder and goes with the server.
	Dir string
	// Port to listen on. If zero, a free one.
	Port int
	// Plaintext lets connections in without TLS too. A database that is kept
	// stays as it was made.
	Plaintext bool
	// Settings are further settings of the server, such as log_statement=all.
	Settings map[string]string
	// Progress is told of a download. If nil, nobody is.
	Progress io.Writer
}

// A Server is a running PostgreSQL.
type Server struct {
	// Host and Port are where it listens.
	Host string
	Port int
	// User and Password are the superuser's.
	User, Password string
	// CA is the certificate that signed the server's, as PEM.
	CA string

	folder  *child.Folder
	process *child.Process
}

const superuser = "postgres"

// Start starts a server and waits until it takes connections. It returns an
// error that wraps [ErrNotFound] where there is no PostgreSQL to be had.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Progress == nil {
		opts.Progress = io.Discard
	}
	bin, err := Find()
	if errors.Is(err, ErrNotFound) && os.Getenv("PGBIN") == "" {
		bin, err = download(opts.Progress)
	}
	if err != nil {
		return nil, err
	}
	folder, err := child.OpenFolder(opts.Dir, "postgres", superuser)
	if err != nil {
		return nil, err
	}
	s := &Server{Host: "127.0.0.1", User: superuser, folder: folder}
	err = s.prepare(ctx, bin, opts.Plaintext)
	if err == nil {
		err = child.OnPort(ctx, opts.Port, func(port int) error { return s.launch(ctx, bin, port, opts.Settings) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes the data, the certificates, the rules of who may connect. A
// folder that was prepared before is used as it is.
func (s *Server) prepare(ctx context.Context, bin string, plaintext bool) error {
	if s.ready() {
		return s.reopen()
	}
	if err := s.initialize(ctx, bin); err != nil {
		return err
	}
	rules := hba
	if plaintext {
		rules = hbaPlaintext
	}
	return s.secure(rules)
}

// ready reports whether the folder was prepared to the end.
func (s *Server) ready() bool {
	_, err := os.Stat(s.folder.Path("ca.pem"))
	return err == nil
}

// reopen reads what an earlier start left.
func (s *Server) reopen() error {
	password, err := os.ReadFile(s.folder.Path("superuser"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(s.folder.Path("ca.pem"))
	s.Password, s.CA = string(password), string(ca)
	return err
}

func (s *Server) initialize(ctx context.Context, bin string) error {
	if err := os.RemoveAll(s.folder.Path("data")); err != nil { // left by a start that was cut off
		return err
	}
	s.Password = rand.Text()
	if err := s.folder.Write("superuser", []byte(s.Password)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.folder.Path("data"), "-U", superuser, //nolint:gosec // the binary that Find found.
		"-A", "scram-sha-256", "--pwfile", s.folder.Path("superuser"), "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	if err := s.folder.Run(cmd); err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	return nil
}

// hba lets TLS connections in by password, and nothing else.
const hba = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all ::1/128 scram-sha-256\nhostnossl all all 0.0.0.0/0 reject\nhostnossl all all ::/0 reject\n"

// hbaPlaintext lets connections in by password, with TLS or without.
const hbaPlaintext = "host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n"

// secure writes the certificates and the rules. The CA comes last: it tells
// that the folder is ready.
func (s *Server) secure(rules string) error {
	certs, err := child.NewCertificates()
	if err != nil {
		return err
	}
	s.CA = string(certs.CA)
	return errors.Join(
		s.folder.Write("data/pg_hba.conf", []byte(rules)),
		s.folder.Write("server.pem", certs.Leaf),
		s.folder.Write("server.key", certs.Key),
		s.folder.Write("ca.pem", certs.CA),
	)
}

// errInUse means that another server has the data.
var errInUse = errors.New("another server has its data")

// launch starts the server. Where its starter was killed and is started again
// at once, the server of before may not have ended yet: it is waited for.
func (s *Server) launch(ctx context.Context, bin string, port int, settings map[string]string) error {
	err := s.try(ctx, bin, port, settings)
	if errors.Is(err, errInUse) && s.awaitFree(ctx) {
		err = s.try(ctx, bin, port, settings)
	}
	return err
}

// freeWait is how long a server may take to end in order.
const freeWait = 20 * time.Second

// awaitFree waits until no server has the data, and reports whether that is so.
func (s *Server) awaitFree(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, freeWait)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.inUse() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// inUse reports whether the process that the status file names is there.
func (s *Server) inUse() bool {
	status, err := os.ReadFile(s.statusFile())
	if err != nil {
		return false
	}
	line, _, _ := strings.Cut(string(status), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return false
	}
	process, err := os.FindProcess(pid)
	return err == nil && !errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// statusFile is where the server says how far it is.
func (s *Server) statusFile() string { return s.folder.Path("data/postmaster.pid") }

// try starts the server process and waits until it is ready, which its own
// status file says.
func (s *Server) try(ctx context.Context, bin string, port int, settings map[string]string) (err error) {
	s.Port = port
	cmd := exec.Command(filepath.Join(bin, "postgres"), s.arguments(settings)...) //nolint:gosec,noctx // the binary that Find found; Close ends it, not a context.
	if s.process, err = s.folder.Start(cmd, syscall.SIGINT); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	err = s.process.Await(ctx, func() bool {
		status, _ := os.ReadFile(s.statusFile()) // not there yet
		return strings.Contains(string(status), "ready") && strings.HasPrefix(string(status), strconv.Itoa(s.process.Pid())+"\n")
	})
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, child.ErrEnded):
		return errors.Join(err, s.stop())
	case strings.Contains(s.Log(), "Address already in use"):
		return fmt.Errorf("port %d: %w", s.Port, child.ErrPortTaken)
	case strings.Contains(s.Log(), `lock file "postmaster.pid" already exists`):
		return fmt.Errorf("starting postgres: %w: %s", errInUse, child.Why(s.Log()))
	}
	return fmt.Errorf("starting postgres: %w: %s", err, child.Why(s.Log()))
}

func (s *Server) arguments(more map[string]string) []string {
	settings := map[string]string{
		"listen_addresses":        "localhost,127.0.0.1",
		"unix_socket_directories": "",
		"ssl":                     "on",
		"ssl_cert_file":           s.folder.Path("server.pem"),
		"ssl_key_file":            s.folder.Path("server.key"),
		"shared_buffers":          "16MB",
		"max_connections":         "200",
	}
	if s.folder.Temporary() { // what is thrown away need not survive a power failure
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	maps.Copy(settings, more)
	args := []string{"-D", s.folder.Path("data"), "-p", strconv.Itoa(s.Port)}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.folder.Log() }

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Close stops the server, and removes its folder if that is temporary.
func (s *Server) Close() error { return errors.Join(s.stop(), s.folder.Discard()) }

// stop ends the process: by SIGINT, which ends sessions in order, and after a
// while by SIGQUIT, which does not.
func (s *Server) stop() error { return s.process.Stop(os.Interrupt, syscall.SIGQUIT) }
