package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// rights are what SHOW GRANTS lists of an account.
type rights struct {
	// on has the privileges for each object, such as "SELECT", "INSERT (`a`)"
	// or "GRANT OPTION".
	on map[string]map[string]bool
	// dynamic are MySQL's privileges that are no columns of a table, and
	// whether they may be passed on, for each one.
	dynamic map[string]bool
	// except are MySQL's partial revokes: privileges on everything that do not
	// hold for a schema.
	except map[string]map[string]bool
	// roles were granted, and may be passed on where that is true.
	roles map[name]bool
	// proxy says that the account may act as another.
	proxy bool
}

func newRights() rights {
	return rights{
		on: make(map[string]map[string]bool), dynamic: make(map[string]bool),
		except: make(map[string]map[string]bool), roles: make(map[name]bool),
	}
}

const (
	everything  = "*.*"
	grantOption = "GRANT OPTION"
	all         = "ALL PRIVILEGES"
)

// add reads a line of SHOW GRANTS. Those that are not about the account itself
// but about all, or about a role that it has, are left out.
func (r *rights) add(of name, line string) error {
	s, err := scan(line)
	if err != nil {
		return err
	}
	var understood bool
	switch {
	case s.take("GRANT", "PROXY"):
		r.proxy, understood = true, true
	case s.take("GRANT"):
		understood = r.grant(of, s)
	case s.take("REVOKE"):
		understood = r.revoke(of, s)
	case s.take("SET", "DEFAULT", "ROLE"):
		understood = true // it is read with the options
	}
	if !understood {
		return fmt.Errorf("reading the rights of %v: %w", of, errStatement)
	}
	return nil
}

// grant reads what follows GRANT: roles TO an account, or privileges ON an
// object TO an account.
func (r *rights) grant(of name, s *scanner) bool {
	if s.peek().quoted {
		roles, ok := s.names()
		if !ok || !s.take("TO") {
			return false
		}
		return s.to(of, func(tail *scanner) {
			for _, role := range roles {
				r.roles[role] = tail.has("ADMIN", "OPTION")
			}
		})
	}
	privileges, object, ok := s.privileges("TO")
	return ok && s.to(of, func(tail *scanner) {
		option := tail.has("GRANT", "OPTION")
		for _, p := range privileges {
			switch {
			case p == "USAGE": // none at all
			case object == everything && strings.Contains(p, "_"):
				r.dynamic[p] = option
				continue
			default:
				put(r.on, object, p)
			}
			if option {
				put(r.on, object, grantOption)
			}
		}
	})
}

// revoke reads what follows the REVOKE of a partial one.
func (r *rights) revoke(of name, s *scanner) bool {
	privileges, object, ok := s.privileges("FROM")
	return ok && s.to(of, func(*scanner) {
		for _, p := range privileges {
			put(r.except, object, p)
		}
	})
}

func put(in map[string]map[string]bool, object, privilege string) {
	if in[object] == nil {
		in[object] = make(map[string]bool)
	}
	in[object][privilege] = true
}

// to takes the account that a statement is about, and calls fn with the rest
// if it is of. It is not where it is PUBLIC, or a role.
func (s *scanner) to(of name, fn func(tail *scanner)) (ok bool) {
	if s.take("PUBLIC") {
		return true
	}
	n, ok := s.name()
	if ok && n == of {
		fn(s)
	}
	return ok
}

// has reports whether two words stand one after the other in the rest.
func (s *scanner) has(first, second string) bool {
	for i := s.next; i+1 < len(s.tokens); i++ {
		if s.tokens[i].is(first) && s.tokens[i+1].is(second) {
			return true
		}
	}
	return false
}

// names takes a list of roles.
func (s *scanner) names() (list []name, ok bool) {
	for {
		n, ok := s.name()
		if !ok {
			return nil, false
		}
		list = append(list, n)
		if !s.take(",") {
			return list, true
		}
	}
}

// privileges takes privileges ON an object, and the word after it. A privilege
// for several columns is taken as one for each of them.
func (s *scanner) privileges(after string) (list []string, object string, ok bool) {
	for {
		words := s.words()
		columns, ok := s.columns()
		if words == "" || !ok {
			return nil, "", false
		}
		for _, c := range columns {
			list = append(list, words+" ("+identifier(c)+")")
		}
		if columns == nil {
			list = append(list, words)
		}
		if s.take(",") {
			continue
		}
		if !s.take("ON") {
			return nil, "", false
		}
		object, ok = s.object()
		return list, object, ok && s.take(after)
	}
}

// words takes the words of a privilege, in upper case.
func (s *scanner) words() string {
	var words []string
	for t := s.peek(); !t.quoted && !t.is("ON") && t.text != "" && t.text != "," && t.text != "("; t = s.peek() {
		words = append(words, strings.ToUpper(t.text))
		s.next++
	}
	return strings.Join(words, " ")
}

// columns takes a list of columns in parentheses, if there is one.
func (s *scanner) columns() (list []string, ok bool) {
	if !s.take("(") {
		return nil, true
	}
	for {
		c, ok := s.quoted()
		if !ok {
			return nil, false
		}
		list = append(list, c)
		if s.take(")") {
			return list, true
		}
		if !s.take(",") {
			return nil, false
		}
	}
}

// object takes what privileges are on, such as *.*, `db`.*, or PROCEDURE
// `db`.`p`, and writes it as it stood.
func (s *scanner) object() (text string, ok bool) {
	for t := s.peek(); !t.quoted && t.text != "*" && t.text != ""; t = s.peek() { // PROCEDURE, FUNCTION, PACKAGE BODY
		text += strings.ToUpper(t.text) + " "
		s.next++
	}
	for _, sign := range []string{".", ""} {
		if inner, quoted := s.quoted(); quoted {
			text += identifier(inner)
		} else if s.take("*") {
			text += "*"
		} else {
			return "", false
		}
		if sign != "" && !s.take(sign) {
			return "", false
		}
		text += sign
	}
	return text, true
}

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
