package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/stack"
	"github.com/rekey-go/rekey/internal/stage"
)

const secretName = "database-credentials"

// showPlaceholders lists what the template deployed: secrets without a value.
func (s *story) showPlaceholders(ctx context.Context) error {
	out, err := s.secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
	if err != nil {
		return fmt.Errorf("listing the secrets: %w", err)
	}
	var empty []string
	for _, secret := range out.SecretList {
		name := stage.Logical(s.Stack.Stage, aws.ToString(secret.Name))
		if len(secret.SecretVersionsToStages) == 0 {
			empty = append(empty, name)
		}
		if name == secretName {
			s.arn = aws.ToString(secret.ARN)
		}
	}
	s.say("deployed from template.yaml, without a value: %s", strings.Join(empty, ", "))
	return nil
}

// storeCredentials stores the first login of the database as an operator
// does.
func (s *story) storeCredentials(ctx context.Context) error {
	body := map[string]any{
		"secretName": secretName,
		"secretValue": map[string]any{
			"host": s.Stack.Database.Host, "username": stack.SampleUser, "password": stack.SamplePassword, "database": "app",
		},
	}
	status, _, err := s.api(ctx, http.MethodPost, "/admin/secrets", body)
	if err != nil {
		return fmt.Errorf("storing %s: %w", secretName, err)
	}
	s.say("POST /admin/secrets: %s stored, %d %s", secretName, status, http.StatusText(status))
	return nil
}

// api calls the admin API. Any answer but a 2xx is an error that quotes it; no
// answer of that API holds a value.
func (s *story) api(ctx context.Context, method, path string, body any) (status int, answer []byte, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Stack.Engine.APIURL()+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Stack.AdminToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s answered %d: %s", method, path, res.StatusCode, strings.TrimSpace(string(answer)))
	}
	return res.StatusCode, answer, err
}
