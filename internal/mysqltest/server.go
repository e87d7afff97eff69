package mysqltest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rekey-go/rekey/internal/child"
)

// errNotFound means that this machine has no MariaDB.
var errNotFound = errors.New("no MariaDB found")

// installHint says how to get MariaDB.
const installHint = "install it: apt-get install mariadb-server-core, brew install mariadb, dnf install mariadb-server"

// Options configure [Start].
type Options struct {
	// Settings are further settings of the server, such as general_log=on.
	Settings map[string]string
}

// A Server is a running MariaDB.
type Server struct {
	// Host and Port are where it listens.
	Host string
	Port int
	// User and Password are the superuser's, who is the only user.
	User, Password string
	// CA is the certificate that signed the server's, as PEM.
	CA string

	folder  *child.Folder
	process *child.Process
}

// start starts a server with nothing in it and waits until it takes
// connections. It returns an error that wraps errNotFound where there is no
// MariaDB.
func start(ctx context.Context, opts Options) (*Server, error) {
	daemon, install, err := find()
	if err != nil {
		return nil, err
	}
	folder, err := child.OpenFolder("", "mariadb", "mysql")
	if err != nil {
		return nil, err
	}
	s := &Server{Host: "127.0.0.1", User: "admin", Password: rand.Text(), folder: folder}
	err = s.prepare(ctx, install)
	if err == nil {
		err = child.OnPort(ctx, 0, func(port int) error { return s.launch(ctx, daemon, port, opts.Settings) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// find returns the server, and the program that makes its data.
func find() (daemon, install string, err error) {
	for _, names := range [][2]string{{"mariadbd", "mariadb-install-db"}, {"mysqld", "mysql_install_db"}} {
		daemon, err = lookPath(names[0])
		if err == nil {
			install, err = lookPath(names[1])
		}
		if err == nil {
			return daemon, install, nil
		}
	}
	return "", "", errNotFound
}

// lookPath also looks where only root's PATH leads.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/usr/libexec"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	return path, err
}

// prepare makes the data, the certificates, and the statements by which the
// superuser takes the place of all users that a new server has.
func (s *Server) prepare(ctx context.Context, install string) error {
	args := append(s.frugal(), "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
	cmd := exec.CommandContext(ctx, install, args...) //nolint:gosec // the binary that find found.
	if err := s.folder.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w", install, err)
	}
	certs, err := child.NewCertificates()
	if err != nil {
		return err
	}
	s.CA = string(certs.CA)
	return errors.Join(
		s.folder.Write("server.pem", certs.Leaf),
		s.folder.Write("server.key", certs.Key),
		s.folder.Write("ca.pem", certs.CA),
		s.folder.Write("init.sql", fmt.Appendf(nil, initial, s.User, s.Password)),
	)
}

// initial has one statement on each line, as the server wants it.
const initial = `DELETE FROM mysql.global_priv WHERE User IN ('root', '');
DELETE FROM mysql.proxies_priv;
INSERT INTO mysql.proxies_priv (Host, User, With_grant, Grantor) VALUES ('%%', '%[1]s', 1, '');
FLUSH PRIVILEGES;
CREATE USER IF NOT EXISTS %[1]s@'%%' IDENTIFIED BY '%[2]s';
GRANT ALL PRIVILEGES ON *.* TO %[1]s@'%%' WITH GRANT OPTION;
`

// launch starts the server process and waits until it is ready.
func (s *Server) launch(ctx context.Context, daemon string, port int, settings map[string]string) (err error) {
	s.Port = port
	cmd := exec.Command(daemon, s.arguments(settings)...) //nolint:gosec,noctx // the binary that find found; Close ends it, not a context.
	if s.process, err = s.folder.Start(cmd, syscall.SIGTERM); err != nil {
		return fmt.Errorf("starting MariaDB: %w", err)
	}
	err = s.process.Await(ctx, func() bool { return strings.Contains(s.Log(), "ready for connections") })
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, child.ErrEnded):
		return errors.Join(err, s.stop())
	case strings.Contains(s.Log(), "Address already in use"):
		return fmt.Errorf("port %d: %w", s.Port, child.ErrPortTaken)
	}
	return fmt.Errorf("starting MariaDB: %w: %s", err, child.Why(s.Log()))
}

// frugal are the arguments by which many servers start at a time: each with a
// folder of its own for temporary tables, whose names are alike, and with few
// files and no waiting for the disk, for what is thrown away need not survive a
// power failure.
func (s *Server) frugal() []string {
	return []string{
		"--no-defaults", "--datadir=" + s.folder.Path("data"), "--tmpdir=" + s.folder.Path("."),
		"--innodb-log-file-size=8M", "--innodb-flush-method=nosync", "--innodb-use-native-aio=off",
	}
}

func (s *Server) arguments(more map[string]string) []string {
	settings := map[string]string{
		"socket":                   s.folder.Path("socket"),
		"pid-file":                 s.folder.Path("pid"),
		"init-file":                s.folder.Path("init.sql"),
		"bind-address":             s.Host,
		"port":                     strconv.Itoa(s.Port),
		"ssl-ca":                   s.folder.Path("ca.pem"),
		"ssl-cert":                 s.folder.Path("server.pem"),
		"ssl-key":                  s.folder.Path("server.key"),
		"require-secure-transport": "on",
		"skip-name-resolve":        "on",
		"performance-schema":       "off",
	}
	maps.Copy(settings, more)
	args := s.frugal()
	for name, value := range settings {
		args = append(args, "--"+name+"="+value)
	}
	return args
}

// Log is what the server has logged so far.
func (s *Server) Log() string { return s.folder.Log() }

// File reads a file of the server's data folder, such as that of the general
// log.
func (s *Server) File(name string) (string, error) {
	data, err := os.ReadFile(s.folder.Path(filepath.Join("data", name)))
	return string(data), err
}

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Close stops the server and removes its files.
func (s *Server) Close() error { return errors.Join(s.stop(), s.folder.Discard()) }

func (s *Server) stop() error { return s.process.Stop(syscall.SIGTERM) }
