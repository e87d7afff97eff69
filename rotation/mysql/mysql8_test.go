package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// login opens a session at a stand-in, and closes it with the test.
func (s *standIn) login(t *testing.T, user, password string) (rotation.DualSession, error) {
	t.Helper()
	c, err := rotation.ParseCredential(s.value(user, password))
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.database(t).Login(t.Context(), c)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session.(rotation.DualSession), nil
}

func (s *standIn) mustLogin(t *testing.T, user, password string) rotation.DualSession {
	t.Helper()
	session, err := s.login(t, user, password)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func (s *standIn) database(t *testing.T) *Database {
	t.Helper()
	return New(reach(t, rotation.ReachOptions{CA: s.CA}))
}

func (s *standIn) value(user, password string) rotation.Value {
	return rotation.NewValue(fmt.Sprintf(`{"engine":"mysql","host":%q,"port":%d,"username":%q,"password":%q,"dbname":"shop"}`, s.Host, s.Port, user, password))
}

// run runs statements of a test's setup.
func (s *standIn) run(t *testing.T, statements ...string) {
	t.Helper()
	session := s.model.open(name{"admin", "%"})
	for _, sql := range statements {
		if _, _, err := session.run(sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

func TestStrategiesOnMySQL8SurviveAKillAtEveryCall(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	super := rotation.SuperuserFrom(rotationtest.NewStore(s.value("admin", "admin"), nil), "superuser")
	all := strategies(super)
	all["own dual password"] = func(db rotation.Database) rotation.Strategy { return rotation.DualPassword{Database: db} }
	db := s.database(t)
	for kind, strategy := range all {
		t.Run(kind, func(t *testing.T) {
			n := 0
			rotationtest.Exercise(t, func(t *testing.T) rotationtest.Target {
				t.Helper()
				n++
				user := fmt.Sprintf("%.5s%d", kind, n)
				s.model.create(name{user, "%"}, "old")
				if !strings.Contains(kind, "dual") { // with the quicker of the two hashes
					a := s.model.accounts[anywhere(user)]
					a.plugin, a.primary = nativePassword, stored(t, nativePassword, "old")
				}
				s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+name{user, "%"}.String())
				first := s.value(user, "old")
				return rotationtest.Target{
					Value: first, Wrong: rotationtest.WrongPassword(first), Accepts: rotationtest.Login(db),
					Strategy: func(call rotationtest.Call) rotation.Strategy { return strategy(rotationtest.Database(db, call)) },
				}
			})
		})
	}
}

// hash stands for any hash in a statement.
//
//nolint:gochecknoglobals // a constant expression.
var hash = regexp.MustCompile(`AS '(\$A\$005\$|\*)[^']*'`)

func TestTheOldPasswordIsNeverLetGoOfTooEarly(t *testing.T) {
	t.Parallel()
	const (
		alter   = "ALTER USER `app`@`%` IDENTIFIED WITH 'caching_sha2_password' AS HASH"
		native  = "ALTER USER `app`@`%` IDENTIFIED WITH 'mysql_native_password' AS HASH"
		discard = "ALTER USER `app`@`%` DISCARD OLD PASSWORD"
		own     = "ALTER USER USER() IDENTIFIED BY "
	)
	pw := rotation.NewValue
	add := func(ctx context.Context, s rotation.DualSession) error {
		return s.AddPassword(ctx, "app", pw("keep"), pw("new"))
	}
	drop := func(ctx context.Context, s rotation.DualSession) error {
		return s.DropPassword(ctx, "app", pw("old"), pw("keep"), free)
	}
	set := func(ctx context.Context, s rotation.DualSession) error { return s.SetPassword(ctx, "app", pw("new")) }
	revoke := func(ctx context.Context, s rotation.DualSession) error { return s.Revoke(ctx, "app", free) }
	for name, tt := range map[string]struct {
		primary, second string // before
		plugin          string // caching_sha2_password if empty
		own             bool   // the user itself does it
		require         string // PASSWORD REQUIRE CURRENT
		do              func(context.Context, rotation.DualSession) error
		want            []string
		refuses         []string
	}{
		"adding to one":                         {primary: "keep", do: add, want: []string{alter + retain}},
		"adding, with an older one left":        {primary: "keep", second: "old", do: add, want: []string{alter + retain}, refuses: []string{"old"}},
		"adding, after one that was given up":   {primary: "stray", second: "keep", do: add, want: []string{alter + retain, alter + retain}, refuses: []string{"stray"}},
		"adding what is added":                  {primary: "new", second: "keep", do: add},
		"adding by mysql_native_password":       {primary: "keep", plugin: nativePassword, do: add, want: []string{native + retain}},
		"dropping the second":                   {primary: "keep", second: "old", do: drop, want: []string{discard}, refuses: []string{"old"}},
		"dropping the first":                    {primary: "old", second: "keep", do: drop, want: []string{alter, discard}, refuses: []string{"old"}},
		"dropping what is dropped":              {primary: "keep", do: drop},
		"dropping what is dropped, of two":      {primary: "stray", second: "keep", do: drop},
		"setting":                               {primary: "old", do: set, want: []string{alter}, refuses: []string{"old"}},
		"setting, with two":                     {primary: "old", second: "keep", do: set, want: []string{alter, discard}, refuses: []string{"old", "keep"}},
		"revoking":                              {primary: "old", second: "keep", do: revoke, want: []string{alter, discard}, refuses: []string{"old", "keep"}},
		"adding its own":                        {primary: "keep", own: true, do: add, want: []string{own + "'new' REPLACE 'keep'" + retain}},
		"adding its own, after one given up":    {primary: "stray", second: "keep", own: true, do: add, want: []string{own + "'keep'" + retain, own + "'new' REPLACE 'keep'" + retain}, refuses: []string{"stray"}},
		"dropping its own second":               {primary: "keep", second: "old", own: true, do: drop, want: []string{own + "'keep' REPLACE 'keep'", "ALTER USER USER() DISCARD OLD PASSWORD"}, refuses: []string{"old"}},
		"dropping its own first":                {primary: "old", second: "keep", own: true, do: drop, want: []string{own + "'keep'", "ALTER USER USER() DISCARD OLD PASSWORD"}, refuses: []string{"old"}},
		"setting its own":                       {primary: "keep", own: true, do: set, want: []string{own + "'new'", "ALTER USER USER() DISCARD OLD PASSWORD"}, refuses: []string{"keep"}},
		"setting its own, told the current one": {primary: "keep", own: true, require: "Y", do: set, want: []string{own + "'new' REPLACE 'keep'", "ALTER USER USER() DISCARD OLD PASSWORD"}, refuses: []string{"keep"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t)
			app := anywhere("app")
			s.model.create(app, tt.primary)
			s.run(t, "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO "+app.String())
			a := s.model.accounts[app]
			plugin := tt.plugin
			if plugin == "" {
				plugin = cachingSHA2
			}
			a.plugin, a.requireCurrent = plugin, tt.require
			a.primary = stored(t, plugin, tt.primary)
			if tt.second != "" {
				a.second = stored(t, plugin, tt.second)
			}
			user, password := "admin", "admin"
			if tt.own {
				user, password = "app", "keep"
			}
			session := s.mustLogin(t, user, password)
			s.model.ran = nil
			keeps := !slices.Contains(tt.refuses, "keep")
			s.model.after = func(a *modelAccount) {
				if keeps && (tt.primary == "keep" || tt.second == "keep") && !a.accepts("keep") {
					t.Error("there was a moment at which the password to keep was refused")
				}
			}
			if err := tt.do(t.Context(), session); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, sql := range s.model.ran {
				got = append(got, hash.ReplaceAllString(sql, "AS HASH"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("the statements (-want +got)\n%s", diff)
			}
			for _, password := range tt.refuses {
				if _, err := s.login(t, "app", password); !errors.Is(err, rotation.ErrAuth) {
					t.Errorf("%q is let in: %v", password, err)
				}
			}
			for _, password := range []string{"keep", "new"} {
				sent := slices.ContainsFunc(s.model.ran, func(sql string) bool { return strings.Contains(sql, "'"+password+"'") })
				if sent && !tt.own {
					t.Errorf("%q was sent as text", password)
				}
			}
		})
	}
}

// anywhere is the account of a user who may come from any host.
func anywhere(user string) name { return name{user, "%"} }

func stored(t *testing.T, plugin, password string) string {
	t.Helper()
	m, err := newMethod(plugin, password)
	if err != nil {
		t.Fatal(err)
	}
	return m.stored
}

func TestAUserOfMySQL8MayLackTheRight(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.model.create(anywhere("app"), "old")
	s.model.create(anywhere("other"), "old")
	app := s.mustLogin(t, "app", "old")
	pw := rotation.NewValue
	for doing, err := range map[string]error{
		"adding a password": app.AddPassword(t.Context(), "app", pw("old"), pw("new")),
		"changing another":  app.SetPassword(t.Context(), "other", pw("new")),
		"cloning":           app.EnsureClone(t.Context(), "app", "app_clone", pw("new")),
	} {
		if !errors.Is(err, rotation.ErrPermission) {
			t.Errorf("%s: got %v, want %v", doing, err, rotation.ErrPermission)
		}
	}
	if err := app.SetPassword(t.Context(), "app", pw("new")); err != nil {
		t.Errorf("changing itself: %v", err)
	}
	s.mustLogin(t, "app", "new")
}

func TestTheCloneOnMySQL8HasExactlyTheOriginalsRights(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	original, clone := name{"app", "127.0.0.1"}, name{"app_clone", "127.0.0.1"}
	for _, role := range []string{"reader", "writer"} {
		s.model.create(anywhere(role), "-")
	}
	s.model.create(original, "old")
	s.run(t,
		"GRANT SELECT, PROCESS ON *.* TO `app`@`127.0.0.1`", "GRANT CONNECTION_ADMIN ON *.* TO `app`@`127.0.0.1` WITH GRANT OPTION", "GRANT XA_RECOVER_ADMIN ON *.* TO `app`@`127.0.0.1`",
		"REVOKE SELECT ON `mysql`.* FROM `app`@`127.0.0.1`", "GRANT ALL PRIVILEGES ON `sh``op`.* TO `app`@`127.0.0.1` WITH GRANT OPTION",
		"GRANT INSERT (`a`), INSERT (`b``, c`) ON `shop`.`t` TO `app`@`127.0.0.1`", "GRANT EXECUTE ON PROCEDURE `shop`.`p` TO `app`@`127.0.0.1`",
		"GRANT `reader`@`%` TO `app`@`127.0.0.1`", "GRANT `writer`@`%` TO `app`@`127.0.0.1` WITH ADMIN OPTION", "ALTER USER `app`@`127.0.0.1` DEFAULT ROLE `reader`@`%`, `writer`@`%`",
		`ALTER USER `+"`app`@`127.0.0.1`"+` REQUIRE SUBJECT '/CN=it\'s' ISSUER '/C=a\\b' WITH MAX_USER_CONNECTIONS 7 PASSWORD EXPIRE INTERVAL 9 DAY PASSWORD HISTORY 3 PASSWORD REQUIRE CURRENT FAILED_LOGIN_ATTEMPTS 4 PASSWORD_LOCK_TIME UNBOUNDED ATTRIBUTE '{"team": "shop"}'`)
	super := s.mustLogin(t, "admin", "admin")
	same := func(when string, password string) {
		t.Helper()
		if err := super.EnsureClone(t.Context(), "app", "app_clone", rotation.NewValue(password)); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		from, to := s.model.accounts[original], s.model.accounts[clone]
		if !to.accepts(password) {
			t.Errorf("%s: the password is refused", when)
		}
		if diff := cmp.Diff(from.grants(original), to.grants(original)); diff != "" {
			t.Errorf("%s, the rights (-original +clone)\n%s", when, diff)
		}
		if diff := cmp.Diff(from.options(), to.options()); diff != "" {
			t.Errorf("%s, the options (-original +clone)\n%s", when, diff)
		}
		if diff := cmp.Diff(from.defaultRoles, to.defaultRoles, cmp.AllowUnexported(name{})); diff != "" {
			t.Errorf("%s, the default roles (-original +clone)\n%s", when, diff)
		}
	}
	same("at first", "new")
	s.model.ran = nil
	same("the second time", "newer")
	if len(s.model.ran) != 1 {
		t.Errorf("where nothing changed but the password it ran %v", s.model.ran)
	}
	s.run(t,
		"REVOKE PROCESS ON *.* FROM `app`@`127.0.0.1`", "GRANT SHUTDOWN ON *.* TO `app`@`127.0.0.1`", "GRANT CONNECTION_ADMIN ON *.* TO `app`@`127.0.0.1`", "REVOKE XA_RECOVER_ADMIN ON *.* FROM `app`@`127.0.0.1`",
		"GRANT SELECT ON `mysql`.* TO `app`@`127.0.0.1`", "REVOKE ALL PRIVILEGES ON `sh``op`.* FROM `app`@`127.0.0.1`", "GRANT DELETE ON `sh``op`.* TO `app`@`127.0.0.1`",
		"REVOKE `writer`@`%` FROM `app`@`127.0.0.1`", "ALTER USER `app`@`127.0.0.1` DEFAULT ROLE NONE",
		`ALTER USER `+"`app`@`127.0.0.1`"+` REQUIRE SSL WITH MAX_USER_CONNECTIONS 0 ACCOUNT LOCK PASSWORD EXPIRE NEVER PASSWORD REQUIRE CURRENT DEFAULT FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0 ATTRIBUTE '{"team": null, "cost": 7}'`)
	same("after changes of the original", "newest")
}

func TestAnAdministratorOfMySQL8IsChangedByNobodyElse(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	super := s.mustLogin(t, "admin", "admin")
	n := 0
	for right, admin := range map[string]bool{
		"SYSTEM_USER ON *.*": true, "ROLE_ADMIN ON *.*": true, "SET_ANY_DEFINER ON *.*": true, "CREATE USER ON *.*": true, "SUPER ON *.*": true, "FILE ON *.*": true,
		"UPDATE ON `mysql`.*": true, "INSERT ON `mysql`.`user`": true, "`admin`@`%`": true, "UPDATE ON `%`.*": true,
		"APPLICATION_PASSWORD_ADMIN ON *.*": false, "CONNECTION_ADMIN ON *.*": false, "SELECT ON *.*": false, "ALL PRIVILEGES ON `shop`.*": false, "SELECT ON `mysql`.*": false,
	} {
		n++
		user := anywhere(fmt.Sprint("user", n))
		s.model.create(user, "old")
		s.run(t, "GRANT "+right+" TO "+user.String())
		err := super.SetPassword(t.Context(), user.user, rotation.NewValue("new"))
		if got := errors.Is(err, rotation.ErrPermission); got != admin || !admin && err != nil {
			t.Errorf("%s: got %v, want it refused: %v", right, err, admin)
		}
	}
}

func TestOnlyServersThatCanAreTaken(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"8.0.14": true, "8.0.36-log": true, "8.4.3": true, "9.1.0": true, "8.0.28-aurora": true, "8.0.13": false, "5.7.44-log": false, "8.0.11-TiDB-v7.5.0": false, "unknown": false,
		"10.4.0-MariaDB": true, "10.11.19-MariaDB-0+deb12u1": true, "11.8.2-MariaDB-log": true, "10.3.39-MariaDB": false,
	} {
		s, err := serverOf(version)
		if got := err == nil; got != want || !want && !errors.Is(err, rotation.ErrConfiguration) {
			t.Errorf("%s: taken %v, want %v (%v)", version, got, want, err)
		}
		if _, isMariaDB := s.(mariaDB); want && isMariaDB != strings.Contains(version, "MariaDB") {
			t.Errorf("%s is taken for a %T", version, s)
		}
	}
}

func TestALoginAtMySQL8SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	s.model.create(anywhere("app"), "old")
	s.model.create(anywhere("locked"), "old")
	s.run(t, "ALTER USER `locked`@`%` ACCOUNT LOCK")
	for user, tt := range map[string]struct {
		password string
		want     error
	}{
		"app": {"wrong", rotation.ErrAuth}, "nobody": {"old", rotation.ErrAuth}, "locked": {"old", rotation.ErrConfiguration}, "admin": {"admin", nil},
	} {
		if _, err := s.login(t, user, tt.password); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", user, err, tt.want)
		}
	}
	c, err := rotation.ParseCredential(rotation.NewValue(fmt.Sprintf(`{"host":%q,"port":%d,"username":"app","password":"old","dbname":"nowhere","ssl":false}`, s.Host, s.Port)))
	if err != nil {
		t.Fatal(err)
	}
	for doing, tt := range map[string]struct {
		opts rotation.ReachOptions
		want error
	}{
		"no such database":                           {rotation.ReachOptions{CA: s.CA}, rotation.ErrConfiguration},
		"plaintext where the server does not let in": {rotation.ReachOptions{CA: s.CA, AllowPlaintext: true}, rotation.ErrTLS},
		"a certificate that nobody knows":            {rotation.ReachOptions{}, rotation.ErrTLS},
	} {
		if _, err := New(reach(t, tt.opts)).Login(t.Context(), c); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", doing, err, tt.want)
		}
	}
}
