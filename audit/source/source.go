// Package source brings CloudTrail records to an audit: from the event history
// of an account, from log files, from a trail's bucket, or from a bus.
//
// [Lookup] needs no set-up and sees 90 days of one account and Region, but two
// pages of 50 events a second at most. [Files] reads what a trail delivered,
// from a copy of its bucket or from any file with records in it, and [S3] reads
// the bucket itself: they are for months and many accounts. What is too much
// for one machine is for the package athena. A [Checkpoint] keeps what was
// read, so that nothing is read twice, and takes the events of a bus.
//
// What cannot be read is left out and named; see [audit.SkippedError].
// [Logs.Verify] tells of each log file whether it is what CloudTrail delivered.
//
// # How it is fast
//
// One record in fifty is of Secrets Manager, so nothing decodes the others. A
// stream is unpacked in pieces that fit the processor's cache and searched for
// the name of the service; around a hit, the object is found that it is the
// event source of. Only that goes on to the audit. Unpacking takes two thirds
// of the time.
package source
