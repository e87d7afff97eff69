// Package contain answers a leak: it finds what a principal knows, says what is to
// be done and what that hurts, and does it.
//
// [System.Plan] follows the principal in the trail, and asks Secrets Manager, the
// rotation functions and the bulletin what has become of the versions that it
// got. It changes nothing.
//
// [Incident.Run] changes every secret that the principal knows: it rotates it,
// announces that the old version is compromised, so that no consumer serves it
// any more, revokes the old version without a grace period, and asks the server
// whether it refuses it now. Each of these is a record of the evidence, which is
// also what a run goes on from: a step that has a record is not done again, and
// a rotation has the same token whenever it is asked for. So a run may be killed
// at any moment and started again.
//
// Nothing here reads a value.
package contain
