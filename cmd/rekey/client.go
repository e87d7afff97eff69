package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/stack"
	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// config loads what the aws CLI loads. For an endpoint on this machine it
// supplies region and credentials where there are none, since `rekey up`
// takes any.
func (a *app) config(ctx context.Context, opts ...func(*config.LoadOptions) error) (aws.Config, error) {
	if onThisMachine(os.Getenv("AWS_ENDPOINT_URL")) {
		if os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
			opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(stack.Operator, stack.Operator, "")))
		}
		if cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")) == "" {
			opts = append(opts, config.WithRegion(local.Region))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return cfg, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if cfg.HTTPClient == nil { // it is, unless the environment names certificates
		cfg.HTTPClient = awshttp.NewBuildableClient()
	}
	cfg.HTTPClient = plainBodies{cfg.HTTPClient}
	if cfg.Region == "" {
		return cfg, withHint(errors.New("no AWS region is set"), endpointHint)
	}
	return cfg, nil
}

// plainBodies hides from net/http that the SDK's request bodies are an
// [io.WriterTo]. That of smithy-go 1.28 answers io.EOF once the SDK has closed
// it, as it does when the answer's head is there; and net/http, which has sent
// the whole body by then and looks for more, breaks the connection off under
// the answer. Only an answer that comes as fast as on the same machine meets it.
type plainBodies struct{ aws.HTTPClient }

// Do sends a request.
func (c plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return c.HTTPClient.Do(r)
}

func (a *app) secretsManager(ctx context.Context) (*secretsmanager.Client, error) {
	cfg, err := a.config(ctx)
	if err != nil {
		return nil, err
	}
	return secretsmanager.NewFromConfig(cfg), nil
}

// bulletin is the stage's.
func (a *app) bulletin(cfg aws.Config) *bulletin.Bulletin {
	return bulletin.New(dynamodb.NewFromConfig(cfg), a.stage+"-rekey-bulletin")
}

func onThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || endpoint == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

const endpointHint = `for a local system run "rekey up" and paste the export line that it prints; for AWS set AWS_REGION and AWS_PROFILE`

// explain adds hints to errors that have none.
func (a *app) explain(err error) error {
	if e, ok := errors.AsType[*cliError](err); ok && len(e.hints) > 0 {
		return err
	}
	if text := err.Error(); strings.HasPrefix(text, "unknown command") {
		return withHint(errors.New(strings.SplitN(text, "\n", 2)[0]), "rekey --help lists the commands")
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return a.explainAPI(err, api)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && os.Getenv("AWS_ENDPOINT_URL") != "" {
		if op.Op == "dial" {
			return withCode(exitLocal, fmt.Errorf("nothing answers at %s", os.Getenv("AWS_ENDPOINT_URL")), endpointHint)
		}
		return withCode(exitLocal, fmt.Errorf("the connection to %s broke off: %w", os.Getenv("AWS_ENDPOINT_URL"), err), "run the command again")
	}
	if strings.Contains(err.Error(), "get credentials") || strings.Contains(err.Error(), "no EC2 IMDS role found") {
		return withCode(exitLocal, errors.New("no AWS credentials are set"), endpointHint)
	}
	return err
}

func (a *app) explainAPI(err error, api smithy.APIError) error {
	plain := fmt.Errorf("%s: %s", api.ErrorCode(), api.ErrorMessage())
	code := exitCode(err)
	switch {
	case code == exitNotFound && strings.Contains(api.ErrorMessage(), "secret value"):
		return withCode(code, plain, `the secret has no value yet; store one with "rekey put NAME"`)
	case code == exitNotFound:
		return withCode(code, plain, fmt.Sprintf(`"rekey list" shows the secrets of stage %s; another stage is chosen with --stage`, a.stage))
	case strings.Contains(api.ErrorCode(), "AccessDenied"):
		return withCode(code, plain, "the credentials in use lack a permission for this call")
	default:
		return withCode(code, plain)
	}
}

// secretID is the name that Secrets Manager knows a secret by.
func (a *app) secretID(name string) string { return stage.Physical(a.stage, name) }

// logical is a secret's name without its stage.
func (a *app) logical(name string) string { return stage.Logical(a.stage, name) }

// short is the part of a version id that people compare.
func short(version string) string {
	if len(version) > 8 {
		return version[:8]
	}
	return version
}
