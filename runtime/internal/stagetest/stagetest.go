// Package stagetest gives tests a Secrets Manager with one secret, whose
// versions and labels they set.
package stagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Name and ARN are the secret's.
const (
	Name = "dev-db"
	ARN  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-db-AbCdEf"
)

// A Store is a Secrets Manager with one secret, whatever it is asked for. The
// zero Store has no value yet.
type Store struct {
	mu     sync.Mutex
	values map[string]string // :: version -> value
	labels map[string]string // :: label -> version
	reads  int
}

// New returns a store with the version v1.
func New(value string) *Store {
	s := new(Store)
	s.Stage("AWSCURRENT", "v1", value)
	return s
}

// Client returns a client of the store.
func (s *Store) Client() *secrets.Client {
	return secrets.New(s, func(o *secrets.Options) { o.Stage = "dev" })
}

// Stage gives a version a label, and a value unless that is empty.
func (s *Store) Stage(label, version, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.labels == nil {
		s.values, s.labels = make(map[string]string), make(map[string]string)
	}
	if value != "" {
		s.values[version] = value
	}
	if label == "AWSCURRENT" {
		s.labels["AWSPREVIOUS"] = s.labels["AWSCURRENT"]
		delete(s.labels, "AWSPENDING")
	}
	s.labels[label] = version
}

// Promote makes a version current and tells a client.
func (s *Store) Promote(tb testing.TB, c *secrets.Client, version, value string) {
	tb.Helper()
	s.Stage("AWSCURRENT", version, value)
	if err := c.Invalidate(tb.Context(), secrets.Rotated{SecretARN: ARN, VersionID: version}); err != nil {
		tb.Fatal(err)
	}
}

// Reads returns how often values were read.
func (s *Store) Reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// GetSecretValue answers as AWS does.
func (s *Store) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	label, version := aws.ToString(in.VersionStage), aws.ToString(in.VersionId)
	if label == "" {
		label = "AWSCURRENT"
	}
	found, ok := s.labels[label]
	if !ok || found == "" {
		return nil, &types.ResourceNotFoundException{Message: new("Secrets Manager can't find the specified secret value for staging label: " + label)}
	}
	if version != "" && version != found {
		return nil, &types.InvalidRequestException{Message: new("You provided a VersionStage that is not associated to the provided VersionId.")}
	}
	return &secretsmanager.GetSecretValueOutput{
		ARN: new(ARN), Name: new(Name), VersionId: &found, SecretString: new(s.values[found]), CreatedDate: new(time.Now()),
	}, nil
}

// PutSecretValue answers nothing.
func (*Store) PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	return nil, errors.ErrUnsupported
}

// JSON returns an object of members and their values, one after the other.
func JSON(members ...any) string {
	object := make(map[string]any)
	for i := 0; i < len(members); i += 2 {
		object[fmt.Sprint(members[i])] = members[i+1]
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}
