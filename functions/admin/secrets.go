package admin

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A Board tells which versions were announced and which are held. A
// *[bulletin.Bulletin] is one.
type Board interface {
	Read(ctx context.Context) (bulletin.Board, error)
	Leases(ctx context.Context, secretARN string) ([]bulletin.Lease, error)
	AllLeases(ctx context.Context) (map[string][]bulletin.Lease, error)
}

// The states of a secret, from what needs somebody to what does not.
const (
	stateFailed   = "failed"   // its last rotation failed
	stateOverdue  = "overdue"  // its rotation was due, and did not begin
	stateDeleted  = "deleted"  // it is scheduled for deletion
	stateEmpty    = "empty"    // it has no value yet
	stateRotating = "rotating" // a rotation is on its way
	stateOK       = "ok"
)

// A summary is a secret at a glance: never its value.
type summary struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	State       string `json:"state"`
	// Labels are the staging labels, with the version that carries each.
	Labels      map[string]labelled `json:"labels"`
	Rotation    schedule            `json:"rotation"`
	LastFailure *failure            `json:"lastFailure,omitempty"`
	// Consumers are those whose lease runs; nil where that is not known.
	Consumers *consumers `json:"consumers,omitempty"`
	Created   *time.Time `json:"created,omitempty"`
	Changed   *time.Time `json:"changed,omitempty"`
	// DeletionDate is when a secret that was deleted is gone.
	DeletionDate *time.Time `json:"deletionDate,omitempty"`
}

// labelled is the version that carries a label.
type labelled struct {
	VersionID string `json:"versionId"`
	// Since is from when it carries it, where that is known.
	Since *time.Time `json:"since,omitempty"`
}

// A schedule is when a secret is rotated.
type schedule struct {
	Enabled bool `json:"enabled"`
	// Schedule is a rate() or cron() expression, or empty.
	Schedule string     `json:"schedule,omitempty"`
	Last     *time.Time `json:"last,omitempty"`
	Next     *time.Time `json:"next,omitempty"`
	Overdue  bool       `json:"overdue"`
}

// consumers are the environments of consumers whose lease on a secret runs.
type consumers struct {
	// Current hold the current version, Old another one.
	Current int `json:"current"`
	Old     int `json:"old"`
	// Holders are each of them; nil in a list of secrets.
	Holders []holder `json:"holders,omitempty"`
}

// A holder is one environment of a consumer.
type holder struct {
	Consumer  string    `json:"consumer"`
	VersionID string    `json:"versionId"`
	Current   bool      `json:"current"`
	Since     time.Time `json:"since"`
	Expires   time.Time `json:"expires"`
}

// counted is the consumers without their names.
func (c *consumers) counted() *consumers {
	if c == nil {
		return nil
	}
	return &consumers{Current: c.Current, Old: c.Old}
}

// consumersOf counts the leases that run.
func consumersOf(leases []bulletin.Lease, current string) *consumers {
	c := new(consumers)
	now := time.Now()
	for _, l := range leases {
		if now.After(l.Expires) {
			continue
		}
		h := holder{Consumer: clean(l.Consumer), VersionID: l.VersionID, Current: l.VersionID == current, Since: l.Since, Expires: l.Expires}
		if h.Current {
			c.Current++
		} else {
			c.Old++
		}
		c.Holders = append(c.Holders, h)
	}
	return c
}

// holders asks the board; nil where that is not known.
func (h *Handler) holders(ctx context.Context, arn, current string) *consumers {
	if h.board == nil {
		return nil
	}
	leases, err := h.board.Leases(ctx, arn)
	if err != nil {
		return nil
	}
	return consumersOf(leases, current)
}

// facts are what Secrets Manager says of a secret, in a list or by itself.
type facts struct {
	name, arn, description          string
	versions                        map[string][]string
	rotates                         bool
	rules                           *types.RotationRulesType
	rotated, next, created, changed *time.Time
	deletion                        *time.Time
}

// summary puts together what is known of a secret.
func (f facts) summary(announced bulletin.Entry, past tries) summary {
	s := summary{
		Name: f.name, Description: f.description, Labels: f.labels(announced), Created: utc(f.created), Changed: utc(f.changed),
		DeletionDate: utc(f.deletion),
		Rotation:     schedule{Enabled: f.rotates, Last: utc(f.rotated), Next: utc(f.next)},
	}
	if f.rules != nil {
		s.Rotation.Schedule = aws.ToString(f.rules.ScheduleExpression)
	}
	s.Rotation.Overdue = f.rotates && f.next != nil && f.next.Before(time.Now())
	if failed, ok := past.failed(f.rotated); ok {
		s.LastFailure = failureOf(f.name, failed)
	}
	current, hasCurrent := s.Labels[labelCurrent]
	pending, hasPending := s.Labels[labelPending]
	switch {
	case f.deletion != nil:
		s.State = stateDeleted
	case s.LastFailure != nil:
		s.State = stateFailed
	case hasPending && pending.VersionID != current.VersionID:
		s.State = stateRotating
	case !hasCurrent:
		s.State = stateEmpty
	case s.Rotation.Overdue:
		s.State = stateOverdue
	default:
		s.State = stateOK
	}
	return s
}

// labels turns the map of versions around. AWSCURRENT and AWSPREVIOUS move at
// the same moment: that of the announcement, or of the last rotation.
func (f facts) labels(announced bulletin.Entry) map[string]labelled {
	all := make(map[string]labelled)
	for version, labels := range f.versions {
		for _, label := range labels {
			all[label] = labelled{VersionID: version}
		}
	}
	moved := utc(f.rotated)
	current, ok := all[labelCurrent]
	switch {
	case !ok:
		return all
	case announced.VersionID == current.VersionID && !announced.At.IsZero():
		moved = utc(&announced.At)
	case len(f.versions) == 1 && moved == nil:
		moved = utc(f.changed)
	}
	current.Since = moved
	all[labelCurrent] = current
	if previous, ok := all[labelPrevious]; ok {
		previous.Since = moved
		all[labelPrevious] = previous
	}
	return all
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
