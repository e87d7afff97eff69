// Package rotation implements the four steps by which AWS Secrets Manager
// rotates a secret: createSecret, setSecret, testSecret, and finishSecret.
//
// # Division of labour
//
// A [Rotator] owns everything that is the same for every secret: it checks the
// event against the staging labels, stores the pending version, moves
// AWSCURRENT, and announces what it did. A [Strategy] owns what differs: how a
// new credential is made, installed in the database or service, and tried out.
// [SingleUser], [DualPassword] and [AlternatingUsers] are the strategies for
// database logins, over a small [Database] that each kind of server implements
// in a package of its own. Packages keyset, apikey and random have those for
// signing keys, for providers' keys and for values that only their users know.
//
// # Crashes, repeats, wrong order
//
// Secrets Manager repeats a rotation whose step failed, with the same token,
// and may call a step twice. So each step looks first whether its work is done
// already: a pending value that is there is kept, a password that the server
// accepts is not set again, a version that is current is announced once more
// rather than not at all. When the test of a new credential fails, the old one
// is put back on the server before the step fails. And no version becomes
// current that has not passed its test in this process, whatever came when.
//
// # Revoking
//
// The four steps never take the old credential away: consumers may still hold
// it. [Retire] does so, as a step of its own, when whoever calls it knows that
// nobody does.
//
// # Looking without changing
//
// [Examine] asks the target which versions it accepts, and names the one safe
// move; [Plan] says what a rotation would do, and whether it would succeed.
//
// # Errors
//
// Every error has a class that says who can mend it, and [Explain] gives its
// code and what to do next.
//
// Values are of type [Value], which cannot be printed; no error or log line of
// this package holds one.
package rotation

// A Step is one of the four steps of a rotation, by the name that Secrets
// Manager calls it.
type Step string

// The steps, in their order.
const (
	StepCreate Step = "createSecret"
	StepSet    Step = "setSecret"
	StepTest   Step = "testSecret"
	StepFinish Step = "finishSecret"
)

// Staging labels.
const (
	LabelCurrent  = "AWSCURRENT"
	LabelPending  = "AWSPENDING"
	LabelPrevious = "AWSPREVIOUS"
	// LabelSupplied is on a version whose value an operator supplied. The next
	// rotation takes it in place of one of its own making; see [SuppliedFor].
	LabelSupplied = "REKEY_SUPPLIED"
	// LabelStored is on the last version that was stored without a rotation, so
	// that it has a label until AWSCURRENT comes to it.
	LabelStored = "REKEY_STORED"
)

// SuppliedFor is the label of a version whose value an operator supplied for one
// rotation, named by its token, and for no other. It comes before
// [LabelSupplied]. So of two operators who supply a value at the same time,
// neither gets the other's: the one whose rotation does not begin takes the
// label of that rotation off again.
func SuppliedFor(token string) string { return LabelSupplied + "_FOR_" + token }
