package mysql

import (
	"encoding/json"
	"fmt"
	"strings"
)

// loginOptions are what belongs to an account's login beside its passwords.
type loginOptions struct {
	// clauses are those of CREATE USER and ALTER USER, all of them also where
	// the account has the server's default.
	clauses []string
	// attributes are MySQL's, as JSON; empty where there are none.
	attributes string
	// roles are those that a session begins with.
	roles []name
}

// require writes what the connection has to be like. Kind is NONE, SSL, X509,
// or SPECIFIED for the rest.
func require(kind, cipher, issuer, subject string) string {
	if kind != "SPECIFIED" {
		return "REQUIRE " + kind
	}
	parts := []string{"REQUIRE"}
	for _, part := range [][2]string{{"CIPHER", cipher}, {"ISSUER", issuer}, {"SUBJECT", subject}} {
		if part[1] != "" {
			parts = append(parts, part[0], literal(part[1]))
		}
	}
	return strings.Join(parts, " ")
}

// limit writes a limit, a number of JSON; 0 is none.
func limit(option string, n json.RawMessage) string {
	if len(n) == 0 || strings.Trim(string(n), "0.") == "" {
		n = json.RawMessage("0")
	}
	return option + " " + string(n) + " "
}

func locked(yes bool) string {
	if yes {
		return "ACCOUNT LOCK"
	}
	return "ACCOUNT UNLOCK"
}

// expire writes after how many days a password expires: 0 is never, nil the
// server's default.
func expire(days *int) string {
	switch {
	case days == nil:
		return "PASSWORD EXPIRE DEFAULT"
	case *days == 0:
		return "PASSWORD EXPIRE NEVER"
	}
	return fmt.Sprintf("PASSWORD EXPIRE INTERVAL %d DAY", *days)
}
