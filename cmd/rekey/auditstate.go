package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/audit"
	function "github.com/rekey-go/rekey/functions/audit"
)

// join adds to the records of an account what Secrets Manager says of its
// secrets, and who holds which version. What may not be read is left out, and
// the report's coverage says that it was.
func (a *app) join(ctx context.Context, opts *audit.Options) error {
	cfg, err := a.config(ctx)
	if err != nil {
		return err
	}
	account := function.Account{Board: a.bulletin(cfg), Secrets: secretsmanager.NewFromConfig(cfg)}
	if onThisMachine(os.Getenv("AWS_ENDPOINT_URL")) {
		account.PerSecond = -1 // the engine has no limit to keep to
	}
	for _, m := range account.Join(ctx, opts) {
		a.note("the report is without %s: %v", m.What, a.explain(m.Err))
	}
	return ctx.Err()
}

// readBaseline reads what earlier reports have seen. A file that is not there
// yet is the first report's.
func readBaseline(path string) (*audit.Baseline, error) {
	file, err := os.Open(path) //nolint:gosec // the path is the operator's choice.
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the baseline: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read.
	baseline, err := audit.ReadBaseline(file)
	if err != nil {
		return nil, withHint(fmt.Errorf("reading the baseline %s: %w", path, err), "name the file that an earlier report wrote, or one that is not there yet")
	}
	return baseline, nil
}

// baseline writes what the next report is to know.
func baseline(w io.Writer, report *audit.Report) error { return report.Baseline.Write(w) }
