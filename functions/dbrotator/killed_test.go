package dbrotator_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/functions/dbrotator"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
)

// TestMain is the function itself in the processes that Lambda starts.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	handler, err := dbrotator.New(cfg, os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	awslambda.Start(handler)
}

// A killer kills the function's process at one of the moments of a rotation: a
// call of Secrets Manager or of the bus, or a packet to the database. They are
// counted as they come.
type killer struct {
	kill func() // kills the function's processes

	mu      sync.Mutex
	moments int  // :: mu
	at      int  // :: mu; the moment to kill at, or -1
	before  bool // :: mu; before it takes effect
	struck  bool // :: mu
}

// arm makes the killer wait for a moment of the next rotation.
func (k *killer) arm(at int, before bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.moments, k.at, k.before, k.struck = 0, at, before, false
}

// moment lets something take effect, or be the last that the process does. It is
// false if the process was killed.
func (k *killer) moment(effect func()) bool {
	k.mu.Lock()
	strike := k.moments == k.at && !k.struck
	before := k.before
	k.struck = k.struck || strike
	k.moments++
	k.mu.Unlock()
	if !strike || !before {
		effect()
	}
	if !strike {
		return true
	}
	k.kill()
	return false
}

// proxy passes connections on to a server, packet by packet.
func (k *killer) proxy(tb testing.TB, server string) (port int) {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go k.pass(client, server)
		}
	}()
	return listener.Addr().(*net.TCPAddr).Port
}

func (k *killer) pass(client net.Conn, server string) {
	defer func() { _ = client.Close() }()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer func() { _ = upstream.Close() }()
	go func() { _, _ = io.Copy(client, upstream); _ = client.Close() }()
	packet := make([]byte, 64<<10)
	for {
		n, err := client.Read(packet)
		if err != nil || !k.moment(func() { _, _ = upstream.Write(packet[:n]) }) {
			return
		}
	}
}

// serve passes calls on.
func (k *killer) serve(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the process is dead
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		k.moment(func() { to.ServeHTTP(w, r) })
	})
}

// A killBench is AWS and a database, with the function as a process of its own.
type killBench struct {
	*cloud
	killer *killer
	db     *pgserver.Server
	port   int // of the database, through the killer
	heard  chan string
}

// Deliver takes what the bus sends.
func (b *killBench) Deliver(_, body string, _ map[string]any) error {
	b.heard <- body
	return nil
}

func newKillBench(t *testing.T, strategy string) *killBench {
	t.Helper()
	b := &killBench{db: pgtest.Start(t, pgserver.Options{}), heard: make(chan string, 1024)}
	b.killer = &killer{at: -1}
	b.port = b.killer.proxy(t, net.JoinHostPort(b.db.Host, strconv.Itoa(b.db.Port)))
	b.cloud = newCloud(t, cloudOptions{queues: b, between: b.killer.serve})
	_, err := b.runner.Define(lambda.Function{
		Name: "dev-dbrotator", Timeout: 30 * time.Second, Command: []string{os.Args[0]},
		Environment: map[string]string{
			"REKEY_BUS": "dev-rekey", "REKEY_SUPERUSER": "dev-superuser", "REKEY_STRATEGY": strategy, "REKEY_DATABASE_CA": b.db.CA,
		},
	})
	must(t, err)
	b.runner.AddPermission(function, "secretsmanager.amazonaws.com", "", "")
	b.killer.kill = func() {
		for _, e := range b.runner.Environments(function) {
			_ = syscall.Kill(e.PID, syscall.SIGKILL)
		}
	}
	create(t, b.Client, "dev-superuser", b.login(b.db.User, b.db.Password))
	return b
}

// login is a value for a login through the killer.
func (b *killBench) login(user, password string) string {
	return fmt.Sprintf(`{"engine":"postgres","host":"127.0.0.1","port":%d,"username":%q,"password":%q,"dbname":"postgres"}`, b.port, user, password)
}

// rotate rotates a fresh secret and waits until its new version is announced.
// The last retry has come long before the deadline.
func (b *killBench) rotate(t *testing.T, n int) {
	t.Helper()
	user := fmt.Sprintf("app%d", n)
	pgtest.Exec(t, b.db, "postgres", "CREATE ROLE "+user+" LOGIN PASSWORD 'old'")
	arn := create(t, b.Client, "dev-"+user, b.login(user, "old"))
	out, err := b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: &arn, RotationLambdaARN: new(function)})
	must(t, err)
	deadline := time.After(patience)
	for {
		select {
		case body := <-b.heard:
			if !strings.Contains(body, *out.VersionId) {
				continue // an announcement of an earlier rotation that came twice
			}
		case <-deadline:
			t.Fatal("the rotation did not come to its end")
		}
		break
	}
	value, err := b.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &arn})
	must(t, err)
	c, err := rotation.ParseCredential(rotation.NewValue(*value.SecretString))
	must(t, err)
	if *value.VersionId != *out.VersionId {
		t.Errorf("version %s is current, want %s", *value.VersionId, *out.VersionId)
	}
	if _, err := pgtest.Login(t, b.db, c.Username, c.Password.Reveal(), "postgres"); err != nil {
		t.Errorf("the current login is refused: %v", err)
	}
}

func TestTheProcessIsKilledAtEveryMoment(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{"single-user", "alternating-users"} {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			b := newKillBench(t, strategy)
			b.killer.arm(-1, false)
			b.rotate(t, 0)
			b.killer.mu.Lock()
			moments := b.killer.moments
			b.killer.mu.Unlock()
			for at := range moments {
				b.killer.arm(at, at%2 == 0) // before and after by turns: every call is followed by another
				b.rotate(t, at+1)
				if t.Failed() {
					t.Fatalf("killed at moment %d of %d", at+1, moments)
				}
			}
			t.Logf("%s: killed at %d moments", strategy, moments)
		})
	}
}
