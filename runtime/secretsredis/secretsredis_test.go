package secretsredis_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"
	"github.com/redis/go-redis/v9"

	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretsredis"
)

const first = "password-1"

// A cache is a real Redis with the users app and clone, a secret for app, and
// a dialer.
type cache struct {
	server     *redistest.Server
	store      *stagetest.Store
	client     *secrets.Client
	dialer     *secretsredis.Dialer
	app, clone string
	dials      atomic.Int64
}

func on(t *testing.T, s *redistest.Server, app string) *cache {
	t.Helper()
	c := &cache{server: s, app: app, clone: app + "_clone"}
	for _, user := range []string{c.app, c.clone} {
		c.set(t, user, "on", ">"+first, "~*", "+@all")
	}
	c.store = stagetest.New(value(c.app, first))
	c.client = c.store.Client()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.CA))
	c.dialer = secretsredis.NewDialer(c.client, "cache", func(o *secretsredis.Options) {
		o.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			c.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	return c
}

func value(user, password string) string {
	return stagetest.JSON("username", user, "password", password)
}

func (c *cache) set(t *testing.T, user string, rules ...any) {
	t.Helper()
	redistest.Do(t, c.server, "ACL", append([]any{"SETUSER", user}, rules...)...)
}

func (c *cache) open(t *testing.T, configure func(*redis.Options)) *redis.Client {
	t.Helper()
	opts := &redis.Options{Addr: c.server.Addr(), Dialer: c.dialer.DialContext}
	if configure != nil {
		configure(opts)
	}
	rdb := redis.NewClient(opts)
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

//nolint:gochecknoglobals // a constant table.
var rotations = map[string]func(t *testing.T, c *cache, n int, during func()){
	"two passwords": func(t *testing.T, c *cache, n int, during func()) {
		before, password := fmt.Sprint("password-", n-1), fmt.Sprint("password-", n)
		c.set(t, c.app, ">"+password)
		during()
		c.store.Promote(t, c.client, fmt.Sprint("v", n), value(c.app, password))
		during()
		c.set(t, c.app, "<"+before) // retired
		during()
	},
	"single user": func(t *testing.T, c *cache, n int, during func()) {
		version, password := fmt.Sprint("v", n), rand.Text()
		c.store.Stage("AWSPENDING", version, value(c.app, password))
		c.set(t, c.app, "resetpass", ">"+password)
		during() // only the pending password works
		c.store.Stage("AWSCURRENT", version, "")
		during() // no event tells of it
	},
	"alternating users": func(t *testing.T, c *cache, n int, during func()) {
		before, next := c.app, c.clone
		if n%2 == 1 {
			before, next = next, before
		}
		password := rand.Text()
		c.set(t, next, "resetpass", ">"+password)
		c.store.Promote(t, c.client, fmt.Sprint("v", n), value(next, password))
		during()
		c.set(t, before, "resetpass") // retired
		redistest.Do(t, c.server, "CLIENT", "KILL", "USER", before)
		during()
	},
}

func TestNoCommandFailsWhilePasswordsRotate(t *testing.T) {
	t.Parallel()
	const clients, turns = 6, 20
	s := redistest.Start(t, redistest.Options{})
	for name, rotate := range rotations {
		t.Run(name, func(t *testing.T) {
			c := on(t, s, strings.ReplaceAll(name, " ", "_"))
			rdb := c.open(t, func(o *redis.Options) { o.PoolSize = clients })
			var begun atomic.Int64
			l := stagetest.NewLoad(t, clients, func() error {
				if begun.Add(1)%clients > 0 {
					return rdb.Incr(t.Context(), "n").Err()
				}
				fresh := redis.NewClient(&redis.Options{Addr: c.server.Addr(), Dialer: c.dialer.DialContext}) // which logs in
				defer func() { _ = fresh.Close() }()
				return fresh.Incr(t.Context(), "n").Err()
			})
			for n := 2; n < 2+turns && !t.Failed(); n++ {
				rotate(t, c, n, l.During)
			}
			commands, failed := l.Stop()
			t.Logf("%d rotations: %d commands, %d failed, %d logins", turns, commands, failed, c.dials.Load())
		})
	}
}

func whoami(t *testing.T, rdb *redis.Client) string {
	t.Helper()
	name, err := rdb.Do(t.Context(), "ACL", "WHOAMI").Text()
	if err != nil {
		t.Error(err)
	}
	return name
}

func TestOldConnectionsAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]int{"RESP2": 2, "RESP3": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := on(t, redistest.Start(t, redistest.Options{}), "app")
			rdb := c.open(t, func(o *redis.Options) { o.Protocol, o.PoolSize, o.MaxRetries = protocol, 1, -1 })
			for range 5 {
				if got := whoami(t, rdb); got != "app" {
					t.Errorf("logged in as %s", got)
				}
			}
			if got := c.dials.Load(); got != 1 {
				t.Errorf("%d connections for one at a time", got)
			}
			err := rdb.Watch(t.Context(), func(tx *redis.Tx) error { // in flight
				c.store.Promote(t, c.client, "v2", value("app_clone", first))
				_, err := tx.TxPipelined(t.Context(), func(p redis.Pipeliner) error {
					p.Incr(t.Context(), "n")
					return nil
				})
				return err
			}, "n")
			if err != nil {
				t.Errorf("the transaction in flight: %v", err)
			}
			for range 5 {
				if got := whoami(t, rdb); got != "app_clone" {
					t.Errorf("after the rotation a command ran as %s", got)
				}
			}
			if got := c.dials.Load(); got != 2 {
				t.Errorf("%d connections, want one for each version", got)
			}
		})
	}
}

func TestRedigo(t *testing.T) {
	t.Parallel()
	c := on(t, redistest.Start(t, redistest.Options{}), "app")
	c.store.Stage("AWSPENDING", "v2", value("app", "password-2"))
	c.set(t, "app", "resetpass", ">password-2")
	conn, err := redigo.DialContext(t.Context(), "tcp", c.server.Addr(), redigo.DialContextFunc(c.dialer.DialContext))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if got, err := redigo.String(conn.Do("ACL", "WHOAMI")); err != nil || got != "app" {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAPasswordThatIsWrongForGood(t *testing.T) {
	t.Parallel()
	c := on(t, redistest.Start(t, redistest.Options{}), "app")
	c.store.Stage("AWSCURRENT", "v2", value("app", "hunter2-wrong"))
	c.store.Stage("AWSPREVIOUS", "v3", value("app", "hunter2-older"))
	rdb := c.open(t, nil)
	began := time.Now()
	for range 3 {
		err := rdb.Ping(t.Context()).Err()
		if !refused.Redis(err) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want the server's refusal", err)
		}
	}
	most := 3 * (1 + int64(time.Since(began)/time.Second)) // a climb in each second
	if got := c.dials.Load(); got > most {
		t.Errorf("%d logins, want at most %d", got, most)
	}
}

// fake answers each login with a text, and then is silent.
func fake(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go func() {
				if _, err := bufio.NewReader(conn).ReadString('\n'); err == nil {
					_, _ = conn.Write([]byte(answer))
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestWhatServersMayAnswer(t *testing.T) {
	t.Parallel()
	const plaintext = `{"password":"hunter2","ssl":false}`
	tests := map[string]struct {
		value, answer string
		plaintext     bool
		want          string
	}{
		"accepted":                        {value: plaintext, plaintext: true, answer: "+OK\r\n"},
		"refused":                         {value: plaintext, plaintext: true, answer: "-WRONGPASS no\r\n", want: "WRONGPASS no"},
		"too many clients":                {value: plaintext, plaintext: true, answer: "-ERR max number of clients reached\r\n", want: "ERR max number"},
		"another protocol":                {value: plaintext, plaintext: true, answer: "HTTP/1.1 400\r\n", want: "does not speak"},
		"without an end":                  {value: plaintext, plaintext: true, answer: strings.Repeat("+", 1<<16), want: "EOF"},
		"plaintext that is not allowed":   {value: plaintext, answer: "+OK\r\n", want: "tls"},
		"plaintext that is not asked for": {value: `{"password":"hunter2"}`, plaintext: true, answer: "+OK\r\n", want: "tls"},
		"a value without a password":      {value: `{"username":"hunter2"}`, want: `"password" is missing`},
		"a value that is no JSON":         {value: `hunter2`, want: "shape"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := secretsredis.NewDialer(stagetest.New(tt.value).Client(), "cache", func(o *secretsredis.Options) {
				o.AllowPlaintext = tt.plaintext
			})
			conn, err := d.DialContext(t.Context(), "tcp", fake(t, tt.answer))
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	for name, timeout := range map[string]struct{ callers, dialers time.Duration }{
		"the caller's own time bounds a server that is silent": {callers: 50 * time.Millisecond},
		"the dialer's time bounds a server that is silent":     {callers: time.Hour, dialers: 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), timeout.callers)
			defer cancel()
			d := secretsredis.NewDialer(stagetest.New(plaintext).Client(), "cache", func(o *secretsredis.Options) {
				o.AllowPlaintext, o.Timeout = true, timeout.dialers
			})
			// The time may be over before the server is reached, too.
			if _, err := d.DialContext(ctx, "tcp", fake(t, "")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func ExampleDialer() {
	client := stagetest.New(`{"username":"app","password":"secret"}`).Client() // secrets.FromEnv(cfg, os.Getenv)

	dialer := secretsredis.NewDialer(client, "cache-credentials")
	rdb := redis.NewClient(&redis.Options{Addr: "cache.internal:6379", Dialer: dialer.DialContext})
	defer func() { _ = rdb.Close() }()
	fmt.Println(rdb.Options().Password == "")
	// Output: true
}
