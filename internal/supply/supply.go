// Package supply starts a rotation to a value that an operator chose: a new one,
// or the one before.
//
// The value is a version of the secret with the label of that rotation, see
// [rotation.SuppliedFor]. createSecret takes it in place of one of its own
// making, and set, test and finish follow as always: it becomes current only if
// the target accepts it, and no call here reads it.
//
// Both functions may be repeated with the same token: what was done is left as
// it is, and what was not is done. Where Secrets Manager refuses to start the
// rotation, the label is taken off again, so that nothing is left of the call
// but a version that nobody reads.
package supply

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	smithyrand "github.com/aws/smithy-go/rand"

	"github.com/rekey-go/rekey/rotation"
)

var (
	// ErrNoPrevious means that there is no value before the current one.
	ErrNoPrevious = errors.New("no version carries " + rotation.LabelPrevious)
	// ErrNoRotation means that the secret has no rotation function, which alone
	// could set and test a value.
	ErrNoRotation = errors.New("the secret has no rotation function")
)

// SecretsManager is what is asked of Secrets Manager: no read of a value.
type SecretsManager interface {
	PutSecretValue(ctx context.Context, in *secretsmanager.PutSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
	RotateSecret(ctx context.Context, in *secretsmanager.RotateSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error)
	UpdateSecretVersionStage(ctx context.Context, in *secretsmanager.UpdateSecretVersionStageInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error)
}

// Value starts a rotation of a secret to a value, and returns the version to
// rotate to: the token, of 32 to 64 characters, or a new one if it is empty.
func Value(ctx context.Context, sm SecretsManager, about *secretsmanager.DescribeSecretOutput, value, token string) (string, error) {
	if aws.ToString(about.RotationLambdaARN) == "" {
		return "", ErrNoRotation
	}
	token, err := tokenOr(token)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte("rekey supplied\x00" + token))
	version := hex.EncodeToString(sum[:])
	_, err = sm.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: about.ARN, SecretString: &value, ClientRequestToken: &version, VersionStages: []string{rotation.SuppliedFor(token)},
	})
	if err != nil {
		return "", err
	}
	return start(ctx, sm, about, token, version)
}

// Previous starts a rotation of a secret to the value of AWSPREVIOUS, and
// returns the version as [Value] does. A repeat while that rotation runs, or
// when it has ended, starts no other.
func Previous(ctx context.Context, sm SecretsManager, about *secretsmanager.DescribeSecretOutput, token string) (string, error) {
	if _, repeated := about.VersionIdsToStages[token]; repeated {
		return start(ctx, sm, about, token, "")
	}
	previous := with(about, rotation.LabelPrevious)
	switch {
	case previous == "":
		return "", ErrNoPrevious
	case aws.ToString(about.RotationLambdaARN) == "":
		return "", ErrNoRotation
	}
	token, err := tokenOr(token)
	if err != nil {
		return "", err
	}
	in := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: about.ARN, VersionStage: new(rotation.SuppliedFor(token)), MoveToVersionId: &previous,
	}
	if _, err := sm.UpdateSecretVersionStage(ctx, in); err != nil {
		return "", err
	}
	return start(ctx, sm, about, token, previous)
}

// undo is how long taking a label off again may take.
const undo = 2 * time.Second

// start starts the rotation for which a version carries the label.
func start(ctx context.Context, sm SecretsManager, about *secretsmanager.DescribeSecretOutput, token, version string) (string, error) {
	_, err := sm.RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: about.ARN, ClientRequestToken: &token})
	if _, refused := errors.AsType[smithy.APIError](err); refused && version != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undo)
		defer cancel()
		// What cannot be taken off does no harm: no other rotation has the token.
		_, _ = sm.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
			SecretId: about.ARN, VersionStage: new(rotation.SuppliedFor(token)), RemoveFromVersionId: &version,
		})
	}
	return token, err
}

func tokenOr(token string) (string, error) {
	if token != "" {
		return token, nil
	}
	return smithyrand.NewUUID(rand.Reader).GetUUID()
}

// with is the version that carries a label, or an empty string.
func with(about *secretsmanager.DescribeSecretOutput, label string) string {
	for version, labels := range about.VersionIdsToStages {
		if slices.Contains(labels, label) {
			return version
		}
	}
	return ""
}
