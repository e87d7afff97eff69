// Package deploy puts the system on AWS and takes it away: it builds the
// functions, packages them with the template, and has CloudFormation make what
// they say.
//
//	Build       the functions' bootstraps, for arm64, as reproducible zip files
//	Upload      into a bucket of the account, by the hash of their content
//	Prepare     the stack for a change: one that is stuck is told of or removed,
//	            secrets that wait for their deletion are restored and taken over
//	Propose     a change set, which says what would change
//	Execute     it, and follow the stack's events until it is over
//
// Each part finds out by itself what is done already, and does the rest. A
// program that died at any moment is started again, and goes on.
//
// # Secrets outlive their stack
//
// The template retains secrets and their key. [Stack.Remove] removes the stack
// first, and then schedules its secrets for deletion after seven days. A stack
// that is deployed again within these days cannot make secrets of the same
// names: they are restored, and imported into the new stack before it is made,
// by a change set of type IMPORT. So they keep their values and their ARNs.
package deploy
