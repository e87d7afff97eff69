package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const token = "11111111-1111-4111-8111-111111111111"

func allSteps() []string { return []string{"createSecret", "setSecret", "testSecret", "finishSecret"} }

// rotate starts a rotation of the secret db under token.
func (b *bench) rotate(tb testing.TB) error {
	tb.Helper()
	_, err := b.RotateSecret(tb.Context(), &sdk.RotateSecretInput{
		SecretId: aws.String("db"), ClientRequestToken: aws.String(token), RotationLambdaARN: aws.String(rotator),
	})
	return err
}

func TestRotationGoesThroughTheFourSteps(t *testing.T) {
	t.Parallel()
	b := newBench(t, withStore(t))
	arn := b.create(t, "db", "first")
	if err := b.rotate(t); err != nil {
		t.Fatal(err)
	}
	b.heard.await(t, "RotationSucceeded", 1)

	got := b.lambda.invocations()
	var want []invocation
	for _, step := range allSteps() {
		want = append(want, invocation{Step: step, SecretID: arn, ClientRequestToken: token, RotationToken: got[0].RotationToken})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("invocations (-want +got):\n%s", diff)
	}
	if n := len(got[0].RotationToken); n < 36 || n > 256 {
		t.Errorf("RotationToken of %d characters, want 36 to 256", n)
	}
	if got, want := b.read(t, "db", "", ""), "value of "+token; got != want {
		t.Errorf("current value %q, want %q", got, want)
	}
	if got := b.read(t, "db", "", "AWSPREVIOUS"); got != "first" {
		t.Errorf("previous value %q, want first", got)
	}
	if diff := cmp.Diff([]string{"AWSCURRENT", "AWSPENDING"}, b.stages(t)[token]); diff != "" {
		t.Errorf("labels of the new version (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"RotationStarted", "RotationSucceeded"}, b.heard.said()); diff != "" {
		t.Errorf("service events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"AWSCURRENT", "AWSCURRENT"}, b.heard.moved()); diff != "" {
		t.Errorf("Secret Label Updated for creation and rotation (-want +got):\n%s", diff)
	}
	about, err := b.DescribeSecret(t.Context(), &sdk.DescribeSecretInput{SecretId: &arn})
	if err != nil {
		t.Fatal(err)
	}
	if !aws.ToTime(about.LastRotatedDate).Equal(begin()) || !aws.ToBool(about.RotationEnabled) {
		t.Errorf("LastRotatedDate %v, RotationEnabled %v", about.LastRotatedDate, about.RotationEnabled)
	}
}

// A rotation that fails at any step, before or after the step did its work, is
// tried again as a whole with the same token, and succeeds.
func TestAFailedStepIsTriedAgain(t *testing.T) {
	t.Parallel()
	for i, failing := range allSteps() {
		for _, when := range []string{"before", "after"} {
			for _, how := range []string{"error", "no such function"} {
				t.Run(failing+" "+when+" "+how, func(t *testing.T) {
					t.Parallel()
					b := newBench(t)
					b.create(t, "db", "first")
					fails := func(n int, _ invocation) string {
						if n == i+1 {
							return how
						}
						return ""
					}
					b.lambda.set(func(l *lambda) {
						if when == "before" {
							l.fail = fails
						} else {
							l.failAfter = fails
						}
					})
					if err := b.rotate(t); err != nil {
						t.Fatal(err)
					}
					b.heard.await(t, "RotationFailed", 1)
					b.advanceUntil(t, "RotationSucceeded")
					want := append(allSteps()[:i+1:i+1], allSteps()...)
					if diff := cmp.Diff(want, b.lambda.steps()); diff != "" {
						t.Errorf("steps (-want +got):\n%s", diff)
					}
					for _, in := range b.lambda.invocations() {
						if in.ClientRequestToken != token || in.RotationToken != b.lambda.invocations()[0].RotationToken {
							t.Errorf("%s ran under another token than the first try", in.Step)
						}
					}
					wantEvents := []string{
						"RotationStarted",
						"RotationFailed Error when executing lambda " + rotator + " during " + failing + " step",
						"RotationSucceeded",
					}
					if diff := cmp.Diff(wantEvents, b.heard.said()); diff != "" {
						t.Errorf("service events (-want +got):\n%s", diff)
					}
					if got := b.read(t, "db", "", ""); got != "value of "+token {
						t.Errorf("current value %q", got)
					}
				})
			}
		}
	}
}

// advanceUntil advances the clock second by second until an event was heard.
func (b *bench) advanceUntil(tb testing.TB, event string) {
	tb.Helper()
	for range 60 {
		for _, said := range b.heard.said() {
			if strings.HasPrefix(said, event) {
				return
			}
		}
		b.advance(tb, time.Second)
	}
	tb.Fatalf("no %s in a minute; heard: %v", event, b.heard.said())
}

func TestRetriesEndAndTheNextCallTakesTheRotationUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "db", "first")
	b.lambda.set(func(l *lambda) {
		l.fail = func(_ int, in invocation) string {
			if in.Step == "setSecret" {
				return "error"
			}
			return ""
		}
	})
	if err := b.rotate(t); err != nil {
		t.Fatal(err)
	}
	b.heard.await(t, "RotationFailed", 1)
	for n := 2; n <= 5; n++ {
		// The pauses are 1, 2, 4 and 8 seconds.
		b.advance(t, time.Second<<(n-2)-time.Millisecond)
		if got := len(b.lambda.steps()); got != 2*(n-1) {
			t.Fatalf("%d steps before the end of pause %d, want %d", got, n-1, 2*(n-1))
		}
		b.advance(t, time.Millisecond)
		b.heard.await(t, "RotationFailed", n)
	}
	b.advance(t, 24*time.Hour)
	if got := len(b.lambda.steps()); got != 10 {
		t.Errorf("%d steps, want 10: five attempts", got)
	}
	if diff := cmp.Diff([]string{"AWSPENDING"}, b.stages(t)[token]); diff != "" {
		t.Errorf("labels of the pending version (-want +got):\n%s", diff)
	}
	if got := b.read(t, "db", "", ""); got != "first" {
		t.Errorf("current value %q, want first", got)
	}

	b.lambda.set(func(l *lambda) { l.fail = nil })
	_, err := b.RotateSecret(t.Context(), &sdk.RotateSecretInput{SecretId: aws.String("db")})
	if got, want := refusal(err), "InvalidRequestException: A previous rotation isn't complete. That rotation will be reattempted."; got != want {
		t.Errorf("RotateSecret while AWSPENDING is left: %q, want %q", got, want)
	}
	b.heard.await(t, "RotationSucceeded", 1)
	if got := b.read(t, "db", "", ""); got != "value of "+token {
		t.Errorf("current value %q after the rotation was taken up", got)
	}
}

func TestThePendingVersionIsEmptyUntilItIsPut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "db", "first")
	hold := make(chan struct{})
	b.lambda.set(func(l *lambda) { l.hold = hold })
	if err := b.rotate(t); err != nil {
		t.Fatal(err)
	}
	for _, ask := range [][2]string{{token, ""}, {"", "AWSPENDING"}, {token, "AWSPENDING"}} {
		if got := b.read(t, "db", ask[0], ask[1]); got != "ResourceNotFoundException" {
			t.Errorf("reading version %q, stage %q: %s, want ResourceNotFoundException", ask[0], ask[1], got)
		}
	}
	if diff := cmp.Diff([]string{"AWSPENDING"}, b.stages(t)[token]); diff != "" {
		t.Errorf("labels of the empty version (-want +got):\n%s", diff)
	}
	if err := b.rotate(t); err != nil {
		t.Errorf("the same RotateSecret again: %v", err)
	}
	close(hold)
	b.heard.await(t, "RotationSucceeded", 1)
	if err := b.rotate(t); err != nil {
		t.Errorf("the same RotateSecret after the rotation: %v", err)
	}
	if diff := cmp.Diff(allSteps(), b.lambda.steps()); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestARotationGoesOnAfterTheProcessDied(t *testing.T) {
	t.Parallel()
	for i, step := range allSteps() {
		t.Run("during "+step, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, withStore(t))
			b.create(t, "db", "first")
			hold, reached := make(chan struct{}), make(chan struct{})
			b.lambda.set(func(l *lambda) {
				l.fail = func(n int, _ invocation) string {
					if n == i+1 {
						close(reached)
						<-hold
						return "killed"
					}
					return ""
				}
			})
			if err := b.rotate(t); err != nil {
				t.Fatal(err)
			}
			<-reached
			closed := make(chan struct{})
			go func() { b.service.Close(); close(closed) }()
			close(hold)
			<-closed

			b.lambda.set(func(l *lambda) { l.allowed = false }) // functions come later
			b.start(t)
			b.advance(t, 5*time.Second)
			if got := len(b.lambda.steps()); got != i+1 {
				t.Errorf("%d steps before the function is there, want %d", got, i+1)
			}
			b.lambda.set(func(l *lambda) { l.allowed = true })
			b.advance(t, time.Second)
			b.heard.await(t, "RotationSucceeded", 1)
			if got := b.read(t, "db", "", ""); got != "value of "+token {
				t.Errorf("current value %q", got)
			}
			if got := b.read(t, "db", "", "AWSPREVIOUS"); got != "first" {
				t.Errorf("previous value %q", got)
			}
		})
	}
}

func TestRotationIsRefusedAndNothingChanges(t *testing.T) {
	t.Parallel()
	const (
		noLambda = "InvalidRequestException: No Lambda rotation function ARN is associated with this secret."
		denied   = "AccessDeniedException: Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."
	)
	tests := map[string]struct {
		body string // after the SecretId
		want string
	}{
		"without a function": {`"ClientRequestToken":"` + token + `"`, noLambda},
		"with a function that is not there": {
			`"ClientRequestToken":"` + token + `","RotationLambdaARN":"arn:aws:lambda:us-east-1:123456789012:function:nope"`, denied,
		},
		"without a token": {
			`"RotationLambdaARN":"` + rotator + `"`,
			"InvalidParameterException: You must provide a ClientRequestToken value. We recommend a UUID-type value.",
		},
		"with a short token": {
			`"ClientRequestToken":"short"`, "ValidationException: 1 validation error detected: Value 'short' at 'clientRequestToken' failed to satisfy constraint: Member must have length greater than or equal to 32",
		},
		"after no days": {
			`"ClientRequestToken":"` + token + `","RotationLambdaARN":"` + rotator + `","RotationRules":{"AutomaticallyAfterDays":0}`,
			"ValidationException: 1 validation error detected: Value '0' at 'rotationRules.automaticallyAfterDays' failed to satisfy constraint: Member must have value greater than or equal to 1",
		},
		"with days and an expression": {
			`"ClientRequestToken":"` + token + `","RotationLambdaARN":"` + rotator + `","RotationRules":{"AutomaticallyAfterDays":5,"ScheduleExpression":"rate(5 days)"}`,
			"InvalidParameterException: You cannot specify both rotation frequency and schedule expression together.",
		},
		"more often than every four hours": {
			`"ClientRequestToken":"` + token + `","RotationLambdaARN":"` + rotator + `","RotationRules":{"ScheduleExpression":"rate(1 hour)"}`,
			`InvalidParameterException: Invalid ScheduleExpression or Duration: "rate(1 hour)": a secret is rotated every 4 hours at most.`,
		},
		"with a window of 99 hours": {
			`"ClientRequestToken":"` + token + `","RotationLambdaARN":"` + rotator + `","RotationRules":{"ScheduleExpression":"rate(5 days)","Duration":"99h"}`,
			`InvalidParameterException: Invalid ScheduleExpression or Duration: "rate(5 days)": the duration "99h" is not a number of hours from 1h to 24h.`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.create(t, "db", "first")
			before := b.stages(t)
			status, answer := b.raw(t, "RotateSecret", `{"SecretId":"db",`+tt.body+`}`)
			if got := named(t, answer); status != 400 || got != tt.want {
				t.Errorf("RotateSecret: %d %s\nwant 400 %s", status, got, tt.want)
			}
			if diff := cmp.Diff(before, b.stages(t)); diff != "" {
				t.Errorf("the versions changed (-before +after):\n%s", diff)
			}
			about, err := b.DescribeSecret(t.Context(), &sdk.DescribeSecretInput{SecretId: aws.String("db")})
			if err != nil {
				t.Fatal(err)
			}
			if about.RotationEnabled != nil || about.RotationLambdaARN != nil || about.RotationRules != nil {
				t.Errorf("rotation is configured: %v %v", about.RotationEnabled, about.RotationLambdaARN)
			}
			if diff := cmp.Diff([]string(nil), b.lambda.steps(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the function was invoked:\n%s", diff)
			}
		})
	}
}
