package keyset

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// An Algorithm is how a key signs, by its name in RFC 7518 and RFC 8037.
type Algorithm string

// The algorithms.
const (
	HS256 Algorithm = "HS256"
	HS384 Algorithm = "HS384"
	HS512 Algorithm = "HS512"
	RS256 Algorithm = "RS256"
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
)

const (
	// rsaBits is the size of the RSA keys that are made, and minRSABits that of
	// the smallest that are taken.
	rsaBits, minRSABits = 3072, 2048
	// minHMAC is the shortest HMAC key in bytes that is taken from an operator.
	minHMAC = 16
)

// NewKey makes a key.
func NewKey(alg Algorithm, now time.Time) (Key, error) {
	var material any
	var err error
	switch alg {
	case HS256, HS384, HS512:
		material = newHMAC(alg)
	case RS256:
		material, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ES256:
		material, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, material, err = ed25519.GenerateKey(rand.Reader)
	default:
		return Key{}, configurationf("the algorithm %q is none of HS256, HS384, HS512, RS256, ES256, EdDSA", alg)
	}
	if err != nil {
		return Key{}, err
	}
	return Key{ID: keyID(material), Algorithm: alg, Created: now.UTC().Truncate(time.Second), material: &material}, nil
}

// newHMAC makes a key as long as the hash. It is text, because the simplest
// consumers take the text of signing_key for the key.
func newHMAC(alg Algorithm) []byte {
	random := make([]byte, map[Algorithm]int{HS256: 32, HS384: 48, HS512: 64}[alg])
	_, _ = rand.Read(random) // never fails since Go 1.24
	return []byte(base64.RawURLEncoding.EncodeToString(random))
}

// keyID names a key, alike wherever it is computed. That of a public key is its
// thumbprint (RFC 7638). That of an HMAC key says no more of it than any token
// does: it is one more signature under it.
func keyID(material any) string {
	if secret, ok := material.([]byte); ok {
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write([]byte("rekey key id")) // no token is signed over this: it has no dot
		return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
	}
	print, err := (&jose.JSONWebKey{Key: material}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // no type that fits answers so
	}
	return base64.RawURLEncoding.EncodeToString(print)
}

// algorithmOf is the algorithm of a key, which alg names unless it is empty. The
// error says that the two do not go together.
func algorithmOf(material any, alg Algorithm) (Algorithm, error) {
	var fits []Algorithm
	switch key := material.(type) {
	case []byte:
		fits = []Algorithm{HS256, HS384, HS512}
	case *rsa.PrivateKey:
		return algorithmOf(&key.PublicKey, alg)
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return "", configurationf("the RSA key has fewer than %d bits", minRSABits)
		}
		fits = []Algorithm{RS256}
	case *ecdsa.PrivateKey:
		return algorithmOf(&key.PublicKey, alg)
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return "", configurationf("the elliptic curve of the key is not P-256")
		}
		fits = []Algorithm{ES256}
	case ed25519.PrivateKey, ed25519.PublicKey:
		fits = []Algorithm{EdDSA}
	default:
		return "", configurationf("the key is none of HMAC, RSA, ECDSA, Ed25519")
	}
	for _, a := range fits {
		if alg == "" || alg == a {
			return a, nil
		}
	}
	return "", configurationf(`the member "alg" does not fit the key, which is for %v`, fits)
}

const pemBegin = "-----BEGIN "

// parseText reads a signing_key: a private key as PEM, or the text of an HMAC
// key.
func parseText(text string, alg Algorithm) (Key, error) {
	var material any = []byte(text)
	if strings.HasPrefix(strings.TrimSpace(text), pemBegin) {
		if material = parsePEM(text); material == nil {
			return Key{}, configurationf(`the member "signing_key" is PEM without a private key that can be read; write PKCS #8, without a password`)
		}
	}
	alg, err := algorithmOf(material, alg)
	if err != nil {
		return Key{}, err
	}
	return Key{ID: keyID(material), Algorithm: alg, material: &material}, nil
}

// parsePEM returns a private key, or nil. The errors of the parsers may quote
// what they read.
func parsePEM(text string) any {
	block, _ := pem.Decode([]byte(strings.TrimSpace(text)))
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

// text is the key as a signing_key.
func (k Key) text() (string, error) {
	if secret, ok := (*k.material).([]byte); ok {
		return string(secret), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(*k.material)
	if err != nil {
		return "", configurationf("the key that is to sign has no private part")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}
