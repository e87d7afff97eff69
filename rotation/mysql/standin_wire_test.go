package mysql

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/internal/child"
)

// A standIn speaks the protocol of MySQL 8 with its real driver, for no real
// MySQL 8 can be had where these tests run. This file is the wire: the
// handshake with TLS, the two plugins, text queries. What the statements do is
// in standin_test.go.
type standIn struct {
	Host, CA string
	Port     int

	model *model
	tls   *tls.Config

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newStandIn starts one.
func newStandIn(tb testing.TB) *standIn {
	tb.Helper()
	certs, err := child.NewCertificates()
	if err != nil {
		tb.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certs.Leaf, certs.Key)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	s := &standIn{
		Host: "127.0.0.1", Port: address.Port, CA: string(certs.CA), model: newModel(),
		tls: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, conns: make(map[net.Conn]bool),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.keep(conn, true)
			wg.Go(func() { defer s.keep(conn, false); s.serve(conn) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *standIn) keep(conn net.Conn, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open {
		s.conns[conn] = true
		return
	}
	delete(s.conns, conn)
	_ = conn.Close()
}

// Capabilities of the protocol.
const (
	connectWithDB   = 1 << 3
	protocol41      = 1 << 9
	ssl             = 1 << 11
	transactions    = 1 << 13
	secureConn      = 1 << 15
	pluginAuth      = 1 << 19
	connectAttrs    = 1 << 20
	lenencAuth      = 1 << 21
	capabilities    = 1 | connectWithDB | protocol41 | ssl | transactions | secureConn | pluginAuth | connectAttrs | lenencAuth
	utf8mb4         = 45
	autocommit      = 2
	comQuit         = 1
	comQuery        = 3
	comPing         = 14
	typeVarString   = 253
	sqlStateUnknown = "HY000"
)

// A wire is a connection of packets.
type wire struct {
	conn net.Conn
	r    io.Reader // without a buffer until TLS begins, whose first bytes may come at once
	seq  byte
}

func (w *wire) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.r, head[:]); err != nil {
		return nil, err
	}
	w.seq = head[3] + 1
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(w.r, body)
	return body, err
}

func (w *wire) write(body []byte) error {
	n := len(body)
	_, err := w.conn.Write(append([]byte{byte(n), byte(n >> 8), byte(n >> 16), w.seq}, body...))
	w.seq++
	return err
}

func (w *wire) ok() error { return w.write([]byte{0, 0, 0, autocommit, 0, 0, 0}) }

func (w *wire) eof() error { return w.write([]byte{0xfe, 0, 0, autocommit, 0}) }

// fail answers an error: a refused of the model, or one that it did not expect.
func (w *wire) fail(err error) error {
	r, ok := errors.AsType[refused](err)
	if !ok {
		r = refused{1105, err.Error()}
	}
	return w.write(append([]byte{0xff, byte(r.number), byte(r.number >> 8), '#'}, sqlStateUnknown+r.text...))
}

func lenenc(text string) []byte {
	var head []byte
	switch n := len(text); {
	case n < 251:
		head = []byte{byte(n)}
	default:
		head = binary.LittleEndian.AppendUint16([]byte{0xfc}, uint16(n))
	}
	return append(head, text...)
}

// rows answers a result set. A nil cell is NULL.
func (w *wire) rows(columns int, rows [][]*string) error {
	errs := []error{w.write([]byte{byte(columns)})}
	for i := range columns {
		var def []byte
		for _, text := range []string{"def", "", "", "", fmt.Sprint("c", i), ""} {
			def = append(def, lenenc(text)...)
		}
		def = append(def, 0x0c, utf8mb4, 0, 0xff, 0xff, 0, 0, typeVarString, 0, 0, 0, 0, 0)
		errs = append(errs, w.write(def))
	}
	errs = append(errs, w.eof())
	for _, row := range rows {
		var cells []byte
		for _, cell := range row {
			if cell == nil {
				cells = append(cells, 0xfb)
			} else {
				cells = append(cells, lenenc(*cell)...)
			}
		}
		errs = append(errs, w.write(cells))
	}
	return errors.Join(append(errs, w.eof())...)
}

// serve serves a connection to its end.
func (s *standIn) serve(conn net.Conn) {
	w := &wire{conn: conn, r: conn}
	who, err := s.handshake(w)
	if err != nil {
		_ = w.fail(err)
		return
	}
	session := s.model.open(who)
	defer session.close()
	if w.ok() != nil {
		return
	}
	for {
		packet, err := w.read()
		if err != nil || len(packet) == 0 || packet[0] == comQuit {
			return
		}
		if err := s.command(w, session, packet); err != nil {
			return
		}
	}
}

func (s *standIn) command(w *wire, session *modelSession, packet []byte) error {
	switch packet[0] {
	case comPing:
		return w.ok()
	case comQuery:
		columns, rows, err := session.run(string(packet[1:]))
		switch {
		case err != nil:
			return w.fail(err)
		case columns > 0:
			return w.rows(columns, rows)
		}
		return w.ok()
	}
	return w.fail(refused{1047, "Unknown command"})
}

// handshake logs a client in.
func (s *standIn) handshake(w *wire) (name, error) {
	salt := []byte(rand.Text()[:20])
	hello := append([]byte{10}, s.model.version+"\x00"...)
	hello = append(hello, 1, 0, 0, 0)
	hello = append(append(hello, salt[:8]...), 0)
	hello = binary.LittleEndian.AppendUint16(hello, uint16(capabilities&0xffff))
	hello = append(hello, utf8mb4, autocommit, 0)
	hello = binary.LittleEndian.AppendUint16(hello, uint16(capabilities>>16))
	hello = append(append(hello, 21), make([]byte, 10)...)
	hello = append(append(hello, salt[8:]...), 0)
	if err := w.write(append(hello, cachingSHA2+"\x00"...)); err != nil {
		return name{}, err
	}
	packet, err := w.read()
	if err != nil {
		return name{}, err
	}
	if len(packet) != 32 || binary.LittleEndian.Uint32(packet)&ssl == 0 {
		return name{}, refused{secureTransport, "Connections using insecure transport are prohibited while --require_secure_transport=ON."}
	}
	secured := tls.Server(w.conn, s.tls)
	w.conn, w.r = secured, bufio.NewReader(secured)
	if packet, err = w.read(); err != nil {
		return name{}, err
	}
	user, database := response(packet)
	return s.authenticate(w, user, database, salt)
}

// response reads user and database of the client's answer.
func response(packet []byte) (user, database string) {
	flags := binary.LittleEndian.Uint32(packet)
	rest := packet[32:]
	cut := func() string {
		text, after, _ := bytes.Cut(rest, []byte{0})
		rest = after
		return string(text)
	}
	user = cut()
	rest = rest[1+int(rest[0]):] // the answer to a challenge that is not used
	if flags&connectWithDB != 0 {
		database = cut()
	}
	return user, database
}

// authenticate has the client prove its password by the account's plugin.
func (s *standIn) authenticate(w *wire, user, database string, salt []byte) (name, error) {
	denied := refused{accessDenied, fmt.Sprintf("Access denied for user '%s'@'127.0.0.1' (using password: YES)", user)}
	who, a := s.model.account(user)
	var proves func(m method) bool
	if a.plugin == nativePassword {
		if err := w.write(append(append([]byte{0xfe}, nativePassword+"\x00"...), append(salt, 0)...)); err != nil {
			return who, err
		}
		answer, err := w.read()
		if err != nil {
			return who, err
		}
		proves = func(m method) bool { return scrambled(m.stored, salt, answer) }
	} else {
		if err := w.write([]byte{1, 4}); err != nil { // over TLS: send it as it is
			return who, err
		}
		answer, err := w.read()
		if err != nil {
			return who, err
		}
		password := strings.TrimSuffix(string(answer), "\x00")
		proves = func(m method) bool { return m.accepts(password) }
	}
	switch {
	case !proves(method{a.plugin, a.primary}) && (a.second == "" || !proves(method{a.plugin, a.second})):
		return who, denied
	case a.locked:
		return who, refused{accountLockedMySQL, "Access denied for user '" + user + "'. Account is locked."}
	case database != "" && !s.model.databases[database]:
		return who, refused{unknownDatabase, "Unknown database '" + database + "'"}
	}
	return who, nil
}

// scrambled checks an answer of mysql_native_password against the stored hash.
func scrambled(stored string, salt, answer []byte) bool {
	twice, err := hex.DecodeString(strings.TrimPrefix(stored, "*"))
	if err != nil || len(answer) != sha1.Size {
		return false
	}
	mask := sha1.Sum(append(append([]byte{}, salt...), twice...))
	once := make([]byte, sha1.Size)
	for i := range once {
		once[i] = answer[i] ^ mask[i]
	}
	again := sha1.Sum(once)
	return bytes.Equal(again[:], twice)
}
