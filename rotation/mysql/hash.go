package mysql

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // what mysql_native_password is made of.
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"filippo.io/edwards25519"
)

// The plugins whose hashes are computed here.
const (
	nativePassword = "mysql_native_password" //nolint:gosec // its name, not a password.
	cachingSHA2    = "caching_sha2_password"
	ed25519Plugin  = "ed25519"
)

// A method is one way for an account to log in: a plugin of the server, and
// what it has stored.
type method struct{ plugin, stored string }

// byPassword reports whether it is a way that this package knows.
func (m method) byPassword() bool {
	return m.plugin == nativePassword || m.plugin == cachingSHA2 || m.plugin == ed25519Plugin
}

// newMethod is the way to log in with a password through a plugin.
func newMethod(plugin, password string) (method, error) {
	switch plugin {
	case nativePassword:
		return method{plugin, nativeHash(password)}, nil
	case ed25519Plugin:
		stored, err := ed25519Hash(password)
		return method{plugin, stored}, err
	case cachingSHA2:
		return method{plugin, sha2Hash(password, newSalt())}, nil
	}
	return method{}, fmt.Errorf("the plugin %q is none of %s, %s, %s", plugin, cachingSHA2, nativePassword, ed25519Plugin)
}

// accepts reports whether a password is the one that is stored.
func (m method) accepts(password string) bool {
	again := method{plugin: m.plugin}
	switch m.plugin {
	case nativePassword:
		again.stored = nativeHash(password)
	case ed25519Plugin:
		again.stored, _ = ed25519Hash(password) // it only fails where nothing could be stored
	case cachingSHA2:
		salt, ok := saltOf(m.stored)
		if !ok {
			return false
		}
		again.stored = sha2Hash(password, salt)
	}
	return again.stored != "" && subtle.ConstantTimeCompare([]byte(again.stored), []byte(m.stored)) == 1
}

// nativeHash is '*' and SHA1(SHA1(password)) in hexadecimal.
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password)) //nolint:gosec // as above.
	twice := sha1.Sum(once[:])         //nolint:gosec // as above.
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

// ed25519Hash is the public key whose private key is made from the password.
func ed25519Hash(password string) (string, error) {
	sum := sha512.Sum512([]byte(password))
	private, err := edwards25519.NewScalar().SetBytesWithClamping(sum[:32])
	if err != nil {
		return "", fmt.Errorf("computing the key: %w", err)
	}
	return base64.RawStdEncoding.EncodeToString(new(edwards25519.Point).ScalarBaseMult(private).Bytes()), nil
}

const (
	// sha2Prefix says SHA-256 and 5 times 1,000 rounds, MySQL's default.
	sha2Prefix   = "$A$005$"
	sha2Rounds   = 5000
	sha2SaltSize = 20
	// cryptDigits are those of crypt(3).
	cryptDigits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newSalt makes a salt of letters and digits: MySQL would take any bytes but
// NUL and $, but these pass through every character set.
func newSalt() string {
	salt := make([]byte, sha2SaltSize)
	_, _ = rand.Read(salt) // it never fails
	for i := range salt {
		salt[i] = cryptDigits[salt[i]%64]
	}
	return string(salt)
}

// saltOf is the salt of a stored hash. It is not ok where the hash is of
// another kind than those that are made here.
func saltOf(stored string) (salt string, ok bool) {
	rest, ok := strings.CutPrefix(stored, sha2Prefix)
	if !ok || len(rest) < sha2SaltSize {
		return "", false
	}
	return rest[:sha2SaltSize], true
}

// sha2Hash is what caching_sha2_password stores: prefix, salt, and the hash of
// crypt(3) with SHA-256.
func sha2Hash(password, salt string) string {
	return sha2Prefix + salt + sha256Crypt(password, salt, sha2Rounds)
}

// sha256Crypt is the algorithm of https://www.akkadia.org/drepper/SHA-crypt.txt
// without its limit on the salt.
func sha256Crypt(password, salt string, rounds int) string {
	inner := sha256.Sum256([]byte(password + salt + password))
	first := sha256.New()
	first.Write([]byte(password + salt))
	first.Write(repeat(inner[:], len(password)))
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			first.Write(inner[:])
		} else {
			first.Write([]byte(password))
		}
	}
	sum := [sha256.Size]byte(first.Sum(nil))

	allPasswords := sha256.Sum256([]byte(strings.Repeat(password, len(password))))
	allSalts := sha256.Sum256([]byte(strings.Repeat(salt, 16+int(sum[0]))))
	p, s := repeat(allPasswords[:], len(password)), repeat(allSalts[:], len(salt))
	in := make([]byte, 0, 2*len(p)+len(s)+len(sum))
	for i := range rounds {
		in = round(in[:0], i, sum[:], p, s)
		sum = sha256.Sum256(in)
	}
	return cryptBase64(sum)
}

// round is what is hashed in one of the rounds that make the hash slow.
func round(in []byte, i int, sum, p, s []byte) []byte {
	first, last := sum, p
	if i&1 != 0 {
		first, last = p, sum
	}
	in = append(in, first...)
	if i%3 != 0 {
		in = append(in, s...)
	}
	if i%7 != 0 {
		in = append(in, p...)
	}
	return append(in, last...)
}

// repeat repeats a block until there are n bytes.
func repeat(block []byte, n int) []byte {
	out := make([]byte, 0, n+len(block))
	for len(out) < n {
		out = append(out, block...)
	}
	return out[:n]
}

// cryptBase64 writes the bytes in the order of crypt(3), three as four digits.
func cryptBase64(sum [sha256.Size]byte) string {
	var out strings.Builder
	digits := func(a, b, c byte, n int) {
		for w := uint(a)<<16 | uint(b)<<8 | uint(c); n > 0; n, w = n-1, w>>6 {
			out.WriteByte(cryptDigits[w&63])
		}
	}
	a, b, c := 0, 10, 20
	for range 10 {
		digits(sum[a], sum[b], sum[c], 4)
		a, b, c = c+1, a+1, b+1
	}
	digits(0, sum[31], sum[30], 3)
	return out.String()
}
