package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// mightiest are the privileges on everything by which an account can change
// others, or make itself one that can.
//
//nolint:gochecknoglobals // a constant list.
var mightiest = []string{all, "SUPER", "CREATE USER", grantOption, "FILE", "SET USER"}

// mightiestDynamic are MySQL's.
//
//nolint:gochecknoglobals // a constant list.
var mightiestDynamic = []string{
	"SYSTEM_USER", "ROLE_ADMIN", "SET_USER_ID", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER",
	"SYSTEM_VARIABLES_ADMIN", "PERSIST_RO_VARIABLES_ADMIN", "AUTHENTICATION_POLICY_ADMIN",
}

// writing are the privileges that change a table of accounts.
//
//nolint:gochecknoglobals // a constant list.
var writing = []string{all, "INSERT", "UPDATE", "DELETE", "ALTER", "DROP", "CREATE", "TRIGGER"}

// administers says by which right an account may change others; empty if by
// none.
func (r rights) administers() string {
	if r.proxy {
		return "PROXY"
	}
	for _, p := range mightiest {
		if r.on[everything][p] {
			return p
		}
	}
	for _, p := range mightiestDynamic {
		if _, ok := r.dynamic[p]; ok {
			return p
		}
	}
	for object, privileges := range r.on {
		if !reachesAccounts(object) {
			continue
		}
		for p := range privileges {
			verb, _, _ := strings.Cut(p, " (")
			if slices.Contains(writing, verb) && !r.except["`mysql`.*"][p] {
				return p + " ON " + object
			}
		}
	}
	return ""
}

// reachesAccounts reports whether an object is, or has in it, the server's
// tables of accounts. The name of a database in a grant is a pattern.
func reachesAccounts(object string) bool {
	if object == everything {
		return true
	}
	s, err := scan(object)
	if err != nil {
		return true
	}
	database, ok := s.quoted()
	return ok && like("mysql", strings.ToLower(database))
}

// like reports whether a text fits a pattern of SQL.
func like(text, pattern string) bool {
	if pattern == "" {
		return text == ""
	}
	switch c, rest := pattern[0], pattern[1:]; {
	case c == '%':
		return like(text, rest) || text != "" && like(text[1:], pattern)
	case text == "":
		return false
	case c == '_':
		return like(text[1:], rest)
	case c == '\\' && rest != "":
		return text[0] == rest[0] && like(text[1:], rest[1:])
	default:
		return text[0] == c && like(text[1:], rest)
	}
}

// toward are the statements that give the account to, which has other rights,
// exactly these. What is too much goes first: it may be in the way.
func (r rights) toward(to name, other rights) []string {
	var revokes, grants []string
	for _, object := range sorted(r.on, other.on) {
		revokes = append(revokes, each("REVOKE", missing(r.on[object], other.on[object]), object, "FROM", to)...)
		grants = append(grants, each("GRANT", missing(other.on[object], r.on[object]), object, "TO", to)...)
	}
	for _, p := range sorted(r.dynamic, other.dynamic) {
		option, wanted := r.dynamic[p]
		had, has := other.dynamic[p]
		if has && (!wanted || had != option) {
			revokes = append(revokes, fmt.Sprintf("REVOKE %s ON *.* FROM %v", p, to))
		}
		if wanted && (!has || had != option) {
			grants = append(grants, fmt.Sprintf("GRANT %s ON *.* TO %v%s", p, to, with(option, grantOption)))
		}
	}
	for _, object := range sorted(r.except, other.except) { // after what they are exceptions of
		grants = append(grants, each("REVOKE", missing(other.except[object], r.except[object]), object, "FROM", to)...)
		grants = append(grants, each("GRANT", missing(r.except[object], other.except[object]), object, "TO", to)...)
	}
	for _, role := range slices.SortedFunc(maps.Keys(merged(r.roles, other.roles)), func(a, b name) int { return strings.Compare(a.String(), b.String()) }) {
		admin, wanted := r.roles[role]
		had, has := other.roles[role]
		if has && (!wanted || had != admin) {
			revokes = append(revokes, fmt.Sprintf("REVOKE %v FROM %v", role, to))
		}
		if wanted && (!has || had != admin) {
			grants = append(grants, fmt.Sprintf("GRANT %v TO %v%s", role, to, with(admin, "ADMIN OPTION")))
		}
	}
	return append(revokes, grants...)
}

// each is the statement for privileges on an object, if there are any. All of
// them have one of their own: they stand in no list.
func each(verb string, list []string, object, preposition string, to name) (statements []string) {
	if i := slices.Index(list, all); i >= 0 {
		list = slices.Delete(list, i, i+1)
		statements = append(statements, fmt.Sprintf("%s %s ON %s %s %v", verb, all, object, preposition, to))
	}
	if len(list) > 0 {
		statements = append(statements, fmt.Sprintf("%s %s ON %s %s %v", verb, strings.Join(list, ", "), object, preposition, to))
	}
	return statements
}

func with(yes bool, option string) string {
	if yes {
		return " WITH " + option
	}
	return ""
}

// missing are the privileges of b that a has not, in order.
func missing(a, b map[string]bool) []string {
	var list []string
	for p := range b {
		if !a[p] {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// sorted are the keys of both maps, in order.
func sorted[V any](a, b map[string]V) []string {
	return slices.Sorted(maps.Keys(merged(a, b)))
}

func merged[K comparable, V any](a, b map[K]V) map[K]V {
	m := maps.Clone(b)
	maps.Copy(m, a)
	return m
}
