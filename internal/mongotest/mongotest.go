// Package mongotest stands in for MongoDB in tests: it speaks the wire protocol over
// TLS, and knows users, roles, SCRAM-SHA-256 and the commands that package mongodb
// and a consumer send, with the codes of the server's errors.
//
// It is no MongoDB: there was none to run, and what a real one does beside what its
// manual says, these tests cannot show.
package mongotest

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/xdg-go/scram"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/rekey-go/rekey/internal/child"
)

// A Server is a stand-in that takes connections.
type Server struct {
	// Host and Port are where it listens.
	Host string
	Port int
	// CA is the certificate that signed the server's, as PEM.
	CA string

	// Set are the members of its replica set, the primary first; none if it
	// stands alone.
	Set []string
	// Old says that it does not know showPrivileges, as DocumentDB.
	Old bool
	// OnCommand is called with the name of each command before it is run.
	OnCommand func(name string)

	mu       sync.Mutex
	users    map[string]*user    // :: database.name
	roles    map[string][]bson.M // privileges :: name
	commands []bson.M            // all that came, in their order
}

type user struct {
	name, db string
	fields   bson.M // roles, customData, mechanisms, authenticationRestrictions
	stored   scram.StoredCredentials
}

func database(db string, actions ...string) bson.M {
	return bson.M{"resource": bson.M{"db": db, "collection": ""}, "actions": actions}
}

// Start starts one for the time of a test, with a superuser "boss", password
// "boss", in admin.
func Start(tb testing.TB) *Server {
	tb.Helper()
	certs, err := child.NewCertificates()
	if err != nil {
		tb.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certs.Leaf, certs.Key)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.CurveP256}, // the fastest: the suite logs in thousands of times
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	s := &Server{
		Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, CA: string(certs.CA), users: map[string]*user{},
		roles: map[string][]bson.M{
			"read": {database("shop", "find")}, "readWrite": {database("shop", "find", "insert", "update", "remove")},
			"userAdminAnyDatabase": {database("", "changePassword", "createUser", "grantRole", "viewUser")},
			"root":                 {{"resource": bson.M{"anyResource": true}, "actions": bson.A{"anyAction"}}},
			"restore":              {{"resource": bson.M{"db": "admin", "collection": "system.users"}, "actions": bson.A{"find", "insert", "remove"}}},
			"selfService":          {database("", "changeOwnPassword")},
		},
		OnCommand: func(string) {},
	}
	s.SetUser("admin", "boss", "boss", bson.M{"roles": Roles("userAdminAnyDatabase")})
	go func() {
		for {
			accepted, err := l.Accept()
			if err != nil {
				return
			}
			go (&conn{server: s, Conn: accepted}).serve()
		}
	}()
	return s
}

// Roles are roles of admin, as the member roles of a user has them.
func Roles(names ...string) bson.A {
	var list bson.A
	for _, name := range names {
		list = append(list, bson.M{"role": name, "db": "admin"})
	}
	return list
}

// SetUser makes a user, or replaces it.
func (s *Server) SetUser(db, name, password string, fields bson.M) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{name: name, db: db, fields: fields}
	u.setPassword(password)
	s.users[db+"."+name] = u
}

func (u *user) setPassword(password string) {
	client, err := scram.SHA256.NewClient(u.name, password, "")
	if err == nil {
		u.stored, err = client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: rand.Text(), Iters: 4096})
	}
	if err != nil {
		panic(err) // no test has such a password
	}
}

// Sent are the commands of a name that came.
func (s *Server) Sent(name string) []bson.M {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.commands), func(c bson.M) bool { return c[name] == nil })
}

// FieldsOf are those of a user, by "database.name"; nil where there is none.
func (s *Server) FieldsOf(key string) bson.M {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[key]; u != nil {
		return u.fields
	}
	return nil
}

type conn struct {
	net.Conn
	server       *Server
	conversation *scram.ServerConversation
	source       string
	user         *user // who has logged in
}

const (
	opReply = 1
	opQuery = 2004
	opMsg   = 2013
)

func (c *conn) serve() {
	defer func() { _ = c.Close() }()
	for {
		header := make([]byte, 16)
		if _, err := io.ReadFull(c, header); err != nil {
			return
		}
		body := make([]byte, binary.LittleEndian.Uint32(header)-16)
		if _, err := io.ReadFull(c, body); err != nil {
			return
		}
		id, op := binary.LittleEndian.Uint32(header[4:]), binary.LittleEndian.Uint32(header[12:])
		if _, err := c.Write(c.reply(id, op, body)); err != nil {
			return
		}
	}
}

// reply answers a message: of OP_MSG one with a single document, which is all
// that the driver sends here, or of OP_QUERY, which is how it says hello.
func (c *conn) reply(id, op uint32, body []byte) []byte {
	var prefix []byte
	switch op {
	case opMsg:
		body, prefix = body[5:], make([]byte, 5) // flags, and a section of kind 0
		op = opMsg
	case opQuery:
		rest := body[4:]
		body = rest[slices.Index(rest, 0)+9:] // the collection, skip, limit
		prefix = make([]byte, 20)
		binary.LittleEndian.PutUint32(prefix[16:], 1)
		op = opReply
	}
	var command bson.D
	answer := bson.D{{Key: "ok", Value: 0}, {Key: "errmsg", Value: "not BSON"}, {Key: "code", Value: 22}}
	if bson.Unmarshal(body, &command) == nil {
		answer = c.run(command)
	}
	doc, err := bson.Marshal(answer)
	if err != nil {
		panic(err)
	}
	out := make([]byte, 16, 16+len(prefix)+len(doc))
	out = append(append(out, prefix...), doc...)
	for i, v := range []uint32{uint32(len(out)), 0, id, op} {
		binary.LittleEndian.PutUint32(out[4*i:], v)
	}
	return out
}

type serverError struct {
	code int32
	text string
}

func (e serverError) Error() string { return e.text }

var errLogin = serverError{18, "Authentication failed."}

func (c *conn) run(command bson.D) bson.D {
	fields := bson.M{}
	for _, e := range command {
		fields[e.Key] = e.Value
	}
	name := command[0].Key
	c.server.OnCommand(name)
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.server.commands = append(c.server.commands, fields)
	answer, err := c.runLocked(name, fields)
	if e, ok := errors.AsType[serverError](err); ok {
		return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: e.text}, {Key: "code", Value: e.code}, {Key: "codeName", Value: "Code"}}
	}
	return append(answer, bson.E{Key: "ok", Value: 1.0})
}

func (c *conn) runLocked(name string, fields bson.M) (bson.D, error) {
	db, _ := fields["$db"].(string)
	switch name {
	case "hello", "isMaster", "ismaster":
		return c.hello(), nil
	case "saslStart":
		return c.saslStart(db, fields)
	case "saslContinue":
		return c.step(fields)
	case "endSessions":
		return nil, nil
	case "ping":
		return nil, nil
	}
	if c.user == nil {
		return nil, serverError{13, "command " + name + " requires authentication"}
	}
	switch name {
	case "usersInfo":
		return c.usersInfo(fields)
	case "createUser", "updateUser":
		return nil, c.change(name, db, fields)
	case "count": // what a consumer does; it says who asked
		return bson.D{{Key: "n", Value: 1}, {Key: "user", Value: c.user.name}}, nil
	}
	return nil, serverError{59, "no such command: '" + name + "'"}
}

// primaryLocked reports whether the server takes writes. Its lock is held.
func (s *Server) primaryLocked() bool { return len(s.Set) == 0 || s.Set[0] == s.Addr() }

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

func (c *conn) hello() bson.D {
	primary := c.server.primaryLocked()
	d := bson.D{
		{Key: "isWritablePrimary", Value: primary},
		{Key: "ismaster", Value: primary},
		{Key: "maxBsonObjectSize", Value: 16777216},
		{Key: "maxMessageSizeBytes", Value: 48000000},
		{Key: "maxWriteBatchSize", Value: 100000},
		{Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 21},
		{Key: "saslSupportedMechs", Value: bson.A{"SCRAM-SHA-256"}},
		{Key: "helloOk", Value: true},
	}
	if len(c.server.Set) > 0 {
		d = append(d, bson.D{
			{Key: "setName", Value: "rs"},
			{Key: "hosts", Value: c.server.Set},
			{Key: "primary", Value: c.server.Set[0]},
			{Key: "me", Value: c.server.Addr()},
			{Key: "secondary", Value: !primary},
		}...)
	}
	return d
}

func (c *conn) saslStart(db string, fields bson.M) (bson.D, error) {
	if fields["mechanism"] != "SCRAM-SHA-256" {
		return nil, serverError{2, "Received authentication for mechanism that is not enabled"}
	}
	c.source = db
	server, err := scram.SHA256.NewServer(func(name string) (scram.StoredCredentials, error) {
		u := c.server.users[db+"."+name]
		if u == nil {
			return scram.StoredCredentials{}, errLogin
		}
		return u.stored, nil
	})
	if err != nil {
		return nil, err
	}
	c.conversation = server.NewConversation()
	return c.step(fields)
}

func (c *conn) step(fields bson.M) (bson.D, error) {
	payload, _ := fields["payload"].(bson.Binary)
	if c.conversation == nil {
		return nil, errLogin
	}
	next, err := c.conversation.Step(string(payload.Data))
	if err != nil {
		return nil, errLogin
	}
	if c.conversation.Valid() {
		c.user = c.server.users[c.source+"."+c.conversation.Username()]
	}
	return bson.D{
		{Key: "conversationId", Value: 1},
		{Key: "done", Value: c.conversation.Done()},
		{Key: "payload", Value: bson.Binary{Data: []byte(next)}},
	}, nil
}

// may reports whether who has logged in has an action.
func (c *conn) may(action string) bool {
	return slices.ContainsFunc(c.server.privileges(c.user), func(p bson.M) bool {
		text := strings.Join(texts(p["actions"]), " ")
		return strings.Contains(text, action) || strings.Contains(text, "anyAction")
	})
}

func texts(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case bson.A:
		var all []string
		for _, e := range v {
			all = append(all, e.(string))
		}
		return all
	}
	return nil
}

// privileges are those of a user's roles.
func (s *Server) privileges(u *user) []bson.M {
	all := []bson.M{}
	list, _ := u.fields["roles"].(bson.A)
	for _, r := range list {
		all = append(all, s.roles[roleName(r)]...)
	}
	return all
}

func roleName(r any) string {
	switch r := r.(type) {
	case bson.M:
		return r["role"].(string)
	case bson.D:
		return r[0].Value.(string)
	}
	return r.(string)
}

func (c *conn) usersInfo(fields bson.M) (bson.D, error) {
	show := fields["showPrivileges"] == true
	if c.server.Old && show {
		return nil, serverError{303, "Field 'showPrivileges' is currently not supported"}
	}
	who, _ := fields["usersInfo"].(bson.D)
	key := who[1].Value.(string) + "." + who[0].Value.(string)
	if !c.may("viewUser") && c.user != c.server.users[key] {
		return nil, serverError{13, "not authorized on admin to execute command { usersInfo }"}
	}
	u := c.server.users[key]
	if u == nil {
		return bson.D{{Key: "users", Value: bson.A{}}}, nil
	}
	doc := bson.M{"_id": key, "user": u.name, "db": u.db}
	maps.Copy(doc, u.fields)
	if show {
		doc["inheritedPrivileges"] = c.server.privileges(u)
	}
	return bson.D{{Key: "users", Value: bson.A{doc}}}, nil
}

func (c *conn) change(name, db string, fields bson.M) error {
	who, _ := fields[name].(string)
	key := db + "." + who
	u := c.server.users[key]
	own := u != nil && u == c.user && name == "updateUser" && fields["roles"] == nil && c.may("changeOwnPassword")
	switch {
	case !c.server.primaryLocked():
		return serverError{10107, "not primary"}
	case !c.may("changePassword") && !own:
		return serverError{13, "not authorized on " + db + " to execute command { " + name + " }"}
	case name == "createUser" && u != nil:
		return serverError{51003, "User \"" + who + "@" + db + "\" already exists"}
	case name == "updateUser" && u == nil:
		return serverError{11, "Could not find user \"" + who + "\" for db \"" + db + "\""}
	case u == nil:
		u = &user{name: who, db: db}
	}
	next := &user{name: who, db: db, fields: bson.M{"mechanisms": bson.A{"SCRAM-SHA-256"}}, stored: u.stored}
	for _, member := range []string{"roles", "customData", "mechanisms", "authenticationRestrictions"} {
		if value := cmp.Or(fields[member], u.fields[member]); value != nil {
			next.fields[member] = value
		}
	}
	if password, ok := fields["pwd"].(string); ok {
		next.setPassword(password)
	}
	c.server.users[key] = next
	if c.user == u {
		c.user = next
	}
	return nil
}
