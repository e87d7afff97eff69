package mysqltest_test

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/rekey-go/rekey/internal/mysqltest"
)

// accessDenied is the server's code for a login that it refuses, also for one
// without TLS.
const accessDenied = 1045

func TestTakesOnlyTheRightPasswordOverTLS(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{})
	if _, err := mysqltest.Login(t, s, s.User, s.Password, ""); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{s.User, "root", ""} {
		_, err := mysqltest.Login(t, s, user, "", "")
		if refused, ok := errors.AsType[*mysql.MySQLError](err); !ok || refused.Number != accessDenied {
			t.Errorf("login as %q without a password: %v, want error %d", user, err, accessDenied)
		}
	}
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd = "tcp", s.Addr(), s.User, s.Password
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = connector.Connect(t.Context())
	if refused, ok := errors.AsType[*mysql.MySQLError](err); !ok || refused.Number != accessDenied {
		t.Errorf("login without TLS: %v, want error %d", err, accessDenied)
	}
}
