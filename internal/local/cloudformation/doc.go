// Package cloudformation is AWS CloudFormation on the engine: stacks that are
// made, changed and removed by change sets, with their events, over the real
// Query protocol.
//
// # Division of labour
//
// The service keeps stacks and change sets, decides what a change does to each
// resource, goes through them in order, and takes everything back where one
// fails. Making a resource is the [Provider]'s: the engine makes what a
// template of its own has, and the same for a stack.
//
//	CreateChangeSet   compares the new template with the stack, by resource
//	                  and property
//	ExecuteChangeSet  makes and changes, each after those it refers to; then
//	                  removes what is gone and what was replaced, in reverse
//	a failure         the resources so far go back to the stack's last template,
//	                  and new ones are removed: ROLLBACK_COMPLETE or
//	                  UPDATE_ROLLBACK_COMPLETE, with the reason in the events
//	DeleteStack       removes in reverse; what has DeletionPolicy Retain stays
//
// CreateStack and UpdateStack do the same without a change set to look at. A
// creation can also be left as it is when it fails, or be deleted.
//
// What an operation does to a resource it does with the rights of the role that
// the stack was given, or of the caller: the [Provider] refuses what these do not
// allow, and the resource fails.
//
// A change set of type IMPORT takes over resources that are there, by their
// identifiers, and changes nothing else.
//
// # What is not here
//
// Nested stacks, stack sets, drift, stack policies, termination protection and
// hooks. A stack's topics and timeout are told again and have no effect. A template
// is not expanded by the SAM transform: its resources are listed as they are
// written, with the type that the transform makes of them, and what it adds,
// roles and permissions, is part of them.
//
// # What is kept
//
// With a state folder, stacks with their events and change sets are kept. After
// a restart [Service.Resume] makes what they have again, and takes over what
// other services kept. An operation that was under way begins anew. The stack
// of the engine's own template is what the engine is started with, each time.
package cloudformation
