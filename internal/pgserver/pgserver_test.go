package pgserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey/internal/child/childtest"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestTakesOnlyTheRightPasswordOverTLS(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	if _, err := pgtest.Login(t, s, s.User, s.Password, "postgres"); err != nil {
		t.Fatal(err)
	}
	_, err := pgtest.Login(t, s, s.User, "wrong", "postgres")
	refused, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || refused.Code != "28P01" {
		t.Errorf("login with a wrong password: %v, want SQLSTATE 28P01", err)
	}
	err = loginWithoutTLS(t, s, s.Password)
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "28000" {
		t.Errorf("login without TLS: %v, want SQLSTATE 28000", err)
	}
}

func TestTakesTheRightPasswordWithoutTLSWhereThatIsAsked(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{Plaintext: true})
	if err := loginWithoutTLS(t, s, s.Password); err != nil {
		t.Error(err)
	}
	if _, err := pgtest.Login(t, s, s.User, s.Password, "postgres"); err != nil {
		t.Error(err)
	}
	err := loginWithoutTLS(t, s, "wrong")
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "28P01" {
		t.Errorf("login with a wrong password: %v, want SQLSTATE 28P01", err)
	}
}

func loginWithoutTLS(t *testing.T, s *pgserver.Server, password string) error {
	t.Helper()
	cfg, err := pgconn.ParseConfig("sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password = s.Host, uint16(s.Port), s.User, password
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	if err != nil {
		return err
	}
	return conn.Close(t.Context())
}

func TestKeepsItsDataInAFolder(t *testing.T) {
	t.Parallel()
	opts := pgserver.Options{Dir: filepath.Join(reachable(t), "pg")}
	first, err := pgserver.Start(t.Context(), opts)
	if errors.Is(err, pgserver.ErrNotFound) {
		childtest.Missing(t, err, pgserver.InstallHint)
	}
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, first, "postgres", "CREATE DATABASE kept")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := pgtest.Start(t, opts)
	if second.Password != first.Password {
		t.Error("the superuser's password changed")
	}
	pgtest.Exec(t, second, "kept", "SELECT 1")
}

// TestAServerOfBeforeThatStillEndsIsWaitedFor has the server of before wait for
// a session to end, as one may take its time whose starter was killed.
func TestAServerOfBeforeThatStillEndsIsWaitedFor(t *testing.T) {
	t.Parallel()
	dir := reachable(t)
	opts := pgserver.Options{Dir: filepath.Join(dir, "pg")}
	first := pgtest.Start(t, opts)
	session, err := pgtest.Login(t, first, first.User, first.Password, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join(opts.Dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.SplitN(string(status), "\n", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Signal(syscall.SIGTERM) // which lets sessions end by themselves
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		refused := func() bool {
			log, _ := os.ReadFile(filepath.Join(opts.Dir, "log"))
			return strings.Contains(string(log), "lock file")
		}
		for tick := time.NewTicker(time.Millisecond); !refused() && t.Context().Err() == nil; <-tick.C {
		}
		_ = session.Close(context.Background())
	}()
	second, err := pgserver.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// reachable is a folder that the server's account may enter; as root's child
// it could not enter t.TempDir.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rekey-pg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := pgserver.Start(t.Context(), pgserver.Options{Port: l.Addr().(*net.TCPAddr).Port})
	if errors.Is(err, pgserver.ErrNotFound) {
		childtest.Missing(t, err, pgserver.InstallHint)
	}
	if err == nil {
		_ = s.Close()
		t.Fatal("started on a taken port")
	}
	if !strings.Contains(err.Error(), "port is taken") {
		t.Errorf("error %q does not say that the port is taken", err)
	}
}

func TestPGBINWithoutAServerIsNamed(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PGBIN", dir)
	_, err := pgserver.Start(t.Context(), pgserver.Options{})
	if !errors.Is(err, pgserver.ErrNotFound) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Start: %v, want %v with the folder's name", err, pgserver.ErrNotFound)
	}
}

func TestAFolderThatOnlyRootMayEnterWillDo(t *testing.T) {
	t.Parallel()
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "state", "postgres")
	for range 2 { // the second start finds the files of the first
		s, err := pgserver.Start(t.Context(), pgserver.Options{Dir: dir})
		if errors.Is(err, pgserver.ErrNotFound) {
			childtest.Missing(t, err, pgserver.InstallHint)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
