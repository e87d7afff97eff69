package keyset_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
)

// object is a value as JSON.
func object(t *testing.T, v rotation.Value) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(v.Reveal()), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestTheFirstValueIsASetOfOneKey(t *testing.T) {
	t.Parallel()
	s := parse(t, rotation.NewValue(first))
	token, err := s.Sign(jwt.RegisteredClaims{Issuer: "myapp.com"})
	if err != nil {
		t.Fatal(err)
	}
	// As the simplest consumer does it, with the text of signing_key.
	_, err = jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte("new-256-bit-secret-key"), nil })
	if err != nil {
		t.Errorf("the token is not signed with the text of signing_key: %v", err)
	}
	again := parse(t, rotation.NewValue(first))
	if s.Next != nil || len(s.Previous) != 0 || s.Current.ID != again.Current.ID || s.Current.ID == "" {
		t.Errorf("read %v, then %v", s, again)
	}
}

func TestAValueIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, alg := range []keyset.Algorithm{keyset.HS256, keyset.HS384, keyset.HS512, keyset.RS256, keyset.ES256, keyset.EdDSA} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			v := value(t, alg)
			s := parse(t, v)
			again, err := s.Value()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(object(t, v), object(t, again)); diff != "" {
				t.Error("the value changed when it was written again") // the difference holds keys
			}
			if err := signedAndVerified(v, again); err != nil {
				t.Error(err)
			}
			if o := object(t, v); o["alg"] != string(alg) || o["issuer"] != "myapp.com" || o["signing_key"] == "" {
				t.Errorf("a consumer that knows no key set finds alg %v, issuer %v", o["alg"], o["issuer"])
			}
		})
	}
}

func TestOnlyPublicKeysAreInTheJWKS(t *testing.T) {
	t.Parallel()
	for alg, want := range map[keyset.Algorithm]int{keyset.HS256: 0, keyset.RS256: 2, keyset.ES256: 2, keyset.EdDSA: 2} {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			s := parse(t, value(t, alg))
			document, err := s.JWKS()
			if err != nil {
				t.Fatal(err)
			}
			for _, private := range []string{`"d":`, `"k":`, `"p":`, `"q":`, `"oct"`} {
				if strings.Contains(string(document), private) {
					t.Errorf("the document has the member %s", private)
				}
			}
			var set jose.JSONWebKeySet
			if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) != want {
				t.Fatalf("%d keys, want %d, error %v", len(set.Keys), want, err)
			}
			if want == 0 {
				return
			}
			token, err := s.Sign(jwt.RegisteredClaims{Issuer: "myapp.com"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = jwt.Parse(token, func(token *jwt.Token) (any, error) { return set.Key(token.Header["kid"].(string))[0].Key, nil })
			if err != nil {
				t.Errorf("the token cannot be verified with the document: %v", err)
			}
		})
	}
}

func TestTheKeyOfAnOperatorIsTakenAsPEM(t *testing.T) {
	t.Parallel()
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		want keyset.Algorithm
	}{
		"RSA, PKCS #8": {pemOf(t, large), keyset.RS256},
		"RSA, PKCS #1": {string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(large)})), keyset.RS256},
		"EC, SEC 1":    {string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: ec})), keyset.ES256},
	} {
		text, err := json.Marshal(map[string]string{"signing_key": tt.text, "issuer": "myapp.com"})
		if err != nil {
			t.Fatal(err)
		}
		v := rotation.NewValue(string(text))
		if got := parse(t, v).Current.Algorithm; got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		if err := signedAndVerified(v, v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAValueThatIsNoKeySetIsRefusedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"no JSON":                        `SENTINEL`,
		"an array":                       `["SENTINEL"]`,
		"null":                           `null`,
		"no key":                         `{"issuer":"SENTINEL"}`,
		"a number for a key":             `{"signing_key":1729}`,
		"an algorithm of another key":    `{"signing_key":"SENTINEL","alg":"RS256"}`,
		"no algorithm":                   `{"signing_key":"SENTINEL","alg":"none"}`,
		"PEM that is none":               `{"signing_key":"-----BEGIN SENTINEL"}`,
		"a small RSA key":                fmt.Sprintf(`{"signing_key":%q}`, pemOf(t, small)),
		"another curve":                  fmt.Sprintf(`{"signing_key":%q}`, pemOf(t, p384)),
		"keys that are no array":         `{"signing_key":"SENTINEL","keys":"SENTINEL"}`,
		"a key that is no key":           `{"signing_key":"SENTINEL","keys":[{"kty":"SENTINEL"}]}`,
		"a key without an id":            `{"signing_key":"SENTINEL","keys":[{"kty":"oct","k":"SENTINEL","alg":"HS256","state":"next"}]}`,
		"a key without a state":          `{"signing_key":"SENTINEL","keys":[{"kty":"oct","kid":"1","k":"SENTINEL","alg":"HS256"}]}`,
		"two keys with the same id":      `{"signing_key":"SENTINEL","keys":[{"kty":"oct","kid":"1","k":"SENTINEL","state":"next"},{"kty":"oct","kid":"1","k":"SENTINEk","state":"previous"}]}`,
		"a public key that is to sign":   `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","state":"current"}]}`,
		"an HMAC key that is no text":    `{"keys":[{"kty":"oct","kid":"1","k":"_w","state":"current"}]}`,
		"only a key that never signs":    `{"keys":[{"kty":"oct","kid":"1","k":"SENTINEL","state":"next"}]}`,
		"a time that is no time":         `{"keys":[{"kty":"oct","kid":"1","k":"SENTINEL","state":"current","created":"SENTINEL"}]}`,
		"an issuer that is not a string": `{"signing_key":"SENTINEL","issuer":{"a":"SENTINEL"}}`,
	} {
		_, err := keyset.Parse(rotation.NewValue(text))
		if !errors.Is(err, rotation.ErrConfiguration) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "SENTINEL") || strings.Contains(err.Error(), "1729")) {
			t.Errorf("%s: the error quotes the value", name)
		}
	}
}

func TestNothingPrintsAKey(t *testing.T) {
	t.Parallel()
	s := parse(t, rotation.NewValue(first))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, v := range []any{s, *s, s.Current, &s.Current, []any{s}, struct{ s keyset.Set }{*s}} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "new-256-bit") || strings.Contains(text, fmt.Sprintf("%x", "new-256-bit")) {
				t.Errorf("%s of %T prints the key", verb, v)
			}
		}
	}
	if text, err := json.Marshal(s); err != nil || strings.Contains(string(text), "new-256-bit") {
		t.Errorf("marshalling a set gives its key, or %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(first)
	f.Add(`{"keys":[{"kty":"oct","kid":"1","k":"SENTINEL","state":"current"}]}`)
	f.Add(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","state":"previous"}],"signing_key":"x"}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"","y":"","d":"","state":"next"}],"signing_key":"x","alg":"HS512"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := keyset.Parse(rotation.NewValue(text))
		if err != nil {
			if !errors.Is(err, rotation.ErrConfiguration) {
				t.Fatalf("the error has no meaning: %v", err)
			}
			return
		}
		v, err := s.Value()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if err := signedAndVerified(v, rotation.NewValue(text)); err != nil {
			t.Fatalf("what was written is another set: %v", err)
		}
	})
}
