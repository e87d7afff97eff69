package secretsmanager

import (
	"context"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// description is what DescribeSecret and ListSecrets tell of a secret.
type description struct {
	ARN, Name         string
	Description       string         `json:",omitempty"`
	KMSKeyID          string         `json:"KmsKeyId,omitempty"`
	RotationEnabled   *bool          `json:",omitempty"`
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *rules         `json:",omitempty"`
	CreatedDate       wire.Timestamp `json:",omitzero"`
	LastChangedDate   wire.Timestamp `json:",omitzero"`
	LastAccessedDate  wire.Timestamp `json:",omitzero"`
	LastRotatedDate   wire.Timestamp `json:",omitzero"`
	NextRotationDate  wire.Timestamp `json:",omitzero"`
	DeletedDate       wire.Timestamp `json:",omitzero"`
	Tags              []tag          `json:",omitzero"` // empty if all were taken away
}

func (s *Service) describe(e *entry, st *secret) description {
	d := description{
		ARN: st.ARN, Name: st.Name, Description: st.Description, KMSKeyID: st.KMSKeyID, Tags: st.Tags,
		CreatedDate:      wire.Timestamp(st.Created),
		LastChangedDate:  wire.Timestamp(st.Changed),
		LastAccessedDate: wire.Timestamp(e.access.latest()),
		LastRotatedDate:  wire.Timestamp(st.Rotated),
		DeletedDate:      wire.Timestamp(st.Deletion),
	}
	if r := st.Rotation; r.LambdaARN != "" {
		d.RotationEnabled, d.RotationLambdaARN, d.RotationRules = &r.Enabled, r.LambdaARN, r.described()
		if !r.Closes.IsZero() {
			// The rotation happens on this date or before.
			d.NextRotationDate = wire.Timestamp(r.Closes.Add(-time.Second))
		}
	}
	return d
}

// described returns the rules with the days that follow from them.
func (r rotation) described() *rules {
	if r.rules == (rules{}) {
		return nil
	}
	d := r.rules
	if d.AutomaticallyAfterDays == 0 && !r.Opens.IsZero() {
		const day = 24 * time.Hour
		from := r.From.Truncate(day)
		d.AutomaticallyAfterDays = max(1, int((r.Opens.Sub(from)+day-1)/day))
	}
	return &d
}

// describeOutput differs from the entries of ListSecrets in one name.
type describeOutput struct {
	description
	VersionIDsToStages map[string][]string `json:"VersionIdsToStages,omitempty"`
}

func (s *Service) describeSecret(_ context.Context, c *wire.Call, in *secretID) (*describeOutput, error) {
	e, st, err := s.resolve(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	return &describeOutput{description: s.describe(e, st), VersionIDsToStages: st.versions.stages()}, nil
}

// stages lists the labels of all versions that have any.
func (v versions) stages() map[string][]string {
	stages := make(map[string][]string)
	for label, id := range v.labels {
		stages[id] = append(stages[id], label)
	}
	for _, labels := range stages {
		slices.Sort(labels)
	}
	return stages
}

type versionsInput struct {
	SecretID          string `json:"SecretId"`
	IncludeDeprecated bool
	MaxResults        *int
	NextToken         string
}

func (in *versionsInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.number("maxResults", in.MaxResults, maxPage)
	c.text("nextToken", in.NextToken, 1, maxNextToken)
}

type versionsOutput struct {
	ARN, Name string
	Versions  []versionOutput
	NextToken string `json:",omitempty"`
}

type versionOutput struct {
	VersionID        string         `json:"VersionId"`
	VersionStages    []string       `json:",omitempty"`
	KMSKeyIDs        []string       `json:"KmsKeyIds,omitempty"`
	CreatedDate      wire.Timestamp `json:",omitzero"`
	LastAccessedDate wire.Timestamp `json:",omitzero"`
}

func (s *Service) listSecretVersionIDs(_ context.Context, c *wire.Call, in *versionsInput) (*versionsOutput, error) {
	e, st, err := s.resolve(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	oldest := listing[versionOutput]{by: "version", place: func(v versionOutput) place {
		return place{At: time.Time(v.CreatedDate), Name: v.VersionID}
	}}
	var all []versionOutput
	for _, v := range st.versions.all {
		labels := st.versions.labelsOf(v.id)
		if len(labels) == 0 && !in.IncludeDeprecated {
			continue
		}
		all = append(all, versionOutput{
			VersionID: v.id, VersionStages: labels, KMSKeyIDs: []string{keyName(v.keyID)},
			CreatedDate:      wire.Timestamp(v.created),
			LastAccessedDate: wire.Timestamp(e.access.of(v.id)),
		})
	}
	out := &versionsOutput{ARN: e.arn, Name: e.name}
	out.Versions, out.NextToken, err = oldest.page(all, in.MaxResults, maxPage, in.NextToken)
	return out, err
}

func keyName(id string) string {
	if id == "" {
		return "DefaultEncryptionKey"
	}
	return id
}
