package audit

import (
	"io"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"

	report "github.com/rekey-go/rekey/audit"
)

// NewWith is [New] with another place for the metrics, another share of an
// invocation's time for the report, and slices of half a day, so that a test of
// each call has fewer of them.
func NewWith(cfg aws.Config, getenv func(string) string, metrics io.Writer, spare time.Duration) (lambda.Handler, error) {
	f, err := newFunction(cfg, getenv)
	if err != nil {
		return nil, err
	}
	f.metrics, f.spare, f.slice = metrics, spare, 12*time.Hour
	return lambda.NewHandler(f.handle), nil
}

// Key is what a finding is known by.
func Key(f report.Finding) string { return key(&f) }
