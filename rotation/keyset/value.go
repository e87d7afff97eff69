package keyset

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"

	"github.com/rekey-go/rekey/rotation"
)

// members are those of the value, known and unknown.
type members map[string]json.RawMessage

// The members that this package reads and writes.
const (
	memberKey     = "signing_key"
	memberIssuer  = "issuer"
	memberAlg     = "alg"
	memberKeys    = "keys"
	memberTrimmed = "trimmed_from"
)

// A record is what the value says of a key beside RFC 7517.
type record struct {
	State       State     `json:"state"`
	Created     time.Time `json:"created,omitzero"`
	Published   time.Time `json:"published,omitzero"`
	LastVersion string    `json:"last_version,omitempty"`
	Issuer      string    `json:"iss,omitempty"`
}

// Parse reads a value. The error wraps [rotation.ErrConfiguration], names the
// member that is missing or wrong, and quotes nothing.
func Parse(v rotation.Value) (*Set, error) {
	s := &Set{}
	if err := s.UnmarshalJSON([]byte(v.Reveal())); err != nil {
		return nil, err
	}
	return s, nil
}

// UnmarshalJSON is [Parse] for those who read a secret as JSON.
func (s *Set) UnmarshalJSON(data []byte) error {
	var all members
	if json.Unmarshal(data, &all) != nil || all == nil {
		return configurationf("the secret's value is not a JSON object")
	}
	*s = Set{members: &all}
	var text, alg string
	for name, into := range map[string]*string{
		memberKey: &text, memberAlg: &alg, memberIssuer: &s.Issuer, memberTrimmed: &s.trimmedFrom,
	} {
		if raw, ok := all[name]; ok && json.Unmarshal(raw, into) != nil {
			return configurationf("the member %q of the secret's value is not a string", name)
		}
	}
	if err := s.readKeys(all[memberKeys]); err != nil {
		return err
	}
	if text != "" {
		return s.readText(text, Algorithm(alg))
	}
	if s.Current.material == nil {
		return configurationf("the secret's value has no member %q", memberKey)
	}
	return nil
}

// readText takes a signing_key for the current key.
func (s *Set) readText(text string, alg Algorithm) error {
	held := s.Current
	if held.material != nil && held.signs() {
		if same, err := held.text(); err == nil && same == text {
			return nil
		}
	}
	k, err := parseText(text, alg)
	switch {
	case err != nil:
		return err
	case held.material == nil:
		s.Current = k
	case keyID(*held.material) != keyID(*k.material):
		s.succeed(k, "") // edited by hand
	}
	return nil
}

// readKeys reads the member keys, which may be missing.
func (s *Set) readKeys(raw json.RawMessage) error {
	var list []json.RawMessage
	if len(raw) > 0 && json.Unmarshal(raw, &list) != nil {
		return configurationf("the member %q of the secret's value is not an array", memberKeys)
	}
	ids := make(map[string]bool)
	for i, raw := range list {
		k, state, err := readKey(raw)
		if err != nil {
			return configurationf("key %d of the secret's value: %v", i+1, err)
		}
		if ids[k.ID] {
			return configurationf("key %d of the secret's value has the id of another", i+1)
		}
		ids[k.ID] = true
		switch {
		case state == Next && s.Next == nil:
			s.Next = &k
		case state == Current && s.Current.material == nil:
			s.Current = k
		case state == Previous:
			s.Previous = append(s.Previous, k)
		default:
			return configurationf("key %d of the secret's value is the second that is next or current, or has no state", i+1)
		}
	}
	return nil
}

func readKey(raw json.RawMessage) (Key, State, error) {
	var r record
	var jwk jose.JSONWebKey
	if json.Unmarshal(raw, &jwk) != nil || json.Unmarshal(raw, &r) != nil {
		return Key{}, "", errors.New("it is not a JSON Web Key") // the cause could quote it
	}
	alg, err := algorithmOf(jwk.Key, Algorithm(jwk.Algorithm))
	if err != nil {
		return Key{}, "", err
	}
	k := Key{
		ID: jwk.KeyID, Algorithm: alg, Created: r.Created, Published: r.Published,
		LastVersion: r.LastVersion, Issuer: r.Issuer, material: &jwk.Key,
	}
	secret, isText := jwk.Key.([]byte)
	switch {
	case k.ID == "":
		return k, "", errors.New("it has no kid")
	case isText && (len(secret) == 0 || !utf8.Valid(secret)):
		return k, "", errors.New("its HMAC key is not a text")
	case r.State != Previous && !k.signs():
		return k, "", errors.New("it has no private part")
	}
	return k, r.State, nil
}

// maxValue is the size limit of AWS Secrets Manager, in bytes.
const maxValue = 65536

// Value writes the set. Members that this package does not know stay as they
// were.
func (s *Set) Value() (rotation.Value, error) {
	all := make(members)
	if s.members != nil {
		maps.Copy(all, *s.members)
	}
	text, err := s.Current.text()
	if err != nil {
		return rotation.Value{}, err
	}
	var keys []json.RawMessage
	for _, k := range s.all() {
		raw, err := s.write(k)
		if err != nil {
			return rotation.Value{}, err
		}
		keys = append(keys, raw)
	}
	delete(all, memberTrimmed)
	written := map[string]any{memberKey: text, memberAlg: s.Current.Algorithm, memberKeys: keys}
	if s.Issuer != "" {
		written[memberIssuer] = s.Issuer
	}
	if s.trimmedFrom != "" {
		written[memberTrimmed] = s.trimmedFrom
	}
	for name, v := range written {
		if all[name], err = json.Marshal(v); err != nil {
			return rotation.Value{}, errNotWritten
		}
	}
	data, err := json.Marshal(all)
	switch {
	case err != nil:
		return rotation.Value{}, errNotWritten
	case len(data) > maxValue:
		return rotation.Value{}, configurationf("the value has more than %d bytes; wait until previous keys are retired", maxValue)
	}
	return rotation.NewValue(string(data)), nil
}

// errNotWritten stands for an error that could quote the value.
var errNotWritten = errors.New("writing the new value as JSON")

// write gives a key as the member keys has it.
func (s *Set) write(k Key) (json.RawMessage, error) {
	r := record{State: Previous, Created: k.Created, Published: k.Published, LastVersion: k.LastVersion, Issuer: k.Issuer}
	switch {
	case k.ID == s.Current.ID:
		r.State = Current
	case s.Next != nil && k.ID == s.Next.ID:
		r.State = Next
	}
	all := make(members)
	for _, part := range []any{k.jwk(), r} {
		raw, err := json.Marshal(part)
		if err != nil || json.Unmarshal(raw, &all) != nil {
			return nil, errNotWritten
		}
	}
	return json.Marshal(all)
}

// JWKS is the public keys as a JSON Web Key Set (RFC 7517), for those who verify
// and may not sign. HMAC keys are not in it: there is nothing public in them.
func (s *Set) JWKS() ([]byte, error) {
	public := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, k := range s.all() {
		if jwk := k.retired().jwk(); jwk.IsPublic() {
			public.Keys = append(public.Keys, jwk)
		}
	}
	return json.Marshal(public)
}

// byID returns the keys that a token with a key id may be of: one without an id
// may be of any.
func (s *Set) byID(id string) []Key {
	return slices.DeleteFunc(s.all(), func(k Key) bool { return id != "" && k.ID != id })
}
