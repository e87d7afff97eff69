package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// credential is a login at a test's server.
func credential(t *testing.T, s *pgserver.Server, user, password string) rotation.Credential {
	t.Helper()
	c, err := rotation.ParseCredential(rotation.NewValue(fmt.Sprintf(
		`{"engine":"postgres","host":%q,"port":%d,"username":%q,"password":%q,"dbname":"postgres"}`, s.Host, s.Port, user, password)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func database(t *testing.T, s *pgserver.Server) *Database {
	t.Helper()
	return New(reach(t, rotation.ReachOptions{CA: s.CA}))
}

func reach(t *testing.T, opts rotation.ReachOptions) *rotation.Reach {
	t.Helper()
	r, err := rotation.NewReach(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// superuserOf gives the strategies the server's superuser.
func superuserOf(t *testing.T, s *pgserver.Server) rotation.Superuser {
	t.Helper()
	store := rotationtest.NewStore(rotation.NewValue(fmt.Sprintf(
		`{"host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, s.User, s.Password)), nil)
	return rotation.SuperuserFrom(store, "superuser")
}

// superuser opens a session that is closed with the test.
func superuser(t *testing.T, s *pgserver.Server) rotation.Session {
	t.Helper()
	session, err := database(t, s).Login(t.Context(), credential(t, s, s.User, s.Password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session
}

func TestAnyPasswordCanBeSetAndUsed(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"log_statement": "all"}})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	super := superuser(t, s)
	for name, password := range map[string]string{
		"plain": "secret", "quotes": `it's "quoted"`, "backslash": `a\b\'c`, "unicode": "pässwörd ✓", "dollar": "$1 $$ %s",
		"looks like a statement": "'; DROP ROLE app; --", "spaces": "  two  ", "long": strings.Repeat("x", 500),
	} {
		if err := super.SetPassword(t.Context(), "app", rotation.NewValue(password)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := pgtest.Login(t, s, "app", password, "postgres"); err != nil {
			t.Errorf("%s: the server refuses the password that was set: %v", name, err)
		}
		if strings.Contains(s.Log(), password) {
			t.Errorf("%s: the password is in the server's log", name)
		}
	}
}

func TestUserNamesAreNames(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	super := superuser(t, s)
	for _, user := range []string{"App User", `qu"ote`, "per%cent", "semi;colon", "Ünïcode", strings.Repeat("n", 57)} {
		pgtest.Exec(t, s, "postgres", "CREATE ROLE "+quote(user)+" LOGIN PASSWORD 'old'")
		if err := super.EnsureClone(t.Context(), user, user+"_clone", rotation.NewValue("new")); err != nil {
			t.Errorf("cloning %q: %v", user, err)
			continue
		}
		if _, err := pgtest.Login(t, s, user+"_clone", "new", "postgres"); err != nil {
			t.Errorf("logging in as the clone of %q: %v", user, err)
		}
	}
	if err := super.EnsureClone(t.Context(), "x", strings.Repeat("n", 64), rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("a name of 64 bytes: got %v, want %v", err, rotation.ErrConfiguration)
	}
}

func TestTheCloneCanDoWhatTheOriginalCan(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres",
		`CREATE ROLE app LOGIN CREATEDB CONNECTION LIMIT 7 VALID UNTIL '2099-01-01' PASSWORD 'old'`,
		`ALTER ROLE app SET search_path = shop, public`, `ALTER ROLE app IN DATABASE postgres SET statement_timeout = '7s'`,
		`CREATE SCHEMA shop AUTHORIZATION app`, `CREATE TABLE public.granted (n int)`, `GRANT SELECT ON public.granted TO app`,
		`SET ROLE app`, `CREATE TABLE shop.owned (n int)`)
	super := superuser(t, s)
	if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
		t.Fatal(err)
	}
	clone, err := pgtest.Login(t, s, "app_clone", "new", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT * FROM public.granted`, `INSERT INTO owned VALUES (1)`, `ALTER TABLE owned ADD m int`, `CREATE TABLE by_clone (n int)`,
	} {
		if _, err := clone.Exec(t.Context(), sql); err != nil {
			t.Errorf("as the clone, %s: %v", sql, err)
		}
	}
	original, err := pgtest.Login(t, s, "app", "old", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := original.Exec(t.Context(), `DROP TABLE by_clone`); err != nil {
		t.Errorf("as the original, dropping what the clone made: %v", err)
	}
	var got string
	const facts = `SELECT format('%s %s %s %s', rolconnlimit, rolvaliduntil::date, current_setting('search_path'), current_setting('statement_timeout')) FROM pg_roles WHERE rolname = 'app_clone'`
	if err := clone.QueryRow(t.Context(), facts).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "7 2099-01-01 shop, public 7s"; got != want {
		t.Errorf("limits and settings of the clone = %q, want %q", got, want)
	}
}

func TestStepsAtTheSameTimeWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	db := database(t, s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			session, err := db.Login(t.Context(), credential(t, s, s.User, s.Password))
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = session.Close(context.Background()) }()
			if err := session.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
				t.Errorf("one of eight at once: %v", err)
			}
		})
	}
	wg.Wait()
	if _, err := pgtest.Login(t, s, "app_clone", "new", "postgres"); err != nil {
		t.Error(err)
	}
}

func TestAUserChangesItsOwnPassword(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	if err := superuser(t, s).EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("old")); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"app", "app_clone"} {
		session, err := database(t, s).Login(t.Context(), credential(t, s, user, "old"))
		if err != nil {
			t.Fatal(err)
		}
		if err := session.SetPassword(t.Context(), user, rotation.NewValue("new")); err != nil {
			t.Errorf("%s: %v", user, err)
		}
		_ = session.Close(t.Context())
		if _, err := pgtest.Login(t, s, user, "new", "postgres"); err != nil {
			t.Errorf("%s: the new password is refused: %v", user, err)
		}
	}
}

func TestARevokedLoginIsRefusedAndOneInUseIsNot(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	super := superuser(t, s)
	answer := func(err error) func(context.Context) error {
		return func(context.Context) error { return err }
	}
	if err := super.Revoke(t.Context(), "app", answer(rotation.ErrInUse)); !errors.Is(err, rotation.ErrInUse) {
		t.Errorf("revoking a login in use: got %v, want %v", err, rotation.ErrInUse)
	}
	if _, err := pgtest.Login(t, s, "app", "old", "postgres"); err != nil {
		t.Errorf("a login in use was revoked: %v", err)
	}
	for range 2 {
		if err := super.Revoke(t.Context(), "app", answer(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := database(t, s).Login(t.Context(), credential(t, s, "app", "old")); !errors.Is(err, rotation.ErrAuth) {
		t.Errorf("after revoking: got %v, want %v", err, rotation.ErrAuth)
	}
	if err := super.Revoke(t.Context(), "dropped", answer(nil)); err != nil {
		t.Errorf("revoking a user that is not there: %v", err)
	}
}

func TestErrorsSayWhatTheyMeanAndHoldNoPassword(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgserver.Options{})
	pgtest.Exec(t, s, "postgres", `CREATE ROLE app LOGIN PASSWORD 'old'`)
	const canary = "canary-4711"
	right := database(t, s)
	strict := New(reach(t, rotation.ReachOptions{}))
	closed := credential(t, s, "app", canary)
	closed.Port = 1
	nowhere := credential(t, s, "app", "old")
	nowhere.Database = "nowhere"
	tests := map[string]struct {
		db   *Database
		c    rotation.Credential
		want error
	}{
		"a wrong password":        {right, credential(t, s, "app", canary), rotation.ErrAuth},
		"an unknown user":         {right, credential(t, s, "nobody", canary), rotation.ErrAuth},
		"a closed port":           {right, closed, rotation.ErrNetwork},
		"an unknown certificate":  {strict, credential(t, s, "app", canary), rotation.ErrTLS},
		"a database that is gone": {right, nowhere, rotation.ErrConfiguration},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tt.db.Login(t.Context(), tt.c)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %s %d %+v %#v", err, err, tt.c, tt.c, tt.c, &tt.c), canary) {
				t.Error("the password can be read from the error or the credential")
			}
		})
	}
	session, err := right.Login(t.Context(), credential(t, s, "app", "old"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = session.Close(t.Context()) }()
	if err := session.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); !errors.Is(err, rotation.ErrPermission) {
		t.Errorf("cloning without the right to: got %v, want %v", err, rotation.ErrPermission)
	}
}

func TestTheVerifierIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	// RFC 7677, section 3: the exchange of user "user", password "pencil".
	got, err := verifierWith("pencil", []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81})
	if err != nil {
		t.Fatal(err)
	}
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
