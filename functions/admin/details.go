package admin

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/internal/stage"
	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A detail is all that the API tells of one secret.
type detail struct {
	summary
	ARN string `json:"arn"`
	// Versions are the newest first, those without a label among them.
	Versions []version `json:"versions"`
	// Timeline are the rotations that the trail tells of, the newest first.
	Timeline []event  `json:"timeline"`
	Notes    []string `json:"notes,omitempty"`

	at time.Time
}

// A version is one version of a secret.
type version struct {
	VersionID string     `json:"versionId"`
	Labels    []string   `json:"labels"`
	Created   *time.Time `json:"created,omitempty"`
	// LastRead is the day on which it was read last, where Secrets Manager knows.
	LastRead *time.Time `json:"lastRead,omitempty"`
}

// An event is one rotation in a timeline.
type event struct {
	// Status is running, succeeded, failed or abandoned.
	Status    string    `json:"status"`
	VersionID string    `json:"versionId,omitempty"`
	Started   time.Time `json:"started,omitzero"`
	Ended     time.Time `json:"ended,omitzero"`
	Seconds   float64   `json:"seconds,omitempty"`
	Failure   *failure  `json:"failure,omitempty"`
}

// details keeps what was told of secrets for a moment, so that a page that looks
// often, or many that look at once, cost Secrets Manager little.
type details struct {
	flight singleflight.Group

	mu      sync.Mutex
	by      map[string]*detail // :: physical name -> what is known
	changes int                // as in inventory
}

const (
	keepDetail = 2 * time.Second
	maxDetails = 10_000
)

func newDetails() *details { return &details{by: make(map[string]*detail)} }

func (d *details) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.by, id)
	d.changes++
}

// read returns what is known of a secret, and asks where that is old.
func (d *details) read(ctx context.Context, id string, ask func(context.Context) (*detail, error)) (*detail, error) {
	d.mu.Lock()
	known, changes := d.by[id], d.changes
	d.mu.Unlock()
	if known != nil && time.Since(known.at) < keepDetail {
		return known, nil
	}
	// Nobody shares an asking that began before a change.
	done := d.flight.DoChan(id+" "+strconv.Itoa(changes), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), serveTimeout)
		defer cancel()
		next, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.by) >= maxDetails {
			clear(d.by)
		}
		if d.changes == changes {
			d.by[id] = next
		}
		return next, nil
	})
	select {
	case r := <-done:
		next, _ := r.Val.(*detail)
		return next, r.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *Handler) describeSecret(c *call) (*answer, error) {
	d, err := h.detail(c.Context(), stage.Physical(h.stage, c.name))
	if err != nil {
		return nil, err
	}
	c.version = d.Labels[labelCurrent].VersionID
	return &answer{http.StatusOK, d}, nil
}

// detail is what is known of a secret.
func (h *Handler) detail(ctx context.Context, id string) (*detail, error) {
	return h.details.read(ctx, id, func(ctx context.Context) (*detail, error) { return h.ask(ctx, id) })
}

// ask asks Secrets Manager, the board and the trail for one secret.
func (h *Handler) ask(ctx context.Context, id string) (*detail, error) {
	var versions []types.SecretVersionsListEntry
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { versions, err = h.versions(gctx, id); return err })
	about, err := h.store.DescribeSecret(gctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err = cmp.Or(g.Wait(), err); err != nil {
		return nil, err
	}
	past := h.history.read(ctx)
	f := facts{
		name: stage.Logical(h.stage, aws.ToString(about.Name)), arn: aws.ToString(about.ARN), description: aws.ToString(about.Description),
		versions: about.VersionIdsToStages, rotates: aws.ToBool(about.RotationEnabled), rules: about.RotationRules,
		rotated: about.LastRotatedDate, next: about.NextRotationDate, created: about.CreatedDate, changed: about.LastChangedDate, deletion: about.DeletedDate,
	}
	d := &detail{
		summary: f.summary(f.promoted(versions), past.byARN[f.arn]), ARN: f.arn,
		Versions: versionsOf(versions), Timeline: timeline(f.name, past.byARN[f.arn], rotation.VersionWith(f.versions, labelCurrent)), at: time.Now(),
	}
	d.Consumers = h.holders(ctx, f.arn, d.Labels[labelCurrent].VersionID)
	if d.Consumers == nil {
		d.Notes = append(d.Notes, "who holds which version is not known: the bulletin cannot be read")
	}
	if past.note != "" {
		d.Notes = append(d.Notes, past.note)
	}
	return d, nil
}

// promoted is when the current version became so: by a rotation, or when it was
// stored. It saves a read of the board, which is of all secrets.
func (f facts) promoted(versions []types.SecretVersionsListEntry) bulletin.Entry {
	e := bulletin.Entry{VersionID: rotation.VersionWith(f.versions, labelCurrent), At: aws.ToTime(f.rotated)}
	for _, v := range versions {
		if created := aws.ToTime(v.CreatedDate); aws.ToString(v.VersionId) == e.VersionID && created.After(e.At) {
			e.At = created
		}
	}
	return e
}

// versions lists all versions, those without a label too.
func (h *Handler) versions(ctx context.Context, id string) ([]types.SecretVersionsListEntry, error) {
	var all []types.SecretVersionsListEntry
	pages := secretsmanager.NewListSecretVersionIdsPaginator(h.store, &secretsmanager.ListSecretVersionIdsInput{
		SecretId: &id, IncludeDeprecated: aws.Bool(true), MaxResults: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Versions...)
	}
	return all, nil
}

func versionsOf(entries []types.SecretVersionsListEntry) []version {
	all := make([]version, 0, len(entries))
	for _, e := range entries {
		v := version{
			VersionID: aws.ToString(e.VersionId), Labels: append([]string{}, e.VersionStages...),
			Created: utc(e.CreatedDate), LastRead: utc(e.LastAccessedDate),
		}
		slices.Sort(v.Labels)
		all = append(all, v)
	}
	slices.SortStableFunc(all, func(a, b version) int {
		return cmp.Or(aws.ToTime(b.Created).Compare(aws.ToTime(a.Created)), cmp.Compare(a.VersionID, b.VersionID))
	})
	return all
}

// timeline lists rotations. The trail comes late, so that one whose version is
// current has succeeded, whatever the trail says.
func timeline(name string, past tries, current string) []event {
	all := []event{}
	for _, t := range slices.Backward(past) {
		if t.VersionID == current && t.Status == audit.Running {
			t.Status = audit.Succeeded
		}
		e := event{Status: t.Status, VersionID: t.VersionID, Started: t.Started, Ended: t.Ended, Seconds: t.Duration().Seconds()}
		if t.Status == audit.Failed || t.Status == audit.Abandoned {
			e.Failure = failureOf(name, t)
		}
		all = append(all, e)
	}
	return all
}
