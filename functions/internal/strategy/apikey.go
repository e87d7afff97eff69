package strategy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/apikey"
	"github.com/rekey-go/rekey/rotation/apikey/accesskey"
)

// tagProviders is the tag of a secret that says which members of its value are
// whose API keys, such as "sendgrid stripe" or
// "mail=sendgrid aws_secret+aws_id=iam:mailer": MEMBER+ID=PROVIDER, where ID is
// the member with the key's id. Without the tag REKEY_PROVIDERS says it.
const tagProviders = "rekey:providers"

// The members of an IAM user's access key where the tag does not name them.
const (
	accessKeyMember   = "secret_access_key"
	accessKeyIDMember = "access_key_id"
)

// apiKeys are the providers, and how they are reached.
type apiKeys struct {
	cfg         aws.Config
	store       rotation.Store
	getenv      func(string) string
	client      *http.Client
	definitions map[string]apikey.Definition
}

// APIKeys returns what makes the chooser for API keys. It reads REKEY_PROVIDERS;
// REKEY_PROVIDER_DEFINITIONS, see [apikey.ParseDefinitions];
// REKEY_PROVIDER_ADMIN, which names the secret with the keys that manage keys, a
// JSON object by the providers' names; REKEY_SENDGRID_URL and REKEY_STRIPE_URL;
// and the variables of [rotation.ReachFromEnv].
func APIKeys(cfg aws.Config) func(rotation.Store, func(string) string) (rotation.Chooser, error) {
	return func(store rotation.Store, getenv func(string) string) (rotation.Chooser, error) {
		reach, err := rotation.ReachFromEnv(getenv)
		if err != nil {
			return nil, err
		}
		definitions, err := apikey.ParseDefinitions(getenv("REKEY_PROVIDER_DEFINITIONS"))
		if err != nil {
			return nil, fmt.Errorf("REKEY_PROVIDER_DEFINITIONS: %w", err)
		}
		a := &apiKeys{cfg, store, getenv, apikey.NewClient(reach), definitions}
		return a.choose, nil
	}
}

func (a *apiKeys) choose(_ context.Context, s rotation.Secret, v rotation.Value) (rotation.Strategy, error) {
	if name := s.Tags[tagStrategy]; name != "" && name != apikey.Name {
		return nil, unknown(name, apikey.Name)
	}
	list := s.Tags[tagProviders]
	if list == "" {
		list = a.getenv("REKEY_PROVIDERS")
	}
	isObject := strings.HasPrefix(strings.TrimSpace(v.Reveal()), "{")
	var members []apikey.Member
	for item := range strings.FieldsSeq(list) {
		m, err := a.member(item, isObject)
		if err != nil {
			return nil, fmt.Errorf("%q of the tag %s: %w", item, tagProviders, err)
		}
		members = append(members, m)
	}
	switch {
	case len(members) == 0:
		return nil, fmt.Errorf("%w: nothing says whose API keys the secret has; tag it %s, such as with \"sendgrid stripe\"", rotation.ErrConfiguration, tagProviders)
	case !isObject && len(members) > 1:
		return nil, fmt.Errorf("%w: the value is one key, and the tag %s names %d; name the one provider", rotation.ErrConfiguration, tagProviders, len(members))
	}
	return apikey.Strategy{Members: members}, nil
}

// member reads one of the words of the tag.
func (a *apiKeys) member(item string, isObject bool) (apikey.Member, error) {
	names, provider, named := strings.Cut(item, "=")
	if !named {
		provider, names = item, item
	}
	kind, user, isUser := strings.Cut(provider, ":")
	if isUser && !named {
		names = accessKeyMember + "+" + accessKeyIDMember
	}
	var m apikey.Member
	m.Name, m.IDName, _ = strings.Cut(names, "+")
	m.Label = provider
	if !isObject {
		m.Name, m.IDName = "", ""
	}
	var err error
	m.Provider, err = a.provider(kind, user)
	m.Admin = func(ctx context.Context) (apikey.Key, error) { return a.admin(ctx, kind) }
	return m, err
}

// provider is the one of a name. The user is that of "iam:USER".
func (a *apiKeys) provider(name, user string) (apikey.Verifier, error) {
	definition, defined := a.definitions[name]
	switch {
	case defined && user == "":
		return apikey.NewHTTP(a.client, definition), nil
	case name == "sendgrid" && user == "":
		return apikey.NewSendGrid(a.client, a.getenv("REKEY_SENDGRID_URL"))
	case name == "stripe" && user == "":
		return apikey.NewStripe(a.client, a.getenv("REKEY_STRIPE_URL"))
	case name == "iam" && user != "":
		return accesskey.New(a.cfg, user), nil
	}
	return nil, fmt.Errorf("%w: there is no such provider: sendgrid, stripe, iam:USER, or one that REKEY_PROVIDER_DEFINITIONS describes", rotation.ErrConfiguration)
}

// admin is the key that manages a provider's keys. It is a string, or an object
// with "id" and "secret".
func (a *apiKeys) admin(ctx context.Context, provider string) (apikey.Key, error) {
	secretID := a.getenv("REKEY_PROVIDER_ADMIN")
	if secretID == "" || provider == "iam" { // the function's own role manages those
		return apikey.Key{}, rotation.ErrNoValue
	}
	v, err := a.store.Get(ctx, secretID, "", rotation.LabelCurrent)
	if err != nil {
		return apikey.Key{}, fmt.Errorf("the secret with the keys that manage keys: %w", err)
	}
	var all map[string]json.RawMessage
	if json.Unmarshal([]byte(v.Reveal()), &all) != nil {
		return apikey.Key{}, fmt.Errorf("%w: the secret with the keys that manage keys is not a JSON object", rotation.ErrConfiguration)
	}
	raw, ok := all[provider]
	if !ok {
		return apikey.Key{}, rotation.ErrNoValue
	}
	var plain string
	var pair struct{ ID, Secret string }
	if json.Unmarshal(raw, &plain) == nil {
		pair.Secret = plain
	} else if json.Unmarshal(raw, &pair) != nil || pair.Secret == "" {
		return apikey.Key{}, fmt.Errorf(`%w: the member %q of the secret with the keys that manage keys is neither a string nor {"id": ..., "secret": ...}`, rotation.ErrConfiguration, provider)
	}
	return apikey.Key{ID: pair.ID, Secret: rotation.NewValue(pair.Secret)}, nil
}
