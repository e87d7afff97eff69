package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
)

// tokenStatements are about what lives on through a rotation for a while: the
// tokens that the old signing key signed, and the admin token.
func tokenStatements() []statement {
	return []statement{
		{"M64", "new tokens are signed with the new key, and those from before are accepted until the overlap is over", tokensOverlap},
		{"M92", "the admin token is a secret, kept as a hash, rotated with an overlap, and nowhere in the template", adminTokenIsManaged},
	}
}

// signedWith reports whether a token was signed with a text, by HMAC and SHA-256.
func signedWith(token, key string) bool {
	at := strings.LastIndexByte(token, '.')
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(token[:max(at, 0)]))
	return token[at+1:] == base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func tokensOverlap(r *run) error {
	const next = "the-next-256-bit-secret-key-of-the-shop"
	s := r.up("--parameter", "CheckInterval=100ms", "--parameter", "Lease=2s")
	var before, after struct{ Token string }
	accepted := func(token string) error {
		return s.call("GET", "/auth/verify", "", "Authorization: Bearer "+token).is(200, `{"user":{"id":"1","email":"test@example.com"}}`)
	}
	err := errors.Join(
		s.stock(),
		s.call("POST", "/auth/login", aLogin).into(&before), accepted(before.Token),
		s.rotate(`{"secretName":"jwt-configuration","newValue":{"signing_key":"`+next+`","issuer":"myapp.com"}}`).
			like(200, "rotated successfully"),
		accepted(before.Token),
		s.until(func() error {
			return errors.Join(s.call("POST", "/auth/login", aLogin).into(&after), equal("whether the new key signs", signedWith(after.Token, next), true))
		}),
		accepted(after.Token), accepted(before.Token), // both, in the overlap
	)
	return errors.Join(err,
		equal("whether the old key signed the old token", signedWith(before.Token, "the-first-256-bit-secret-key-of-the-shop"), true),
		s.sh("rekey clock advance 55m").went(), accepted(before.Token),
		s.sh("rekey clock advance 11m").went(),
		s.until(func() error {
			return s.call("GET", "/auth/verify", "", "Authorization: Bearer "+before.Token).is(401, `{"error":"Invalid token"}`)
		}),
		accepted(after.Token),
	)
}

var literalToken = regexp.MustCompile(`(?i)(bearer|token|secretstring)\S*: *["']?[a-z0-9+/_-]{20,}`)

func adminTokenIsManaged(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=100ms", "--parameter", "Lease=2s", "--parameter", "Grace=1h")
	hashed := sha256.Sum256([]byte(token))
	as := func(token string) answer { return s.call("GET", "/admin/secrets", "", "Authorization: Bearer "+token) }
	hashes, unread := s.current("admin-tokens")
	rotated := s.rotate(`{"secretName":"admin-token"}`)
	fresh, unreadFresh := s.current("admin-token")
	return errors.Join(unread, unreadFresh,
		contains("the secret admin-tokens", hashes, hex.EncodeToString(hashed[:])),
		equal("whether the secret admin-tokens has the token", strings.Contains(hashes, token), false),
		rotated.like(200, "rotated successfully"),
		equal("whether the token is a new one, and long", fresh != token && len(fresh) >= 20, true),
		s.until(func() error { return as(fresh).like(200, `"secrets"`) }),
		s.sh("rekey clock advance 50m").went(), as(token).like(200, `"secrets"`), // both, in the overlap
		s.sh("rekey clock advance 11m").went(),
		s.until(func() error { return as(token).is(403, forbidden) }),
		as(fresh).like(200, `"secrets"`),
		equal("a literal in the template", literalToken.FindString(r.file("template.yaml")), ""),
		contains("internal/token/token.go", r.file("internal/token/token.go"), "subtle.ConstantTimeCompare("),
	)
}
