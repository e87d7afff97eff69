package cloudformation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/local/cloudformation"
	"github.com/rekey-go/rekey/internal/local/wire"
)

func Example() {
	service, err := cloudformation.New(cloudformation.Options{Account: "123456789012", Region: "us-east-1", Now: time.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	describe := service.Wire().Operations["DescribeStacks"]
	_, err = describe.Handle(context.Background(), &wire.Call{Input: json.RawMessage(`{"StackName":"rekey-dev"}`)})
	fmt.Println(err)
	// Output: ValidationError: Stack with id rekey-dev does not exist
}
