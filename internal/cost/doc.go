// Package cost is the arithmetic of what secrets cost in a month on AWS: the
// secrets themselves, the calls of Secrets Manager, and what it takes to tell
// consumers of a rotation within seconds, by polling or by Rekey's bulletin.
//
// [Prices] is the one place with prices, each with its source and date.
// [Estimate] multiplies them by counts; a month has 30 days.
//
//	polling   each environment reads each secret every Interval
//	push      each environment reads the bulletin every Interval, once for all
//	          its secrets, and renews its lease on each; it reads the secrets
//	          every TTL and after each rotation; each rotation is two events;
//	          a long-running process polls a queue
//
// The two are compared at the same bound: no environment uses an old version
// for longer than Interval after a rotation. What polling at a slower pace
// costs, and how old a value then may be, is for the caller to ask by another
// Interval.
package cost
