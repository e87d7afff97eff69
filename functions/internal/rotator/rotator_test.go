package rotator_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/functions/internal/rotator"
	"github.com/rekey-go/rekey/rotation"
)

const (
	ownKey   = "AKIAOWN"
	otherKey = "ASIAOTHER"
	role     = "arn:aws:iam::444455556666:role/rekey"
)

// otherAccount is STS and Secrets Manager, which tells who called it.
func otherAccount(w http.ResponseWriter, r *http.Request) {
	credential := r.Header.Get("Authorization")
	switch {
	case r.FormValue("Action") == "AssumeRole" && r.FormValue("RoleArn") == role && strings.Contains(credential, ownKey):
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId>`+
			`<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>`+
			`</Credentials></AssumeRoleResult></AssumeRoleResponse>`, otherKey)
	case strings.Contains(credential, "/secretsmanager/"):
		key, _, _ := strings.Cut(strings.TrimPrefix(credential, "AWS4-HMAC-SHA256 Credential="), "/")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"__type":"ResourceNotFoundException","Message":"called by %s"}`, key)
	default:
		w.WriteHeader(http.StatusForbidden)
	}
}

func TestSecretsOfAnotherAccountAreRotatedInARoleThere(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(otherAccount))
	t.Cleanup(server.Close)
	cfg := aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: ownKey, SecretAccessKey: "none"}, nil
		}),
	}
	for wanted, vars := range map[string]map[string]string{ownKey: {}, otherKey: {"REKEY_ROLE": role}} {
		f, err := rotator.New(cfg, func(name string) string { return vars[name] },
			func(rotation.Store, func(string) string) (rotation.Chooser, error) { return rotation.Only(nil), nil })
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Invoke(t.Context(), []byte(`{"Step":"createSecret","SecretId":"db","ClientRequestToken":"t"}`))
		if err == nil || !strings.Contains(err.Error(), "called by "+wanted) {
			t.Errorf("with %v: got %v, want a call by %s", vars, err, wanted)
		}
	}
}

func TestAQuestionThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	f, err := rotator.New(aws.Config{}, func(string) string { return "" },
		func(rotation.Store, func(string) string) (rotation.Chooser, error) { return rotation.Only(nil), nil })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Invoke(t.Context(), []byte(`{"Question":"why","SecretId":"db"}`)); err == nil || !strings.Contains(err.Error(), "examine nor plan") {
		t.Errorf("got %v, want what can be asked", err)
	}
}
