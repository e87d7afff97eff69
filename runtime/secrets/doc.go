// Package secrets reads secrets from AWS Secrets Manager, keeps them in memory
// for a while, and follows their rotations.
//
//	client, err := secrets.FromEnv(cfg, os.Getenv)
//	...
//	key, err := client.String(ctx, "stripe-api-key")
//	keys, err := secrets.JSON[Keys](ctx, client, "external-api-keys")
//
// Names are logical: the stage is put before them, so "external-api-keys" is
// "dev-external-api-keys" in stage dev. ARNs, and names that have the stage
// before them already, are taken as they are.
//
// # What a read costs
//
// The first read of a secret is one GetSecretValue, however many callers wait
// for it; each waits no longer than its own context allows. For five minutes
// (see [Options]) the value is then served from memory. At four fifths of that
// time it is read again in the background, so that a steady reader never
// waits. When Secrets Manager cannot be reached, the value at hand is served
// on for at most an hour, and [Secret.Stale] says so. A hit takes no lock, writes
// no memory that readers share, and mostly does without reading a clock (see
// [Client.Wake]). A [Ref] decodes JSON once per version, and [Client.Prefetch]
// reads many secrets with few calls.
//
// # Following rotations
//
// [Client.Invalidate] takes the news that a secret changed, and fetches the
// named version by its id, so that the answer cannot be an older one; package
// invalidation receives such news. With a bulletin, the client also looks at
// the board at most every CheckInterval, one read for all of its secrets, and
// tells by leases which versions it holds: a value whose lease has run out, as
// in an execution environment that was frozen, is not served before the board
// was read. If the board cannot be read, the client goes on as if there was
// none.
//
// [Client.Watch] and [Client.OnChange] tell the program of each new version.
// When a credential is refused all the same, [Use] and [Client.Ladder] find the
// version that works.
//
// # Values
//
// A [Secret] cannot be printed, logged or marshalled by mistake; the value is
// what [Secret.Reveal] returns, or [Secret.RevealAny]. No error of this package quotes a value.
package secrets
