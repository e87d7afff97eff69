package token_test

import (
	"fmt"

	"github.com/rekey-go/rekey/internal/token"
)

func ExampleNew() {
	kept := token.New("operator", "the token itself")
	fmt.Println(kept.ID, kept.HasHash(token.Hash("the token itself")), kept.HasHash(token.Hash("another")), kept.Live())
	// Output: operator true false true
}
