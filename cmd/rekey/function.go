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

// commandFor starts the function with a CodeUri such as
// functions/login/bootstrap as a child of this binary.
func commandFor(codeURI string) ([]string, error) {
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
