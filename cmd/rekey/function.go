package main

import (
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/functions/apikeyrotator"
	"github.com/rekey-go/rekey/functions/audit"
	"github.com/rekey-go/rekey/functions/charge"
	"github.com/rekey-go/rekey/functions/dbrotator"
	"github.com/rekey-go/rekey/functions/invalidate"
	"github.com/rekey-go/rekey/functions/keyrotator"
	"github.com/rekey-go/rekey/functions/login"
	"github.com/rekey-go/rekey/functions/protected"
	"github.com/rekey-go/rekey/functions/retire"
	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// functions are the functions in this binary, by the name of their folder.
//
//nolint:gochecknoglobals // a constant table.
var functions = map[string]func(aws.Config, func(string) string) (lambda.Handler, error){
	"admin":         admin.New,
	"apikeyrotator": apikeyrotator.New,
	"audit":         audit.New,
	"charge":        charge.New,
	"dbrotator":     dbrotator.New,
	"invalidate":    invalidate.New,
	"keyrotator":    keyrotator.New,
	"login":         login.New,
	"protected":     protected.New,
	"retire":        retire.New,
}

// functionCommand is what the engine starts an environment of a function
// with: this binary in the place of functions/NAME/bootstrap.
func functionCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "function NAME",
		Short:  "Run as an environment of a function (the engine's own use)",
		Hidden: true,
		Args:   exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			construct, ok := functions[args[0]]
			if !ok {
				return fmt.Errorf("there is no function %q in this binary", args[0])
			}
			if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
				return withHint(fmt.Errorf("function %s has no Lambda Runtime API to talk to", args[0]), `"rekey up" starts the functions`)
			}
			cfg, err := config.LoadDefaultConfig(cmd.Context())
			if err != nil {
				return err
			}
			handler, err := construct(cfg, os.Getenv)
			if err != nil {
				return err
			}
			lambda.StartWithOptions(handler, lambda.WithContext(cmd.Context()))
			return nil
		},
	}
}

// extensionName is the name of the agent's file in its layer.
const extensionName = "rekey-agent"

// extensionCommand is what the engine starts the agent's Lambda extension with:
// this binary in the place of cmd/rekey-agent.
func extensionCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "extension",
		Short:  "Run as the agent's Lambda extension (the engine's own use)",
		Hidden: true,
		Args:   exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.LoadDefaultConfig(cmd.Context())
			if err != nil {
				return err
			}
			client, err := secrets.FromEnv(cfg, os.Getenv, agent.NamesAsGiven)
			if err != nil {
				return err
			}
			return agent.RunExtension(cmd.Context(), client, extensionName, os.Getenv)
		},
	}
}

// commandFor starts the function with a CodeUri such as
// functions/login/bootstrap, or the layer dist/layers/rekey-agent, as a child of
// this binary.
func commandFor(codeURI string) ([]string, error) {
	if strings.HasSuffix(path.Clean(codeURI), "layers/"+extensionName) {
		self, err := os.Executable()
		return []string{self, "extension"}, err
	}
	name := path.Base(strings.TrimSuffix(path.Clean(codeURI), "/bootstrap"))
	if _, ok := functions[name]; !ok || !strings.HasSuffix(codeURI, "functions/"+name+"/bootstrap") {
		return nil, fmt.Errorf("CodeUri %q is none of the functions in this binary", codeURI)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return []string{self, "function", name}, nil
}
