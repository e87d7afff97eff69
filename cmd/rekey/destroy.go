package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/internal/deploy"
)

func (a *app) destroyCommand() *cobra.Command {
	var f stackFlags
	cmd := &cobra.Command{
		Use:   "destroy",
		Short: "Remove the stack; its secrets can be restored for seven days",
		Long: `Remove the stack of the stage: functions, HTTP API, queues, rules, tables. Its
secrets are scheduled for deletion after seven days, and their key stays, so that
they can be restored: by rekey deploy, or one by one. Whenever it ends, run it
again: it goes on.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.destroy(cmd.Context(), f) },
	}
	f.register(cmd, "remove without asking")
	return cmd
}

// destroyed is what destroy tells at the end.
type destroyed struct {
	Stack   string             `json:"stack"`
	Secrets []deploy.Scheduled `json:"secrets"`
	Keys    []string           `json:"keys"`
}

func (a *app) destroy(ctx context.Context, f stackFlags) error {
	cfg, s, err := a.target(ctx, f)
	if err != nil {
		return err
	}
	there, err := s.Last(ctx)
	if errors.Is(err, deploy.ErrNoStack) {
		return withCode(exitNotFound, err, "another stage is chosen with --stage, another stack with --stack")
	}
	if err != nil {
		return err
	}
	resources, err := s.Resources(ctx)
	if err != nil {
		return err
	}
	if there.StackStatus != types.StackStatusDeleteComplete {
		showRemoval(a.stderr, resources)
		if err := a.agree(f.yes, "remove "+s.Name); err != nil {
			return err
		}
		if err := a.removeStack(ctx, cfg, s, there, resources); err != nil {
			return err
		}
	} else {
		a.note("%s is removed already; going on with its secrets", s.Name)
		if err := a.agree(f.yes, "schedule the deletion of its secrets"); err != nil {
			return err
		}
	}
	return a.scheduleSecrets(ctx, cfg, s, resources)
}

func (a *app) removeStack(ctx context.Context, cfg aws.Config, s *deploy.Stack, there *types.Stack, resources []types.StackResourceSummary) error {
	if deploy.Busy(there) {
		a.note("%s is %s; waiting for it", s.Name, there.StackStatus)
		if _, err := s.Settle(ctx); err != nil {
			return err
		}
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = cfg.BaseEndpoint != nil })
	for _, r := range resources {
		if aws.ToString(r.ResourceType) != "AWS::S3::Bucket" {
			continue
		}
		n, err := deploy.Empty(ctx, client, aws.ToString(r.PhysicalResourceId), "")
		if err != nil {
			return err
		}
		a.note("%s emptied of %d objects", aws.ToString(r.PhysicalResourceId), n)
	}
	if err := s.CatchUp(ctx); err != nil {
		return err
	}
	err := s.Delete(ctx)
	if errors.Is(err, deploy.ErrFailed) {
		return withCode(exitAWS, err, "the DELETE_FAILED events above name what could not be removed and why; mend it and run rekey destroy again")
	}
	return err
}

func (a *app) scheduleSecrets(ctx context.Context, cfg aws.Config, s *deploy.Stack, resources []types.StackResourceSummary) error {
	out := destroyed{Stack: s.Name, Secrets: []deploy.Scheduled{}, Keys: []string{}}
	scheduled, err := deploy.NewSecrets(cfg).Schedule(ctx, resources)
	if err != nil {
		return err
	}
	out.Secrets = append(out.Secrets, scheduled...)
	for _, r := range resources {
		if aws.ToString(r.ResourceType) == "AWS::KMS::Key" {
			out.Keys = append(out.Keys, aws.ToString(r.PhysicalResourceId))
		}
	}
	bucket, err := deploy.FindBucket(ctx, cfg)
	if err == nil {
		_, err = bucket.Empty(ctx, s.Name)
	}
	if err != nil {
		return err
	}
	return a.data(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is removed\n", out.Stack)
		for _, one := range out.Secrets {
			fmt.Fprintf(w, "  %s is deleted on %s\n", one.Name, day(&one.At))
		}
		if len(out.Secrets) == 0 {
			return
		}
		a.note("until then: rekey deploy restores all of them, aws secretsmanager restore-secret --secret-id NAME one")
		for _, key := range out.Keys {
			a.note("after that: aws kms schedule-key-deletion --key-id %s", key)
		}
	})
}

// showRemoval prints what a removal does to each resource.
func showRemoval(w io.Writer, resources []types.StackResourceSummary) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tRESOURCE\tTYPE\tID")
	for _, r := range resources {
		what := "removed"
		switch kind := aws.ToString(r.ResourceType); {
		case kind == "AWS::SecretsManager::Secret":
			what = fmt.Sprintf("deleted in %d days", deploy.RecoveryDays)
		case kind == "AWS::KMS::Key":
			what = "kept"
		case strings.HasPrefix(string(r.ResourceStatus), "DELETE"):
			what = "gone"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, aws.ToString(r.LogicalResourceId), aws.ToString(r.ResourceType), aws.ToString(r.PhysicalResourceId))
	}
	_ = t.Flush() // as in printSecrets
}
