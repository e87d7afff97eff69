// Package iam knows who is who on the engine, which principal an access key belongs
// to, and who may do what.
//
// # Who calls
//
// [Keys] has them. Every environment of a function calls with credentials of its
// function's role, which the engine issues when it starts the environment. Any other
// access key is the operator's: a person at the aws CLI, or a test.
//
// # Who may
//
// A document is read once, by [Parse] or, where its statements name principals, by
// [ParseResource]; what is wrong with it has its line. [Policies] are then the ones
// that have a say in a request, and Evaluate weighs them as IAM does within one
// account: an explicit deny anywhere wins; else the caller's own policies or that of
// the resource has to allow, and a permissions boundary limits what the caller's own
// allow. The key policy of KMS comes first: the caller's own count only where it
// delegates to the account. A [Decision] names the statement that made it, so that a
// refusal can say why, and the engine which statements nothing has used yet.
//
// Statements have everything that IAM's have: NotAction, NotResource and
// NotPrincipal, wildcards, policy variables, and all condition operators. The policies
// of an organization, of a session, and between accounts are not there: the engine has
// one account.
//
// SAM's policy templates ([SAMPolicy]) and AWS's managed policies are there as far as
// they are about the services that the engine has.
package iam
