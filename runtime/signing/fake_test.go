package signing_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// store is a Secrets Manager with one secret.
type store struct {
	secrets.SecretsManager

	mu       sync.Mutex
	versions []version
	reads    int
	err      error
}

type version struct {
	id, value, label string
	created          time.Time
}

// rotate makes a value current, and the current one previous.
func (s *store) rotate(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop("AWSPREVIOUS")
	for i := range s.versions {
		if s.versions[i].label == "AWSCURRENT" {
			s.versions[i].label = "AWSPREVIOUS"
		}
	}
	s.versions = append(s.versions, version{id: "v" + string(rune('1'+len(s.versions))), value: value, label: "AWSCURRENT", created: time.Now()})
}

// retire takes the label off the previous version.
func (s *store) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop("AWSPREVIOUS")
}

func (s *store) drop(label string) {
	for i := range s.versions {
		if s.versions[i].label == label {
			s.versions[i].label = ""
		}
	}
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *store) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	label := aws.ToString(in.VersionStage)
	if label == "" {
		label = "AWSCURRENT"
	}
	i := slices.IndexFunc(s.versions, func(v version) bool { return v.label == label })
	if i < 0 {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Secrets Manager can't find the specified secret value for staging label: " + label)}
	}
	v := s.versions[i]
	return &secretsmanager.GetSecretValueOutput{
		ARN: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:keys-AbCdEf"), Name: aws.String("keys"),
		VersionId: &v.id, SecretString: &v.value, CreatedDate: &v.created,
	}, nil
}
