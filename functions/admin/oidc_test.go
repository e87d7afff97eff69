package admin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/internal/polltest"
)

// A provider is an identity provider.
type provider struct {
	url string

	mu    sync.Mutex
	keys  map[string]crypto.Signer // :: key id -> key
	reads int                      // of the key set
	away  bool
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{keys: map[string]crypto.Signer{"rsa": rsaKey, "ed": edKey}}
	for id, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		if p.keys[id], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// ServeHTTP has the discovery document and the keys.
func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.away:
		w.WriteHeader(http.StatusBadGateway)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": p.url, "jwks_uri": p.url + "/keys"})
	default:
		p.reads++
		var set jose.JSONWebKeySet
		for id, key := range p.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"})
		}
		_ = json.NewEncoder(w).Encode(set)
	}
}

// claims are those of a token that is valid, but for the changes.
func (p *provider) claims(changes jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": p.url, "aud": "rekey", "sub": "ana", "scope": "openid secrets:read", "exp": time.Now().Add(time.Minute).Unix(),
	}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (p *provider) access() func(*admin.Options) {
	return func(o *admin.Options) {
		o.Access.OIDC = &admin.OIDC{Issuer: p.url, Audience: "rekey", Grants: map[string]admin.Grant{
			"shop-admins": {Scopes: []admin.Scope{admin.ScopeRead}, Prefixes: []string{"provider-"}},
		}}
	}
}

func TestTokensOfAnIdentityProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, p.access())
	public, err := x509.MarshalPKIXPublicKey(p.keys["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by := func(method jwt.SigningMethod, kid string) func(jwt.MapClaims) string {
		return func(changes jwt.MapClaims) string { return sign(t, method, kid, p.keys[kid], p.claims(changes)) }
	}
	es := by(jwt.SigningMethodES256, "p256")
	good := es(nil)
	tests := map[string]struct {
		token string
		want  int
	}{
		"RS256": {by(jwt.SigningMethodRS256, "rsa")(nil), 200}, "RS384": {by(jwt.SigningMethodRS384, "rsa")(nil), 200}, "RS512": {by(jwt.SigningMethodRS512, "rsa")(nil), 200},
		"PS256": {by(jwt.SigningMethodPS256, "rsa")(nil), 200}, "PS512": {by(jwt.SigningMethodPS512, "rsa")(nil), 200},
		"ES256": {good, 200}, "ES384": {by(jwt.SigningMethodES384, "p384")(nil), 200}, "ES512": {by(jwt.SigningMethodES512, "p521")(nil), 200},
		"EdDSA":                              {by(jwt.SigningMethodEdDSA, "ed")(nil), 200},
		"a list of audiences":                {es(jwt.MapClaims{"aud": []string{"other", "rekey"}}), 200},
		"scp in place of scope":              {es(jwt.MapClaims{"scope": nil, "scp": []string{"secrets:read"}}), 200},
		"a group of the provider's":          {es(jwt.MapClaims{"scope": "shop-admins"}), 200},
		"a group that sees less":             {es(jwt.MapClaims{"scope": "shop-admins", "path": signed}), 403},
		"no scope of ours":                   {es(jwt.MapClaims{"scope": "openid"}), 403},
		"another scope of ours":              {es(jwt.MapClaims{"scope": "secrets:write"}), 403},
		"a scope that is a number":           {es(jwt.MapClaims{"scope": 7}), 403},
		"no signature":                       {sign(t, jwt.SigningMethodNone, "", jwt.UnsafeAllowNoneSignatureType, p.claims(nil)), 403},
		"no signature, with a key's id":      {sign(t, jwt.SigningMethodNone, "rsa", jwt.UnsafeAllowNoneSignatureType, p.claims(nil)), 403},
		"a public key taken for a secret":    {sign(t, jwt.SigningMethodHS256, "rsa", publicPEM, p.claims(nil)), 403},
		"the DER of a public key as one":     {sign(t, jwt.SigningMethodHS256, "rsa", public, p.claims(nil)), 403},
		"another algorithm than the key's":   {sign(t, jwt.SigningMethodES256, "rsa", stranger, p.claims(nil)), 403},
		"a stranger's key":                   {sign(t, jwt.SigningMethodES256, "p256", stranger, p.claims(nil)), 403},
		"a key that nobody knows":            {sign(t, jwt.SigningMethodES256, "none", stranger, p.claims(nil)), 403},
		"another issuer":                     {es(jwt.MapClaims{"iss": "https://evil.example"}), 403},
		"another audience":                   {es(jwt.MapClaims{"aud": "shop"}), 403},
		"no audience":                        {es(jwt.MapClaims{"aud": nil}), 403},
		"no issuer":                          {es(jwt.MapClaims{"iss": nil}), 403},
		"no subject":                         {es(jwt.MapClaims{"sub": nil}), 403},
		"expired":                            {es(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}), 403},
		"expired within what clocks differ":  {es(jwt.MapClaims{"exp": time.Now().Add(-5 * time.Second).Unix()}), 200},
		"without an end":                     {es(jwt.MapClaims{"exp": nil}), 403},
		"not yet":                            {es(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}), 403},
		"cut off":                            {good[:len(good)-4], 403},
		"an admin token beside the provider": {token, 200},
	}
	for name, tt := range tests {
		path := "/admin/secrets/" + plain
		if name == "a group that sees less" {
			path = "/admin/secrets/" + signed
		}
		got := s.do(t, "GET", path, "", "Authorization", "Bearer "+tt.token)
		if got.status != tt.want || tt.want == http.StatusForbidden && got.body != forbidden {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, tt.want)
		}
	}
}

func TestTheProvidersKeysAreReadAgainButNotForEveryForgery(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	s := start(t, p.access())
	p.mu.Lock()
	p.away = true
	p.mu.Unlock()
	fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old := sign(t, jwt.SigningMethodES256, "p256", p.keys["p256"], p.claims(nil))
	ask := func(token string, want int) {
		t.Helper()
		if got := s.do(t, "GET", "/admin/secrets", "", "Authorization", "Bearer "+token); got.status != want {
			t.Errorf("got %d %s, want %d", got.status, got.body, want)
		}
	}
	ask(old, http.StatusServiceUnavailable) // it may be valid, and nobody can tell
	ask(token, http.StatusOK)               // other callers go on
	p.mu.Lock()
	p.away = false
	p.keys["fresh"] = fresh
	p.mu.Unlock()
	polltest.Until(t, "the keys are read again", func() bool {
		return s.do(t, "GET", "/admin/secrets", "", "Authorization", "Bearer "+old).status == http.StatusOK
	})
	later, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.keys["later"] = later
	before := p.reads
	p.mu.Unlock()
	ask(sign(t, jwt.SigningMethodES256, "later", later, p.claims(nil)), http.StatusOK) // read again for it
	for range 20 {
		ask(sign(t, jwt.SigningMethodES256, rand.Text(), later, p.claims(nil)), http.StatusForbidden)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if reads := p.reads - before; reads != 1 {
		t.Errorf("the keys were read %d times, want once", reads)
	}
}
