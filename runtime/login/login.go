// Package login reads the value of a secret that is the login of a database:
// a JSON object as AWS's rotation templates write it, or a shorter one.
//
//	{"engine", "host", "port", "username", "password", "dbname"}
//	{"host", "username", "password", "database"}
//
// The port may be a number or a string. Other members are left alone. No error
// quotes the value, and a [Login] that is printed does not show the password.
package login

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// A Login is who logs in where.
type Login struct {
	// Engine is the kind of database, such as "postgres" or "mariadb"; empty
	// where the value does not say.
	Engine string
	// Host and Port are the server's; empty and zero where the value has none.
	Host string
	Port uint16
	// Username is who logs in.
	Username string
	// Database is the member dbname, or else database.
	Database string
	// AuthSource is the database that a user of MongoDB belongs to.
	AuthSource string
	// Plaintext says that the value asks for no encryption: "ssl": false.
	Plaintext bool

	password *string // a pointer: fmt prints unexported fields, but follows none
}

// Password is what the user logs in with.
func (l Login) Password() string { return *l.password }

// Addr returns host:port, with the port of the engine where the value has none.
func (l Login) Addr(enginePort uint16) string {
	return net.JoinHostPort(l.Host, strconv.Itoa(int(cmp.Or(l.Port, enginePort))))
}

// Parse reads a secret. The members that are named must be there and not be
// empty. The error wraps [secrets.ErrDecode] and does not quote the value.
func Parse(s *secrets.Secret, members ...string) (Login, error) {
	var v value
	// The decoder's own error may quote the value.
	if json.Unmarshal([]byte(s.Reveal()), &v) != nil {
		return Login{}, fmt.Errorf("reading the login %v: %w", s, secrets.ErrDecode)
	}
	has := map[string]bool{
		"engine": v.Engine != "", "host": v.Host != "", "port": v.Port != 0,
		"username": v.Username != "", "password": v.Password != "", "dbname": cmp.Or(v.DBName, v.Database) != "",
	}
	for _, member := range members {
		if !has[member] {
			return Login{}, fmt.Errorf("reading the login %v: %q is missing: %w", s, member, secrets.ErrDecode)
		}
	}
	return Login{
		Engine: v.Engine, Host: v.Host, Port: uint16(v.Port), Username: v.Username,
		Database: cmp.Or(v.DBName, v.Database), AuthSource: v.AuthSource, Plaintext: v.SSL.off, password: &v.Password,
	}, nil
}

// value is the secret's value.
type value struct {
	Engine     string `json:"engine"`
	Host       string `json:"host"`
	Port       port   `json:"port"`
	Username   string `json:"username"`
	Password   string `json:"password"`
	DBName     string `json:"dbname"`
	Database   string `json:"database"`
	AuthSource string `json:"authSource"`
	SSL        flag   `json:"ssl"`
}

// A port is a number, or a string of one.
type port uint16

// UnmarshalJSON reads either form.
func (p *port) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 16)
	if err != nil && string(data) != "null" && string(data) != `""` {
		return secrets.ErrDecode // without the text, which may be misplaced
	}
	*p = port(n)
	return nil
}

// A flag is off only where it says so: false, or "false".
type flag struct{ off bool }

// UnmarshalJSON reads either form.
func (f *flag) UnmarshalJSON(data []byte) error {
	f.off = strings.EqualFold(strings.Trim(string(data), `"`), "false")
	return nil
}
