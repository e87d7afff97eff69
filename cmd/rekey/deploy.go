package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/deploy"
	"github.com/rekey-go/rekey/internal/stack"
)

const modulePath = "github.com/rekey-go/rekey"

type deployFlags struct {
	stackFlags
	template, artifacts, parameterFile string
	parameters                         []string
	dryRun, allowReplacement           bool
}

func (a *app) deployCommand() *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Build the functions, and make or change the stack on AWS",
		Long: `Build the functions for arm64, upload them, have CloudFormation say what would
change, and, once you agree, change it.

Secrets are made without a value and keep the one that they have. Secrets of a
stack that was destroyed in the last seven days are restored and taken over.
Replacing or removing a secret, a key or a table is refused without
--allow-replacement. Whenever it ends, run it again: it goes on.`,
		Example: `  rekey deploy --stage prod
  rekey deploy --stage prod --parameter SubnetIds=subnet-1,subnet-2 --yes
  rekey deploy --dry-run`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.deploy(cmd.Context(), f) },
	}
	f.register(cmd, "change without asking")
	cmd.Flags().StringVar(&f.template, "template", "", "template to deploy in place of the built-in template.yaml")
	cmd.Flags().StringVar(&f.artifacts, "artifacts", "", "folder with the functions built already, such as dist after make build (default build them of the source)")
	cmd.Flags().StringArrayVar(&f.parameters, "parameter", nil, "NAME=VALUE of a parameter of the template; may be repeated")
	cmd.Flags().StringVar(&f.parameterFile, "parameter-file", "", "file with lines NAME=VALUE")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&f.allowReplacement, "allow-replacement", false, "replace or remove secrets, keys and tables where the template says so, with what they hold")
	return cmd
}

// deployed is what deploy tells at the end.
type deployed struct {
	Stack   string            `json:"stack"`
	Status  string            `json:"status"`
	Changes []deploy.Change   `json:"changes"`
	Outputs map[string]string `json:"outputs"`
}

// A deployment is one run of deploy.
type deployment struct {
	*app
	deployFlags
	cfg        aws.Config
	stack      *deploy.Stack
	template   *deploy.Template
	parameters map[string]string // that are given
	names      []string
	setting    deploy.Setting
	source     deploy.Source
	needed     []string // the CodeURIs of what is made
	bucket     *deploy.Bucket
	there      *types.Stack
	changes    []deploy.Change
}

func (a *app) deploy(ctx context.Context, f deployFlags) error {
	d := &deployment{app: a, deployFlags: f}
	var err error
	if err = d.read(); err != nil {
		return err
	}
	if d.cfg, d.stack, err = a.target(ctx, f.stackFlags); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.settle, d.resolve, d.open, d.recover, d.change} {
		if err := step(ctx); err != nil {
			return d.explain(err)
		}
	}
	return nil
}

// read reads the template and the parameters.
func (d *deployment) read() error {
	var opts stack.Options
	if err := readTemplate(&opts, d.deployFlags.template); err != nil {
		return err
	}
	var err error
	if d.template, err = deploy.ReadTemplate(opts.TemplateFile, opts.Template); err != nil {
		return explainStart(err, upFlags{})
	}
	if d.names, err = d.template.Parameters(); err != nil {
		return err
	}
	if d.parameters, err = readParameters(d.parameterFile, d.deployFlags.parameters); err != nil {
		return err
	}
	if _, given := d.parameters["Stage"]; !given && slices.Contains(d.names, "Stage") {
		d.parameters["Stage"] = d.stage
	}
	for name := range d.parameters {
		if !slices.Contains(d.names, name) {
			return withHint(fmt.Errorf("the template has no parameter %q", name), "it has "+strings.Join(d.names, ", "))
		}
	}
	return nil
}

// readParameters are those of a file, and over them those of the flags.
func readParameters(file string, flags []string) (map[string]string, error) {
	var lines []string
	if file != "" {
		data, err := os.ReadFile(file) //nolint:gosec // the operator's own file.
		if err != nil {
			return nil, fmt.Errorf("reading the parameters: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				lines = append(lines, line)
			}
		}
	}
	all := map[string]string{}
	for _, line := range append(lines, flags...) {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, withHint(fmt.Errorf("the parameter %q has no value", line), "write NAME=VALUE")
		}
		all[name] = value
	}
	return all, nil
}

// settle waits for what is being done to the stack already, such as by a
// deployment that was interrupted, and removes one that never was.
func (d *deployment) settle(ctx context.Context) (err error) {
	if d.there, err = d.stack.Describe(ctx); err != nil {
		return err
	}
	if deploy.Busy(d.there) {
		d.note("%s is %s; waiting for it", d.stack.Name, d.there.StackStatus)
		if err := d.stack.CatchUp(ctx); err != nil {
			return err
		}
		if d.there, err = d.stack.Settle(ctx); err != nil {
			return err
		}
	}
	if d.there == nil {
		return nil
	}
	switch d.there.StackStatus { //nolint:exhaustive // the others can be changed.
	case types.StackStatusDeleteComplete:
		d.there, d.stack.ID = nil, ""
	case types.StackStatusRollbackComplete, types.StackStatusRollbackFailed, types.StackStatusCreateFailed, types.StackStatusDeleteFailed, types.StackStatusImportRollbackFailed:
		return d.clear(ctx)
	case types.StackStatusUpdateRollbackFailed:
		return withHint(fmt.Errorf("%s is %s", d.stack.Name, d.there.StackStatus),
			"mend what the events name, then: aws cloudformation continue-update-rollback --stack-name "+d.stack.Name)
	}
	return nil
}

// resolve finds out what the template comes to with these parameters, and that
// all is there which it takes, before anything is made.
func (d *deployment) resolve(context.Context) error {
	all, err := d.template.Kept(d.there)
	if err != nil {
		return err
	}
	maps.Copy(all, d.parameters)
	const account = "000000000000" // no name of a secret and no condition has it
	d.setting = deploy.Setting{Parameters: all, Region: d.cfg.Region, Account: account, Stack: d.stack.Name}
	if d.needed, err = d.template.NeededCodeURIs(d.setting); err != nil {
		return explainStart(err, upFlags{})
	}
	d.source = deploy.Source{Artifacts: d.artifacts, Here: onThisMachine(os.Getenv("AWS_ENDPOINT_URL"))}
	if d.artifacts == "" {
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		if d.source, err = deploy.FindSource(here, modulePath); err != nil {
			return err
		}
	}
	return d.source.Check(d.needed)
}

// open sees to the bucket for what is uploaded.
func (d *deployment) open(ctx context.Context) (err error) {
	if d.bucket, err = deploy.FindBucket(ctx, d.cfg); err != nil {
		return err
	}
	return d.bucket.Make(ctx)
}

// clear removes a stack that cannot be changed any more. It has no values to
// lose: its secrets stay.
func (d *deployment) clear(ctx context.Context) error {
	d.note("%s is %s, from a deployment that failed; it has to be removed before it is made again, and its secrets stay", d.stack.Name, d.there.StackStatus)
	if d.dryRun {
		return withHint(errors.New("there is no dry run on such a stack"), "leave --dry-run out; the changes are shown before they are made")
	}
	if err := d.agree("remove it"); err != nil {
		return err
	}
	if err := d.stack.CatchUp(ctx); err != nil {
		return err
	}
	if err := d.stack.Delete(ctx); err != nil {
		return err
	}
	d.there, d.stack.ID = nil, ""
	return nil
}

// recover takes over the secrets of a former stack.
func (d *deployment) recover(ctx context.Context) error {
	held, err := d.template.Held(d.setting)
	if err != nil {
		return err
	}
	secrets := deploy.NewSecrets(d.cfg)
	left, err := secrets.Leftovers(ctx, held)
	if err != nil {
		return err
	}
	waiting := slices.DeleteFunc(slices.Clone(left), func(l deploy.Leftover) bool { return !l.Waits })
	for _, l := range waiting {
		d.note("%s is scheduled for deletion, and will be restored", l.Name)
	}
	fresh := d.there == nil || d.there.StackStatus == types.StackStatusReviewInProgress
	if d.dryRun || len(waiting) == 0 && (!fresh || len(left) == 0) {
		if d.dryRun && fresh && len(left) > 0 {
			d.note("%d secrets of a former stack are there, and will be taken over", len(left))
		}
		return nil
	}
	if len(waiting) > 0 {
		if err := d.agree(fmt.Sprintf("restore %d secrets", len(waiting))); err != nil {
			return err
		}
		if err := secrets.Restore(ctx, left); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	return d.adopt(ctx, deploy.Imports(left, held))
}

// adopt imports resources into a new stack.
func (d *deployment) adopt(ctx context.Context, imports map[string]deploy.Import) error {
	ids := slices.Sorted(maps.Keys(imports))
	body, err := d.template.Retained(ids)
	if err != nil {
		return err
	}
	set, err := d.propose(ctx, body, imports)
	if err != nil {
		return err
	}
	d.there, err = d.execute(ctx, set, "take them over")
	return err
}

// change builds the functions, and makes the stack what the template says.
func (d *deployment) change(ctx context.Context) error {
	body, err := d.packaged(ctx)
	if err != nil {
		return err
	}
	set, err := d.propose(ctx, body, nil)
	if errors.Is(err, deploy.ErrNoChanges) {
		d.note("nothing would change")
		return d.tell()
	}
	if err != nil {
		return err
	}
	if d.dryRun {
		d.show(d.stdout, set.Changes)
		d.note("this was a dry run; nothing has changed")
		return set.Discard(ctx)
	}
	if d.there, err = d.execute(ctx, set, "make these changes"); err != nil {
		return err
	}
	return d.tell()
}

// packaged builds and uploads the functions that are needed, and returns the
// template with their places.
func (d *deployment) packaged(ctx context.Context) ([]byte, error) {
	began := time.Now()
	packages, err := deploy.Build(ctx, d.source, d.needed)
	if err != nil {
		return nil, err
	}
	places, err := d.bucket.Upload(ctx, d.stack.Name, packages)
	if err != nil {
		return nil, err
	}
	d.note("%d packages in s3://%s after %.1f s", len(packages), d.bucket.Name(), time.Since(began).Seconds())
	for _, uri := range d.template.CodeURIs() {
		if !slices.Contains(d.needed, uri) {
			places[uri] = d.bucket.LeftOut(d.stack.Name)
		}
	}
	return d.template.Packaged(places)
}

// propose uploads a template and has CloudFormation say what it would change.
func (d *deployment) propose(ctx context.Context, body []byte, imports map[string]deploy.Import) (*deploy.ChangeSet, error) {
	at, err := d.bucket.UploadTemplate(ctx, d.stack.Name, body)
	if err != nil {
		return nil, err
	}
	return d.stack.Propose(ctx, deploy.Proposal{
		TemplateURL: at, Parameters: d.parameters, Names: d.names, Imports: imports, Tags: map[string]string{"rekey:stage": d.stage},
	})
}

// execute shows a change set, asks, and makes it so.
func (d *deployment) execute(ctx context.Context, set *deploy.ChangeSet, what string) (*types.Stack, error) {
	d.show(d.stderr, set.Changes)
	if err := d.safe(set.Changes); err != nil {
		return nil, errors.Join(err, set.Discard(ctx))
	}
	if err := d.agree(what); err != nil {
		return nil, errors.Join(err, set.Discard(ctx))
	}
	d.changes = append(d.changes, set.Changes...)
	return set.Execute(ctx)
}

// safe refuses what loses something that nobody can make again.
func (d *deployment) safe(changes []deploy.Change) error {
	var lost []string
	for _, c := range changes {
		if c.Dangerous() {
			lost = append(lost, c.LogicalID)
		}
	}
	if len(lost) == 0 || d.allowReplacement {
		return nil
	}
	return withHint(fmt.Errorf("this would replace or remove %s, with what they hold", strings.Join(lost, ", ")),
		"keep the names and keys of what is there, or say --allow-replacement if that is meant")
}

// show prints changes as a table.
func (d *deployment) show(w io.Writer, changes []deploy.Change) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CHANGE\tRESOURCE\tTYPE\tPROPERTIES")
	for _, c := range changes {
		what := strings.ToLower(c.Action)
		switch {
		case c.Replaces:
			what = "REPLACE"
		case c.Kept:
			what = "let go"
		}
		if c.Dangerous() {
			what += " (dangerous)"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, c.LogicalID, c.Type, strings.Join(c.Properties, " "))
	}
	_ = t.Flush() // as in printSecrets
}

// agree asks, unless --yes has answered.
func (d *deployment) agree(what string) error { return d.app.agree(d.yes, what) }

// tell prints the outputs and what comes next.
func (d *deployment) tell() error {
	out := deployed{Stack: d.stack.Name, Status: string(d.there.StackStatus), Changes: d.changes, Outputs: map[string]string{}}
	if out.Changes == nil {
		out.Changes = []deploy.Change{}
	}
	for _, o := range d.there.Outputs {
		out.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return d.data(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is %s\n", out.Stack, out.Status)
		for _, name := range slices.Sorted(maps.Keys(out.Outputs)) {
			fmt.Fprintf(w, "  %-14s %s\n", name, out.Outputs[name])
		}
		d.note("next: rekey list --stage %s, and rekey put NAME --stage %s for each secret without a value", d.stage, d.stage)
	})
}

// explain says what to do about a deployment that ended early.
func (d *deployment) explain(err error) error {
	switch {
	case errors.Is(err, deploy.ErrNoSource):
		return withCode(exitLocal, err, "run it in a checkout of the module, with Go installed, or name built functions with --artifacts DIR (make build leaves them in dist)")
	case errors.Is(err, deploy.ErrArtifacts):
		return withCode(exitLocal, err, "make build leaves all of them in dist; without --artifacts they are built of the source")
	case errors.Is(err, deploy.ErrFailed):
		return withCode(exitAWS, err, "the first *_FAILED event above names the resource and AWS's reason; mend it and run rekey deploy again")
	default:
		return err
	}
}
