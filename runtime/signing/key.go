package signing

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// A key is one of a set. It prints as its id.
type key struct {
	id, alg string
	issuer  string // of its tokens, where that is not the set's
	// material is a []byte, or a private or public key; behind a pointer, so
	// that nothing prints it.
	material *any
}

// Format writes the id, for every verb.
func (k key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "key(%s)", k.id) }

func (k key) sign(claims jwt.Claims) (string, error) {
	token := jwt.NewWithClaims(jwt.GetSigningMethod(k.alg), claims)
	token.Header["kid"] = k.id
	return token.SignedString(*k.material)
}

// verify reads the claims of a token that the key has signed.
func (k key) verify(token string, claims jwt.Claims, issuer string, options []jwt.ParserOption) error {
	// The caller's come first: what is checked always is checked always.
	options = append(slices.Clone(options), jwt.WithValidMethods([]string{k.alg}), jwt.WithExpirationRequired())
	if issuer != "" {
		options = append(options, jwt.WithIssuer(issuer))
	}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return k.verifier(), nil }, options...)
	return err
}

// verifier is what the key's signatures are checked with.
func (k key) verifier() any {
	if private, ok := (*k.material).(crypto.Signer); ok {
		return private.Public()
	}
	return *k.material
}

// mac is the HMAC of a message, if the key is for that.
func (k key) mac(message []byte) ([]byte, bool) {
	method, ok := jwt.GetSigningMethod(k.alg).(*jwt.SigningMethodHMAC)
	secret, isText := (*k.material).([]byte)
	if !ok || !isText {
		return nil, false
	}
	h := hmac.New(method.Hash.New, secret)
	_, _ = h.Write(message) // never fails
	return h.Sum(nil), true
}

// parseJWK reads a key of the member keys, with its state.
func parseJWK(raw json.RawMessage) (k key, state string, ok bool) {
	var r struct {
		State  string `json:"state"`
		Issuer string `json:"iss"`
	}
	var jwk jose.JSONWebKey
	if json.Unmarshal(raw, &jwk) != nil || json.Unmarshal(raw, &r) != nil || jwk.KeyID == "" {
		return key{}, "", false
	}
	alg, ok := algorithmOf(jwk.Key, jwk.Algorithm)
	k = key{id: jwk.KeyID, alg: alg, issuer: r.Issuer, material: &jwk.Key}
	switch r.State {
	case stateNext, stateCurrent:
		ok = ok && k.signs()
	case statePrevious:
	default:
		ok = false
	}
	return k, r.State, ok
}

// signs reports whether the key has what it needs to sign.
func (k key) signs() bool {
	switch (*k.material).(type) {
	case []byte, crypto.Signer:
		return true
	}
	return false
}

// minRSABits is the size of the smallest RSA key that is taken.
const minRSABits = 2048

// algorithmOf is the algorithm of a key, which alg names unless it is empty, if
// the two go together.
func algorithmOf(material any, alg string) (string, bool) {
	var fits []string
	switch key := material.(type) {
	case []byte:
		if len(key) > 0 {
			fits = []string{"HS256", "HS384", "HS512"}
		}
	case *rsa.PrivateKey:
		return algorithmOf(&key.PublicKey, alg)
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			fits = []string{"RS256"}
		}
	case *ecdsa.PrivateKey:
		return algorithmOf(&key.PublicKey, alg)
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			fits = []string{"ES256"}
		}
	case ed25519.PrivateKey, ed25519.PublicKey:
		fits = []string{"EdDSA"}
	}
	for _, fit := range fits {
		if alg == "" || alg == fit {
			return fit, true
		}
	}
	return "", false
}

// parseText reads a signing_key: a private key as PEM, or the text of an HMAC
// key.
func parseText(text, alg string) (key, bool) {
	var material any = []byte(text)
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "-----BEGIN ") {
		material = parsePEM(trimmed)
	}
	alg, ok := algorithmOf(material, alg)
	if !ok {
		return key{}, false
	}
	return key{id: thumbprint(material), alg: alg, material: &material}, true
}

// parsePEM returns a private key, or nil.
func parsePEM(text string) any {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key
	}
	return nil
}

// thumbprint names a key that has no name yet, as package rotation/keyset does:
// a public key by RFC 7638, and an HMAC key by one more MAC under it, which says
// no more of it than any token.
func thumbprint(material any) string {
	if secret, ok := material.([]byte); ok {
		h := hmac.New(sha256.New, secret)
		_, _ = h.Write([]byte("rekey key id")) // no token is signed over this: it has no dot
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
	}
	print, err := (&jose.JSONWebKey{Key: material}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // no type that fits answers so
	}
	return base64.RawURLEncoding.EncodeToString(print)
}
