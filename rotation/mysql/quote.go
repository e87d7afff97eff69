package mysql

import "strings"

// literal makes a string of any text, where no SQL mode changes the meaning of
// a backslash.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(text) + "'"
}

// identifier makes an identifier of any name.
func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// A name is an account: a user, and the hosts that it may connect from. A role
// of MariaDB has no host.
type name struct{ user, host string }

// String is the name as it stands in statements.
func (n name) String() string {
	if n.host == "" {
		return identifier(n.user)
	}
	return identifier(n.user) + "@" + identifier(n.host)
}
