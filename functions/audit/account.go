package audit

import (
	"context"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// An Account tells of its secrets what its trail does not: who holds which
// version, and what Secrets Manager itself says.
type Account struct {
	// Board is asked who holds which version.
	Board Board
	// Secrets is asked for the inventory.
	Secrets source.Secrets
	// PerSecond is how many calls Secrets gets in a second: see
	// [source.InventoryOptions].
	PerSecond float64
}

// A Board has the leases of the consumers. A *[bulletin.Bulletin] is one.
type Board interface {
	AllLeases(ctx context.Context) (map[string][]bulletin.Lease, error)
}

// Join adds the leases and the inventory to the options of a report. What
// cannot be had is left out and returned, for the reader of the report to be
// told: a report without it is still one.
func (a Account) Join(ctx context.Context, opts *audit.Options) (missing []*audit.SkippedError) {
	// Leases first: a consumer that moves on in between is then on the newer
	// side of the two.
	leases, err := a.Board.AllLeases(ctx)
	if err != nil {
		missing = append(missing, &audit.SkippedError{What: "the consumers' leases", Err: err})
	} else {
		opts.Leases = []audit.Lease{}
		for _, held := range leases {
			for _, l := range held {
				opts.Leases = append(opts.Leases, audit.Lease(l))
			}
		}
	}
	opts.Inventory, err = source.Inventory(ctx, a.Secrets, func(o *source.InventoryOptions) { o.PerSecond = a.PerSecond })
	if err != nil {
		missing = append(missing, &audit.SkippedError{What: "what Secrets Manager says of the secrets", Err: err})
	}
	return missing
}
