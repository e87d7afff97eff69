package follow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/follow"
)

const (
	arn     = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-key-AbCdEf"
	version = "e0a1b2c3-0000-4000-8000-000000000001"
	another = "e0a1b2c3-0000-4000-8000-000000000002"
)

// A service has a rotation that is over after some looks at it, and a trail with
// one event.
type service struct {
	looks int    // that see AWSPENDING
	event string // its name
	of    string // the version that the event is about
	at    time.Time
}

func (s *service) DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	label := "AWSCURRENT"
	if s.looks > 0 {
		s.looks--
		label = "AWSPENDING"
	}
	return &secretsmanager.DescribeSecretOutput{VersionIdsToStages: map[string][]string{version: {label}}}, nil
}

func (s *service) LookupEvents(_ context.Context, in *cloudtrail.LookupEventsInput, _ ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error) {
	out := &cloudtrail.LookupEventsOutput{}
	if aws.ToString(in.LookupAttributes[0].AttributeValue) == s.event {
		record := fmt.Sprintf(`{"eventTime":%q,"requestID":"Rotation-%s-%s","additionalEventData":{"SecretId":%q}}`, s.at.Format(time.RFC3339), arn, s.of, arn)
		out.Events = []types.Event{{EventId: aws.String("1"), CloudTrailEvent: &record}}
	}
	return out, nil
}

func TestWhatARotationEndsWith(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		service service
		want    error
	}{
		"it is current":   {service{looks: 3}, nil},
		"it was given up": {service{looks: 1000, event: "RotationAbandoned", of: version}, follow.ErrFailed},
		"another was given up in the second it began": {service{looks: 3, event: "RotationAbandoned", of: another}, nil},
		"one try failed": {service{looks: 200, event: "RotationFailed", of: version}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tt.service.at = time.Now()
				r := follow.Rotation{Secrets: &tt.service, Trail: &tt.service, ARN: arn, VersionID: version, Started: time.Now()}
				if err := r.Wait(t.Context()); !errors.Is(err, tt.want) {
					t.Errorf("the rotation ended with %v, want %v", err, tt.want)
				}
			})
		})
	}
}
