package mysql

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A model does what MySQL 8's manual and source say of the statements that
// this package sends, and answers every other one with a syntax error: the
// accounts with their two passwords, options, rights and locks.
type model struct {
	version   string
	databases map[string]bool

	mu       sync.Mutex
	accounts map[name]*modelAccount
	locks    map[string]chan struct{} // full while somebody holds it
	ran      []string                 // the statements that changed an account
	after    func(*modelAccount)      // is told of an account that was changed
}

// A modelAccount is a row of mysql.user, with what belongs to it elsewhere.
type modelAccount struct {
	plugin, primary, second string
	locked                  bool
	requireCurrent          string
	columns                 map[string]*string // of the options
	attributes              map[string]any
	defaultRoles            []name

	static  map[string]map[string]bool // :: object, privilege
	dynamic map[string]bool            // :: privilege, with GRANT OPTION
	except  map[string]map[string]bool
	roles   map[name]bool
}

// refused is an error that the server answers.
type refused struct {
	number uint16
	text   string
}

func (r refused) Error() string { return r.text }

func newModel() *model {
	m := &model{version: "8.0.36", databases: map[string]bool{"shop": true}, accounts: make(map[name]*modelAccount), locks: make(map[string]chan struct{})}
	m.create(name{"admin", "%"}, "admin")
	admin := m.accounts[name{"admin", "%"}]
	put(admin.static, everything, "CREATE USER")
	put(admin.static, everything, "SELECT")
	put(admin.static, everything, grantOption)
	return m
}

// create makes an account with a password.
func (m *model) create(n name, password string) {
	made, err := newMethod(cachingSHA2, password)
	if err != nil {
		panic(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.accounts[n] = newModelAccount(made)
}

func newModelAccount(by method) *modelAccount {
	a := &modelAccount{
		plugin: by.plugin, primary: by.stored, columns: make(map[string]*string), attributes: make(map[string]any),
		static: make(map[string]map[string]bool), dynamic: make(map[string]bool), except: make(map[string]map[string]bool), roles: make(map[name]bool),
	}
	for _, c := range []string{"ssl_type", "ssl_cipher", "x509_issuer", "x509_subject"} {
		a.columns[c] = new("")
	}
	for _, c := range []string{"MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS"} {
		a.columns[c] = new("0")
	}
	return a
}

// account is the one that a login from the loopback interface gets.
func (m *model) account(user string) (name, modelAccount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, host := range []string{"127.0.0.1", "%"} {
		if a, ok := m.accounts[name{user, host}]; ok {
			return name{user, host}, *a
		}
	}
	return name{}, modelAccount{plugin: cachingSHA2}
}

// accepts reports whether the server lets an account in.
func (a *modelAccount) accepts(password string) bool {
	return method{a.plugin, a.primary}.accepts(password) || method{a.plugin, a.second}.accepts(password)
}

// A modelSession is a client that is logged in.
type modelSession struct {
	m    *model
	who  name
	held []chan struct{}
}

func (m *model) open(who name) *modelSession { return &modelSession{m: m, who: who} }

// close gives the locks back.
func (s *modelSession) close() {
	for _, l := range s.held {
		<-l
	}
	s.held = nil
}

var errSyntax = refused{syntax, "You have an error in your SQL syntax; check the manual that corresponds to your MySQL server version for the right syntax to use"}

// may checks a privilege on everything.
func (s *modelSession) may(privilege string) error {
	a := s.m.accounts[s.who]
	if _, dynamic := a.dynamic[privilege]; a.static[everything][privilege] || dynamic {
		return nil
	}
	return refused{specificAccessDenied, "Access denied; you need (at least one of) the " + privilege + " privilege(s) for this operation"}
}

// run runs a statement. A result set has columns.
func (s *modelSession) run(sql string) (columns int, rows [][]*string, err error) {
	q, err := scan(sql)
	if err != nil {
		return 0, nil, errSyntax
	}
	if q.take("SELECT", "GET_LOCK", "(") { // it may wait, so the model is not locked
		return s.lock(q)
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	switch {
	case q.take("SELECT", "1"):
		return 1, [][]*string{{new("1")}}, nil
	case q.take("SET", "NAMES", "utf8mb4"):
		return 0, nil, nil
	case q.take("DO", "RELEASE_LOCK"):
		s.close()
		return 0, nil, nil
	case q.take("SELECT"), q.take("SHOW", "GRANTS", "FOR"):
		if s.may("SELECT") != nil {
			return 0, nil, refused{tableAccessDenied, "SELECT command denied to user '" + s.who.user + "'@'127.0.0.1' for table 'user'"}
		}
		return s.read(sql, q)
	}
	changed, err := s.change(q)
	if err == nil && q.next != len(q.tokens) {
		err = errSyntax
	}
	if err == nil {
		s.m.ran = append(s.m.ran, sql)
		if s.m.after != nil {
			s.m.after(changed)
		}
	}
	return 0, nil, err
}

// lock answers SELECT GET_LOCK(name, seconds), VERSION(), CURRENT_USER().
func (s *modelSession) lock(q *scanner) (int, [][]*string, error) {
	key, _ := q.quoted()
	q.take(",")
	seconds, err := strconv.Atoi(q.peek().text)
	q.next++
	if err != nil || !q.take(")", ",", "VERSION", "(", ")", ",", "CURRENT_USER", "(", ")") {
		return 0, nil, errSyntax
	}
	s.m.mu.Lock()
	l := s.m.locks[key]
	if l == nil {
		l = make(chan struct{}, 1)
		s.m.locks[key] = l
	}
	s.m.mu.Unlock()
	got := "0"
	select {
	case l <- struct{}{}:
		s.held, got = append(s.held, l), "1"
	case <-time.After(time.Duration(seconds) * time.Second):
	}
	return 3, [][]*string{{&got, &s.m.version, new(s.who.user + "@" + s.who.host)}}, nil
}

// read answers the queries of tables in the schema mysql, and SHOW GRANTS.
func (s *modelSession) read(sql string, q *scanner) (int, [][]*string, error) {
	if strings.HasPrefix(sql, "SHOW") {
		n, ok := q.name()
		a := s.m.accounts[n]
		if !ok || a == nil {
			return 0, nil, refused{1141, "There is no such grant defined for user"}
		}
		var rows [][]*string
		for _, line := range a.grants(n) {
			rows = append(rows, []*string{&line})
		}
		return 1, rows, nil
	}
	var n name
	for i, t := range q.tokens { // WHERE User = '...' AND Host = '...'
		if i+2 < len(q.tokens) && q.tokens[i+1].is("=") && t.is("USER") {
			n.user = q.tokens[i+2].text
		}
		if i+2 < len(q.tokens) && q.tokens[i+1].is("=") && t.is("HOST") {
			n.host = q.tokens[i+2].text
		}
	}
	if q.take("User", ",", "Host", "FROM", "mysql", ".", "user") {
		var rows [][]*string
		for found := range s.m.accounts {
			if found.user == n.user {
				rows = append(rows, []*string{&found.user, &found.host})
			}
		}
		return 2, rows, nil
	}
	a := s.m.accounts[n]
	if a == nil {
		a = &modelAccount{}
	}
	switch {
	case q.take("plugin", ",", "authentication_string", ",", "COALESCE"):
		return 3, [][]*string{{&a.plugin, &a.primary, &a.second}}, nil
	case q.take("ssl_type"):
		return 14, [][]*string{a.options()}, nil
	case q.take("DEFAULT_ROLE_USER"):
		var rows [][]*string
		for _, r := range a.defaultRoles {
			rows = append(rows, []*string{&r.user, &r.host})
		}
		return 2, rows, nil
	}
	return 0, nil, errSyntax
}

// grants are the lines of SHOW GRANTS, in MySQL 8's order and form.
func (a *modelAccount) grants(n name) (lines []string) {
	list := func(privileges map[string]bool) (text, option string) {
		columns := make(map[string][]string)
		for _, p := range slices.Sorted(maps.Keys(privileges)) {
			verb, column, _ := strings.Cut(p, " (")
			if p == grantOption {
				option = " WITH GRANT OPTION"
				continue
			}
			columns[verb] = append(columns[verb], strings.TrimSuffix(column, ")"))
		}
		var parts []string
		for _, verb := range slices.Sorted(maps.Keys(columns)) {
			if columns[verb][0] != "" {
				verb += " (" + strings.Join(columns[verb], ", ") + ")"
			}
			parts = append(parts, verb)
		}
		if len(parts) == 0 {
			parts = []string{"USAGE"}
		}
		return strings.Join(parts, ", "), option
	}
	text, option := list(a.static[everything])
	lines = append(lines, fmt.Sprintf("GRANT %s ON *.* TO %v%s", text, n, option))
	for _, with := range []bool{false, true} {
		var names []string
		for _, p := range slices.Sorted(maps.Keys(a.dynamic)) {
			if a.dynamic[p] == with {
				names = append(names, p)
			}
		}
		if len(names) > 0 {
			lines = append(lines, fmt.Sprintf("GRANT %s ON *.* TO %v%s", strings.Join(names, ","), n, map[bool]string{true: " WITH GRANT OPTION"}[with]))
		}
	}
	for _, object := range slices.Sorted(maps.Keys(a.except)) {
		text, _ := list(a.except[object])
		lines = append(lines, fmt.Sprintf("REVOKE %s ON %s FROM %v", text, object, n))
	}
	for _, object := range slices.Sorted(maps.Keys(a.static)) {
		if object != everything {
			text, option := list(a.static[object])
			lines = append(lines, fmt.Sprintf("GRANT %s ON %s TO %v%s", text, object, n, option))
		}
	}
	for _, admin := range []bool{false, true} {
		var roles []string
		for r, with := range a.roles {
			if with == admin {
				roles = append(roles, r.String())
			}
		}
		if slices.Sort(roles); len(roles) > 0 {
			lines = append(lines, fmt.Sprintf("GRANT %s TO %v%s", strings.Join(roles, ","), n, map[bool]string{true: " WITH ADMIN OPTION"}[admin]))
		}
	}
	return lines
}

// change runs CREATE USER, ALTER USER, GRANT and REVOKE.
func (s *modelSession) change(q *scanner) (*modelAccount, error) {
	switch {
	case q.take("ALTER", "USER", "USER", "(", ")"):
		a := s.m.accounts[s.who]
		return a, s.alterOwn(a, q)
	case q.take("ALTER", "USER"):
		if err := s.may("CREATE USER"); err != nil {
			return nil, err
		}
		n, ok := q.name()
		a := s.m.accounts[n]
		if !ok {
			return nil, errSyntax
		}
		if a == nil {
			return nil, refused{cannotUser, "Operation ALTER USER failed for " + n.String()}
		}
		return a, s.alter(a, q)
	case q.take("CREATE", "USER"):
		if err := s.may("CREATE USER"); err != nil {
			return nil, err
		}
		n, ok := q.name()
		if !ok {
			return nil, errSyntax
		}
		if len([]rune(n.user)) > MaxName {
			return nil, refused{wrongStringLength, "String '" + n.user + "' is too long for user name (should be no longer than 32)"}
		}
		if s.m.accounts[n] != nil {
			return nil, refused{cannotUser, "Operation CREATE USER failed for " + n.String()}
		}
		by, err := identifiedWith(q)
		if err == nil {
			s.m.accounts[n] = newModelAccount(by)
		}
		return s.m.accounts[n], err
	case q.take("GRANT"):
		return s.grant(q, true)
	case q.take("REVOKE"):
		return s.grant(q, false)
	}
	return nil, errSyntax
}

// identifiedWith takes IDENTIFIED WITH 'plugin' AS 'hash', and checks the form
// of the hash as the plugins do.
func identifiedWith(q *scanner) (method, error) {
	var by method
	var ok bool
	if !q.take("IDENTIFIED", "WITH") {
		return by, errSyntax
	}
	if by.plugin, ok = q.quoted(); !ok || !q.take("AS") {
		return by, errSyntax
	}
	if by.stored, ok = q.quoted(); !ok {
		return by, errSyntax
	}
	_, isSHA2 := saltOf(by.stored)
	switch {
	case by.plugin == cachingSHA2 && isSHA2 && len(by.stored) == len(sha2Prefix)+sha2SaltSize+43:
	case by.plugin == nativePassword && len(by.stored) == 41 && by.stored[0] == '*':
	default:
		return by, refused{1827, "The password hash doesn't have the expected format."}
	}
	return by, nil
}

// alter runs ALTER USER for any account.
func (s *modelSession) alter(a *modelAccount, q *scanner) error {
	switch {
	case q.take("DISCARD", "OLD", "PASSWORD"):
		a.second = ""
		return nil
	case q.peek().is("IDENTIFIED"):
		by, err := identifiedWith(q)
		if err != nil {
			return err
		}
		retained := q.take("RETAIN", "CURRENT", "PASSWORD")
		if by.plugin != a.plugin {
			if retained {
				return refused{retainOnPluginChange, "Current password can not be retained because authentication plugin is being changed."}
			}
			a.second = ""
		}
		if retained {
			a.second = a.primary
		}
		a.plugin, a.primary = by.plugin, by.stored
		return nil
	case q.take("DEFAULT", "ROLE"):
		if a.defaultRoles = nil; q.take("NONE") {
			return nil
		}
		roles, ok := q.names()
		if !ok {
			return errSyntax
		}
		for _, r := range roles {
			if _, granted := a.roles[r]; !granted {
				return refused{3530, r.String() + " is not granted"}
			}
		}
		a.defaultRoles = roles
		return nil
	}
	return a.alterOptions(q)
}

// alterOwn runs ALTER USER USER().
func (s *modelSession) alterOwn(a *modelAccount, q *scanner) error {
	if q.take("DISCARD", "OLD", "PASSWORD") {
		if s.may("CREATE USER") != nil && s.may("APPLICATION_PASSWORD_ADMIN") != nil {
			return s.may("APPLICATION_PASSWORD_ADMIN")
		}
		a.second = ""
		return nil
	}
	if !q.take("IDENTIFIED", "BY") {
		return errSyntax
	}
	password, ok := q.quoted()
	if !ok {
		return errSyntax
	}
	replaces := q.take("REPLACE")
	if replaces {
		current, ok := q.quoted()
		if !ok {
			return errSyntax
		}
		if !(method{a.plugin, a.primary}).accepts(current) { // the primary one, and no other
			return refused{incorrectCurrent, "Incorrect current password. Specify the correct password which has to be replaced."}
		}
	}
	retained := q.take("RETAIN", "CURRENT", "PASSWORD")
	if retained && s.may("CREATE USER") != nil && s.may("APPLICATION_PASSWORD_ADMIN") != nil {
		return s.may("APPLICATION_PASSWORD_ADMIN")
	}
	if !replaces && a.requireCurrent == "Y" {
		return refused{missingCurrent, "Current password needs to be specified in the REPLACE clause in order to change it."}
	}
	made, err := newMethod(a.plugin, password)
	if err != nil {
		return err
	}
	if retained {
		a.second = a.primary
	}
	a.primary = made.stored
	return nil
}

// grant runs GRANT, or REVOKE.
func (s *modelSession) grant(q *scanner, give bool) (*modelAccount, error) {
	if err := s.may(grantOption); err != nil {
		return nil, refused{accessDenied, "Access denied for user '" + s.who.user + "'@'%' (using password: YES)"}
	}
	preposition := map[bool]string{true: "TO", false: "FROM"}[give]
	var roles []name
	var privileges []string
	var object string
	var ok bool
	if q.peek().quoted {
		roles, ok = q.names()
		ok = ok && q.take(preposition)
	} else {
		privileges, object, ok = q.privileges(preposition)
	}
	if !ok || slices.Contains(privileges, all) && len(privileges) > 1 {
		return nil, errSyntax
	}
	n, ok := q.name()
	a := s.m.accounts[n]
	if !ok || a == nil {
		return nil, refused{1410, "You are not allowed to create a user with GRANT"}
	}
	option := q.take("WITH", "GRANT", "OPTION") || q.take("WITH", "ADMIN", "OPTION")
	for _, r := range roles {
		if delete(a.roles, r); give {
			a.roles[r] = option
		} else {
			a.defaultRoles = slices.DeleteFunc(a.defaultRoles, func(d name) bool { return d == r })
		}
	}
	if option && object != "" && !strings.Contains(privileges[0], "_") {
		privileges = append(privileges, grantOption)
	}
	for _, p := range privileges {
		a.set(object, p, give, option)
	}
	return a, nil
}

// set gives or takes a privilege. On a schema, what an account has on
// everything is restricted by a REVOKE, and freed by a GRANT.
func (a *modelAccount) set(object, p string, give, option bool) {
	switch {
	case object == everything && strings.Contains(p, "_"):
		if delete(a.dynamic, p); give {
			a.dynamic[p] = option
		}
	case object != everything && a.static[everything][p] && give:
		remove(a.except, object, p)
	case object != everything && a.static[everything][p]:
		put(a.except, object, p)
	case give:
		put(a.static, object, p)
	case p == all:
		option := a.static[object][grantOption]
		if delete(a.static, object); option {
			put(a.static, object, grantOption)
		}
	default:
		remove(a.static, object, p)
	}
}

func remove(from map[string]map[string]bool, object, p string) {
	if delete(from[object], p); len(from[object]) == 0 {
		delete(from, object)
	}
}
