// Command rekey-agent is the agent as an AWS Lambda extension: a layer has it in
// its folder extensions, and Lambda starts it beside each function that has the
// layer. See package agent for what it does and reads.
package main

import (
	"context"
	"log"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

func main() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	client, err := secrets.FromEnv(cfg, os.Getenv, agent.NamesAsGiven)
	if err != nil {
		log.Fatal(err)
	}
	if err := agent.RunExtension(ctx, client, filepath.Base(os.Args[0]), os.Getenv); err != nil {
		log.Fatal(err)
	}
}
