package demo

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/audit/source"
)

// audit reads the trail, and what the leases and Secrets Manager say, and
// writes the report.
func (s *story) audit(ctx context.Context) error {
	opts, err := s.known(ctx)
	if err != nil {
		return err
	}
	records := source.Lookup(s.trail, func(o *source.LookupOptions) { o.PerSecond = -1 })
	report, err := audit.Summarize(ctx, records, opts)
	if err != nil {
		return fmt.Errorf("auditing the trail: %w", err)
	}
	reads, secrets, readers := 0, 0, 0
	for _, secret := range report.Secrets {
		reads += secret.Reads
		if len(secret.Accesses) > 0 { // the others are known from the inventory alone
			secrets++
		}
		for _, l := range secret.Laggards {
			if l.Proven {
				s.result.Laggards++
			}
		}
		if secret.ARN == s.arn {
			readers = len(secret.Accesses)
		}
	}
	f, err := os.Create(s.Report)
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := render.HTML(f, report); err != nil {
		_ = f.Close() // the report is not whole anyway
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	s.result.Report = s.Report
	s.say("audit: %d reads of %d secrets, %d principals at %s, %d laggards", reads, secrets, readers, secretName, s.result.Laggards)
	return nil
}

// known is what the trail does not hold: who leases which version, and what
// Secrets Manager says of the secrets.
func (s *story) known(ctx context.Context) (audit.Options, error) {
	leases, err := s.board.Leases(ctx, s.arn)
	if err != nil {
		return audit.Options{}, err
	}
	opts := audit.Options{Now: time.Now(), Leases: make([]audit.Lease, 0, len(leases))}
	for _, l := range leases {
		opts.Leases = append(opts.Leases, audit.Lease(l))
	}
	opts.Inventory, err = source.Inventory(ctx, s.secrets, func(o *source.InventoryOptions) { o.PerSecond = -1 })
	return opts, err
}
