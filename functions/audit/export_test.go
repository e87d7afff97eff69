package audit

import (
	"io"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
)

// NewWith is [New] with another place for the metrics, and another share of an
// invocation's time for the report.
func NewWith(cfg aws.Config, getenv func(string) string, metrics io.Writer, spare time.Duration) (lambda.Handler, error) {
	f, err := newFunction(cfg, getenv)
	if err != nil {
		return nil, err
	}
	f.metrics, f.spare = metrics, spare
	return lambda.NewHandler(f.handle), nil
}
