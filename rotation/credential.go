package rotation

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
)

// A Credential is a login at a database, as it stands in a secret. Both forms
// are read: that of AWS (engine, host, port, username, password, dbname,
// masterarn, ssl), and the shorter one (host, username, password, database).
type Credential struct {
	Engine, Host string
	// Port is zero where the value names none.
	Port     int
	Username string
	Password Value
	// Database is empty where the value names none.
	Database string
	// MasterARN is the secret of the superuser.
	MasterARN string
	// Plaintext is true where the value says "ssl": false.
	Plaintext bool
	// AnyDatabase says that a session in another database of the server will
	// do where this one lets the login not in. No value says so: it is for
	// sessions that change a login, and use no data.
	AnyDatabase bool

	// members are all, known and unknown; behind a pointer, as in [Value].
	members *map[string]json.RawMessage
}

// Format writes user and host, and never the password, for every verb.
func (c Credential) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s@%s", c.Username, c.Host)
}

// ParseCredential reads a value. The error wraps [ErrConfiguration], names the
// member that is missing or wrong, and quotes nothing.
func ParseCredential(v Value) (Credential, error) {
	var c Credential
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(v.Reveal()), &all) != nil || all == nil {
		return c, configurationf("the secret's value is not a JSON object")
	}
	c.members = &all
	var password, database string
	members := []struct {
		name     string
		into     *string
		required bool
	}{
		{"engine", &c.Engine, false},
		{"host", &c.Host, true},
		{"username", &c.Username, true},
		{"password", &password, true},
		{"dbname", &c.Database, false},
		{"database", &database, false},
		{"masterarn", &c.MasterARN, false},
	}
	for _, m := range members {
		if raw, ok := all[m.name]; ok && json.Unmarshal(raw, m.into) != nil {
			return c, configurationf("the member %q of the secret's value is not a string", m.name)
		}
		if m.required && *m.into == "" {
			return c, configurationf("the secret's value has no member %q", m.name)
		}
	}
	c.Database, c.Password = cmp.Or(c.Database, database), NewValue(password)
	c.Plaintext = strings.EqualFold(strings.Trim(string(all["ssl"]), `"`), "false")
	return c, c.readPort(all["port"])
}

// readPort takes a port as a number or as a string.
func (c *Credential) readPort(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if json.Unmarshal([]byte(strings.Trim(string(raw), `"`)), &c.Port) != nil || c.Port < 1 || c.Port > 65535 {
		return configurationf(`the member "port" of the secret's value is not a port`)
	}
	return nil
}

// With returns the value with another login. All other members stay as they
// are.
func (c Credential) With(username string, password Value) (Value, error) {
	members := c.all()
	for name, text := range map[string]string{"username": username, "password": password.Reveal()} {
		raw, err := json.Marshal(text)
		if err != nil {
			return Value{}, errors.New("writing the new value as JSON") // the cause could quote it
		}
		members[name] = raw
	}
	data, err := json.Marshal(members)
	if err != nil {
		return Value{}, errors.New("writing the new value as JSON") // as above
	}
	return NewValue(string(data)), nil
}

// Member is a member of the value that only some kinds of servers know, if it
// is a string, and else empty.
func (c Credential) Member(name string) string {
	var text string
	if json.Unmarshal(c.all()[name], &text) != nil {
		return ""
	}
	return text
}

// all is a copy of the members of the value that was parsed.
func (c Credential) all() map[string]json.RawMessage {
	if c.members == nil {
		return make(map[string]json.RawMessage)
	}
	return maps.Clone(*c.members)
}

// over returns the credential with what it lacks taken from another one: an
// operator who supplies a value need not repeat every member.
func (c Credential) over(base Credential) Credential {
	members := base.all()
	maps.Copy(members, c.all())
	c.members = &members
	c.Port, c.Database = cmp.Or(c.Port, base.Port), cmp.Or(c.Database, base.Database)
	return c
}

// sameServer checks that two logins are at the same database: a password is
// never sent to another server than the one that it belongs to.
func (c Credential) sameServer(other Credential) error {
	switch {
	case !strings.EqualFold(c.Host, other.Host):
		return configurationf("the pending value names another host than the current one")
	case c.Port != other.Port:
		return configurationf("the pending value names another port than the current one")
	case c.Database != other.Database:
		return configurationf("the pending value names another database than the current one")
	}
	return nil
}

// checkPassword refuses passwords that a server would not take as such.
func checkPassword(v Value) error {
	text := v.Reveal()
	switch {
	case text == "":
		return configurationf("the new password is empty")
	case strings.HasPrefix(text, "SCRAM-SHA-256$"), len(text) == 35 && strings.HasPrefix(text, "md5"):
		return configurationf("the new password has the form of a hash, and the server would take it as one")
	case strings.ContainsRune(text, 0):
		return configurationf("the new password holds a NUL character")
	}
	return nil
}

// The characters of generated passwords: every class, and none that shells,
// URLs or connection strings give a meaning to.
const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	upper   = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	special = "-_.~"
	// passwordLength gives more than 190 bits.
	passwordLength = 32
)

// NewPassword makes a random password with a character of each class.
func NewPassword() Value {
	classes := []string{lower, upper, digits, special}
	all := lower + upper + digits + special
	text := make([]byte, passwordLength)
	for i := range text {
		from := all
		if i < len(classes) {
			from = classes[i]
		}
		text[i] = from[Random(len(from))]
	}
	for i := len(text) - 1; i > 0; i-- { // the first four had their class
		j := Random(i + 1)
		text[i], text[j] = text[j], text[i]
	}
	return NewValue(string(text))
}

// Random is a number from 0 to n-1, each as likely as the others, that nobody
// can foretell: what secrets are made of. It panics if n is not positive.
func Random(n int) int {
	i, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic("crypto/rand does not fail") // documented so since Go 1.24
	}
	return int(i.Int64())
}
