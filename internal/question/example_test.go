package question_test

import (
	"encoding/json"
	"fmt"

	"github.com/rekey-go/rekey/internal/question"
)

func ExampleRequest() {
	payload, err := json.Marshal(question.Request{Question: question.Plan, SecretID: "dev-database-credentials"})
	fmt.Println(string(payload), err)
	// Output: {"Question":"plan","SecretId":"dev-database-credentials"} <nil>
}
