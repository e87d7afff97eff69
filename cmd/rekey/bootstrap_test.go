package main

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/stack"
	"github.com/rekey-go/rekey/rotation"
)

// TestTheBootstrapBinariesAreTheSameFunctions runs two functions as AWS Lambda
// does, each built from its functions/NAME/bootstrap, in the place of this
// binary.
func TestTheBootstrapBinariesAreTheSameFunctions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	built := map[string]string{}
	for _, name := range []string{"admin", "protected"} {
		built[name] = filepath.Join(dir, name)
		cmd := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-o", built[name], "./functions/"+name+"/bootstrap")
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", name, err, out)
		}
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", NoDatabase: true, Logs: t.Output(),
		Command: func(codeURI string) ([]string, error) {
			for name, path := range built {
				if strings.Contains(codeURI, "/"+name+"/") {
					return []string{path}, nil
				}
			}
			return commandFor(codeURI)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if got := fetch(t, s, http.MethodGet, "/protected", ""); got != `503 {"error":"Secret not configured"}` {
		t.Errorf("GET /protected before there is a value: %s", got)
	}
	const body = `{"secretName":"external-api-keys","secretValue":{"stripe":"sk","sendgrid":"SG"}}`
	if got := fetch(t, s, http.MethodPost, "/admin/secrets", body); got != `200 {"message":"Secret 'external-api-keys' stored successfully"}` {
		t.Errorf("POST /admin/secrets: %s", got)
	}
	about, err := secretsmanager.NewFromConfig(s.Config()).DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("dev-external-api-keys")})
	if err != nil {
		t.Fatal(err)
	}
	want := rotation.VersionWith(about.VersionIdsToStages, rotation.LabelCurrent)
	if got := fetch(t, s, http.MethodGet, "/protected", ""); !strings.HasPrefix(got, "200 ") || !strings.Contains(got, want) {
		t.Errorf("GET /protected: %s, want 200 and version %s", got, want)
	}
}

// fetch calls the HTTP API as its administrator.
func fetch(t *testing.T, s *stack.Stack, method, path, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Engine.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.AdminToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status[:3] + " " + strings.TrimSpace(string(data))
}
