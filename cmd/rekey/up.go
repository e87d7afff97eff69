package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/local/httpapi"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/stack"
)

type upFlags struct {
	template   string
	iam        string
	parameters []string
	readyFile  string
	passphrase string // the file that has it
	stack      stack.Options
}

func (a *app) upCommand() *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the whole system on this machine until it is interrupted",
		Args:  exactly(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.up(cmd.Context(), f) },
	}
	cmd.Flags().IntVar(&f.stack.Port, "port", 4566, "port of the AWS endpoint; 0 takes a free one")
	cmd.Flags().IntVar(&f.stack.APIPort, "api-port", 8400, "port of the HTTP API; 0 takes a free one")
	cmd.Flags().StringVar(&f.stack.StateDir, "state", "", "folder that keeps everything over restarts, encrypted (default in memory)")
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", "file with the passphrase of the state, which then takes the place of a key file (default REKEY_PASSPHRASE, or asked for)")
	cmd.Flags().DurationVar(&f.stack.TrailDelay, "trail-delay", 0, "how old an event is before LookupEvents tells of it; on AWS that is minutes")
	cmd.Flags().StringArrayVar(&f.stack.AdminTokens, "admin-token", nil, "token that the admin API takes; may be given twice (default REKEY_ADMIN_TOKEN, or a new one)")
	cmd.Flags().StringVar(&f.readyFile, "ready-file", "", "file that is written, as JSON, once everything is ready")
	cmd.Flags().BoolVar(&f.stack.NoDatabase, "no-database", false, "leave PostgreSQL out")
	cmd.Flags().StringVar(&f.iam, "iam", "on", "off lets the functions do what their policies do not allow")
	cmd.Flags().StringVar(&f.template, "template", "", "template to run in place of the built-in template.yaml")
	cmd.Flags().StringArrayVar(&f.parameters, "parameter", nil, "NAME=VALUE of a parameter of the template; may be repeated")
	return cmd
}

func (a *app) up(ctx context.Context, f upFlags) error {
	opts, err := a.stackOptions(f)
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := stack.Start(ctx, opts)
	if err != nil {
		return explainStart(err, f)
	}
	err = a.serve(ctx, s, f, time.Since(began))
	return errors.Join(err, s.Close(context.WithoutCancel(ctx)))
}

// serve tells that the stack is ready and keeps it until the interrupt, which
// is the way in which it is meant to end.
func (a *app) serve(ctx context.Context, s *stack.Stack, f upFlags, took time.Duration) error {
	for _, warning := range s.Engine.Warnings() {
		a.note("rekey: warning: %s", warning)
	}
	ready := readiness{AWS: s.Engine.Endpoint(), API: s.Engine.APIURL(), Page: pageOf(s), Providers: s.Providers.URL, AdminToken: s.AdminToken, PID: os.Getpid()}
	if err := a.data(ready, func(w io.Writer) { ready.print(w, s) }); err != nil {
		return err
	}
	if f.readyFile != "" { // now that all is printed, for those who look there too
		if err := ready.write(f.readyFile); err != nil {
			return fmt.Errorf("writing the ready file: %w", err)
		}
		defer func() { _ = os.Remove(f.readyFile) }() // it would tell of a system that is gone
	}
	if clock := s.Engine.Clock(); clock.Frozen() {
		a.note("rekey: warning: the clock of the state stands at %s; rekey clock resume lets it run on", clock.Now().UTC().Format(time.RFC3339))
	}
	a.note("ready after %.2f s; Ctrl-C ends it", took.Seconds())
	<-ctx.Done()
	a.note("stopping")
	return nil
}

// readiness is the content of the ready file.
type readiness struct {
	AWS        string `json:"aws"`
	API        string `json:"api"`
	Page       string `json:"page,omitempty"`
	Providers  string `json:"providers"`
	AdminToken string `json:"adminToken,omitempty"`
	PID        int    `json:"pid"`
}

// write makes the file in one step, so that nobody reads half of it. It holds
// the admin token: only its owner may read it.
func (r readiness) write(path string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return writeWhole(path, append(data, '\n'))
}

// writeWhole makes a file that only its owner may read, in one step.
func writeWhole(path string, data []byte) error {
	partial := path + ".partial"
	if err := os.WriteFile(partial, data, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

func (r readiness) print(w io.Writer, s *stack.Stack) {
	fmt.Fprintf(w, "export AWS_ENDPOINT_URL=%s AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\n", r.AWS, stack.Operator, stack.Operator)
	fmt.Fprintf(w, "export REKEY_API=%s", r.API)
	if r.AdminToken != "" {
		fmt.Fprintf(w, " REKEY_ADMIN_TOKEN=%s", r.AdminToken)
	}
	fmt.Fprint(w, "\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if r.Page != "" {
		fmt.Fprintf(table, "page\t%s  (it asks for the admin token)\n", r.Page)
	}
	fmt.Fprintf(table, "HTTP API\t%s\n", r.API)
	fmt.Fprintf(table, "AWS\t%s\n", r.AWS)
	if s.Database != nil {
		fmt.Fprintf(table, "PostgreSQL\t%s  (TLS, scram-sha-256)\n", s.Database.Addr())
	}
	fmt.Fprintf(table, "providers\t%s  (stand-ins: Stripe takes %s and %s, SendGrid %s)\n",
		r.Providers, stack.SampleStripeKey, stack.SampleNextStripeKey, stack.SampleSendGridKey)
	_ = table.Flush() // as with the lines around it
	fmt.Fprint(w, "\n")
	routes := s.Engine.Routes()
	slices.SortFunc(routes, func(a, b httpapi.Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	for _, route := range routes {
		fmt.Fprintf(table, "%s\t%s\t-> %s\n", route.Method, route.Path, functionName(route.FunctionARN))
	}
	_ = table.Flush()
	fmt.Fprintf(w, "\nSecrets are placeholders until they get a value: rekey list, rekey put NAME\n")
}

// pageOf is where the operators' page is, or nothing where the template has none.
func pageOf(s *stack.Stack) string {
	for _, route := range s.Engine.Routes() {
		if route.Method == http.MethodGet && route.Path == "/admin" {
			return s.Engine.APIURL() + "/admin"
		}
	}
	return ""
}

// functionName is the last part of a function's ARN.
func functionName(arn string) string { return arn[strings.LastIndexByte(arn, ':')+1:] }

// stackOptions reads the flags and the template.
func (a *app) stackOptions(f upFlags) (stack.Options, error) {
	opts := f.stack
	if f.iam != "on" && f.iam != "off" {
		return opts, withHint(fmt.Errorf("--iam %q is neither on nor off", f.iam), "leave it out, or write --iam off")
	}
	opts.NoIAM = f.iam == "off"
	if opts.TrailDelay < 0 {
		return opts, withHint(fmt.Errorf("--trail-delay %s is negative", opts.TrailDelay), "write --trail-delay 5m")
	}
	var err error
	if opts.Passphrase, err = a.passphrase(f); err != nil {
		return opts, err
	}
	if err := readTemplate(&opts, f.template); err != nil {
		return opts, err
	}
	opts.Defaults, opts.Parameters = map[string]string{"Stage": a.stage}, map[string]string{}
	for _, p := range f.parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return opts, withHint(fmt.Errorf("--parameter %q has no value", p), "write --parameter NAME=VALUE")
		}
		opts.Parameters[name] = value
	}
	if token := os.Getenv("REKEY_ADMIN_TOKEN"); len(opts.AdminTokens) == 0 && token != "" {
		opts.AdminTokens = []string{token}
	}
	opts.Command, opts.Logs, opts.Progress = commandFor, a.stderr, a.stderr
	return opts, nil
}

// readTemplate reads the template of a file; of none, it is the built-in one.
func readTemplate(opts *stack.Options, file string) error {
	opts.Template, opts.TemplateFile = rekey.Template, "template.yaml"
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the operator's own file.
	if err != nil {
		return withHint(fmt.Errorf("reading the template: %w", err), "without --template the built-in one is used")
	}
	opts.Template, opts.TemplateFile = data, filepath.ToSlash(file)
	return nil
}

// explainStart says what to do about a stack that does not start.
func explainStart(err error, f upFlags) error {
	if fault, ok := errors.AsType[*template.Error](err); ok {
		return withCode(exitLocal, err, fault.Hint)
	}
	switch {
	case errors.Is(err, pgserver.ErrNotFound):
		return withHint(err, pgserver.InstallHint+", or leave it out with --no-database")
	case errors.Is(err, store.ErrLocked):
		return withHint(err, "another \"rekey up\" uses this folder; stop it, or choose another --state")
	case errors.Is(err, store.ErrPassphrase):
		return withHint(err, "give it by --passphrase-file or REKEY_PASSPHRASE; without it the state cannot be read")
	case errors.Is(err, store.ErrTampered):
		return withHint(err, fmt.Sprintf("restore %s from a backup, or start with an empty folder", f.stack.StateDir))
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another program listens there; choose other ports with --port and --api-port, 0 for free ones")
	case errors.Is(err, os.ErrPermission):
		return withHint(err, "choose a folder or a port that this user may use")
	default:
		return err
	}
}
