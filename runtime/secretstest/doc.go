// Package secretstest tests code that uses secrets: against AWS's own wire
// protocols, under load, and through rotations.
//
//	func TestOrdersThroughRotations(t *testing.T) {
//		aws := secretstest.Start(t, secretstest.Secrets{"payment-key": "key-0"})
//		shop := orders.New(aws.Client())
//
//		secretstest.Load(t, secretstest.Requests(shop, "GET", "/orders"), func() {
//			for i := range 20 {
//				aws.Rotate("payment-key", fmt.Sprint("key-", i+1))
//			}
//		})
//	}
//
// [Start] runs Rekey's engine in the test's process: Secrets Manager,
// EventBridge, SQS and DynamoDB on a port of the loopback interface, for as
// long as the test runs. There is no account, no container and nothing to
// install. What the code under test calls is the AWS SDK, unchanged.
//
// # What can be made to happen
//
// [AWS.Rotate] rotates a secret as the pipeline does: the new value is pending
// first, then current, and consumers are told. [AWS.RotateUnheard] loses the
// news, so that only the TTL or the ladder helps. [AWS.Stage] stops in
// between, where a single user's new password works and AWSCURRENT is still
// the old one. [AWS.Fail] has AWS throttle, refuse, or be out of reach.
//
// # Load
//
// [Load] calls the code under test from several goroutines while something
// happens, and fails the test for each call that fails. [Requests] makes such
// calls of an [http.Handler], [Invocations] of a Lambda handler, and any
// func(context.Context) error will do.
//
// Only tests import this package: it brings the engine with it.
package secretstest
