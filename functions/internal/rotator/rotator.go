// Package rotator is what the functions that rotate have in common: they take
// the events of Secrets Manager, announce new versions on the event bus, and
// answer the questions of rekey doctor and rekey plan.
package rotator

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/internal/question"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

// reasonRotated is the reason in the events of a rotation.
const reasonRotated = "rotated"

// New returns a function that rotates with the strategies of a chooser. It
// reads REKEY_BUS, AWS_LAMBDA_FUNCTION_NAME, by which it knows its own secrets,
// REKEY_ACCOUNTS, which lists other accounts whose secrets it rotates, and the
// variable of [strategy.Store].
func New(
	cfg aws.Config, getenv func(string) string,
	chooser func(rotation.Store, func(string) string) (rotation.Chooser, error),
) (lambda.Handler, error) {
	store := strategy.Store(cfg, getenv)
	choose, err := chooser(store, getenv)
	if err != nil {
		return nil, err
	}
	publisher := invalidation.NewPublisher(eventbridge.NewFromConfig(cfg), getenv("REKEY_BUS"))
	r := rotation.New(store, rotation.Options{
		Choose:       choose,
		FunctionName: getenv("AWS_LAMBDA_FUNCTION_NAME"),
		Accounts:     strings.FieldsFunc(getenv("REKEY_ACCOUNTS"), func(r rune) bool { return r == ',' || r == ' ' }),
		Logger:       slog.New(slog.NewJSONHandler(os.Stdout, nil)),
		OnPromoted: func(ctx context.Context, p rotation.Promotion) error {
			return publisher.Publish(ctx, invalidation.DetailTypeRotated, invalidation.Rotated{
				SecretARN: p.SecretARN, Name: p.Name, VersionID: p.VersionID, PreviousVersionID: p.PreviousVersionID,
				Reason: reasonRotated, At: p.At,
			})
		},
	})
	return lambda.NewHandler(func(ctx context.Context, e request) (any, error) {
		switch e.Question {
		case question.Examine:
			return rotation.Examine(ctx, store, choose, e.SecretID)
		case question.Plan:
			return rotation.Plan(ctx, store, choose, e.SecretID)
		case "":
			return nil, r.Step(ctx, rotation.Event{
				Step: rotation.Step(e.Step), SecretID: e.SecretID, Token: e.ClientRequestToken,
				FunctionARN: functionARN(ctx), RotationToken: rotation.NewValue(e.RotationToken),
			})
		}
		return nil, fmt.Errorf("%w: the question %q is neither %s nor %s", rotation.ErrConfiguration, e.Question, question.Examine, question.Plan)
	}), nil
}

// A request is a step of Secrets Manager's, or an operator's question: a
// [question.Request].
type request struct {
	events.SecretsManagerSecretRotationEvent
	Question string `json:"Question"`
}

// functionARN is the ARN by which the function was invoked, where it is known.
func functionARN(ctx context.Context) string {
	if about, ok := lambdacontext.FromContext(ctx); ok {
		return about.InvokedFunctionArn
	}
	return ""
}
