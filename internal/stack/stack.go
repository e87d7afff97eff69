// Package stack is the whole system on one machine: the embedded engine with the
// system's template, a PostgreSQL with a sample application's data, stand-ins for
// Stripe and SendGrid, and the first admin token. "rekey up" keeps it running,
// "rekey demo" tells a story on it, and tests start one to look at.
package stack

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/functions/admin"
	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/stage"
)

// Options configure [Start].
type Options struct {
	// Template is the system's template; TemplateFile names it in errors.
	Template     []byte
	TemplateFile string
	// Parameters of the template, by name. Defaults are for those that are not
	// among them, where the template has such a parameter.
	Parameters, Defaults map[string]string
	// Command says how the function whose CodeUri is given is started.
	Command func(codeURI string) ([]string, error)
	// Port and APIPort are those of the AWS endpoint and of the HTTP API.
	// Zero takes free ones.
	Port, APIPort int
	// StateDir keeps everything over restarts. If empty, nothing is kept.
	StateDir string
	// Passphrase and TrailDelay are those of [local.Options].
	Passphrase string
	TrailDelay time.Duration
	// AdminTokens are the tokens that the admin API takes. If there are none,
	// one is made.
	AdminTokens []string
	// NoIAM lets the functions do what their policies do not allow.
	NoIAM bool
	// NoDatabase leaves PostgreSQL out.
	NoDatabase bool
	// Logs gets what the functions print. If nil, it is thrown away.
	Logs io.Writer
	// Progress is told what takes long, such as a download.
	Progress io.Writer
	// Logger gets what the engine has to say. If nil, it is silent.
	Logger *slog.Logger
}

// A Stack is a running system.
type Stack struct {
	Engine *local.Engine
	// Database is nil with [Options.NoDatabase].
	Database *pgserver.Server
	// Providers stand in for those of the sample shop's API keys.
	Providers *Providers
	// AdminToken opens the admin API. It is empty where the template has none.
	AdminToken string
	// Stage is the value of the template's parameter.
	Stage string
}

// Start starts everything and returns when it is ready. The database starts
// first, since the functions are told its port and its certificate.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	s := &Stack{}
	for _, step := range []func(context.Context, *Options) error{
		s.startDatabase, s.startProviders, s.startEngine, s.storeFirstValues, s.storeProviderKeys,
	} {
		if err := step(ctx, &opts); err != nil {
			return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}
	return s, nil
}

func (s *Stack) startDatabase(ctx context.Context, opts *Options) error {
	if opts.NoDatabase {
		return nil
	}
	dir := ""
	if opts.StateDir != "" {
		if err := store.Check(opts.StateDir); err != nil { // before the database takes its time
			return err
		}
		dir = filepath.Join(opts.StateDir, "postgres")
	}
	server, err := pgserver.Start(ctx, pgserver.Options{Dir: dir, Progress: opts.Progress})
	if err != nil {
		return err
	}
	s.Database = server
	if err := fill(ctx, server); err != nil {
		return fmt.Errorf("filling the sample database: %w", err)
	}
	defaults := map[string]string{
		"DatabasePort": strconv.Itoa(server.Port), "DatabaseName": sampleDatabase, "DatabaseCA": server.CA,
	}
	maps.Copy(defaults, opts.Defaults)
	opts.Defaults = defaults
	return nil
}

// onALaptop are defaults of the template's parameters: who works on the engine
// is an IAM user and not of IAM Identity Center, and its reads cost nothing.
func onALaptop() map[string]string {
	return map[string]string{"Operators": "arn:aws:iam::" + local.Account + ":user/*", "ReadBudget": "0"}
}

func (s *Stack) startEngine(ctx context.Context, opts *Options) (err error) {
	defaults := onALaptop()
	maps.Copy(defaults, opts.Defaults)
	opts.Defaults = defaults
	s.Engine, err = local.Start(ctx, local.Options{
		Template: opts.Template, TemplateFile: opts.TemplateFile, StackName: Name(cmp.Or(opts.Parameters["Stage"], opts.Defaults["Stage"], stage.Default)), Parameters: opts.Parameters, Defaults: opts.Defaults,
		Port: opts.Port, APIPort: opts.APIPort, StateDir: opts.StateDir, Passphrase: opts.Passphrase, TrailDelay: opts.TrailDelay,
		Command: opts.Command, NoIAM: opts.NoIAM, Logs: opts.Logs, Logger: opts.Logger,
	})
	if err != nil {
		return err
	}
	s.Stage = s.Engine.Parameter("Stage")
	return nil
}

// storeFirstValues stores what an operator stores right after a deployment:
// the admin token with its hash, and the superuser's login; see also
// storeProviderKeys. No other secret gets a value. A
// template of the user's own need not have these secrets.
func (s *Stack) storeFirstValues(ctx context.Context, opts *Options) error {
	tokens := opts.AdminTokens
	if len(tokens) == 0 {
		tokens = []string{rand.Text()}
	}
	s.AdminToken = tokens[0]
	var held admin.Tokens
	for i, token := range tokens {
		held.Tokens = append(held.Tokens, admin.NewToken("local-"+strconv.Itoa(i+1), token))
	}
	if err := s.put(ctx, "admin-tokens", held); err != nil {
		if !isAbsent(err) {
			return err
		}
		s.AdminToken = "" // it opens nothing
	} else if err := s.putText(ctx, "admin-token", s.AdminToken); err != nil && !isAbsent(err) {
		return err
	}
	if s.Database == nil {
		return nil
	}
	err := s.put(ctx, "database-superuser", map[string]any{
		"engine": "postgres", "host": s.Database.Host, "port": s.Database.Port,
		"username": s.Database.User, "password": s.Database.Password, "dbname": sampleDatabase,
	})
	if isAbsent(err) {
		return nil
	}
	return err
}

// isAbsent reports whether there is no secret to put a value into.
func isAbsent(err error) bool {
	_, absent := errors.AsType[*types.ResourceNotFoundException](err)
	return absent
}

func (s *Stack) put(ctx context.Context, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.putText(ctx, name, string(text))
}

func (s *Stack) putText(ctx context.Context, name, text string) error {
	_, err := secretsmanager.NewFromConfig(s.Config()).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: new(stage.Physical(s.Stage, name)), SecretString: &text,
	})
	if err != nil {
		return fmt.Errorf("storing %s: %w", name, err)
	}
	return nil
}

// Config is for SDK clients that call the stack as its operator.
func (s *Stack) Config() aws.Config {
	return aws.Config{
		Region:       local.Region,
		BaseEndpoint: new(s.Engine.Endpoint()),
		Credentials:  credentials.NewStaticCredentialsProvider(Operator, Operator, ""),
	}
}

// Operator is the access key of the person at the keyboard, by which the
// trail names them.
const Operator = "operator"

// Name is that of the stack of a stage, here and on AWS.
func Name(stage string) string { return "rekey-" + stage }

// Close ends everything that was started.
func (s *Stack) Close(ctx context.Context) error {
	var errs []error
	if s.Engine != nil {
		errs = append(errs, s.Engine.Close(ctx))
	}
	if s.Providers != nil {
		errs = append(errs, s.Providers.close())
	}
	if s.Database != nil {
		errs = append(errs, s.Database.Close())
	}
	return errors.Join(errs...)
}
