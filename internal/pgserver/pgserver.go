// Package pgserver runs a real PostgreSQL on the loopback interface, for the
// demonstration, for the local stack, and for tests.
//
// The server is as strict as one in production: it takes TLS connections only,
// and passwords only by scram-sha-256. It runs from the binaries that are on
// the machine; where there are none, they are downloaded. Started by root, it
// runs as the user postgres or nobody. It ends when its starter does, even by
// SIGKILL.
package pgserver

import (
	"bytes"
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

	root    string // the folder with all of the server's files
	temp    bool
	account *child.Account
	process *child.Process
}

const (
	superuser = "postgres"
	// startTries is how often a start is tried whose port was taken by
	// another process in between.
	startTries = 3
)

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
	s := &Server{Host: "127.0.0.1", User: superuser, account: child.Unprivileged("postgres")}
	if err := s.prepare(ctx, bin, opts); err != nil {
		return nil, errors.Join(err, s.discard())
	}
	for range startTries {
		if err = s.launch(ctx, bin, opts); !errors.Is(err, errPortTaken) || opts.Port != 0 {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

// prepare makes the server's folder: the data, the certificates, the rules of
// who may connect. A folder that was prepared before is used as it is.
func (s *Server) prepare(ctx context.Context, bin string, opts Options) (err error) {
	if s.root, s.temp = opts.Dir, opts.Dir == ""; s.temp {
		s.root, err = os.MkdirTemp(s.account.Temp(), "rekey-pg-")
	} else if s.root, err = s.account.Place("postgres", opts.Dir); err == nil {
		err = os.MkdirAll(s.root, 0o700)
	}
	if err != nil {
		return fmt.Errorf("making PostgreSQL's folder: %w", err)
	}
	if err := s.account.Own(s.root); err != nil {
		return err
	}
	if s.ready() {
		return s.reopen()
	}
	if err := s.initialize(ctx, bin); err != nil {
		return err
	}
	return s.secure()
}

func (s *Server) path(name string) string { return filepath.Join(s.root, name) }

// ready reports whether the folder was prepared to the end.
func (s *Server) ready() bool {
	_, err := os.Stat(s.path("ca.pem"))
	return err == nil
}

// reopen reads what an earlier start left.
func (s *Server) reopen() error {
	password, err := os.ReadFile(s.path("superuser"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(s.path("ca.pem"))
	s.Password, s.CA = string(password), string(ca)
	return err
}

func (s *Server) initialize(ctx context.Context, bin string) error {
	if err := os.RemoveAll(s.path("data")); err != nil { // left by a start that was cut off
		return err
	}
	s.Password = rand.Text()
	if err := s.write("superuser", []byte(s.Password)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", s.path("data"), "-U", superuser, //nolint:gosec // the binary that Find found.
		"-A", "scram-sha-256", "--pwfile", s.path("superuser"), "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	// Without a time zone and a locale initdb searches for them, for half a second.
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &out, &out, s.root
	if err := child.Run(cmd, s.account); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(out.String()))
	}
	return nil
}

// hba lets TLS connections in by password, and nothing else.
const hba = "hostssl all all 127.0.0.1/32 scram-sha-256\nhostssl all all ::1/128 scram-sha-256\nhostnossl all all 0.0.0.0/0 reject\nhostnossl all all ::/0 reject\n"

// secure writes the certificates and the rules. The CA comes last: it tells
// that the folder is ready.
func (s *Server) secure() error {
	certs, err := child.NewCertificates()
	if err != nil {
		return err
	}
	s.CA = string(certs.CA)
	return errors.Join(
		s.write("data/pg_hba.conf", []byte(hba)),
		s.write("server.pem", certs.Leaf),
		s.write("server.key", certs.Key),
		s.write("ca.pem", certs.CA),
	)
}

// write writes a file that only the server's account may read.
func (s *Server) write(name string, data []byte) error {
	if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
		return err
	}
	return s.account.Own(s.path(name))
}

var errPortTaken = errors.New("port is taken")

// launch starts the server process and waits until it is ready.
func (s *Server) launch(ctx context.Context, bin string, opts Options) error {
	var err error
	if s.Port = opts.Port; s.Port == 0 {
		if s.Port, err = child.FreePort(ctx); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                                        // the server has its own
	cmd := exec.Command(filepath.Join(bin, "postgres"), s.arguments(opts)...) //nolint:gosec,noctx // the binary that Find found; Close ends it, not a context.
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, s.root
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	if s.process, err = child.Start(cmd, s.account); err != nil {
		return fmt.Errorf("starting postgres: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.stop())
	}
	return nil
}

func (s *Server) arguments(opts Options) []string {
	settings := map[string]string{
		"listen_addresses":        "localhost,127.0.0.1",
		"unix_socket_directories": "",
		"ssl":                     "on",
		"ssl_cert_file":           s.path("server.pem"),
		"ssl_key_file":            s.path("server.key"),
		"shared_buffers":          "16MB",
		"max_connections":         "200",
	}
	if s.temp { // what is thrown away need not survive a power failure
		settings["fsync"], settings["synchronous_commit"], settings["full_page_writes"] = "off", "off", "off"
	}
	maps.Copy(settings, opts.Settings)
	args := []string{"-D", s.path("data"), "-p", strconv.Itoa(s.Port)}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// awaitReady waits until the server's own status file says "ready".
func (s *Server) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		status, _ := os.ReadFile(s.path("data/postmaster.pid")) // not there yet
		if strings.Contains(string(status), "ready") && strings.HasPrefix(string(status), strconv.Itoa(s.process.Pid())+"\n") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.process.Done():
			log := s.Log()
			if strings.Contains(log, "Address already in use") {
				return fmt.Errorf("port %d: %w", s.Port, errPortTaken)
			}
			return fmt.Errorf("postgres ended: %s", lastLine(log))
		case <-tick.C:
		}
	}
}

// Log is what the server has logged so far.
func (s *Server) Log() string {
	log, _ := os.ReadFile(s.path("log")) // an unreadable log is an empty one
	return string(log)
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Close stops the server, and removes its folder if that is temporary.
func (s *Server) Close() error { return errors.Join(s.stop(), s.discard()) }

// stop ends the process: by SIGINT, which ends sessions in order, and after a
// while by SIGQUIT, which does not.
func (s *Server) stop() error { return s.process.Stop(os.Interrupt, syscall.SIGQUIT) }

func (s *Server) discard() error {
	if !s.temp || s.root == "" {
		return nil
	}
	return os.RemoveAll(s.root)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
