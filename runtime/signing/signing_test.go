package signing_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/signing"
)

const first = `{"signing_key":"the-first-secret-key-of-all","issuer":"myapp.com"}`

// oct is an HMAC key of a set.
func oct(id, state, secret string) string {
	return fmt.Sprintf(`{"kty":"oct","kid":%q,"alg":"HS256","state":%q,"k":%q}`, id, state, base64.RawURLEncoding.EncodeToString([]byte(secret)))
}

// setOf is a value with keys.
func setOf(signingKey string, keys ...string) string {
	return fmt.Sprintf(`{"signing_key":%q,"issuer":"myapp.com","alg":"HS256","keys":[%s]}`, signingKey, strings.Join(keys, ","))
}

// rotated is the set in which b signs.
func rotated() string {
	return setOf("secret-b", oct("c", "next", "secret-c"), oct("b", "current", "secret-b"), oct("a", "previous", "secret-a"))
}

func keysOf(value string) (*signing.Keys, *store) {
	s := &store{}
	s.rotate(value)
	return signing.NewKeys(secrets.New(s), "keys"), s
}

// token is one that a key signs, whose header names it unless id is empty.
func token(t *testing.T, method jwt.SigningMethod, id string, key any, claims jwt.MapClaims) string {
	t.Helper()
	made := jwt.NewWithClaims(method, claims)
	if id != "" {
		made.Header["kid"] = id
	}
	text, err := made.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func good() jwt.MapClaims {
	return jwt.MapClaims{"iss": "myapp.com", "sub": "7", "aud": "shop", "exp": time.Now().Add(time.Hour).Unix()}
}

// but are good claims, but for one.
func but(name string, value any) jwt.MapClaims {
	claims := good()
	if claims[name] = value; value == nil {
		delete(claims, name)
	}
	return claims
}

func TestVerify(t *testing.T) {
	t.Parallel()
	hs := jwt.SigningMethodHS256
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: private.Public(), KeyID: "e", Algorithm: "ES256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	mixed := setOf("secret-b", oct("b", "current", "secret-b"), strings.Replace(string(public), "{", `{"state":"previous","iss":"old.example",`, 1))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	none := jwt.NewWithClaims(jwt.SigningMethodNone, good())
	none.Header["kid"] = "b"
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		set, token string
		options    []jwt.ParserOption
		want       error
	}{
		"the current key":                     {token: token(t, hs, "b", []byte("secret-b"), good())},
		"the next key":                        {token: token(t, hs, "c", []byte("secret-c"), good())},
		"a previous key":                      {token: token(t, hs, "a", []byte("secret-a"), good())},
		"no key is named":                     {token: token(t, hs, "", []byte("secret-a"), good())},
		"no key is named, and none is right":  {token: token(t, hs, "", []byte("secret-z"), good()), want: signing.ErrUnknownKey},
		"no key is named, and it has expired": {token: token(t, hs, "", []byte("secret-a"), but("exp", 1)), want: jwt.ErrTokenExpired},
		"an unknown key":                      {token: token(t, hs, "z", []byte("secret-z"), good()), want: signing.ErrUnknownKey},
		"the name of another key":             {token: token(t, hs, "a", []byte("secret-b"), good()), want: jwt.ErrTokenSignatureInvalid},
		"an audience":                         {token: token(t, hs, "b", []byte("secret-b"), good()), options: []jwt.ParserOption{jwt.WithAudience("shop")}},
		"another audience":                    {token: token(t, hs, "b", []byte("secret-b"), good()), options: []jwt.ParserOption{jwt.WithAudience("bank")}, want: jwt.ErrTokenInvalidAudience},
		"another issuer":                      {token: token(t, hs, "b", []byte("secret-b"), but("iss", "evil.example")), want: jwt.ErrTokenInvalidIssuer},
		"no issuer":                           {token: token(t, hs, "b", []byte("secret-b"), but("iss", nil)), want: jwt.ErrTokenRequiredClaimMissing},
		"expired":                             {token: token(t, hs, "b", []byte("secret-b"), but("exp", 1)), want: jwt.ErrTokenExpired},
		"no expiry":                           {token: token(t, hs, "b", []byte("secret-b"), but("exp", nil)), want: jwt.ErrTokenRequiredClaimMissing},
		"not yet valid":                       {token: token(t, hs, "b", []byte("secret-b"), but("nbf", time.Now().Add(time.Hour).Unix())), want: jwt.ErrTokenNotValidYet},
		"another algorithm of the same key":   {token: token(t, jwt.SigningMethodHS512, "b", []byte("secret-b"), good()), want: jwt.ErrTokenSignatureInvalid},
		"no algorithm":                        {token: unsigned, want: jwt.ErrTokenSignatureInvalid},
		"the algorithm cannot be chosen":      {token: unsigned, options: []jwt.ParserOption{jwt.WithValidMethods([]string{"none"})}, want: jwt.ErrTokenSignatureInvalid},
		"a public key taken for a text":       {set: mixed, token: token(t, hs, "e", publicPEM, good()), want: jwt.ErrTokenSignatureInvalid},
		"a previous key of another issuer":    {set: mixed, token: token(t, jwt.SigningMethodES256, "e", private, but("iss", "old.example"))},
		"one of that with the new issuer":     {set: mixed, token: token(t, jwt.SigningMethodES256, "e", private, good()), want: jwt.ErrTokenInvalidIssuer},
		"no token":                            {token: "a.b.c", want: jwt.ErrTokenMalformed},
		"nothing":                             {want: jwt.ErrTokenMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.set == "" {
				tt.set = rotated()
			}
			keys, _ := keysOf(tt.set)
			var claims jwt.RegisteredClaims
			err := keys.Verify(t.Context(), tt.token, &claims, tt.options...)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if (tt.want != nil) != errors.Is(err, signing.ErrRefused) {
				t.Errorf("%v does not say that the token is refused", err)
			}
			if tt.want == nil && claims.Subject != "7" {
				t.Errorf("the claims are %+v", claims)
			}
		})
	}
}

func TestSignAndVerifyWithEveryKindOfKey(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		key, alg string
		want     string // algorithm in the header
		public   int
	}{
		"HMAC":                {key: "the-first-secret-key", want: "HS256"},
		"HMAC with SHA-512":   {key: "the-first-secret-key", alg: "HS512", want: "HS512"},
		"RSA":                 {key: pkcs8(rsaKey), want: "RS256", public: 1},
		"RSA in PKCS #1":      {key: string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})), want: "RS256", public: 1},
		"ECDSA":               {key: pkcs8(ecKey), want: "ES256", public: 1},
		"ECDSA in SEC 1":      {key: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ecDER})), want: "ES256", public: 1},
		"Ed25519":             {key: pkcs8(edKey), alg: "EdDSA", want: "EdDSA", public: 1},
		"Ed25519, not stated": {key: pkcs8(edKey), want: "EdDSA", public: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			value, err := json.Marshal(map[string]string{"signing_key": tt.key, "alg": tt.alg, "issuer": "myapp.com"})
			if err != nil {
				t.Fatal(err)
			}
			keys, _ := keysOf(string(value))
			text, err := keys.Sign(t.Context(), good())
			if err != nil {
				t.Fatal(err)
			}
			unverified, _, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
			if err != nil || unverified.Header["alg"] != tt.want || unverified.Header["kid"] == "" {
				t.Errorf("the header is %v, %v", unverified.Header, err)
			}
			if err := keys.Verify(t.Context(), text, jwt.MapClaims{}); err != nil {
				t.Error(err)
			}
			document, err := keys.JWKS(t.Context())
			if err != nil || strings.Count(string(document), `"kid"`) != tt.public || strings.Contains(string(document), `"d"`) {
				t.Errorf("the public keys are %s, %v", document, err)
			}
			if issuer, err := keys.Issuer(t.Context()); err != nil || issuer != "myapp.com" {
				t.Errorf("the issuer is %q, %v", issuer, err)
			}
		})
	}
}

func TestValuesThatAreNoKeySet(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"no JSON":                   `the-first-secret-key`,
		"an array":                  `[]`,
		"no key":                    `{"issuer":"myapp.com"}`,
		"keys without a current":    `{"keys":[` + oct("a", "previous", "secret-a") + `]}`,
		"two current":               `{"keys":[` + oct("a", "current", "secret-a") + `,` + oct("b", "current", "secret-b") + `]}`,
		"the same id twice":         `{"keys":[` + oct("a", "current", "secret-a") + `,` + oct("a", "next", "secret-b") + `]}`,
		"no id":                     `{"keys":[` + oct("", "current", "secret-a") + `]}`,
		"no state":                  `{"keys":[` + oct("a", "", "secret-a") + `]}`,
		"an empty key":              `{"keys":[` + oct("a", "current", "") + `]}`,
		"an algorithm of others":    `{"signing_key":"secret-a","alg":"RS256"}`,
		"an algorithm of nobody":    `{"signing_key":"secret-a","alg":"none"}`,
		"PEM without a private key": `{"signing_key":"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, _ := keysOf(value)
			_, err := keys.Sign(t.Context(), good())
			if !errors.Is(err, secrets.ErrDecode) || strings.Contains(err.Error(), "secret-a") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAHandEditedValueSignsWithWhatItSays(t *testing.T) {
	t.Parallel()
	keys, _ := keysOf(setOf("secret-new", oct("b", "current", "secret-b")))
	text, err := keys.Sign(t.Context(), good())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return []byte("secret-new"), nil }); err != nil {
		t.Errorf("it does not sign with signing_key: %v", err)
	}
	for _, text := range []string{text, token(t, jwt.SigningMethodHS256, "b", []byte("secret-b"), good())} {
		if err := keys.Verify(t.Context(), text, jwt.MapClaims{}); err != nil {
			t.Error(err)
		}
	}
}

// Tokens of all keys that overlap verify, whatever version a verifier holds: one
// that is behind looks again, and one that is ahead has the previous key.
func TestTokensVerifyInAnyOrderOfTakingOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		value := func(i int) string {
			id := func(i int) string { return fmt.Sprintf("k%d", i) }
			keys := []string{oct(id(i), "current", "secret-"+id(i)), oct(id(i+1), "next", "secret-"+id(i+1))}
			if i > 0 {
				keys = append(keys, oct(id(i-1), "previous", "secret-"+id(i-1)))
			}
			return setOf("secret-"+id(i), keys...)
		}
		s := &store{}
		s.rotate(value(0))
		behind := signing.NewKeys(secrets.New(s), "keys")
		for i := range 10 {
			signer := signing.NewKeys(secrets.New(s), "keys") // has just started
			text, err := signer.Sign(t.Context(), good())
			if err != nil {
				t.Fatal(err)
			}
			if err := behind.Verify(t.Context(), text, jwt.MapClaims{}); err != nil {
				t.Errorf("rotation %d: a verifier that is behind: %v", i, err)
			}
			s.rotate(value(i + 1))
			ahead := signing.NewKeys(secrets.New(s), "keys")
			if err := ahead.Verify(t.Context(), text, jwt.MapClaims{}); err != nil {
				t.Errorf("rotation %d: a verifier that is ahead: %v", i, err)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

func TestForgedKeysCauseNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys, s := keysOf(rotated())
		forged := token(t, jwt.SigningMethodHS256, "z", []byte("secret-z"), good())
		honest := token(t, jwt.SigningMethodHS256, "a", []byte("secret-a"), good())
		for range 10 { // seconds
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					if err := keys.Verify(t.Context(), forged, jwt.MapClaims{}); !errors.Is(err, signing.ErrUnknownKey) {
						t.Error(err)
					}
					if err := keys.Verify(t.Context(), honest, jwt.MapClaims{}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			time.Sleep(time.Second)
		}
		if got := s.count(); got > 11 {
			t.Errorf("2,000 forged tokens in 10 s made %d reads, want 11 at most", got)
		}
	})
}

// All who come with a key that is not here yet wait for the one read.
func TestANewKeyIsAcceptedByAllWhoComeAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys, s := keysOf(first)
		if _, err := keys.Issuer(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.rotate(rotated())
		text := token(t, jwt.SigningMethodHS256, "b", []byte("secret-b"), good())
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := keys.Verify(t.Context(), text, jwt.MapClaims{}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := s.count(); got != 2 {
			t.Errorf("%d reads, want 2", got)
		}
	})
}

func TestTheKeysCannotBeReadAgain(t *testing.T) {
	t.Parallel()
	keys, s := keysOf(rotated())
	honest := token(t, jwt.SigningMethodHS256, "a", []byte("secret-a"), good())
	if err := keys.Verify(t.Context(), honest, jwt.MapClaims{}); err != nil {
		t.Fatal(err)
	}
	s.fail(errors.New("no route"))
	unknown := token(t, jwt.SigningMethodHS256, "z", []byte("secret-z"), good())
	if err := keys.Verify(t.Context(), unknown, jwt.MapClaims{}); !errors.Is(err, secrets.ErrUnavailable) {
		t.Errorf("an unknown key: %v, want ErrUnavailable", err)
	}
	if err := keys.Verify(t.Context(), honest, jwt.MapClaims{}); err != nil {
		t.Errorf("a known key: %v", err)
	}
}

func TestMACsOfAKeySet(t *testing.T) {
	t.Parallel()
	keys, _ := keysOf(rotated())
	message := []byte("paid")
	mac, err := keys.MAC(t.Context(), message)
	if err != nil || !hmac.Equal(mac, macOf("secret-b", message)) {
		t.Errorf("the MAC is not under the current key: %v", err)
	}
	for secret, want := range map[string]error{"secret-a": nil, "secret-b": nil, "secret-c": nil, "secret-z": signing.ErrRefused} {
		if err := keys.VerifyMAC(t.Context(), message, macOf(secret, message)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", secret, err, want)
		}
	}
	if err := keys.VerifyMAC(t.Context(), message, nil); !errors.Is(err, signing.ErrRefused) {
		t.Errorf("no MAC: %v", err)
	}
}

func macOf(secret string, message []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(message)
	return h.Sum(nil)
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.rotate("one")
		w := signing.NewWebhook(secrets.New(s), "keys")
		message := []byte("paid")
		type try struct {
			secret   string
			accepted bool
		}
		check := func(when string, tries ...try) {
			t.Helper()
			for _, x := range tries {
				err := w.VerifyMAC(t.Context(), message, macOf(x.secret, message))
				if (err == nil) != x.accepted || err != nil && !errors.Is(err, signing.ErrRefused) {
					t.Errorf("%s, %q: %v", when, x.secret, err)
				}
				time.Sleep(2 * time.Second)
			}
		}
		check("at first", try{"one", true}, try{"two", false})
		s.rotate("two") // nobody tells
		check("after a rotation", try{"one", true}, try{"two", true}, try{"zero", false})
		s.rotate("three")
		check("until it is heard of", try{"one", true})
		check("after another", try{"two", true}, try{"three", true}, try{"one", false})
		if mac, err := w.MAC(t.Context(), message); err != nil || !hmac.Equal(mac, macOf("three", message)) {
			t.Errorf("the MAC is not under the current value: %v", err)
		}
		s.retire()
		time.Sleep(6 * time.Minute) // the TTL
		check("after the retirement", try{"two", false}, try{"three", true})
	})
}

// A verifier that hears of a rotation accepts what the one before signed, though
// Secrets Manager cannot be asked for it.
func TestAWebhookRemembersTheValueBefore(t *testing.T) {
	t.Parallel()
	s := &store{}
	s.rotate("one")
	client := secrets.New(s)
	w := signing.NewWebhook(client, "keys", func(o *signing.Options) { o.Again = time.Hour })
	message := []byte("paid")
	if err := w.VerifyMAC(t.Context(), message, macOf("one", message)); err != nil {
		t.Fatal(err)
	}
	s.rotate("two")
	if err := client.Invalidate(t.Context(), secrets.Rotated{Name: "keys"}); err != nil {
		t.Fatal(err)
	}
	s.fail(errors.New("no route"))
	for _, secret := range []string{"one", "two"} {
		if err := w.VerifyMAC(t.Context(), message, macOf(secret, message)); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

func TestForgedMACsCauseNoStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &store{}
		s.rotate(`{"secret":"one","url":"https://shop.example"}`)
		w := signing.NewWebhook(secrets.New(s), "keys", func(o *signing.Options) { o.Field = "secret" })
		for range 10 {
			for range 200 {
				if err := w.VerifyMAC(t.Context(), []byte("paid"), []byte("forged")); !errors.Is(err, signing.ErrRefused) {
					t.Fatal(err)
				}
				if err := w.VerifyMAC(t.Context(), []byte("paid"), macOf("one", []byte("paid"))); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Second)
		}
		if got := s.count(); got > 2+2*10 { // current and previous, each
			t.Errorf("2,000 forged MACs in 10 s made %d reads", got)
		}
	})
}

func FuzzSet(f *testing.F) {
	for _, seed := range []string{first, rotated(), `{"keys":[{}]}`, `{"signing_key":"-----BEGIN "}`} {
		f.Add(seed, "a.b.c")
	}
	f.Fuzz(func(t *testing.T, value, text string) {
		keys, _ := keysOf(value)
		signed, err := keys.Sign(t.Context(), jwt.RegisteredClaims{ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)), Issuer: issuer(t, keys)})
		if err == nil {
			if err := keys.Verify(t.Context(), signed, &jwt.RegisteredClaims{}); err != nil {
				t.Errorf("a set refuses its own token: %v", err)
			}
		}
		if keys.Verify(t.Context(), text, &jwt.RegisteredClaims{}) == nil {
			t.Errorf("accepts %q", text)
		}
	})
}

func issuer(t *testing.T, keys *signing.Keys) string {
	t.Helper()
	s, err := keys.Issuer(t.Context())
	if err != nil {
		return ""
	}
	return s
}

func BenchmarkVerify(b *testing.B) {
	keys, _ := keysOf(rotated())
	text, err := keys.Sign(b.Context(), jwt.MapClaims{"iss": "myapp.com", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := keys.Verify(b.Context(), text, &jwt.RegisteredClaims{}); err != nil {
			b.Fatal(err)
		}
	}
}
