package secrets

import "sync/atomic"

// Stats count what a client did since it was made. Hits are not counted: that
// would cost more than they do.
type Stats struct {
	// Fetches are the calls of Secrets Manager for values, FailedFetches those
	// without one.
	Fetches, FailedFetches int64
	// Joined are the readers that waited for a read which another had begun.
	Joined int64
	// Stale are the reads that were given a value beyond its time.
	Stale int64
	// Invalidations are the pieces of news about a secret in memory, Deferred
	// those of them that came too fast and were looked into together, up to a
	// second later.
	Invalidations, Deferred int64
	// Ignored are the answers of Secrets Manager that had been overtaken, or
	// were older than what was in memory.
	Ignored int64
	// Evicted are the values that made room for others; see
	// Options.MaxSecrets.
	Evicted int64
	// Checks are the reads of the board, FailedChecks those that failed, and
	// those after which the leases could not be renewed.
	Checks, FailedChecks int64
}

// counts are what Stats are made of.
type counts struct {
	fetched, failed, joined, stale, invalidations, deferred, ignored atomic.Int64
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	n := &c.counts
	s := Stats{
		Fetches: n.fetched.Load(), FailedFetches: n.failed.Load(),
		Joined: n.joined.Load(), Stale: n.stale.Load(),
		Invalidations: n.invalidations.Load(), Deferred: n.deferred.Load(),
		Ignored: n.ignored.Load(), Evicted: c.table.evicted.Load(),
	}
	if c.watch != nil {
		s.Checks, s.FailedChecks = c.watch.checks.Load(), c.watch.failures.Load()
	}
	return s
}
