// Command bootstrap is the keyrotator function as AWS Lambda runs it.
package main

import (
	"context"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/rekey-go/rekey/functions/keyrotator"
)

func main() {
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	handler, err := keyrotator.New(cfg, os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(handler)
}
