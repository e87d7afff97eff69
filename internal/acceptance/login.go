package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// loginStatements are about POST /auth/login.
func loginStatements() []statement {
	return []statement{
		{"M27", "there is POST /auth/login", loginIsThere},
		{"M28", "a login without e-mail or password is refused", loginNeedsBoth},
		{"M29", "the login to the database is read at run time, and follows a change", loginFollowsItsSecret},
		{"M30", "without database-credentials a login is 500 and the words for it", loginWithoutSecret},
		{"M31", "users are looked up with the login that is in the secret", loginUsesItsSecret},
		{"M32", "an unknown user and a wrong password have the same 401", strangersLearnNothing},
		{"M33", "the token is signed with the key of jwt-configuration, and names its issuer", tokensAreSigned},
		{"M34", "the answer has the token and the user's id and e-mail, and nothing else", loginAnswers},
		{"M35", "a login that fails otherwise is 500, is logged, and tells no value", failedLoginsAreSaid},
	}
}

func (s *system) login(body string) answer { return s.call("POST", "/auth/login", body, isJSON) }

func loginIsThere(r *run) error {
	s := r.shop()
	return errors.Join(
		s.login(aLogin).like(200, `"token"`),
		s.call("GET", "/auth/login", "").like(404, ""),
	)
}

func loginNeedsBoth(r *run) error {
	s := r.shop()
	var errs []error
	for _, body := range []string{
		"", "{}", "null", "[]", `"x"`, "{", `{"email":"test@example.com"}`, `{"password":"password123"}`, `{"email":"","password":"password123"}`,
		`{"email":"test@example.com","password":""}`, `{"email":"test@example.com","password":null}`, `{"email":["test@example.com"],"password":"password123"}`,
	} {
		a := s.login(body)
		errs = append(errs, a.is(400, `{"error":"email and password are required"}`), a.has("Content-Type", "application/json"))
	}
	return errors.Join(errs...)
}

// loginFollowsItsSecret changes the password on the server and in the secret, and
// waits until the function holds the new version.
func loginFollowsItsSecret(r *run) error {
	s := r.up("--parameter", "CheckInterval=100ms")
	if err := s.stock(); err != nil {
		return err
	}
	process := s.functions("login")
	rotated := s.rotate(
		`{"secretName":"database-credentials","newValue":{"host":"localhost","username":"test","password":"changed-to-this"}}`)
	value, err := s.current("database-credentials")
	return errors.Join(rotated.like(200, "rotated successfully"), err,
		contains("the secret", value, "changed-to-this"),
		s.login(aLogin).like(200, `"token"`),
		s.until(func() error {
			return errors.Join(s.login(aLogin).like(200, ""), s.allHoldCurrent("database-credentials"))
		}),
		s.runsOn("login", process),
	)
}

// allHoldCurrent checks that all consumers hold the current version of a secret,
// and that there is one.
func (s *system) allHoldCurrent(name string) error {
	var secret struct{ Consumers struct{ Current, Old int } }
	a := s.admin("GET", "/admin/secrets/"+name, "")
	if err := errors.Join(a.like(200, ""), a.into(&secret)); err != nil {
		return err
	}
	if c := secret.Consumers; c.Old > 0 || c.Current == 0 {
		return fmt.Errorf("%d consumers hold the current version of %s, and %d an old one", c.Current, name, c.Old)
	}
	return nil
}

func loginWithoutSecret(r *run) error {
	a := r.empty().login(aLogin)
	return errors.Join(a.is(500, `{"error":"Database configuration not available"}`), a.has("Content-Type", "application/json"))
}

func loginUsesItsSecret(r *run) error {
	s := r.up("--parameter", "CheckInterval=100ms")
	return errors.Join(
		s.store("database-credentials", `{"host":"localhost","username":"test","password":"not-the-password"}`),
		s.login(aLogin).is(500, `{"error":"Authentication failed"}`),
		s.store("database-credentials", `{"host":"localhost","username":"nobody","password":"test123"}`),
		s.login(aLogin).is(500, `{"error":"Authentication failed"}`),
		s.store("database-credentials", databaseValue),
		s.until(func() error { return s.login(aLogin).like(200, `"token"`) }),
	)
}

func strangersLearnNothing(r *run) error {
	s := r.shop()
	const refused = `{"error":"Invalid credentials"}`
	var errs []error
	for _, body := range []string{
		`{"email":"nobody@example.com","password":"password123"}`, `{"email":"test@example.com","password":"wrong"}`,
		`{"email":"test@example.com","password":"password1234"}`, `{"email":"' OR 1=1 --","password":"password123"}`,
	} {
		a := s.login(body)
		errs = append(errs, a.is(401, refused), a.has("Content-Type", "application/json"))
	}
	return errors.Join(errs...)
}

// A loggedIn is the answer to a login.
type loggedIn struct {
	Token string
	User  struct{ ID, Email string }
}

// tokensAreSigned verifies a token with nothing but the value of the secret.
func tokensAreSigned(r *run) error {
	var in loggedIn
	if err := r.shop().login(aLogin).into(&in); err != nil {
		return err
	}
	parts := strings.Split(in.Token, ".")
	if len(parts) != 3 {
		return fmt.Errorf("the token has %d parts", len(parts))
	}
	var header struct{ Alg string }
	var claims struct {
		Iss, Sub, Email string
		Iat, Exp        int64
	}
	mac := hmac.New(sha256.New, []byte("the-first-256-bit-secret-key-of-the-shop"))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	return errors.Join(
		decodePart(parts[0], &header), decodePart(parts[1], &claims),
		equal("the algorithm", header.Alg, "HS256"),
		equal("the signature", parts[2], base64.RawURLEncoding.EncodeToString(mac.Sum(nil))),
		equal("the issuer", claims.Iss, "myapp.com"), equal("the subject", claims.Sub, in.User.ID), equal("the e-mail", claims.Email, "test@example.com"),
		equal("whether it has begun and ends", claims.Iat <= time.Now().Unix() && time.Now().Unix() < claims.Exp, true),
	)
}

func decodePart(part string, v any) error {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return unmarshal(string(text), v)
}

func loginAnswers(r *run) error {
	a := r.shop().login(aLogin)
	var keys map[string]any
	if err := errors.Join(a.like(200, ""), a.has("Content-Type", "application/json"), a.into(&keys)); err != nil {
		return err
	}
	user, isObject := keys["user"].(map[string]any)
	_, isText := keys["token"].(string)
	return errors.Join(
		equal("the members", fmt.Sprint(slices.Sorted(maps.Keys(keys))), "[token user]"),
		equal("whether token is a text and user an object", isText && isObject, true),
		equal("the user", fmt.Sprint(user), "map[email:test@example.com id:1]"),
	)
}

// failedLoginsAreSaid has the read of the secret refused, and a secret that is
// none of a database.
func failedLoginsAreSaid(r *run) error {
	const marker = "marker-of-m35"
	s := r.up("--no-database", "--parameter", "CheckInterval=100ms")
	failed := func() error { return s.login(aLogin).is(500, `{"error":"Authentication failed"}`) }
	err := errors.Join(
		s.store("database-credentials", `{"host":"127.0.0.1","username":"test","password":"`+marker+`"}`),
		s.deny("database-credentials", "GetSecretValue"), failed(),
		s.logs(`"msg":"Authentication error"`, "AccessDeniedException"),
		s.allow("database-credentials"),
		s.store("database-credentials", `"`+marker+` is no JSON"`), failed(),
		s.store("database-credentials", `{"host":"127.0.0.1","port":"`+marker+`","username":"test","password":"x"}`), failed(),
	)
	s.stop() // the log is whole
	return errors.Join(err, lacks("the log", s.log(), marker))
}
