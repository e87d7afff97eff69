package apikey

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotation"
)

// SendGrid makes and revokes keys by SendGrid's API. A new key gets the scopes
// of the one that it follows. The key that manages keys needs the scopes
// api_keys.create, api_keys.read and api_keys.delete, and every scope that it
// hands on.
type SendGrid struct {
	client *http.Client
	base   string
}

var (
	_ Provider   = (*SendGrid)(nil)
	_ Identifier = (*SendGrid)(nil)
)

// NewSendGrid returns the provider at an address, such as
// https://api.eu.sendgrid.com; if that is empty, at https://api.sendgrid.com.
func NewSendGrid(client *http.Client, base string) (*SendGrid, error) {
	if base == "" {
		base = "https://api.sendgrid.com"
	}
	u, err := checkURL(base)
	if err != nil {
		return nil, err
	}
	return &SendGrid{client, strings.TrimSuffix(u.String(), "/")}, nil
}

// sendGridLimit is how many keys an account may have.
const sendGridLimit = 100

// ID is in the middle of a key: SG.ID.SECRET.
func (*SendGrid) ID(secret rotation.Value) string {
	parts := strings.Split(secret.Reveal(), ".")
	if len(parts) != 3 || parts[0] != "SG" {
		return ""
	}
	return parts[1]
}

// Verify asks what the key may do, which every key may.
func (s *SendGrid) Verify(ctx context.Context, k Key) error {
	_, err := s.scopes(ctx, k)
	return err
}

func (s *SendGrid) scopes(ctx context.Context, k Key) ([]string, error) {
	var out struct {
		Scopes []string `json:"scopes"`
	}
	err := s.do(ctx, k, http.MethodGet, "/v3/scopes", nil, &out)
	return out.Scopes, err
}

// List returns the account's keys.
func (s *SendGrid) List(ctx context.Context, by Key) ([]Key, error) {
	var out struct {
		Result []struct {
			Name string `json:"name"`
			ID   string `json:"api_key_id"`
		} `json:"result"`
	}
	if err := s.do(ctx, by, http.MethodGet, "/v3/api_keys?limit=100", nil, &out); err != nil {
		return nil, err
	}
	keys := make([]Key, 0, len(out.Result))
	for _, k := range out.Result {
		keys = append(keys, Key{ID: k.ID, Name: k.Name})
	}
	return keys, nil
}

// Create makes a key with the scopes of another.
func (s *SendGrid) Create(ctx context.Context, by Key, name string, like Key) (Key, error) {
	if like.Secret.Empty() {
		return Key{}, configurationf("SendGrid accepts no stored key, so the scopes of a new one are not known; store a key that works: rekey put")
	}
	scopes, err := s.scopes(ctx, like)
	if err != nil {
		return Key{}, err
	}
	body := map[string]any{"name": name, "scopes": slices.DeleteFunc(scopes, givenByItself)}
	var out struct {
		Name   string `json:"name"`
		ID     string `json:"api_key_id"`
		Secret string `json:"api_key"`
	}
	err = s.do(ctx, by, http.MethodPost, "/v3/api_keys", body, &out)
	if status(err) == http.StatusForbidden { // as it answers for a right that lacks, too
		if keys, listErr := s.List(ctx, by); listErr == nil && len(keys) >= sendGridLimit {
			return Key{}, ErrNoRoom
		}
	}
	return Key{ID: out.ID, Name: out.Name, Secret: rotation.NewValue(out.Secret)}, err
}

// givenByItself reports whether SendGrid gives a scope to keys as it sees fit,
// and takes offence at being asked for it.
func givenByItself(scope string) bool {
	return strings.HasPrefix(scope, "2fa_") || strings.HasPrefix(scope, "sender_verification_")
}

// Delete deletes a key.
func (s *SendGrid) Delete(ctx context.Context, by Key, id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	err := s.do(ctx, by, http.MethodDelete, "/v3/api_keys/"+url.PathEscape(id), nil, nil)
	if status(err) == http.StatusNotFound {
		return nil
	}
	return err
}

func (s *SendGrid) do(ctx context.Context, by Key, method, path string, body, out any) error {
	c := call{method: method, url: s.base + path, header: http.Header{"Authorization": {"Bearer " + by.Secret.Reveal()}}}
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		c.body, c.kind = data, "application/json"
	}
	return do(ctx, s.client, c, out)
}
