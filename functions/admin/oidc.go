package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// OIDC is an identity provider whose JSON Web Tokens the API takes.
type OIDC struct {
	// Issuer is the provider, as in the claim iss. Its discovery document says
	// where its keys are, unless KeysURL does.
	Issuer string `json:"issuer"`
	// Audience is this API, as in the claim aud.
	Audience string `json:"audience"`
	// KeysURL is where the provider has its JSON Web Key Set.
	KeysURL string `json:"jwksUrl,omitempty"`
	// Grants are what a scope of the claims scope or scp stands for. A scope
	// that is one of [Scopes] stands for itself, on all secrets, unless it is
	// among them.
	Grants map[string]Grant `json:"grants,omitempty"`
}

func (o OIDC) check() error {
	if o.Audience == "" {
		return errors.New("oidc: audience is empty: the tokens that the provider makes for others would be taken")
	}
	for _, text := range []string{o.Issuer, o.KeysURL} {
		if text == "" && text != o.Issuer {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1") {
			return fmt.Errorf("oidc: %q is no https URL", text)
		}
	}
	return nil
}

const (
	// keysTimeout is how long the provider may take for an answer, and
	// maxDocument how large it may be.
	keysTimeout = 5 * time.Second
	maxDocument = 1 << 20
	// keysFor is how long keys are used before they are read again.
	keysFor = time.Hour
	// leeway is how far the provider's clock may be from ours.
	leeway = 30 * time.Second
)

// signatures are the algorithms that are taken. None has a secret that both
// sides know, so that a public key can never be taken for one, and "none" is
// not among them.
func signatures() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// A verifier checks the tokens of a provider.
type verifier struct {
	provider OIDC
	client   *http.Client
	parser   *jwt.Parser
	// first bounds how often the keys are tried to be read while there are none,
	// again how often a token with an unknown key makes them be read.
	first, again *rate.Limiter

	mu   sync.Mutex
	keys keyfunc.Keyfunc // nil until the first token
}

func newVerifier(provider OIDC) *verifier {
	return &verifier{
		provider: provider,
		client: &http.Client{
			Timeout: keysTimeout, Transport: bounded{http.DefaultTransport},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		first: rate.NewLimiter(rate.Every(time.Second), 1),
		again: rate.NewLimiter(rate.Every(10*time.Second), 1),
		parser: jwt.NewParser(jwt.WithValidMethods(signatures()), jwt.WithIssuer(provider.Issuer), jwt.WithAudience(provider.Audience),
			jwt.WithExpirationRequired(), jwt.WithLeeway(leeway)),
	}
}

// bounded bounds the size of answers.
type bounded struct{ http.RoundTripper }

// RoundTrip passes on.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, maxDocument)
	}
	return res, err
}

// isJWT reports whether a token has the form of a provider's. Nothing of it is
// believed.
func isJWT(text string) bool {
	head, _, ok := strings.Cut(text, ".")
	header, err := base64.RawURLEncoding.DecodeString(head)
	return ok && err == nil && strings.Count(text, ".") == 2 && json.Valid(header)
}

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	Scope words `json:"scope"`
	Scp   words `json:"scp"`
}

// words are scopes: a list, or a text with spaces.
type words []string

// UnmarshalJSON reads both forms.
func (w *words) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*w = list
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return errNotAdmin
	}
	*w = strings.Fields(text)
	return nil
}

// verify returns who a token is of.
func (v *verifier) verify(ctx context.Context, text string) (principal, error) {
	keys, err := v.ready(ctx)
	if err != nil {
		return principal{}, err
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(text, &c, keys.KeyfuncCtx(ctx)); err != nil {
		return principal{}, errNotAdmin
	}
	if c.Subject == "" {
		return principal{}, errNotAdmin
	}
	p := principal{id: "oidc/" + c.Issuer + "#" + c.Subject}
	for _, scope := range slices.Concat(c.Scope, c.Scp) {
		g, ok := v.provider.Grants[scope]
		switch {
		case ok:
			p.grants = append(p.grants, g)
		case known(Scope(scope)):
			p.grants = append(p.grants, Grant{Scopes: []Scope{Scope(scope)}})
		}
	}
	return p, nil
}

// ready returns the provider's keys, which the first token makes it read.
func (v *verifier) ready(ctx context.Context) (keyfunc.Keyfunc, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil {
		return v.keys, nil
	}
	if !v.first.Allow() {
		return nil, errors.New("the identity provider's keys could not be read a moment ago")
	}
	address := v.provider.KeysURL
	if address == "" {
		var err error
		if address, err = v.discover(ctx); err != nil {
			return nil, err
		}
	}
	keys, err := keyfunc.NewDefaultOverrideCtx(context.WithoutCancel(ctx), []string{address}, keyfunc.Override{
		Client: v.client, HTTPTimeout: keysTimeout, RefreshInterval: keysFor, RefreshUnknownKID: v.again,
		RateLimitWaitMax: keysTimeout, NoErrorReturnFirstHTTPReq: new(false),
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) { return func(context.Context, error) {} },
	})
	if err != nil {
		return nil, fmt.Errorf("reading the identity provider's keys: %w", err)
	}
	v.keys = keys
	return keys, nil
}

// discover reads where the provider has its keys.
func (v *verifier) discover(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(v.provider.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", err
	}
	res, err := v.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("reading the identity provider's discovery document: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	if err == nil {
		err = json.Unmarshal(body, &document)
	}
	if err == nil && document.Issuer != v.provider.Issuer {
		err = fmt.Errorf("it is of the issuer %q", document.Issuer)
	}
	if err == nil {
		err = OIDC{Issuer: document.Keys, Audience: v.provider.Audience}.check()
	}
	if err != nil {
		return "", fmt.Errorf("reading the identity provider's discovery document: %w", err)
	}
	return document.Keys, nil
}
