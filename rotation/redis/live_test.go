package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

//nolint:gochecknoglobals // a constant list.
var steps = []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish}

// rotate runs the four steps.
func rotate(ctx context.Context, store *rotationtest.Store, strategy rotation.Strategy, token string) error {
	r := rotation.New(store, rotation.Options{Choose: rotation.Only(strategy), Logger: slog.New(slog.DiscardHandler)})
	for _, step := range steps {
		e := store.Begin(token)
		e.Step = step
		if err := r.Step(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// overlapping are the strategies under which a consumer never meets a refused
// login.
func overlapping(db rotation.Database, super rotation.Superuser) map[string]rotation.Strategy {
	return map[string]rotation.Strategy{
		"dual password":     rotation.DualPassword{Database: db, Superuser: super},
		"alternating users": rotation.AlternatingUsers{Database: db, Superuser: super},
	}
}

func TestConsumersAreLetInAllTheTime(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	redistest.Do(t, s, "ACL", setUser("rotator", "rotator", rotatorRights)...)
	db := database(t, rotation.ReachOptions{CA: s.CA})
	for name, strategy := range overlapping(db, superuserOf(value(s, "rotator", "rotator"))) {
		t.Run(name, func(t *testing.T) {
			const rotations = 25
			user := strings.ReplaceAll(name, " ", "-")
			redistest.Do(t, s, "ACL", setUser(user, "old", "~* +get")...)
			store := rotationtest.NewStore(value(s, user, "old"), nil)
			consumers := consume(t, s, store, 2)
			for n := range rotations {
				if err := rotate(t.Context(), store, strategy, fmt.Sprintf("token-%d", n)); err != nil {
					t.Fatal(err)
				}
				consumers.renew(t)
				old := fmt.Sprintf("token-%d", n-1) // which nobody holds any more
				if n == 0 {
					continue
				}
				if err := rotation.Retire(t.Context(), store, rotation.Only(strategy), "db", old); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d logins during %d rotations", consumers.stop(), rotations)
		})
	}
}

// consumers log in again and again by the current value, and keep nothing.
type consumers struct {
	ended  sync.WaitGroup
	done   chan struct{}
	logins []chan struct{} // one for each, which hears of its logins
	count  atomic.Int64
}

// consume starts some, which end with the test.
func consume(t *testing.T, s *redistest.Server, store *rotationtest.Store, n int) *consumers {
	t.Helper()
	c := &consumers{done: make(chan struct{}), logins: make([]chan struct{}, n)}
	for i := range c.logins {
		c.logins[i] = make(chan struct{})
		c.ended.Go(func() {
			for {
				if err := useCurrent(t.Context(), s, store); err != nil {
					t.Errorf("a consumer: %v", err)
				}
				c.count.Add(1)
				select {
				case <-c.done:
					return
				case c.logins[i] <- struct{}{}:
				default:
				}
			}
		})
	}
	t.Cleanup(func() { c.stop() })
	return c
}

// renew waits until each consumer has begun and ended a login from now on.
func (c *consumers) renew(t *testing.T) {
	t.Helper()
	for range 2 { // the first may have begun before
		for _, login := range c.logins {
			select {
			case <-login:
			case <-t.Context().Done():
			}
		}
	}
}

// stop ends them and returns the number of their logins.
func (c *consumers) stop() int64 {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	c.ended.Wait()
	return c.count.Load()
}

// useCurrent reads the secret, logs in and uses the connection.
func useCurrent(ctx context.Context, s *redistest.Server, store *rotationtest.Store) error {
	v, err := store.Get(ctx, "", "", rotation.LabelCurrent)
	if err != nil {
		return err
	}
	c, err := rotation.ParseCredential(v)
	if err != nil {
		return err
	}
	conn, err := redistest.Login(ctx, s, c.Username, c.Password.Reveal())
	if err != nil {
		return err
	}
	_, err = conn.Do("GET", "key")
	return errors.Join(err, conn.Close())
}

func TestNoPlaceOfTheServerHoldsAPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Arguments: []string{"--loglevel", "debug", "--slowlog-log-slower-than", "0"}})
	redistest.Do(t, s, "ACL", setUser("app", "first-canary", "~* +get")...)
	monitor, err := redistest.Login(t.Context(), s, s.User, s.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	if _, err := monitor.Do("MONITOR"); err != nil {
		t.Fatal(err)
	}
	db := database(t, rotation.ReachOptions{CA: s.CA})
	canaries := []string{"first-canary", s.Password}
	store := rotationtest.NewStore(value(s, "app", "first-canary"), nil)
	for name, strategy := range overlapping(db, superuserOf(value(s, s.User, s.Password))) {
		if err := rotate(t.Context(), store, strategy, name); err != nil {
			t.Fatal(err)
		}
		v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
		if err != nil {
			t.Fatal(err)
		}
		c, err := rotation.ParseCredential(v)
		if err != nil {
			t.Fatal(err)
		}
		canaries = append(canaries, c.Password.Reveal())
	}
	redistest.Do(t, s, "ECHO", "the-end")
	var seen bytes.Buffer
	for !strings.Contains(seen.String(), "the-end") {
		line, err := redis.String(monitor.Receive())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&seen, line)
	}
	for _, command := range [][]any{{"SLOWLOG", "GET", "-1"}, {"ACL", "LOG"}, {"ACL", "LIST"}} {
		dump(&seen, redistest.Do(t, s, command[0].(string), command[1:]...))
	}
	places := seen.String() + s.Log() + s.Users()
	for _, must := range []string{"the-end", "SETUSER", "user app"} {
		if !strings.Contains(places, must) {
			t.Errorf("%q is in no place: this test looks at nothing", must)
		}
	}
	for _, canary := range canaries {
		if strings.Contains(places, canary) {
			t.Errorf("the password %s is in a place of the server", canary)
		}
	}
}

// dump writes all texts of a reply.
func dump(w io.Writer, reply any) {
	switch reply := reply.(type) {
	case []any:
		for _, r := range reply {
			dump(w, r)
		}
	default:
		fmt.Fprintf(w, "%s\n", reply)
	}
}

func TestOnlyALoginSendsAPassword(t *testing.T) {
	t.Parallel()
	s, wire := startPlain(t)
	redistest.Do(t, s, "ACL", setUser("app", "first-canary", "+get")...)
	plain := func(user, password string) rotation.Value {
		return rotation.NewValue(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"username":%q,"password":%q,"ssl":false}`, wire.port, user, password))
	}
	db := database(t, rotation.ReachOptions{AllowPlaintext: true})
	super := superuserOf(plain(s.User, s.Password))
	for name, strategy := range overlapping(db, super) {
		store := rotationtest.NewStore(plain("app", "first-canary"), nil)
		if err := rotate(t.Context(), store, strategy, name); err != nil {
			t.Fatal(err)
		}
		v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
		if err != nil {
			t.Fatal(err)
		}
		c, err := rotation.ParseCredential(v)
		if err != nil {
			t.Fatal(err)
		}
		all := wire.String()
		rest := regexp.MustCompile(`AUTH\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n[^\r]*\r\n`).ReplaceAllString(all, "")
		for _, password := range []string{"first-canary", s.Password, c.Password.Reveal()} {
			if !strings.Contains(all, password) || strings.Contains(rest, password) {
				t.Errorf("%s: the password %s was sent: %v, but in a login: %v", name, password, strings.Contains(all, password), strings.Contains(rest, password))
			}
		}
	}
}

func TestAddingAndDroppingAtOnceComesToTheSameEnd(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	for n := range 20 {
		redistest.Do(t, s, "ACL", append(setUser("app", "old", "+get"), ">current")...)
		a, b := superuser(t, s), superuser(t, s)
		current, next := rotation.NewValue("current"), rotation.NewValue("next")
		var wg sync.WaitGroup
		for _, do := range []func() error{
			func() error { return a.AddPassword(t.Context(), "app", current, next) },
			func() error { return b.DropPassword(t.Context(), "app", rotation.NewValue("old"), current, free) },
		} {
			wg.Go(func() {
				if err := do(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		mustBe(t, s, "app", map[string]bool{"old": false, "current": true, "next": true})
		if t.Failed() {
			t.Fatalf("in round %d", n)
		}
	}
}
