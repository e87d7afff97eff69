// Package evidence keeps a record of what was done in an incident that cannot be
// changed afterwards without being noticed.
//
// A pack is a file of JSON lines. Each line holds a [Record] and a signature of
// its bytes by Ed25519, and each record holds the SHA-256 of the line before it:
//
//	{"record":{"seq":2,"time":"...","prev":"9f86d0...","kind":"retired","body":{...}},"signature":"5d4140..."}
//
// So no byte of a record can be changed, and no record be left out, put in or
// moved, but by who has the key. What nobody can see is that the end was cut off,
// unless the pack was closed: its last record says that it is the last. Until
// then, whoever keeps the pack's head, the hash of its last line, can tell.
//
// # What a signature proves
//
// The signature proves that the holder of the key wrote the record, and nothing
// of when. A key that was made for the pack proves no more than that one and the
// same writer wrote all of it: who can make up a pack can make up a key. It is
// worth something from the moment that the public key, or the head, is known to
// somebody whom the writer cannot make forget it: a ticket, a chat, a colleague.
// A key that was known before, such as one that a team keeps for this, proves
// who wrote.
//
// A record's body is its writer's. It is to hold names, version ids, event ids
// and times, and never a value.
package evidence
