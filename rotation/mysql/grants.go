package mysql

import (
	"fmt"
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
