package secretsmongo_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/rekey-go/rekey/internal/mongotest"
	"github.com/rekey-go/rekey/runtime/internal/stagetest"
	"github.com/rekey-go/rekey/runtime/refused"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretsmongo"
)

// orders is a stand-in with the users app and app_clone, and a DB for them.
type orders struct {
	*secretsmongo.DB
	server *mongotest.Server
	store  *stagetest.Store
	client *secrets.Client
}

func open(t *testing.T) *orders {
	t.Helper()
	o := &orders{server: mongotest.Start(t), store: stagetest.New(value("app", "password-1"))}
	o.set("app", "password-1")
	o.set("app_clone", "password-1")
	o.client = o.store.Client()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(o.server.CA))
	o.DB = secretsmongo.New(o.client, "db", func(c *options.ClientOptions) {
		c.SetHosts([]string{net.JoinHostPort(o.server.Host, strconv.Itoa(o.server.Port))}).SetDirect(true).
			SetTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	})
	t.Cleanup(func() { _ = o.Close(context.Background()) })
	return o
}

func value(user, password string) string {
	return stagetest.JSON("engine", "mongo", "username", user, "password", password)
}

func (o *orders) set(user, password string) {
	o.server.SetUser("admin", user, password, bson.M{"roles": mongotest.Roles("readWrite")})
}

// who returns as whom a call is made.
func (o *orders) who(ctx context.Context) (string, error) {
	var answer struct{ User string }
	err := o.Do(ctx, func(ctx context.Context, c *mongo.Client) error {
		return c.Database("shop").RunCommand(ctx, bson.D{{Key: "count", Value: "orders"}}).Decode(&answer)
	})
	return answer.User, err
}

func TestNoCallFailsWhileLoginsRotate(t *testing.T) {
	t.Parallel()
	const clients, turns = 4, 10
	for name, rotate := range map[string]func(t *testing.T, o *orders, n int, during func()){
		"single user": func(_ *testing.T, o *orders, n int, during func()) {
			version, password := fmt.Sprint("v", n), rand.Text()
			o.store.Stage("AWSPENDING", version, value("app", password))
			o.set("app", password)
			during()
			o.store.Stage("AWSCURRENT", version, "")
			during()
		},
		"alternating users": func(t *testing.T, o *orders, n int, during func()) {
			before, next := "app", "app_clone"
			if n%2 == 1 {
				before, next = next, before
			}
			password := rand.Text()
			o.set(next, password)
			o.store.Promote(t, o.client, fmt.Sprint("v", n), value(next, password))
			during()
			o.set(before, rand.Text())
			during()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := open(t)
			l := stagetest.NewLoad(t, clients, func() error { _, err := o.who(t.Context()); return err })
			for n := 2; n < 2+turns && !t.Failed(); n++ {
				rotate(t, o, n, l.During)
			}
			calls, failed := l.Stop()
			t.Logf("%d rotations: %d calls, %d failed, %d logins", turns, calls, failed, len(o.server.Sent("saslStart")))
		})
	}
}

func TestACallUnderWayKeepsItsClient(t *testing.T) {
	t.Parallel()
	o := open(t)
	err := o.Do(t.Context(), func(ctx context.Context, c *mongo.Client) error {
		o.store.Promote(t, o.client, "v2", value("app_clone", "password-1"))
		if got, err := o.who(ctx); err != nil || got != "app_clone" {
			t.Errorf("after the rotation a call was made as %s, %v", got, err)
		}
		return c.Database("shop").RunCommand(ctx, bson.D{{Key: "count", Value: "orders"}}).Err()
	})
	if err != nil {
		t.Errorf("the call under way: %v", err)
	}
	if err := o.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := o.who(t.Context()); !errors.Is(err, secretsmongo.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTheLadder(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.store.Stage("AWSPENDING", "v2", value("app", "password-2"))
	o.set("app", "password-2")
	for range 3 {
		if got, err := o.who(t.Context()); err != nil || got != "app" {
			t.Errorf("got %s, %v", got, err)
		}
	}
	if got := len(o.server.Sent("saslStart")); got > 4 { // the driver tries a refused one twice
		t.Errorf("%d logins", got)
	}
}

func TestWhatCannotBeALogin(t *testing.T) {
	t.Parallel()
	o := open(t)
	o.store.Promote(t, o.client, "v2", value("app", "hunter2"))
	if _, err := o.who(t.Context()); err != nil { // the previous one works
		t.Error(err)
	}
	o.store.Promote(t, o.client, "v3", value("app", "hunter2-again"))
	if _, err := o.who(t.Context()); !refused.MongoDB(err) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want the refusal without the password", err)
	}
	o.store.Promote(t, o.client, "v4", `{"username":"hunter2"}`)
	if _, err := o.who(t.Context()); !errors.Is(err, secrets.ErrDecode) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want ErrDecode without the value", err)
	}
}

func ExampleDB() {
	client := stagetest.New(`{"username":"app"}`).Client() // secrets.FromEnv(cfg, os.Getenv)

	db := secretsmongo.New(client, "orders-database", func(o *options.ClientOptions) {
		o.SetHosts([]string{"db.internal:27017"}).SetTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12})
	})
	err := db.Do(context.Background(), func(ctx context.Context, c *mongo.Client) error {
		return c.Database("shop").Collection("orders").FindOne(ctx, bson.D{}).Err()
	})
	fmt.Println(err)
	// Output: reading the login secret(dev-db@v1): "password" is missing: the value has not the expected shape
}
