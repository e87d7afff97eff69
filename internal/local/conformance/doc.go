// Package conformance holds what this project believes about AWS, so that the
// belief can be checked.
//
// It is tests alone. A case is a list of calls with the answers that AWS
// gives, and says where that is known from: recorded from AWS, documented by
// AWS, or remembered. There is one file of cases per service. Calls go through
// the SDK; answers are compared as they were on the wire, with every member
// that is there or is not.
//
// By default the cases run against the engine of this repository, and each has
// to hold. Elsewhere they run by environment variable:
//
//	REKEY_CONFORMANCE_AWS=1           the account and Region of the environment
//	REKEY_CONFORMANCE_ENDPOINT=URL    another emulator, for information: the
//	                                  test says how many cases hold
//	REKEY_CONFORMANCE_ROTATOR=ARN     a rotation function that is there; without
//	                                  it the cases that rotate are left out
//	REKEY_CONFORMANCE_ROLE=ARN        a role that a function may be made with;
//	                                  without it the cases that make one are
//	                                  left out
//
// Cases make secrets with names of their own and remove them at once at the
// end, whatever came of the case.
package conformance
