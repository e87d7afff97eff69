// Package question is what an operator may ask the function that rotates a
// secret, which is where the target can be reached from, and has the
// permissions. The command and package contain ask; functions/internal/rotator
// answers.
//
// No question changes anything, and no answer holds a value.
package question

// The questions.
const (
	// Examine asks which versions of the secret the target accepts. It is
	// answered with a [github.com/rekey-go/rekey/rotation.Diagnosis].
	Examine = "examine"
	// Plan asks what a rotation would do, and whether it would succeed. It is
	// answered with a [github.com/rekey-go/rekey/rotation.Preview].
	Plan = "plan"
)

// A Request is what the function is invoked with. What Secrets Manager invokes it
// with has a step in place of the question.
type Request struct {
	// Question is [Examine] or [Plan].
	Question string
	// SecretID is the name or the ARN of the secret.
	SecretID string `json:"SecretId"`
}
