package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// hash is the rule that adds a password: #SHA-256, as ACL LIST shows it.
func hash(password rotation.Value) string {
	sum := sha256.Sum256([]byte(password.Reveal()))
	return "#" + hex.EncodeToString(sum[:])
}

// rules are those of a user, as ACL LIST shows them and ACL SETUSER takes them.
// No rule has a space in it, but a selector "(+get ~a*)" is several.
type rules []string

// rights are the rules without those on how to log in.
func (r rules) rights() []string {
	return slices.DeleteFunc(slices.Clone(r), func(rule string) bool {
		return rule == "on" || rule == "off" || rule == "nopass" || strings.HasPrefix(rule, "#")
	})
}

// without are the rules that take away what lets a user in.
func (r rules) without() []string {
	if slices.Contains(r, "nopass") {
		return []string{"resetpass"}
	}
	var remove []string
	for _, rule := range r {
		if password, ok := strings.CutPrefix(rule, "#"); ok {
			remove = append(remove, "!"+password)
		}
	}
	return remove
}

// powers are the commands by which a user can take over a server: who runs them
// can give itself any right, or the server other data or code. All are in the
// categories @admin, @dangerous and @slow.
//
//nolint:gochecknoglobals // a constant list.
var powers = []string{
	"acl|setuser", "acl|load", "config|set", "module|load", "module|loadex", "replicaof", "slaveof",
}

// administers reports whether a user has one of the powers, by its own rules or
// by a selector.
func (r rules) administers() bool {
	return slices.ContainsFunc(powers, r.allow)
}

// allow reports whether a command is allowed. Of the rules on it the last one
// counts; each selector begins anew.
func (r rules) allow(command string) bool {
	allowed := false
	for _, rule := range r {
		if strings.HasPrefix(rule, "(") {
			if allowed {
				return true
			}
			allowed = false
		}
		switch rule = strings.ToLower(strings.Trim(rule, "()")); {
		case rule == "allcommands", covers(rule, "+", command):
			allowed = true
		case rule == "nocommands", covers(rule, "-", command):
			allowed = false
		}
	}
	return allowed
}

// covers reports whether a rule with a sign is on a command.
func covers(rule, sign, command string) bool {
	on, ok := strings.CutPrefix(rule, sign)
	container, _, _ := strings.Cut(command, "|")
	return ok && (on == command || on == container || slices.Contains([]string{"@all", "@admin", "@dangerous", "@slow"}, on))
}
