package mongodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/rekey-go/rekey/internal/mongotest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

func valueAt(s *mongotest.Server, user, password, more string) rotation.Value {
	return rotation.NewValue(fmt.Sprintf(`{"engine":"mongo","host":%q,"port":%d,"username":%q,"password":%q%s}`, s.Host, s.Port, user, password, more))
}

func newDatabase(t *testing.T, opts rotation.ReachOptions) *Database {
	t.Helper()
	r, err := rotation.NewReach(opts)
	if err != nil {
		t.Fatal(err)
	}
	return New(r)
}

func superuserOf(v rotation.Value) rotation.Superuser {
	return rotation.SuperuserFrom(rotationtest.NewStore(v, nil), "superuser")
}

func login(t *testing.T, s *mongotest.Server, v rotation.Value) (rotation.Session, error) {
	t.Helper()
	c, err := rotation.ParseCredential(v)
	if err != nil {
		t.Fatal(err)
	}
	session, err := newDatabase(t, rotation.ReachOptions{CA: s.CA}).Login(t.Context(), c)
	if err == nil {
		t.Cleanup(func() { _ = session.Close(context.Background()) })
	}
	return session, err
}

func TestStrategiesSurviveAKillAtEveryCall(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	db := newDatabase(t, rotation.ReachOptions{CA: s.CA})
	super := superuserOf(valueAt(s, "boss", "boss", ""))
	strategies := map[string]struct {
		roles    bson.A
		strategy func(rotation.Database) rotation.Strategy
	}{
		"single user": {mongotest.Roles("read", "selfService"), func(db rotation.Database) rotation.Strategy { return rotation.SingleUser{Database: db} }},
		"alternating users": {mongotest.Roles("readWrite"), func(db rotation.Database) rotation.Strategy {
			return rotation.AlternatingUsers{Database: db, Superuser: super}
		}},
	}
	for name, tt := range strategies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				n++
				user := fmt.Sprintf("%.6s%d", name, n)
				s.SetUser("admin", user, "old", bson.M{"roles": tt.roles})
				first := valueAt(s, user, "old", "")
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(db),
					Strategy: func(call rotationtest.Call) rotation.Strategy { return tt.strategy(rotationtest.Database(db, call)) },
				}
			})
		})
	}
}

func mustLogin(t *testing.T, s *mongotest.Server, v rotation.Value) rotation.Session {
	t.Helper()
	session, err := login(t, s, v)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func TestTheCloneGetsAllThatTheOriginalHas(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	restricted := bson.A{bson.M{"clientSource": bson.A{"10.0.0.0/8"}}}
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read", "readWrite"), "customData": bson.M{"team": "shop"}, "mechanisms": bson.A{"SCRAM-SHA-256"}, "authenticationRestrictions": restricted})
	super := mustLogin(t, s, valueAt(s, "boss", "boss", ""))
	check := func(doing, want string) {
		t.Helper()
		if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
			t.Fatal(err)
		}
		if got, err := bson.MarshalExtJSON(s.FieldsOf("admin.app_clone"), false, false); err != nil || normal(t, string(got)) != normal(t, want) {
			t.Errorf("%s: the clone has\n%s, %v, want\n%s", doing, got, err, want)
		}
		mustLogin(t, s, valueAt(s, "app_clone", "new", ""))
	}
	check("made", `{"roles":[{"role":"read","db":"admin"},{"role":"readWrite","db":"admin"}],"customData":{"team":"shop"},"mechanisms":["SCRAM-SHA-256"],"authenticationRestrictions":[{"clientSource":["10.0.0.0/8"]}]}`)
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read"), "mechanisms": bson.A{"SCRAM-SHA-256"}})
	check("when the original lost rights", `{"roles":[{"role":"read","db":"admin"}],"customData":{},"mechanisms":["SCRAM-SHA-256"],"authenticationRestrictions":[]}`)
	mustLogin(t, s, valueAt(s, "app", "old", ""))
	if err := super.EnsureClone(t.Context(), "nobody", "nobody_clone", rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("cloning a user that is not there: got %v, want %v", err, rotation.ErrConfiguration)
	}
	for _, command := range slices.Concat(s.Sent("createUser"), s.Sent("updateUser")) {
		if concern, _ := command["writeConcern"].(bson.D); len(concern) != 1 || concern[0].Value != "majority" {
			t.Errorf("a change does not wait for a majority: %v", concern)
		}
	}
}

// normal is JSON with its members in one order.
func normal(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhoCreatesAUserThatIsThereUpdatesIt(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read")})
	var once sync.Once
	s.OnCommand = func(name string) {
		if name == "createUser" {
			once.Do(func() { s.SetUser("admin", "app_clone", "of another", bson.M{"roles": mongotest.Roles("readWrite")}) })
		}
	}
	super := mustLogin(t, s, valueAt(s, "boss", "boss", ""))
	if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	mustLogin(t, s, valueAt(s, "app_clone", "new", ""))
	if len(s.Sent("createUser")) == 0 {
		t.Error("nothing was created: this test looks at nothing")
	}
}

func TestAnAdministratorIsChangedByNobodyElse(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprintf("a server that does not tell privileges: %v", old), func(t *testing.T) {
			t.Parallel()
			s := mongotest.Start(t)
			s.Old = old
			s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read")})
			super := mustLogin(t, s, valueAt(s, "boss", "boss", ""))
			free := func(context.Context) error { return nil }
			next := rotation.NewValue("new")
			for _, role := range []string{"root", "userAdminAnyDatabase", "restore"} {
				s.SetUser("admin", role, "old", bson.M{"roles": mongotest.Roles("read", role)})
				for doing, err := range map[string]error{
					"setting": super.SetPassword(t.Context(), role, next), "revoking": super.Revoke(t.Context(), role, free),
					"cloning": super.EnsureClone(t.Context(), role, "clone", next), "becoming": super.EnsureClone(t.Context(), "app", role, next),
				} {
					if !errors.Is(err, rotation.ErrPermission) {
						t.Errorf("%s of one with %s: got %v, want %v", doing, role, err, rotation.ErrPermission)
					}
				}
				mustLogin(t, s, valueAt(s, role, "old", ""))
			}
			if err := super.SetPassword(t.Context(), "app", next); err != nil {
				t.Errorf("one who is none: %v", err)
			}
		})
	}
}

func TestUsersBelongToTheDatabaseThatTheValueNames(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	for name, tt := range map[string]struct{ more, db string }{
		"none":                       {``, "admin"},
		"dbname, as AWS has it":      {`,"dbname":"shop"`, "shop"},
		"authSource before database": {`,"database":"shop","authSource":"people"`, "people"},
	} {
		s.SetUser(tt.db, "app", "old", bson.M{"roles": mongotest.Roles("read")})
		other := map[string]string{"admin": "shop", "shop": "admin", "people": "shop"}[tt.db]
		s.SetUser(other, "app", "another's", bson.M{"roles": mongotest.Roles("read")})
		first := valueAt(s, "app", "old", tt.more)
		store := rotationtest.NewStore(first, nil)
		strategy := rotation.AlternatingUsers{Database: newDatabase(t, rotation.ReachOptions{CA: s.CA}), Superuser: superuserOf(valueAt(s, "boss", "boss", ""))}
		rotate(t, store, strategy, "token")
		if s.FieldsOf(tt.db+".app_clone") == nil {
			t.Errorf("%s: the clone is not in %s", name, tt.db)
		}
		if err := rotation.Retire(t.Context(), store, rotation.Only(strategy), "db", "version-1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := login(t, s, first); !errors.Is(err, rotation.ErrAuth) {
			t.Errorf("%s: the revoked login: got %v, want %v", name, err, rotation.ErrAuth)
		}
		mustLogin(t, s, valueAt(s, "app", "another's", `,"authSource":"`+other+`"`))
	}
}

func rotate(t *testing.T, store *rotationtest.Store, strategy rotation.Strategy, token string) {
	t.Helper()
	r := rotation.New(store, rotation.Options{Choose: rotation.Only(strategy), Logger: slog.New(slog.DiscardHandler)})
	for _, step := range []rotation.Step{rotation.StepCreate, rotation.StepSet, rotation.StepTest, rotation.StepFinish} {
		e := store.Begin(token)
		e.Step = step
		if err := r.Step(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConsumersAreLetInAllTheTime(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read")})
	db := newDatabase(t, rotation.ReachOptions{CA: s.CA})
	store := rotationtest.NewStore(valueAt(s, "app", "old", ""), nil)
	strategy := rotation.AlternatingUsers{Database: db, Superuser: superuserOf(valueAt(s, "boss", "boss", ""))}
	done, ended := make(chan struct{}), make(chan int)
	login := make(chan struct{}) // hears of the end of each
	go func() {
		logins := 0
		defer func() { ended <- logins }()
		for {
			v, err := store.Get(t.Context(), "", "", rotation.LabelCurrent)
			if err == nil {
				err = rotationtest.Login(db)(t.Context(), v)
			}
			if err != nil {
				t.Errorf("a consumer: %v", err)
			}
			logins++
			select {
			case <-done:
				return
			case login <- struct{}{}:
			default:
			}
		}
	}()
	const rotations = 20
	for n := range rotations {
		rotate(t, store, strategy, fmt.Sprintf("token-%d", n))
		// A login that lasts over two rotations meets a password that is gone.
		<-login // it may have begun before
		<-login
	}
	close(done)
	t.Logf("%d logins during %d rotations", <-ended, rotations)
}

func TestALoginInUseStaysAndOneThatComesIntoUseIsTold(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read")})
	super := mustLogin(t, s, valueAt(s, "boss", "boss", ""))
	inUse := func(context.Context) error { return rotation.ErrInUse }
	if err := super.Revoke(t.Context(), "app", inUse); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("revoking one in use: got %v, want %v", err, rotation.ErrInUse)
	}
	mustLogin(t, s, valueAt(s, "app", "old", ""))
	asked := 0
	late := func(context.Context) error {
		if asked++; asked > 1 {
			return rotation.ErrInUse
		}
		return nil
	}
	if err := super.Revoke(t.Context(), "app", late); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("revoking one that comes into use: got %v, want %v", err, rotation.ErrInUse)
	}
	if err := super.Revoke(t.Context(), "dropped", inUse); err != nil {
		t.Errorf("revoking a user that is not there: %v", err)
	}
}

func TestErrorsSayWhatTheyMeanAndHoldNoPassword(t *testing.T) {
	t.Parallel()
	s := mongotest.Start(t)
	s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read")})
	const canary = "canary-4711"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	at := func(more string) rotation.Credential {
		c, err := rotation.ParseCredential(valueAt(s, "app", canary, more))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	port := func(n int) string { return fmt.Sprintf(`,"port":%d`, n) }
	right := newDatabase(t, rotation.ReachOptions{CA: s.CA})
	elsewhere, err := rotation.ParseHosts("db.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		db   *Database
		c    rotation.Credential
		want error
	}{
		"a wrong password":            {right, at(""), rotation.ErrAuth},
		"an unknown user":             {right, at(`,"dbname":"nowhere"`), rotation.ErrAuth},
		"a closed port":               {right, at(port(1)), rotation.ErrNetwork},
		"a server that never answers": {newDatabase(t, rotation.ReachOptions{CA: s.CA, Timeout: 50 * time.Millisecond}), at(port(silent.Addr().(*net.TCPAddr).Port)), rotation.ErrNetwork},
		"an unknown certificate":      {newDatabase(t, rotation.ReachOptions{}), at(""), rotation.ErrTLS},
		"a host that is not allowed":  {newDatabase(t, rotation.ReachOptions{CA: s.CA, Hosts: elsewhere}), at(""), rotation.ErrConfiguration},
		"another engine":              {right, at(`,"engine":"mysql"`), rotation.ErrConfiguration},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tt.db.Login(t.Context(), tt.c)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
				t.Error("the password can be read from the error")
			}
		})
	}
	app := mustLogin(t, s, valueAt(s, "app", "old", ""))
	for doing, err := range map[string]error{
		"its own": app.SetPassword(t.Context(), "app", rotation.NewValue(canary)), "another's": app.SetPassword(t.Context(), "boss", rotation.NewValue(canary)),
	} {
		if !errors.Is(err, rotation.ErrPermission) || strings.Contains(err.Error(), canary) {
			t.Errorf("changing %s without the right to: got %v, want %v", doing, err, rotation.ErrPermission)
		}
	}
}

func TestAChangeIsMadeAtThePrimary(t *testing.T) {
	t.Parallel()
	first, primary := mongotest.Start(t), mongotest.Start(t)
	set := []string{primary.Addr(), first.Addr()}
	for _, s := range []*mongotest.Server{first, primary} {
		s.Set = set
		s.SetUser("admin", "app", "old", bson.M{"roles": mongotest.Roles("read", "selfService")})
	}
	db := newDatabase(t, rotation.ReachOptions{CA: first.CA + primary.CA})
	change := func(host string) error {
		c, err := rotation.ParseCredential(rotation.NewValue(fmt.Sprintf(`{"host":%q,"username":"app","password":"old"}`, host)))
		if err != nil {
			t.Fatal(err)
		}
		session, err := db.Login(t.Context(), c)
		if err != nil {
			return err
		}
		return errors.Join(session.SetPassword(t.Context(), "app", rotation.NewValue("new")), session.Close(t.Context()))
	}
	if err := change(first.Addr()); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("at a secondary: got %v, want %v", err, rotation.ErrConfiguration)
	}
	if err := change(first.Addr() + ", " + primary.Addr()); err != nil {
		t.Errorf("at the set: %v", err)
	}
	mustLogin(t, primary, valueAt(primary, "app", "new", ""))
	db = newDatabase(t, rotation.ReachOptions{Timeout: 3 * time.Second}) // the driver tries until it is over
	if err := change(first.Addr() + "," + primary.Addr()); !errors.Is(err, rotation.ErrTLS) {
		t.Errorf("at a set with an unknown certificate: got %v, want %v", err, rotation.ErrTLS)
	}
}
