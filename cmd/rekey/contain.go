package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/spf13/cobra"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/evidence"
	"github.com/rekey-go/rekey/internal/contain"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

type containFlags struct {
	principal, since string
	run              bool
	dir, key, public string
	verify           string
	parallel         int
	timeout          time.Duration
}

func (a *app) containCommand() *cobra.Command {
	var f containFlags
	cmd := &cobra.Command{
		Use:   "contain [PATH...] --principal P --since T [--run]",
		Short: "Find what a leaked principal read, and with --run change all of it at once",
		Long: `Find every secret that a principal read or tried to read: a role's or user's ARN,
that of an assumed role's session, an access key id, a session's name. Say which
versions it got and which of them still work, the gravest first; what is to be
done about each; whom that hurts; and what takes the principal's access away.
Nothing is changed. The records come from where rekey audit has them: the event
history, or the files of a trail in each PATH.

With --run each secret that the principal knows is rotated, its old version is
announced as compromised and revoked without a grace period, and its server is
asked whether it refuses it. What was done is in a folder, as records that are
chained and signed. A run that was cut off is taken up again by the same command,
and no secret is rotated twice.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.verify != "" {
				return a.verifyEvidence(f)
			}
			return a.contain(cmd, f, args)
		},
	}
	cmd.Flags().StringVar(&f.principal, "principal", "", "who leaked: an ARN, an access key id, a session's name")
	cmd.Flags().StringVar(&f.since, "since", "", "since when: 24h, 2026-01-31, or a time in RFC 3339")
	cmd.Flags().BoolVar(&f.run, "run", false, "do it")
	cmd.Flags().StringVar(&f.dir, "evidence", "", "the incident's folder (default one in this folder, named after the principal)")
	cmd.Flags().StringVar(&f.key, "signing-key", "", "PEM file of the Ed25519 key that signs the evidence (default one made for the incident)")
	cmd.Flags().IntVar(&f.parallel, "parallel", 8, "how many secrets are worked on at a time")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long one secret may take")
	cmd.Flags().StringVar(&f.verify, "verify-evidence", "", "check the evidence in this folder, and do nothing else")
	cmd.Flags().StringVar(&f.public, "public-key", "", "PEM file of the key to check the evidence with (default the one that it names)")
	nowNamed(cmd, map[string]string{"logs": pathsHint})
	return cmd
}

func (a *app) contain(cmd *cobra.Command, f containFlags, paths []string) error {
	f.dir = cmp.Or(f.dir, defaultFolder(f.principal))
	goesOn := f.run && contain.Exists(f.dir)
	if f.principal == "" || f.since == "" && !goesOn {
		return withHint(errors.New("contain wants --principal and --since"), "rekey contain --principal arn:aws:iam::111122223333:role/build --since 24h")
	}
	cfg, err := a.config(cmd.Context())
	if err != nil {
		return err
	}
	system := a.system(cfg, f.parallel)
	if goesOn {
		a.note("rekey: going on with the incident in %s", f.dir)
		return a.runIncident(cmd.Context(), cfg, system, f)
	}
	plan, whole, err := a.planContainment(cmd, system, f, paths)
	if err != nil {
		return err
	}
	if !f.run {
		return a.showPlan(plan, f, whole)
	}
	if len(plan.Secrets) == 0 {
		return withCode(exitNotFound, fmt.Errorf("the records show nothing that %s read", f.principal), nothingFound)
	}
	if !whole {
		a.note("rekey: warning: not all records could be read; more may have been touched")
	}
	for _, m := range plan.Cut {
		a.note("rekey: take the access away, or new values are read too: %s", m.Command)
	}
	if err := contain.Begin(f.dir, f.key, plan); err != nil {
		return err
	}
	return a.runIncident(cmd.Context(), cfg, system, f)
}

const nothingFound = "look further back, or name the principal otherwise: a role's ARN finds all its sessions; events reach the trail after up to 15 minutes"

// defaultFolder is the same for the same principal, so that the same command goes
// on with its incident.
func defaultFolder(principal string) string {
	sum := sha256.Sum256([]byte(principal))
	return "rekey-incident-" + hex.EncodeToString(sum[:4])
}

// system is the stage, as the incident reaches it.
func (a *app) system(cfg aws.Config, parallel int) *contain.System {
	return &contain.System{
		Secrets:   secretsmanager.NewFromConfig(cfg),
		Trail:     cloudtrail.NewFromConfig(cfg),
		Board:     a.bulletin(cfg),
		Publisher: invalidation.NewPublisher(eventbridge.NewFromConfig(cfg), a.stage+"-rekey"),
		Invoke: func(ctx context.Context, function string, request, answer any) error {
			return a.invoke(ctx, cfg, function, request, answer)
		},
		Retire:   a.stage + "-retire",
		Parallel: parallel,
	}
}

// planContainment reads the trail and makes the plan. It reports whether all
// records could be read.
func (a *app) planContainment(cmd *cobra.Command, system *contain.System, f containFlags, paths []string) (*contain.Plan, bool, error) {
	opts := audit.Options{Now: time.Now()}
	var err error
	if opts.From, err = timeOf("--since", f.since, opts.Now); err != nil {
		return nil, false, err
	}
	records, err := a.read(cmd, paths, reading{from: opts.From})
	if err != nil {
		return nil, false, err
	}
	trace, err := audit.Follow(cmd.Context(), records.source, f.principal, opts)
	if err != nil {
		return nil, false, err
	}
	plan, err := system.Plan(cmd.Context(), trace)
	return plan, trace.Coverage.Whole(), err
}

// runIncident works on the incident of a folder.
func (a *app) runIncident(ctx context.Context, cfg aws.Config, system *contain.System, f containFlags) error {
	in, err := contain.Open(f.dir, f.key, f.principal)
	switch {
	case errors.Is(err, evidence.ErrClosed):
		return withHint(fmt.Errorf("the incident in %s is contained and its evidence closed", f.dir), "for a new incident name another folder with --evidence")
	case errors.Is(err, contain.ErrOther):
		return withHint(err, "name another folder with --evidence")
	case err != nil:
		return err
	}
	began := time.Now()
	outcomes, err := in.Run(ctx, contain.Run{
		System: system, By: caller(ctx, cfg), Timeout: f.timeout,
		Progress: func(m contain.Milestone) {
			a.note("%s %-9s %s %s", a.paint(grey, fmt.Sprintf("%6.2fs", m.After.Seconds())), m.What, a.logical(m.Secret), m.Detail)
		},
	})
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	return a.showOutcomes(contained{
		Incident: in.ID(), Evidence: f.dir, PublicKey: filepath.Join(f.dir, contain.PublicKeyFile), Secrets: outcomes, Seconds: time.Since(began).Seconds(),
	})
}

// caller is who runs the command, as AWS knows them.
func caller(ctx context.Context, cfg aws.Config) string {
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "not known: " + oneLine(err.Error())
	}
	return aws.ToString(out.Arn)
}

// verifyEvidence checks a pack.
func (a *app) verifyEvidence(f containFlags) error {
	pack, err := contain.ReadEvidence(f.verify, f.public)
	if broken, ok := errors.AsType[*evidence.BrokenError](err); ok {
		return withHint(fmt.Errorf("the evidence in %s is not what was written: %w", f.verify, broken), "the records before it are as they were written")
	}
	if err != nil {
		return err
	}
	v := verified{Records: len(pack.Records), Closed: pack.Closed, Head: pack.Head, Key: hex.EncodeToString(pack.Key), Pinned: f.public != ""}
	return a.data(v, v.print)
}

// fingerprint is the part of a key that people compare.
func fingerprint(key string) string { return strings.ToUpper(key[:min(16, len(key))]) }
