// Package dbrotator is the function that Secrets Manager calls to rotate a
// database login, once for each of the four steps.
//
// It joins package rotation, which knows the steps, with the kinds of servers,
// and announces a new version on the event bus. Package strategy says how the
// strategy of a secret is chosen.
package dbrotator

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/functions/internal/rotator"
	"github.com/rekey-go/rekey/functions/internal/strategy"
)

// New returns the function. It reads the variables of [rotator.New] and of
// [strategy.Databases].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	return rotator.New(cfg, getenv, strategy.Databases)
}
