package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/rekey-go/rekey/internal/redistest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// value is the value of a secret with a login at a test's server.
func value(s *redistest.Server, user, password string) rotation.Value {
	return rotation.NewValue(fmt.Sprintf(`{"engine":"redis","host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, user, password))
}

func credential(t *testing.T, s *redistest.Server, user, password string) rotation.Credential {
	t.Helper()
	c, err := rotation.ParseCredential(value(s, user, password))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func database(t *testing.T, opts rotation.ReachOptions) *Database {
	t.Helper()
	r, err := rotation.NewReach(opts)
	if err != nil {
		t.Fatal(err)
	}
	return New(r)
}

// superuserOf gives the strategies a login that may change users.
func superuserOf(v rotation.Value) rotation.Superuser {
	return rotation.SuperuserFrom(rotationtest.NewStore(v, nil), "superuser")
}

// login opens a session that is closed with the test.
func login(t *testing.T, s *redistest.Server, user, password string) rotation.DualSession {
	t.Helper()
	opened, err := database(t, rotation.ReachOptions{CA: s.CA}).Login(t.Context(), credential(t, s, user, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close(context.Background()) })
	return opened.(rotation.DualSession)
}

func superuser(t *testing.T, s *redistest.Server) rotation.DualSession {
	t.Helper()
	return login(t, s, s.User, s.Password)
}

// accepted reports whether the server lets a user in, by a client of its own.
func accepted(t *testing.T, s *redistest.Server, user, password string) bool {
	t.Helper()
	conn, err := redistest.Login(t.Context(), s, user, password)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "WRONGPASS") {
			t.Errorf("logging in as %q: %v", user, err)
		}
		return false
	}
	_ = conn.Close()
	return true
}

func mustBe(t *testing.T, s *redistest.Server, user string, passwords map[string]bool) {
	t.Helper()
	for password, want := range passwords {
		if got := accepted(t, s, user, password); got != want {
			t.Errorf("%s with the password %s: let in %v, want %v", user, password, got, want)
		}
	}
}

func free(context.Context) error { return nil }

func TestAnyPasswordCanBeSetAndUsed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">old")
	super := superuser(t, s)
	for name, password := range map[string]string{
		"plain": "secret", "quotes": `it's "quoted"`, "backslash": `a\b\'c`, "unicode": "pässwörd ✓", "rule": "+@all", "line": "a\r\nFLUSHALL\r\n",
		"looks like a hash": "#" + strings.Repeat("a", 64), "spaces": "  two  ", "long": strings.Repeat("x", 5000),
	} {
		if err := super.SetPassword(t.Context(), "app", rotation.NewValue(password)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !accepted(t, s, "app", password) {
			t.Errorf("%s: the server refuses the password that was set", name)
		}
	}
	mustBe(t, s, "app", map[string]bool{"old": false})
}

func TestTheCloneCanDoExactlyWhatTheOriginalCan(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	rulesOf := func(user string) string {
		for _, line := range lines(t, s) {
			if fields := strings.Fields(line); fields[1] == user {
				// Of the two flags on payloads the one is what the lack of both means.
				rights := slices.DeleteFunc(rules(fields[2:]).rights(), func(rule string) bool { return rule == "sanitize-payload" })
				return strings.Join(rights, " ")
			}
		}
		t.Fatalf("no user %q", user)
		return ""
	}
	for user, rights := range map[string][]any{
		"plain": {"~app:*", "+@read", "+@write", "-keys"}, "everything-but": {"~*", "&*", "+@all", "-@admin"},
		"selectors": {"%R~in:*", "%W~out:*", "&news", "+get", "+set", "(~a* +@list -lpush)", "(%R~b* &ch +@read)"},
		"sub":       {"~*", "+client|setname", "+config|get", "skip-sanitize-payload"}, "nothing": {}, "per%cent_ünicode": {"~*", "+get"},
	} {
		redistest.Do(t, s, "ACL", append([]any{"SETUSER", user, "on", ">old", ">another"}, rights...)...)
		redistest.Do(t, s, "ACL", "SETUSER", user+"_clone", "off", ">stale", "allkeys", "allcommands", "-@admin", "(+@all -@admin)")
		for range 2 {
			if err := superuser(t, s).EnsureClone(t.Context(), user, user+"_clone", rotation.NewValue("new")); err != nil {
				t.Fatal(err)
			}
		}
		mustBe(t, s, user, map[string]bool{"old": true, "another": true})
		mustBe(t, s, user+"_clone", map[string]bool{"new": true, "old": false, "stale": false})
		if got, want := rulesOf(user+"_clone"), rulesOf(user); got != want {
			t.Errorf("the clone of %s has\n%s, want\n%s", user, got, want)
		}
	}
	if err := superuser(t, s).EnsureClone(t.Context(), "nobody", "nobody_clone", rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("cloning a user that is not there: got %v, want %v", err, rotation.ErrConfiguration)
	}
	if err := superuser(t, s).SetPassword(t.Context(), "nobody", rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) || accepted(t, s, "nobody", "new") {
		t.Errorf("setting the password of a user that is not there: got %v, want %v", err, rotation.ErrConfiguration)
	}
}

func lines(t *testing.T, s *redistest.Server) []string {
	t.Helper()
	all, err := redis.Strings(redistest.Do(t, s, "ACL", "LIST"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPasswordsOfOthersStayAndOnlyTheOldOneGoes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">old", ">a-person")
	super := superuser(t, s)
	old, current := rotation.NewValue("old"), rotation.NewValue("new")
	if err := super.DropPassword(t.Context(), "app", old, current, free); !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("dropping the old password before there is a new one: got %v, want %v", err, rotation.ErrConflict)
	}
	for range 2 {
		if err := super.AddPassword(t.Context(), "app", old, current); err != nil {
			t.Fatal(err)
		}
		mustBe(t, s, "app", map[string]bool{"old": true, "new": true, "a-person": true})
	}
	inUse := func(context.Context) error { return rotation.ErrInUse }
	if err := super.DropPassword(t.Context(), "app", old, current, inUse); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("dropping one in use: got %v, want %v", err, rotation.ErrInUse)
	}
	mustBe(t, s, "app", map[string]bool{"old": true})
	for range 2 {
		if err := super.DropPassword(t.Context(), "app", old, current, free); err != nil {
			t.Fatal(err)
		}
		mustBe(t, s, "app", map[string]bool{"old": false, "new": true, "a-person": true})
	}
	for range 2 {
		if err := super.Revoke(t.Context(), "app", free); err != nil {
			t.Fatal(err)
		}
		mustBe(t, s, "app", map[string]bool{"new": false, "a-person": false})
	}
	if err := super.Revoke(t.Context(), "dropped", free); err != nil {
		t.Errorf("revoking a user that is not there: %v", err)
	}
	if err := super.DropPassword(t.Context(), "dropped", old, current, free); err != nil {
		t.Errorf("dropping a password of a user that is not there: %v", err)
	}
	redistest.Do(t, s, "ACL", "SETUSER", "open", "on", "nopass")
	if err := super.DropPassword(t.Context(), "open", old, current, free); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("a user that needs no password: got %v, want %v", err, rotation.ErrConfiguration)
	}
}

func TestAUserThatComesIntoUseWhileItIsRevokedStays(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">app")
	redistest.Do(t, s, "ACL", "SETUSER", "app_clone", "on", ">old", ">older")
	err := superuser(t, s).Revoke(t.Context(), "app_clone", func(ctx context.Context) error {
		return superuser(t, s).EnsureClone(ctx, "app", "app_clone", rotation.NewValue("pending")) // just after it was asked
	})
	if !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("got %v, want %v", err, rotation.ErrConflict)
	}
	mustBe(t, s, "app_clone", map[string]bool{"pending": true, "old": false})
	redistest.Do(t, s, "ACL", "SETUSER", "app_clone", "nopass")
	if err := superuser(t, s).Revoke(t.Context(), "app_clone", free); err != nil {
		t.Fatal(err)
	}
	mustBe(t, s, "app_clone", map[string]bool{"pending": false, "anything": false})
}

func TestAnAdministratorIsChangedByNobodyElse(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	super := superuser(t, s)
	admins := map[string][]any{
		"all": {"+@all"}, "category": {"+@admin"}, "dangerous": {"+@dangerous", "-acl|setuser"}, "setuser": {"+acl|setuser"}, "acl": {"+@all", "-@admin", "+acl"},
		"selector": {"+get", "(+get)", "(~* +config|set)", "(+set)"}, "replica": {"+replicaof"}, "off": {"off", "+@all"},
	}
	for user, rights := range admins {
		redistest.Do(t, s, "ACL", append([]any{"SETUSER", user, "on", ">old"}, rights...)...)
		redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">old")
		for doing, err := range map[string]error{
			"setting":  super.SetPassword(t.Context(), user, rotation.NewValue("new")),
			"adding":   super.AddPassword(t.Context(), user, rotation.NewValue("old"), rotation.NewValue("new")),
			"dropping": super.DropPassword(t.Context(), user, rotation.NewValue("old"), rotation.NewValue("new"), free),
			"revoking": super.Revoke(t.Context(), user, free),
			"cloning":  super.EnsureClone(t.Context(), user, user+"_clone", rotation.NewValue("new")),
			"becoming": super.EnsureClone(t.Context(), "app", user, rotation.NewValue("new")),
		} {
			if !errors.Is(err, rotation.ErrPermission) {
				t.Errorf("%s of %s: got %v, want %v", doing, user, err, rotation.ErrPermission)
			}
		}
		if user != "off" {
			mustBe(t, s, user, map[string]bool{"old": true, "new": false})
		}
	}
	for user, rights := range map[string][]any{"reader": {"+@all", "-@admin", "-@dangerous"}, "undone": {"+acl|setuser", "-acl"}, "info": {"+acl|whoami", "+config|get", "+info"}} {
		redistest.Do(t, s, "ACL", append([]any{"SETUSER", user, "on", ">old"}, rights...)...)
		if err := super.SetPassword(t.Context(), user, rotation.NewValue("new")); err != nil {
			t.Errorf("%s, who is none: %v", user, err)
		}
	}
}

func TestAnAdministratorChangesItself(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	super := superuser(t, s)
	old, next := rotation.NewValue(s.Password), rotation.NewValue("new")
	if err := super.AddPassword(t.Context(), s.User, old, next); err != nil {
		t.Fatal(err)
	}
	mustBe(t, s, s.User, map[string]bool{s.Password: true, "new": true})
	if err := super.DropPassword(t.Context(), s.User, old, next, free); err != nil {
		t.Fatal(err)
	}
	mustBe(t, s, s.User, map[string]bool{s.Password: false, "new": true})
}

func TestAServerThatCannotWriteItsUsersDownIsNotChanged(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{})
	redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">old")
	redistest.Do(t, s, "ACL", "SETUSER", "rotator", "on", ">old", "+acl|list", "+acl|setuser", "+multi", "+exec")
	super, unable := superuser(t, s), login(t, s, "rotator", "old")
	if err := unable.AddPassword(t.Context(), "app", rotation.Value{}, rotation.NewValue("new")); !errors.Is(err, rotation.ErrPermission) || !strings.Contains(err.Error(), "acl|save") {
		t.Errorf("without the right: got %v, want %v on acl|save", err, rotation.ErrPermission)
	}
	if err := os.RemoveAll(s.Dir); err != nil {
		t.Fatal(err)
	}
	if err := super.AddPassword(t.Context(), "app", rotation.Value{}, rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("without a folder: got %v, want %v", err, rotation.ErrConfiguration)
	}
	mustBe(t, s, "app", map[string]bool{"old": true, "new": false})
}

func TestErrorsSayWhatTheyMeanAndHoldNoPassword(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, redistest.Options{Arguments: []string{"--maxclients", "20"}})
	redistest.Do(t, s, "ACL", "SETUSER", "app", "on", ">old")
	redistest.Do(t, s, "ACL", "SETUSER", "gone", "off", ">old")
	const canary = "canary-4711"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	right := database(t, rotation.ReachOptions{CA: s.CA})
	at := func(port int) rotation.Credential {
		c := credential(t, s, "app", canary)
		c.Port = port
		return c
	}
	engine := credential(t, s, "app", canary)
	engine.Engine = "postgres"
	plain := credential(t, s, "app", canary)
	plain.Plaintext = true
	tests := map[string]struct {
		db   *Database
		c    rotation.Credential
		want error
	}{
		"a wrong password":                  {right, credential(t, s, "app", canary), rotation.ErrAuth},
		"an unknown user":                   {right, credential(t, s, "nobody", canary), rotation.ErrAuth},
		"a user that is off":                {right, credential(t, s, "gone", "old"), rotation.ErrAuth},
		"a closed port":                     {right, at(1), rotation.ErrNetwork},
		"a server that never answers":       {database(t, rotation.ReachOptions{CA: s.CA, Timeout: 50 * time.Millisecond}), at(silent.Addr().(*net.TCPAddr).Port), rotation.ErrNetwork},
		"an unknown certificate":            {database(t, rotation.ReachOptions{}), credential(t, s, "app", canary), rotation.ErrTLS},
		"another engine":                    {right, engine, rotation.ErrConfiguration},
		"plaintext, which the port refuses": {database(t, rotation.ReachOptions{AllowPlaintext: true}), plain, rotation.ErrNetwork},
	}
	for name, tt := range tests {
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
	if err := login(t, s, "app", "old").SetPassword(t.Context(), "app", rotation.NewValue("new")); !errors.Is(err, rotation.ErrPermission) {
		t.Errorf("changing a password without the right to: got %v, want %v", err, rotation.ErrPermission)
	}
}

func TestAnswersOfTheServerHaveAMeaning(t *testing.T) {
	t.Parallel()
	n := &node{reach: database(t, rotation.ReachOptions{}).reach}
	for text, want := range map[string]error{
		"NOAUTH Authentication required.":                               rotation.ErrAuth,
		"LOADING Redis is loading the dataset in memory":                rotation.ErrConflict,
		"BUSY Redis is busy running a script.":                          rotation.ErrConflict,
		"ERR max number of clients reached":                             rotation.ErrConflict,
		"DENIED Redis is running in protected mode":                     rotation.ErrConfiguration,
		"ERR unknown command `ACL`, with args beginning with: `LIST`":   rotation.ErrConfiguration,
		"ERR wrong number of arguments for 'auth' command":              rotation.ErrConfiguration,
		"ERR Rewriting config file: Read-only file system":              rotation.ErrConfiguration,
		"NOPERM this user has no permissions to run the 'acl' command ": rotation.ErrPermission,
	} {
		if err := n.classify("asking", redis.Error(text)); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", text, err, want)
		}
	}
	secret := hash(rotation.NewValue("weak"))[1:]
	err := n.classify("asking", redis.Error("ERR Error in ACL SETUSER modifier '!"+secret+"': The password you are trying to remove from the user does not exist"))
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the hash of a password is in %v", err)
	}
}

func TestPlaintextNeedsTheSecretsWordAndTheFunctions(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first := make(chan byte)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1)
			_, _ = conn.Read(b)
			_ = conn.Close()
			first <- b[0]
		}
	}()
	for allowed, want := range map[bool]byte{false: 0x16, true: '*'} { // a TLS handshake, or a command
		c, err := rotation.ParseCredential(rotation.NewValue(fmt.Sprintf(
			`{"host":"127.0.0.1","port":%d,"username":"app","password":"x","ssl":false}`, l.Addr().(*net.TCPAddr).Port)))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = database(t, rotation.ReachOptions{AllowPlaintext: allowed}).Login(t.Context(), c) }()
		if got := <-first; got != want {
			t.Errorf("allowed %v: the first byte is %#x, want %#x", allowed, got, want)
		}
	}
}
