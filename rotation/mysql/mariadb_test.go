package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/mysqltest"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// credential is a login at a test's server.
func credential(t testing.TB, s *mysqltest.Server, user, password string) rotation.Credential {
	t.Helper()
	c, err := rotation.ParseCredential(rotation.NewValue(fmt.Sprintf(
		`{"engine":"mariadb","host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, user, password)))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func database(t testing.TB, s *mysqltest.Server) *Database {
	t.Helper()
	return New(reach(t, rotation.ReachOptions{CA: s.CA}))
}

func reach(t testing.TB, opts rotation.ReachOptions) *rotation.Reach {
	t.Helper()
	r, err := rotation.NewReach(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// superuserOf gives the strategies the server's superuser.
func superuserOf(t testing.TB, s *mysqltest.Server) rotation.Superuser {
	t.Helper()
	store := rotationtest.NewStore(rotation.NewValue(fmt.Sprintf(
		`{"host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, s.User, s.Password)), nil)
	return rotation.SuperuserFrom(store, "superuser")
}

// as opens a session that is closed with the test.
func as(t testing.TB, s *mysqltest.Server, user, password string) rotation.DualSession {
	t.Helper()
	session, err := database(t, s).Login(t.Context(), credential(t, s, user, password))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session.(rotation.DualSession)
}

func superuser(t testing.TB, s *mysqltest.Server) rotation.DualSession {
	t.Helper()
	return as(t, s, s.User, s.Password)
}

// takes checks which passwords of a user the server takes.
func takes(t testing.TB, s *mysqltest.Server, user string, passwords map[string]bool) {
	t.Helper()
	for password, want := range passwords {
		_, err := mysqltest.Login(t, s, user, password, "")
		if got := err == nil; got != want {
			t.Errorf("%s with the password %q: let in %v, want %v (%v)", user, password, got, want, err)
		}
	}
}

// query is the rows of a query, each cell on its own.
func query(t testing.TB, s *mysqltest.Server, sql string) (cells []string) {
	t.Helper()
	conn, err := mysqltest.Login(t, s, s.User, s.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := conn.QueryContext(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var cell string
		if err := rows.Scan(&cell); err != nil {
			t.Fatal(err)
		}
		cells = append(cells, cell)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return cells
}

// free lets a user be revoked.
func free(context.Context) error { return nil }

func TestAnyPasswordCanBeSetAndUsedAndIsInNoLog(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{Settings: map[string]string{
		"general-log": "on", "general-log-file": "general.log", "log-bin": "binary", "slow-query-log": "on", "slow-query-log-file": "slow.log", "long-query-time": "0",
	}})
	mysqltest.Exec(t, s, `CREATE USER app IDENTIFIED BY 'old'`, `CREATE USER self IDENTIFIED BY 'old-self'`)
	super := superuser(t, s)
	for name, password := range map[string]string{
		"plain": "canary-secret", "quotes": `it's "quoted"`, "backslash": `a\b\'c`, "unicode": "pässwörd ✓", "placeholders": "? ?? %s",
		"a statement": "'; DROP USER app; --", "spaces": "  two  ", "long": strings.Repeat("x", 500), "a hash": nativeHash("other"),
	} {
		if err := super.SetPassword(t.Context(), "app", rotation.NewValue(password)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		next := password + "-next"
		if err := super.AddPassword(t.Context(), "app", rotation.NewValue(password), rotation.NewValue(next)); err != nil {
			t.Fatalf("%s, adding: %v", name, err)
		}
		takes(t, s, "app", map[string]bool{password: true, next: true, "old": false})
		if err := super.DropPassword(t.Context(), "app", rotation.NewValue(password), rotation.NewValue(next), free); err != nil {
			t.Fatalf("%s, dropping: %v", name, err)
		}
		takes(t, s, "app", map[string]bool{password: false, next: true})
		if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue(password)); err != nil {
			t.Fatalf("%s, cloning: %v", name, err)
		}
		takes(t, s, "app_clone", map[string]bool{password: true})
		for _, file := range []string{"general.log", "slow.log", "binary.000001"} {
			log, err := s.File(file)
			if err != nil || !strings.Contains(log, "ALTER USER `app`@`%`") {
				t.Fatalf("%s, %s is no log: %v", name, file, err)
			}
			if strings.Contains(log, password) || strings.Contains(log, literal(password)) {
				t.Errorf("%s: the password is in %s", name, file)
			}
		}
	}
	if err := as(t, s, "self", "old-self").SetPassword(t.Context(), "self", rotation.NewValue("canary-self")); err != nil {
		t.Fatal(err)
	}
	takes(t, s, "self", map[string]bool{"canary-self": true, "old-self": false})
	if log, err := s.File("general.log"); err != nil || strings.Contains(log, "canary-self") {
		t.Errorf("the own password is in the log: %v", err)
	}
}

func TestUserNamesAreNames(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{Settings: map[string]string{"sql-mode": "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT"}})
	super := superuser(t, s)
	for _, user := range []string{
		"App User", `qu"ote`, "it's", "back`tick", `back\slash`, `end\`, "per%cent", "under_score", "semi;colon", "Ünïcode", "at@sign", "?", strings.Repeat("n", 26), "app", "APP",
	} {
		setup, err := mysqltest.Login(t, s, s.User, s.Password, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := setup.ExecContext(t.Context(), "CREATE USER "+identifier(user)+"@`127.0.0._` IDENTIFIED BY 'old'"); err != nil {
			t.Fatal(err)
		}
		if err := super.EnsureClone(t.Context(), user, user+"_clone", rotation.NewValue("new")); err != nil {
			t.Errorf("cloning %q: %v", user, err)
			continue
		}
		takes(t, s, user+"_clone", map[string]bool{"new": true, "old": false})
		if err := super.AddPassword(t.Context(), user, rotation.NewValue("old"), rotation.NewValue("new")); err != nil {
			t.Errorf("adding a password of %q: %v", user, err)
		}
		if err := as(t, s, user, "old").DropPassword(t.Context(), user, rotation.NewValue("old"), rotation.NewValue("new"), free); !errors.Is(err, rotation.ErrPermission) {
			t.Errorf("%q dropping a password without the right to: got %v, want %v", user, err, rotation.ErrPermission)
		}
		takes(t, s, user, map[string]bool{"new": true, "old": true})
	}
	if err := super.EnsureClone(t.Context(), "app", strings.Repeat("n", 129), rotation.NewValue("new")); !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("a name of 129 characters: got %v, want %v", err, rotation.ErrConfiguration)
	}
}

func TestTheCloneHasExactlyTheOriginalsRights(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s,
		"CREATE DATABASE shop", "CREATE TABLE shop.`we``ird, \"(t)\"` (a int, `b``, c` int)", "CREATE PROCEDURE shop.p() SELECT 1", "CREATE FUNCTION shop.f() RETURNS int RETURN 1",
		"CREATE ROLE reader", "CREATE ROLE writer", "GRANT SELECT ON shop.* TO reader",
		`CREATE USER app@'127.0.0.%' IDENTIFIED BY 'old' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 500000 MAX_USER_CONNECTIONS 30 MAX_STATEMENT_TIME 1.5 PASSWORD EXPIRE INTERVAL 7 DAY`,
		"GRANT PROCESS, RELOAD ON *.* TO app@'127.0.0.%'", "GRANT ALL ON `sho\\_%`.* TO app@'127.0.0.%'",
		"GRANT SELECT, INSERT (a, `b``, c`), UPDATE (a) ON shop.`we``ird, \"(t)\"` TO app@'127.0.0.%' WITH GRANT OPTION",
		"GRANT EXECUTE ON PROCEDURE shop.p TO app@'127.0.0.%'", "GRANT EXECUTE ON FUNCTION shop.f TO app@'127.0.0.%' WITH GRANT OPTION",
		"GRANT reader TO app@'127.0.0.%'", "GRANT writer TO app@'127.0.0.%' WITH ADMIN OPTION", "SET DEFAULT ROLE reader FOR app@'127.0.0.%'")
	super := superuser(t, s)
	same := func(when string) {
		t.Helper()
		for range 2 { // the second time there is nothing to do
			if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
		}
		takes(t, s, "app_clone", map[string]bool{"new": true})
		for _, show := range []string{"SHOW GRANTS FOR %s@'127.0.0.%%'", "SHOW CREATE USER %s@'127.0.0.%%'"} {
			mysqltest.Exec(t, s, "ALTER USER app@'127.0.0.%' IDENTIFIED BY 'new'") // for hashes that are alike
			want := slices.Sorted(slices.Values(query(t, s, fmt.Sprintf(show, "app"))))
			var got []string
			for _, line := range query(t, s, fmt.Sprintf(show, "app_clone")) {
				got = append(got, strings.ReplaceAll(line, "app_clone", "app"))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-original +clone)\n%s", when, show, diff)
			}
		}
	}
	same("at first")
	mysqltest.Exec(t, s,
		"REVOKE RELOAD ON *.* FROM app@'127.0.0.%'", "REVOKE ALL ON `sho\\_%`.* FROM app@'127.0.0.%'", "GRANT SELECT ON `sho\\_%`.* TO app@'127.0.0.%'",
		"REVOKE UPDATE (a), GRANT OPTION ON shop.`we``ird, \"(t)\"` FROM app@'127.0.0.%'", "REVOKE EXECUTE, GRANT OPTION ON FUNCTION shop.f FROM app@'127.0.0.%'",
		"REVOKE writer FROM app@'127.0.0.%'", "GRANT ALL ON shop.* TO app@'127.0.0.%' WITH GRANT OPTION", "SET DEFAULT ROLE NONE FOR app@'127.0.0.%'",
		"ALTER USER app@'127.0.0.%' REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 MAX_STATEMENT_TIME 0 PASSWORD EXPIRE NEVER")
	same("after changes of the original")
	mysqltest.Exec(t, s, "GRANT SUPER ON *.* TO app_clone@'127.0.0.%'")
	if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("newer")); !errors.Is(err, rotation.ErrPermission) {
		t.Errorf("a clone that is an administrator: got %v, want %v", err, rotation.ErrPermission)
	}
	takes(t, s, "app_clone", map[string]bool{"new": true, "newer": false})
}

func TestAnAccountKeepsWhatItHasBesideItsPassword(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s, `CREATE USER app@'127.0.0.1' IDENTIFIED VIA mysql_native_password USING PASSWORD('old') OR unix_socket REQUIRE SSL WITH MAX_USER_CONNECTIONS 9 PASSWORD EXPIRE NEVER`)
	super := superuser(t, s)
	pw := rotation.NewValue
	for _, step := range []struct {
		run  func() error
		want string
	}{
		{func() error { return super.AddPassword(t.Context(), "app", pw("old"), pw("new")) }, "mysql_native_password USING '" + nativeHash("new") + "' OR mysql_native_password USING '" + nativeHash("old") + "' OR unix_socket"},
		{func() error { return super.AddPassword(t.Context(), "app", pw("old"), pw("new")) }, "mysql_native_password USING '" + nativeHash("new") + "' OR mysql_native_password USING '" + nativeHash("old") + "' OR unix_socket"},
		{func() error { return super.AddPassword(t.Context(), "app", pw("old"), pw("newer")) }, "mysql_native_password USING '" + nativeHash("newer") + "' OR mysql_native_password USING '" + nativeHash("old") + "' OR unix_socket"},
		{func() error { return super.DropPassword(t.Context(), "app", pw("old"), pw("newer"), free) }, "mysql_native_password USING '" + nativeHash("newer") + "' OR unix_socket"},
		{func() error { return super.DropPassword(t.Context(), "app", pw("old"), pw("newer"), free) }, "mysql_native_password USING '" + nativeHash("newer") + "' OR unix_socket"},
		{func() error { return super.SetPassword(t.Context(), "app", pw("set")) }, "mysql_native_password USING '" + nativeHash("set") + "' OR unix_socket"},
	} {
		if err := step.run(); err != nil {
			t.Fatal(err)
		}
		got := query(t, s, "SHOW CREATE USER app@'127.0.0.1'")[0]
		want := "CREATE USER `app`@`127.0.0.1` IDENTIFIED VIA " + step.want + " REQUIRE SSL WITH MAX_USER_CONNECTIONS 9 PASSWORD EXPIRE NEVER"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}

func TestWhatIsNotThereIsNotReplaced(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s, `CREATE USER app IDENTIFIED BY 'old'`, `CREATE USER twice@'10.%' IDENTIFIED BY 'old'`, `CREATE USER twice@'%' IDENTIFIED BY 'old'`,
		`CREATE USER socket IDENTIFIED VIA unix_socket`, `CREATE ROLE app2`)
	super := superuser(t, s)
	pw := rotation.NewValue
	answer := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for name, tt := range map[string]struct {
		run  func() error
		want error
	}{
		"adding beside a password that is none": {func() error { return super.AddPassword(t.Context(), "app", pw("wrong"), pw("new")) }, rotation.ErrConflict},
		"dropping for a password that is none":  {func() error { return super.DropPassword(t.Context(), "app", pw("old"), pw("wrong"), free) }, rotation.ErrConflict},
		"dropping one that is in use": {func() error {
			return super.DropPassword(t.Context(), "app", pw("old"), pw("new"), answer(rotation.ErrInUse))
		}, rotation.ErrInUse},
		"dropping one that is dropped": {func() error {
			return super.DropPassword(t.Context(), "app", pw("older"), pw("old"), answer(rotation.ErrInUse))
		}, nil},
		"revoking one that is in use":       {func() error { return super.Revoke(t.Context(), "app", answer(rotation.ErrInUse)) }, rotation.ErrInUse},
		"revoking a user that is not there": {func() error { return super.Revoke(t.Context(), "nobody", answer(rotation.ErrInUse)) }, nil},
		"a user that is not there":          {func() error { return super.SetPassword(t.Context(), "nobody", pw("new")) }, rotation.ErrConfiguration},
		"a role":                            {func() error { return super.SetPassword(t.Context(), "app2", pw("new")) }, rotation.ErrConfiguration},
		"a user with two accounts":          {func() error { return super.SetPassword(t.Context(), "twice", pw("new")) }, rotation.ErrConfiguration},
		"revoking a user with two accounts": {func() error { return super.Revoke(t.Context(), "twice", free) }, rotation.ErrConfiguration},
		"a user without a password":         {func() error { return super.SetPassword(t.Context(), "socket", pw("new")) }, rotation.ErrConfiguration},
		"cloning a user that is not there":  {func() error { return super.EnsureClone(t.Context(), "nobody", "app_clone", pw("new")) }, rotation.ErrConfiguration},
	} {
		if err := tt.run(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	takes(t, s, "app", map[string]bool{"old": true, "new": false, "wrong": false})
	takes(t, s, "twice", map[string]bool{"old": true, "new": false})
}

func TestStepsAtTheSameTimeWaitForEachOther(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s, "CREATE DATABASE shop", `CREATE USER app IDENTIFIED BY 'old'`, "GRANT ALL ON shop.* TO app")
	var wg sync.WaitGroup
	for range 8 {
		session := superuser(t, s)
		wg.Go(func() {
			if err := session.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue("new")); err != nil {
				t.Errorf("one of eight at once, cloning: %v", err)
			}
			if err := session.AddPassword(t.Context(), "app", rotation.NewValue("old"), rotation.NewValue("new")); err != nil {
				t.Errorf("one of eight at once, adding: %v", err)
			}
		})
	}
	wg.Wait()
	takes(t, s, "app_clone", map[string]bool{"new": true})
	takes(t, s, "app", map[string]bool{"new": true, "old": true})
}

// A deadline is told by a context and never comes: a machine under load may be
// as slow as it likes.
type deadline struct {
	context.Context
	at time.Time
}

func (d deadline) Deadline() (time.Time, bool) { return d.at, true }

func TestALockThatAnotherHoldsIsAConflict(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s, `CREATE USER app IDENTIFIED BY 'old'`)
	first, second := superuser(t, s), superuser(t, s)
	err := first.Revoke(t.Context(), "app", func(ctx context.Context) error {
		told := deadline{ctx, time.Now().Add(3 * time.Second)} // the lock is waited for half of it, in whole seconds
		return second.SetPassword(told, "app", rotation.NewValue("new"))
	})
	if !errors.Is(err, rotation.ErrConflict) {
		t.Errorf("got %v, want %v", err, rotation.ErrConflict)
	}
	if err := second.SetPassword(t.Context(), "app", rotation.NewValue("new")); err != nil {
		t.Errorf("after the lock was given back: %v", err)
	}
}

func TestAnAdministratorIsChangedByNobodyElse(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s, "CREATE ROLE chief", "GRANT CREATE USER ON *.* TO chief", "CREATE ROLE deputy", "GRANT chief TO deputy")
	for user, right := range map[string]string{
		"boss": "GRANT ALL ON *.* TO boss", "super": "GRANT SUPER ON *.* TO super", "maker": "GRANT CREATE USER ON *.* TO maker",
		"granter": "GRANT SELECT ON *.* TO granter WITH GRANT OPTION", "writer": "GRANT UPDATE ON mysql.* TO writer", "wild": "GRANT INSERT ON `my%`.* TO wild",
		"column": "GRANT UPDATE (Priv) ON mysql.global_priv TO `column`", "everywhere": "GRANT INSERT ON *.* TO everywhere",
		"byrole": "GRANT deputy TO byrole", "proxy": "GRANT PROXY ON boss TO proxy",
	} {
		mysqltest.Exec(t, s, "CREATE USER "+identifier(user)+" IDENTIFIED BY 'old'", right)
		super := superuser(t, s)
		for doing, err := range map[string]error{
			"setting the password": super.SetPassword(t.Context(), user, rotation.NewValue("new")),
			"adding a password":    super.AddPassword(t.Context(), user, rotation.NewValue("old"), rotation.NewValue("new")),
			"cloning":              super.EnsureClone(t.Context(), user, user+"_clone", rotation.NewValue("new")),
			"revoking":             super.Revoke(t.Context(), user, free),
		} {
			if !errors.Is(err, rotation.ErrPermission) || !strings.Contains(fmt.Sprint(err), "administrator") {
				t.Errorf("%s of %s: got %v, want %v", doing, user, err, rotation.ErrPermission)
			}
		}
		takes(t, s, user, map[string]bool{"old": true, "new": false})
	}
	if err := as(t, s, "boss", "old").SetPassword(t.Context(), "boss", rotation.NewValue("new")); err != nil {
		t.Errorf("an administrator changing itself: %v", err)
	}
	mysqltest.Exec(t, s, "CREATE USER app IDENTIFIED BY 'old'", "GRANT SELECT ON mysql.* TO app", "GRANT ALL ON `myshop`.* TO app", "GRANT ALL ON `mysql\\_`.* TO app", "GRANT INSERT ON `m_sq`.* TO app")
	if err := superuser(t, s).SetPassword(t.Context(), "app", rotation.NewValue("new")); err != nil {
		t.Errorf("a user who is none: %v", err)
	}
}

func TestRetireTakesThePasswordAndNoSession(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	for name, tt := range map[string]struct {
		strategy func(super rotation.Superuser) rotation.Strategy
		user     string // of the new version
	}{
		"alternating": {func(super rotation.Superuser) rotation.Strategy {
			return rotation.AlternatingUsers{Database: database(t, s), Superuser: super}
		}, "alternating_clone"},
		"dual": {func(super rotation.Superuser) rotation.Strategy {
			return rotation.DualPassword{Database: database(t, s), Superuser: super}
		}, "dual"},
	} {
		mysqltest.Exec(t, s, "CREATE USER "+identifier(name)+" IDENTIFIED BY 'old'")
		super := superuser(t, s)
		if name == "dual" {
			if err := super.AddPassword(t.Context(), name, rotation.NewValue("old"), rotation.NewValue("new")); err != nil {
				t.Fatal(err)
			}
		} else if err := super.EnsureClone(t.Context(), name, tt.user, rotation.NewValue("new")); err != nil {
			t.Fatal(err)
		}
		value := func(user, password string) rotation.Value {
			return rotation.NewValue(fmt.Sprintf(`{"host":%q,"port":%d,"username":%q,"password":%q}`, s.Host, s.Port, user, password))
		}
		store := rotationtest.NewStore(value(name, "old"), nil)
		store.Replace("version-2", value(tt.user, "new"))
		open, err := mysqltest.Login(t, s, name, "old", "")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := rotation.Retire(t.Context(), store, rotation.Only(tt.strategy(superuserOf(t, s))), "db", "version-1"); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		takes(t, s, name, map[string]bool{"old": false})
		takes(t, s, tt.user, map[string]bool{"new": true})
		if _, err := open.ExecContext(t.Context(), "SELECT 1"); err != nil {
			t.Errorf("%s: a session that was open has ended: %v", name, err)
		}
	}
}

func TestTheSuperuserNeedsNoMoreThanTheManualSays(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	mysqltest.Exec(t, s,
		"CREATE USER rotator IDENTIFIED BY 'rotator' REQUIRE SSL", "GRANT CREATE USER ON *.* TO rotator", "GRANT SELECT ON mysql.* TO rotator", // docs/rotation.md
		"CREATE DATABASE shop", "CREATE USER app IDENTIFIED BY 'old'", "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO app")
	rotator := as(t, s, "rotator", "rotator")
	pw := rotation.NewValue
	clone := func() error { return rotator.EnsureClone(t.Context(), "app", "app_clone", pw("new")) }
	for doing, err := range map[string]error{
		"setting":  rotator.SetPassword(t.Context(), "app", pw("old")),
		"adding":   rotator.AddPassword(t.Context(), "app", pw("old"), pw("new")),
		"dropping": rotator.DropPassword(t.Context(), "app", pw("old"), pw("new"), free),
	} {
		if err != nil {
			t.Errorf("%s: %v", doing, err)
		}
	}
	if err := clone(); !errors.Is(err, rotation.ErrPermission) {
		t.Errorf("cloning without the rights: got %v, want %v", err, rotation.ErrPermission)
	}
	takes(t, s, "app_clone", map[string]bool{"new": false})
	mysqltest.Exec(t, s, "GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO rotator WITH GRANT OPTION")
	rotator = as(t, s, "rotator", "rotator") // rights on a database count from the next session on
	if err := clone(); err != nil {
		t.Errorf("cloning: %v", err)
	}
	takes(t, s, "app_clone", map[string]bool{"new": true})
}

func TestErrorsSayWhatTheyMeanAndHoldNoPassword(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	const canary = "canary-4711"
	mysqltest.Exec(t, s, `CREATE USER app IDENTIFIED BY 'old'`, `CREATE USER locked IDENTIFIED BY 'old' ACCOUNT LOCK`, `CREATE USER expired IDENTIFIED BY 'old' PASSWORD EXPIRE`,
		`CREATE USER busy IDENTIFIED BY 'old' WITH MAX_USER_CONNECTIONS 1`, `CREATE DATABASE closed`,
		`CREATE USER ways IDENTIFIED VIA mysql_native_password USING PASSWORD('old') OR mysql_native_password USING PASSWORD('older') OR unix_socket`)
	right := database(t, s)
	strict := New(reach(t, rotation.ReachOptions{}))
	hosts, err := rotation.ParseHosts("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := New(reach(t, rotation.ReachOptions{CA: s.CA, Hosts: hosts}))
	closed := credential(t, s, "app", canary)
	closed.Port = 1
	nowhere := credential(t, s, "app", "old")
	nowhere.Database = "nowhere"
	forbidden := credential(t, s, "app", "old")
	forbidden.Database = "closed"
	engine := credential(t, s, "app", canary)
	engine.Engine = "postgres"
	if _, err := mysqltest.Login(t, s, "busy", "old", ""); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		db   *Database
		c    rotation.Credential
		want error
	}{
		"a wrong password":                     {right, credential(t, s, "app", canary), rotation.ErrAuth},
		"an unknown user":                      {right, credential(t, s, "nobody", canary), rotation.ErrAuth},
		"a wrong password with more ways left": {right, credential(t, s, "ways", canary), rotation.ErrAuth},
		"the second of more ways":              {right, credential(t, s, "ways", "older"), nil},
		"an expired password":                  {right, credential(t, s, "expired", "old"), rotation.ErrAuth},
		"a locked account":                     {right, credential(t, s, "locked", "old"), rotation.ErrConfiguration},
		"too many connections":                 {right, credential(t, s, "busy", "old"), rotation.ErrConflict},
		"a closed port":                        {right, closed, rotation.ErrNetwork},
		"an unknown certificate":               {strict, credential(t, s, "app", canary), rotation.ErrTLS},
		"a host that is not allowed":           {elsewhere, credential(t, s, "app", canary), rotation.ErrConfiguration},
		"a database that is not there":         {right, nowhere, rotation.ErrPermission}, // the server does not tell who may not know
		"a database that lets not in":          {right, forbidden, rotation.ErrPermission},
		"another engine":                       {right, engine, rotation.ErrConfiguration},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			session, err := tt.db.Login(t.Context(), tt.c)
			if err == nil {
				err = session.Ping(t.Context())
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %s %#v", err, err, tt.c, &tt.c), canary) {
				t.Error("the password can be read from the error or the credential")
			}
		})
	}
	forbidden.AnyDatabase = true
	if session, err := right.Login(t.Context(), forbidden); err != nil {
		t.Errorf("a session that uses no data: %v", err)
	} else {
		_ = session.Close(t.Context())
	}
	pw := rotation.NewValue
	app := as(t, s, "app", "old")
	for doing, err := range map[string]error{
		"cloning":          app.EnsureClone(t.Context(), "app", "app_clone", pw("new")),
		"changing another": app.SetPassword(t.Context(), "locked", pw("new")),
		"adding its own":   app.AddPassword(t.Context(), "app", pw("old"), pw("new")),
	} {
		if !errors.Is(err, rotation.ErrPermission) {
			t.Errorf("%s without the right to: got %v, want %v", doing, err, rotation.ErrPermission)
		}
	}
}
