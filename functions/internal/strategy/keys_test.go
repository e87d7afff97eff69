package strategy

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/token"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/keyset"
	"github.com/rekey-go/rekey/rotation/random"
)

const jwtValue = `{"signing_key":"new-256-bit-secret-key","issuer":"myapp.com"}`

func TestTagsAndValueChooseAmongTheKeyStrategies(t *testing.T) {
	t.Parallel()
	bulletin := map[string]string{"REKEY_BULLETIN": "table", "REKEY_LEASE": "60s", "REKEY_ADMIN_TOKENS": "dev-admin-tokens"}
	for name, tt := range map[string]struct {
		value string
		tags  map[string]string
		want  rotation.Strategy // nil for an error
	}{
		"a value with a signing key": {jwtValue, nil, keyset.Strategy{Publish: time.Minute}},
		"a key set by its tags": {
			`{}`,
			map[string]string{tagStrategy: keyset.Name, tagAlgorithm: "EdDSA", tagPublish: "2h"},
			keyset.Strategy{Algorithm: keyset.EdDSA, Publish: 2 * time.Hour},
		},
		"a text": {`whsec_1`, nil, random.Strategy{}},
		"an opaque value by its tags": {
			`{}`,
			map[string]string{tagStrategy: random.Name, tagField: "secret", tagPrefix: "whsec_", tagLength: "44", tagCharset: "base64"},
			random.Strategy{Field: "secret", Prefix: "whsec_", Length: 44, Charset: random.Base64},
		},
		"an admin token":                 {`token`, map[string]string{tagStrategy: token.RotationName}, token.Rotation{Tokens: "dev-admin-tokens"}},
		"an object that says nothing":    {`{"a":"b"}`, nil, nil},
		"a strategy of another function": {jwtValue, map[string]string{tagStrategy: rotation.NameSingleUser}, nil},
		"a time that is none":            {jwtValue, map[string]string{tagPublish: "soon"}, nil},
		"a length that is none":          {`text`, map[string]string{tagLength: "long"}, nil},
	} {
		choose, err := Keys(nil, func(name string) string { return bulletin[name] })
		if err != nil {
			t.Fatal(err)
		}
		got, err := choose(t.Context(), rotation.Secret{Tags: tt.tags}, rotation.NewValue(tt.value))
		if diff := cmp.Diff(tt.want, got); diff != "" || (tt.want == nil) != errors.Is(err, rotation.ErrConfiguration) {
			t.Errorf("%s: error %v (-want +got)\n%s", name, err, diff)
		}
	}
}

func TestWithoutABulletinAKeyIsPublishedForLonger(t *testing.T) {
	t.Parallel()
	choose, err := Keys(nil, func(name string) string { return map[string]string{"REKEY_LEASE": "60s"}[name] })
	if err != nil {
		t.Fatal(err)
	}
	got, err := choose(t.Context(), rotation.Secret{}, rotation.NewValue(jwtValue))
	if want := (keyset.Strategy{Publish: 5 * time.Minute}); err != nil || got != rotation.Strategy(want) {
		t.Errorf("got %v and %v, want %v", got, err, want)
	}
	_, err = Keys(nil, func(name string) string {
		return map[string]string{"REKEY_LEASE": "long", "REKEY_BULLETIN": "table"}[name]
	})
	if !errors.Is(err, rotation.ErrConfiguration) {
		t.Errorf("a lease that is no duration: got %v", err)
	}
}

func TestTheFunctionThatRotatesASecretTellsItsKind(t *testing.T) {
	t.Parallel()
	choose, err := All(aws.Config{})(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	const functions = "arn:aws:lambda:us-east-1:123456789012:function:"
	const login = `{"engine":"postgres","host":"db","username":"app","password":"x"}`
	for name, tt := range map[string]struct {
		function, tag, value string
		want                 bool // it is a key set
	}{
		"of the function for keys":             {functions + "dev-keyrotator", "", jwtValue, true},
		"of an alias of it":                    {functions + "dev-keyrotator:live", "", jwtValue, true},
		"of the function for providers' keys":  {functions + "dev-apikeyrotator", "", jwtValue, false},
		"of the function for databases":        {functions + "dev-dbrotator", "", login, false},
		"by the tag, whatever the function":    {functions + "mine", keyset.Name, jwtValue, true},
		"by the tag, although another rotates": {functions + "dev-keyrotator", rotation.NameSingleUser, login, false},
	} {
		s := rotation.Secret{FunctionARN: tt.function, Tags: map[string]string{tagStrategy: tt.tag}}
		got, err := choose(t.Context(), s, rotation.NewValue(tt.value))
		if _, is := got.(keyset.Strategy); is != tt.want {
			t.Errorf("%s: got %T and %v", name, got, err)
		}
	}
}
