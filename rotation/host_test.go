package rotation_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotation"
)

func TestOnlyAllowedHostsAreReached(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	tests := map[string]struct {
		allowed, host string
		want          error
	}{
		"any, where none is named":         {"", "127.0.0.1", nil},
		"one that is named":                {"localhost", "localhost", nil},
		"one that is named, in other case": {" LocalHost ", "LOCALHOST", nil},
		"one within a prefix":              {"10.0.0.0/8, 127.0.0.0/8", "localhost", nil},
		"an address":                       {"127.0.0.1", "localhost", nil},
		"one that is not named":            {"db.example.com", "localhost", rotation.ErrConfiguration},
		"one that ends like a name":        {"*.host", "localhost", rotation.ErrConfiguration},
		"an address outside the prefixes":  {"10.0.0.0/8", "127.0.0.1", rotation.ErrConfiguration},
		"the metadata of a cloud":          {"", "169.254.169.254", rotation.ErrConfiguration},
		"the metadata, though it is named": {"169.254.169.254", "169.254.169.254", rotation.ErrConfiguration},
		"the metadata by its IPv6 form":    {"", "::ffff:169.254.169.254", rotation.ErrConfiguration},
		"no address":                       {"", "0.0.0.0", rotation.ErrConfiguration},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hosts, err := rotation.ParseHosts(tt.allowed)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := hosts.Dial(t.Context(), "tcp", net.JoinHostPort(tt.host, port))
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if conn != nil {
				_ = conn.Close()
			}
		})
	}
}

func TestAListOfHostsThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"db:5432", "https://db", "a*b", "*.*", "10.0.0.0/40", "two words"} {
		if _, err := rotation.ParseHosts(list); !errors.Is(err, rotation.ErrConfiguration) || !strings.Contains(err.Error(), "no host") {
			t.Errorf("ParseHosts(%q): %v, want %v", list, err, rotation.ErrConfiguration)
		}
	}
}

func FuzzParseHosts(f *testing.F) {
	for _, list := range []string{"", "db.example.com, *.rds.amazonaws.com", "10.0.0.0/8,::1", "fe80::1%eth0", "[::1]", "*."} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		hosts, err := rotation.ParseHosts(list)
		if err != nil {
			return
		}
		// Whatever is allowed, the metadata of a cloud is not.
		conn, err := hosts.Dial(t.Context(), "tcp", "169.254.169.254:80")
		if conn != nil || !errors.Is(err, rotation.ErrConfiguration) {
			t.Errorf("with %q allowed: %v", list, err)
		}
	})
}
