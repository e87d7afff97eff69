package mysql

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/mysqltest"
)

// FuzzQuoting looks for a text that does not come out of its quotes as it went
// in, or that ends before them.
func FuzzQuoting(f *testing.F) {
	for _, seed := range []string{"", "app", "it's", "`", "``", `\`, `\'`, `\\`, `'; DROP USER app; --`, "\x00", "Ünïcode ✓", "\n\t\x1a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, quoted := range []string{literal(text), identifier(text)} {
			got, err := tokens("A " + quoted + "@" + quoted)
			want := []token{{text: "A"}, {text, true}, {text: "@"}, {text, true}}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q in quotes is %s and reads as %v: %v", text, quoted, got, err)
			}
		}
	})
}

// FuzzGrants looks for a line of SHOW GRANTS that ends in a crash, or in
// statements that give other rights than the line says.
func FuzzGrants(f *testing.F) {
	for _, seed := range []string{
		"GRANT USAGE ON *.* TO `app`@`%`", "GRANT SELECT, INSERT (`a`, `b``c`) ON `d`.`t` TO `app`@`%` WITH GRANT OPTION",
		"GRANT EXECUTE ON PROCEDURE `d`.`p` TO `app`@`%`", "GRANT `r`@`%`,`s`@`%` TO `app`@`%` WITH ADMIN OPTION", "GRANT BACKUP_ADMIN,XA_RECOVER_ADMIN ON *.* TO `app`@`%`",
		"REVOKE SELECT ON `mysql`.* FROM `app`@`%`", "GRANT PROXY ON ''@'%' TO 'app'@'%'", "SET DEFAULT ROLE `r` FOR `app`@`%`", "GRANT ALL PRIVILEGES ON `d`.* TO PUBLIC",
		"GRANT SELECT ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*AB' REQUIRE SUBJECT '/CN=it''s' WITH MAX_QUERIES_PER_HOUR 5",
	} {
		f.Add(seed)
	}
	app := name{"app", "%"}
	f.Fuzz(func(t *testing.T, line string) {
		r := newRights()
		if r.add(app, line) != nil {
			return
		}
		again := newRights()
		for _, sql := range r.toward(app, newRights()) {
			if strings.HasPrefix(sql, "REVOKE") && !strings.HasPrefix(line, "REVOKE") && len(r.except) == 0 {
				t.Errorf("%q leads to %q", line, sql)
			}
			if err := again.add(app, sql); err != nil {
				t.Errorf("%q leads to %q: %v", line, sql, err)
			}
		}
		again.proxy = r.proxy // which is not copied: who may act as others is not cloned
		if more := r.toward(app, again); len(more) > 0 {
			t.Errorf("%q leads to other rights; %q is left", line, more)
		}
	})
}

func TestTheServerReadsTextsAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	s := mysqltest.Start(t, mysqltest.Options{Settings: map[string]string{
		// In these the last byte of a character may be a backslash.
		"character-set-server": "sjis", "character-set-client-handshake": "off", "sql-mode": "NO_BACKSLASH_ESCAPES,ANSI_QUOTES",
	}})
	conn, err := mysqltest.Login(t, s, s.User, s.Password, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), prepare); err != nil {
		t.Fatal(err)
	}
	alphabet := []rune("a'\"`\\\\''%_;-- \x00\n\x1aäソ表✓😀?")
	for range 300 {
		var b strings.Builder
		for range rand.IntN(12) {
			b.WriteRune(alphabet[rand.IntN(len(alphabet))])
		}
		text := b.String()
		var got string
		if err := conn.QueryRowContext(t.Context(), "SELECT "+literal(text)).Scan(&got); err != nil || got != text {
			t.Errorf("%q is read as %q: %v", text, got, err)
		}
		column := strings.Trim(strings.NewReplacer("\x00", "", "😀", "").Replace(text), " \n\x1a")
		if column == "" {
			continue // no identifier
		}
		rows, err := conn.QueryContext(t.Context(), "SELECT x."+identifier(column)+" FROM (SELECT 1 AS "+identifier(column)+") AS x")
		if err != nil {
			t.Errorf("as an identifier %q: %v", column, err)
			continue
		}
		if names, _ := rows.Columns(); len(names) != 1 || names[0] != column {
			t.Errorf("the identifier %q is read as %q", column, names)
		}
		_ = rows.Close()
	}
}
