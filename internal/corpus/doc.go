// Package corpus writes CloudTrail log files whose content is known exactly, to
// hold the audit to its counts and to measure it.
//
// [Write] makes a bucket's folder as a trail fills it: several accounts, two of
// them of an organisation, and several Regions, a gzipped file for every few
// minutes of each. One record in fifty is of Secrets Manager, or of KMS for it.
// What it returns, and leaves as truth.json beside the files, is what an audit
// must count.
//
// # What is in it
//
// The same secret is named by its name, its ARN, and its ARN without the random
// end. Records come twice, in other files; as pairs of two accounts with one
// shared id; and corrected by a later one. Calls that were refused have no
// parameters. Batches stand beside their single reads, reads beside the
// decrypts that tell their version, or without. Records are late by days. Some
// files are indented, with their members in another order, or have letters
// written as escapes, or a member before the records. Records of other services
// name Secrets Manager in policies, endpoints and texts.
//
// The same options make the same files, byte for byte.
package corpus
