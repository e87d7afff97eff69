package supply_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/internal/supply"
	"github.com/rekey-go/rekey/rotation"
)

// A fake keeps the labels that it was asked to move.
type fake struct {
	labels map[string]string // :: label -> version
	err    error             // of RotateSecret
	begun  string
}

// PutSecretValue adds a version with its labels.
func (f *fake) PutSecretValue(_ context.Context, in *secretsmanager.PutSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error) {
	for _, label := range in.VersionStages {
		f.labels[label] = *in.ClientRequestToken
	}
	return &secretsmanager.PutSecretValueOutput{}, nil
}

// UpdateSecretVersionStage moves a label.
func (f *fake) UpdateSecretVersionStage(_ context.Context, in *secretsmanager.UpdateSecretVersionStageInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	delete(f.labels, *in.VersionStage)
	if in.MoveToVersionId != nil {
		f.labels[*in.VersionStage] = *in.MoveToVersionId
	}
	return &secretsmanager.UpdateSecretVersionStageOutput{}, nil
}

// RotateSecret begins a rotation, or fails.
func (f *fake) RotateSecret(_ context.Context, in *secretsmanager.RotateSecretInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.RotateSecretOutput, error) {
	f.begun = *in.ClientRequestToken
	return &secretsmanager.RotateSecretOutput{}, f.err
}

func about() *secretsmanager.DescribeSecretOutput {
	return &secretsmanager.DescribeSecretOutput{
		ARN: aws.String("arn"), RotationLambdaARN: aws.String("function"),
		VersionIdsToStages: map[string][]string{"one": {rotation.LabelPrevious}, "two": {rotation.LabelCurrent}},
	}
}

func ExamplePrevious() {
	f := &fake{labels: map[string]string{}}
	const token = "a-token-of-thirty-two-characters"
	version, err := supply.Previous(context.Background(), f, about(), token)
	fmt.Println(version, err)
	fmt.Println(f.labels)
	// Output:
	// a-token-of-thirty-two-characters <nil>
	// map[REKEY_SUPPLIED_FOR_a-token-of-thirty-two-characters:one]
}

func TestALabelStaysOnlyWhereTheRotationMayHaveBegun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want int
	}{
		"it has begun":         {nil, 1},
		"it was refused":       {&types.InvalidRequestException{}, 0},
		"nobody knows whether": {errors.New("connection reset"), 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			previous, value := &fake{labels: map[string]string{}, err: tt.err}, &fake{labels: map[string]string{}, err: tt.err}
			first, err := supply.Previous(t.Context(), previous, about(), "")
			if !errors.Is(err, tt.err) || len(previous.labels) != tt.want || first != previous.begun {
				t.Errorf("Previous: %v, labels %v", err, previous.labels)
			}
			second, err := supply.Value(t.Context(), value, about(), "v", "")
			if !errors.Is(err, tt.err) || len(value.labels) != tt.want || second != value.begun || first == second {
				t.Errorf("Value: %v, labels %v", err, value.labels)
			}
		})
	}
}

func TestWhatCannotBeSupplied(t *testing.T) {
	t.Parallel()
	without, first := about(), about()
	without.RotationLambdaARN = nil
	delete(first.VersionIdsToStages, "one")
	f := &fake{labels: map[string]string{}}
	if _, err := supply.Previous(t.Context(), f, without, ""); !errors.Is(err, supply.ErrNoRotation) {
		t.Errorf("without a function: %v", err)
	}
	if _, err := supply.Value(t.Context(), f, without, "v", ""); !errors.Is(err, supply.ErrNoRotation) {
		t.Errorf("a value without a function: %v", err)
	}
	if _, err := supply.Previous(t.Context(), f, first, ""); !errors.Is(err, supply.ErrNoPrevious) {
		t.Errorf("without a previous value: %v", err)
	}
	if len(f.labels) > 0 || f.begun != "" {
		t.Errorf("something was done: %+v", f)
	}
}
