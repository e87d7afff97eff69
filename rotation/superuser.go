package rotation

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
)

// SuperuserFrom reads the superuser's login from a secret: the one that the
// credential names as masterarn, or else the one with the given id. It must be
// a login at the same server, so that a secret's value cannot lead the superuser
// to another one. Where the id's is of another, there is none for the
// credential; where the masterarn's is, the value is wrong.
func SuperuserFrom(store Store, secretID string) Superuser {
	return func(ctx context.Context, c Credential) (Credential, error) {
		id := c.MasterARN
		if id == "" {
			id = secretID
		}
		if id == "" {
			return Credential{}, ErrNoValue
		}
		v, err := store.Get(ctx, id, "", LabelCurrent)
		if err != nil {
			return Credential{}, fmt.Errorf("the superuser's secret: %w", err)
		}
		super, err := ParseCredential(v)
		if err != nil {
			return Credential{}, fmt.Errorf("the superuser's secret: %w", err)
		}
		if err := super.serves(c); err != nil {
			if c.MasterARN == "" {
				err = fmt.Errorf("%w for this server: %v", ErrNoValue, err) //nolint:errorlint // it is no fault of the configuration.
			}
			return Credential{}, err
		}
		super.Port = cmp.Or(super.Port, c.Port)
		super.Database = cmp.Or(c.Member("authSource"), c.Database, super.Database) // the one whose users change
		return super, nil
	}
}

// serves checks that a superuser's login is at the server of another one.
func (c Credential) serves(login Credential) error {
	switch {
	case !sameHost(c.Host, login.Host):
		return configurationf("the superuser's secret names another host than the login's")
	case c.Port != 0 && login.Port != 0 && c.Port != login.Port:
		return configurationf("the superuser's secret names another port than the login's")
	}
	return nil
}

func sameHost(a, b string) bool {
	return strings.EqualFold(a, b) || isLoopback(a) && isLoopback(b)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
