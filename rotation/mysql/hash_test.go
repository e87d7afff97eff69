package mysql

import (
	"encoding/hex"
	"testing"
)

func TestHashesAreThoseOfTheServers(t *testing.T) {
	t.Parallel()
	sha2, err := hex.DecodeString("24412430303524031A69251C34295C4B35167C7F1E5A7B63091349503974624D34504B5A424679354856336868686F52485A736E4A733368786E427575516C73446469496537")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		password string
		stored   method
	}{
		// SELECT PASSWORD('mypass'), in the manual of MySQL 5.7.
		"mysql_native_password": {"mypass", method{nativePassword, "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4"}},
		// SELECT ed25519_password("secret"), in MariaDB's documentation.
		"ed25519": {"secret", method{ed25519Plugin, "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"}},
		// What a MySQL 8 stored, in the tests of TiDB.
		"caching_sha2_password": {"foobar", method{cachingSHA2, string(sha2)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !tt.stored.accepts(tt.password) {
				t.Error("the password is refused")
			}
			if tt.stored.accepts(tt.password + "x") {
				t.Error("another password is accepted")
			}
			made, err := newMethod(tt.stored.plugin, tt.password)
			if err != nil {
				t.Fatal(err)
			}
			if len(made.stored) != len(tt.stored.stored) || !made.accepts(tt.password) || made.accepts("") {
				t.Errorf("what is made is %q", made.stored)
			}
		})
	}
}

func TestTheRoundsAreThoseOfCrypt(t *testing.T) {
	t.Parallel()
	// The test vectors of https://www.akkadia.org/drepper/SHA-crypt.txt, with
	// salts as they come out of its limit.
	for _, tt := range []struct {
		password, salt string
		rounds         int
		want           string
	}{
		{"Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"},
		{"Hello world!", "saltstringsaltst", 10000, "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA"},
		{"This is just a test", "toolongsaltstrin", 5000, "Un/5jzAHMgOGZ5.mWJpuVolil07guHPvOW8mGRcvxa5"},
		{"a very much longer text to encrypt.  This one even stretches over morethan one line.", "anotherlongsalts", 1400, "Rx.j8H.h8HjEDGomFU8bDkXm3XIUnzyxf12oP84Bnq1"},
	} {
		if got := sha256Crypt(tt.password, tt.salt, tt.rounds); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.password, got, tt.want)
		}
	}
}
