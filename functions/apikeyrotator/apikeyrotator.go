// Package apikeyrotator is the function that Secrets Manager calls to rotate the
// API keys of providers, once for each of the four steps.
//
// It joins package rotation, which knows the steps, with package apikey, which
// knows the providers, and announces a new version on the event bus. Package
// strategy says how a secret tells which keys are whose.
package apikeyrotator

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/functions/internal/rotator"
	"github.com/rekey-go/rekey/functions/internal/strategy"
)

// New returns the function. It reads the variables of [rotator.New] and of
// [strategy.APIKeys].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	return rotator.New(cfg, getenv, strategy.APIKeys(cfg))
}
