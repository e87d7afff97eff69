// Package invalidate is the function that puts changes of secrets on the
// bulletin, where every consumer environment finds them.
//
// It takes our own events, the native ones of Secrets Manager, and those via
// CloudTrail; each is a hint only. For each it reads the board, then the truth
// from Secrets Manager, and announces what the board does not say yet, under
// the condition that the board has not moved on: so events may come twice,
// late, or in the wrong order. An event that is lost is made good by the next
// one about the same secret.
package invalidate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	smithytime "github.com/aws/smithy-go/time"

	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// secretsManager is what the function asks of AWS Secrets Manager. There is no
// read of a value in it.
type secretsManager interface {
	DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
}

// function is the function with what it works on.
type function struct {
	store secretsManager
	board *bulletin.Bulletin
	stage string
	log   *slog.Logger
}

const (
	// tries is how often an announcement is tried that others came before.
	tries = 8
	// lagTries is how often the truth is read again while it does not know
	// yet what the event says.
	lagTries = 3
	pause    = 40 * time.Millisecond
)

// New returns the function. It reads REKEY_STAGE and REKEY_BULLETIN.
func New(cfg aws.Config, getenv func(string) string) (lambda.Handler, error) {
	table := getenv("REKEY_BULLETIN")
	if table == "" {
		return nil, errors.New("REKEY_BULLETIN is empty: want the name of the bulletin's table")
	}
	f := &function{
		store: secretsmanager.NewFromConfig(cfg),
		board: bulletin.New(dynamodb.NewFromConfig(cfg), table),
		stage: cmp.Or(getenv("REKEY_STAGE"), stage.Default),
		log:   slog.New(slog.NewJSONHandler(os.Stdout, nil)),
	}
	return lambda.NewHandler(f.handle), nil
}

// handle takes one event, or a batch. An error makes Lambda deliver it again.
func (f *function) handle(ctx context.Context, event json.RawMessage) error {
	changes, only := invalidation.Parse(event)
	if !only {
		f.log.WarnContext(ctx, "this is no news of a secret")
	}
	var errs []error
	for _, change := range changes {
		if !f.ours(change) {
			continue
		}
		errs = append(errs, f.announce(ctx, change))
	}
	return errors.Join(errs...)
}

// ours reports whether a change is one of a secret of this stage.
func (f *function) ours(r invalidation.Rotated) bool {
	name := r.Name
	if _, resource, ok := strings.Cut(r.SecretARN, ":secret:"); ok {
		name = resource
	}
	return stage.Has(f.stage, name)
}

// announce brings the board up to date about one secret.
func (f *function) announce(ctx context.Context, r invalidation.Rotated) error {
	var err error
	for try := 1; try <= tries; try++ {
		var done bool
		if done, err = f.try(ctx, r, try <= lagTries); done {
			return err
		}
		wait := pause/2 + rand.N(time.Duration(try)*pause) //nolint:gosec // spreads load, guards nothing
		if ended := smithytime.SleepWithContext(ctx, wait); ended != nil {
			return errors.Join(ended, err)
		}
	}
	return err
}

// try reads the board before the truth: whatever is announced in between makes
// the announcement fail. It reports whether there is no need to try again.
func (f *function) try(ctx context.Context, r invalidation.Rotated, patient bool) (done bool, err error) {
	board, err := f.board.Read(ctx)
	if err != nil {
		return true, err
	}
	entry, err := f.truth(ctx, r, board)
	if err != nil || entry == nil {
		return true, err
	}
	if posted, ok := board.Entries[entry.SecretARN]; ok && says(posted, *entry) {
		known := r.VersionID == "" || entry.Deleted || r.VersionID == entry.VersionID || r.VersionID == entry.PreviousVersionID
		return known || !patient, nil
	}
	epoch, err := f.board.Announce(ctx, *entry, board.Epoch)
	if errors.Is(err, bulletin.ErrConflict) {
		return false, err
	}
	if err == nil {
		f.log.InfoContext(ctx, "announced", "secret", entry.Name, "version", entry.VersionID,
			"deleted", entry.Deleted, "reason", entry.Reason, "epoch", epoch)
	}
	return true, err
}

// says reports whether what is posted tells consumers all that the truth does.
func says(posted, truth bulletin.Entry) bool {
	worse := truth.Reason == secrets.ReasonCompromised && posted.Reason != secrets.ReasonCompromised
	return posted.VersionID == truth.VersionID && posted.Deleted == truth.Deleted && !worse
}

// truth reads what is to be on the board; nil where that is nothing.
func (f *function) truth(ctx context.Context, r invalidation.Rotated, board bulletin.Board) (*bulletin.Entry, error) {
	id := r.SecretARN
	if id == "" {
		id = r.Name
	}
	out, err := f.store.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if _, gone := errors.AsType[*types.ResourceNotFoundException](err); gone {
		return vanished(r, board), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state of secret %s: %w", id, err)
	}
	entry := &bulletin.Entry{
		SecretARN: aws.ToString(out.ARN), Name: aws.ToString(out.Name), Reason: r.Reason, At: time.Now(),
		Deleted: out.DeletedDate != nil,
	}
	if entry.Deleted {
		return entry, nil
	}
	for version, labels := range out.VersionIdsToStages {
		switch {
		case slices.Contains(labels, "AWSCURRENT"):
			entry.VersionID = version
		case slices.Contains(labels, "AWSPREVIOUS"):
			entry.PreviousVersionID = version
		}
	}
	if entry.VersionID == "" {
		return nil, nil // a placeholder: there is nothing to hold
	}
	if r.VersionID != "" && r.VersionID != entry.VersionID {
		entry.Reason = "" // the reason for another version
	}
	return entry, nil
}

// vanished is the entry of a secret that was deleted without a window, if the
// board knows it.
func vanished(r invalidation.Rotated, board bulletin.Board) *bulletin.Entry {
	for arn, posted := range board.Entries {
		if arn == r.SecretARN || r.SecretARN == "" && posted.Name == r.Name {
			return &bulletin.Entry{SecretARN: arn, Name: posted.Name, Reason: r.Reason, At: time.Now(), Deleted: true}
		}
	}
	return nil
}
