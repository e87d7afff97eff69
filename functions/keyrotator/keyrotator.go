// Package keyrotator is the function that Secrets Manager calls to rotate what
// no server knows: signing keys, webhook secrets and other opaque values, and the
// token of the admin API.
//
// Package strategy says how the strategy of a secret is chosen. Such values live
// on beside the new ones until the function retire takes them away.
package keyrotator

import (
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/functions/internal/rotator"
	"github.com/rekey-go/rekey/functions/internal/strategy"
)

// New returns the function. It reads the variables of [rotator.New] and of
// [strategy.Keys].
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	return rotator.New(cfg, getenv, strategy.Keys)
}
