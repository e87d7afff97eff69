package secretsmanager

import (
	"context"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

type putInput struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	SecretString       *string
	SecretBinary       []byte
	VersionStages      []string
	RotationToken      string
}

func (in *putInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.token(in.ClientRequestToken)
	c.value(in.SecretString, in.SecretBinary)
	if in.VersionStages != nil {
		c.count("versionStages", len(in.VersionStages), 1, maxLabels)
	}
	for i, label := range in.VersionStages {
		c.given("versionStages."+strconv.Itoa(i+1)+".member", label, 1, maxLabelLength)
	}
	c.text("rotationToken", in.RotationToken, minRotationToken, maxRotationToken)
	c.pattern("rotationToken", in.RotationToken, `^[a-zA-Z0-9\-]+$`)
}

type putOutput struct {
	ARN, Name     string
	VersionID     string   `json:"VersionId"`
	VersionStages []string `json:",omitempty"`
}

func (s *Service) putSecretValue(_ context.Context, c *wire.Call, in *putInput) (*putOutput, error) {
	if err := checkToken(in.ClientRequestToken, invalidRequest); err != nil {
		return nil, err
	}
	val, err := newValue(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if val == nil {
		return nil, invalidRequest("You must provide either SecretString or SecretBinary.")
	}
	e, st, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	labels := in.VersionStages
	if labels == nil {
		labels = []string{labelCurrent}
	}
	use := s.encrypted(st, in.ClientRequestToken)
	if err := s.mayUse(c, st.KMSKeyID, use); err != nil {
		return nil, err
	}
	next, err := s.put(e, in.ClientRequestToken, val, labels)
	if err != nil {
		return nil, err
	}
	c.KMS = append(c.KMS, use)
	return &putOutput{
		ARN: e.arn, Name: e.name,
		VersionID: in.ClientRequestToken, VersionStages: next.versions.labelsOf(in.ClientRequestToken),
	}, nil
}

// put stores a value, and tells of the rotation that it puts an end to. Extra
// are further changes to make with it.
func (s *Service) put(e *entry, id string, val *value, labels []string, extra ...func(next *secret)) (*secret, error) {
	var abandoned string
	st, err := s.change(e, func(next *secret) error {
		before := next.versions
		after, err := before.put(s.now(), id, val, next.KMSKeyID, labels...)
		if err != nil {
			return refusedPut(err, id, e.arn)
		}
		if after.get(id) == before.get(id) && len(extra) == 0 {
			return errUnchanged
		}
		for _, change := range extra {
			change(next)
		}
		next.versions = after
		if after.labels[labelCurrent] != before.labels[labelCurrent] {
			abandoned = s.putByHand(next, id)
		}
		return nil
	})
	if err == nil && abandoned != "" {
		s.announceRotation(st, abandoned, rotationAbandoned, "")
	}
	return st, err
}

// newValue checks what a caller gave as value. It is nil if there is none.
func newValue(text *string, binary []byte) (*value, error) {
	switch {
	case text != nil && binary != nil:
		return nil, invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case text == nil && binary == nil:
		return nil, nil
	}
	if text == nil {
		return &value{binary: &binary}, nil
	}
	return &value{text: text}, nil
}

// checkToken checks that there is a ClientRequestToken. Which error a missing
// one is differs between operations.
func checkToken(token string, refuse func(format string, args ...any) *wire.Error) error {
	if token == "" {
		return refuse("You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	}
	return nil
}

type getInput struct {
	SecretID     string `json:"SecretId"`
	VersionID    string `json:"VersionId"`
	VersionStage string
}

func (in *getInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.text("versionId", in.VersionID, minToken, maxToken)
	c.text("versionStage", in.VersionStage, 1, maxLabelLength)
}

type valueOutput struct {
	ARN, Name     string
	VersionID     string         `json:"VersionId"`
	SecretString  *string        `json:",omitempty"`
	SecretBinary  []byte         `json:",omitempty"`
	VersionStages []string       `json:",omitempty"`
	CreatedDate   wire.Timestamp `json:",omitzero"`
}

func (s *Service) getSecretValue(_ context.Context, c *wire.Call, in *getInput) (*valueOutput, error) {
	e, st, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	v, err := readable(st.versions, in.VersionID, in.VersionStage)
	if err != nil {
		return nil, err
	}
	use := s.decrypted(st, v)
	if err := s.mayUse(c, v.keyID, use); err != nil {
		return nil, err
	}
	c.KMS = append(c.KMS, use)
	return s.read(e, st, v), nil
}

// read is the answer that holds a version's value.
func (s *Service) read(e *entry, st *secret, v *version) *valueOutput {
	s.touch(e, v.id, s.now())
	return &valueOutput{
		ARN: e.arn, Name: e.name,
		VersionID:     v.id,
		SecretString:  v.value.text,
		SecretBinary:  v.value.bytes(),
		VersionStages: st.versions.labelsOf(v.id),
		CreatedDate:   wire.Timestamp(v.created),
	}
}

// readable returns the version that a caller asked for, with its value.
func readable(v versions, id, label string) (*version, error) {
	if id == "" {
		if label == "" {
			label = labelCurrent
		}
		ver := v.at(label)
		if ver == nil || ver.value == nil {
			return nil, noValueFor("staging label", label)
		}
		return ver, nil
	}
	ver := v.get(id)
	switch {
	case ver == nil:
		return nil, noValueFor("VersionId", id)
	case label != "" && v.labels[label] != id:
		return nil, invalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
	case ver.value == nil && label != "":
		return nil, noValueFor("staging label", label)
	case ver.value == nil:
		return nil, noValueFor("VersionId", id)
	}
	return ver, nil
}

type stageInput struct {
	SecretID            string `json:"SecretId"`
	VersionStage        string
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
	MoveToVersionID     string `json:"MoveToVersionId"`
}

func (in *stageInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.required("versionStage", in.VersionStage, maxLabelLength)
	c.text("removeFromVersionId", in.RemoveFromVersionID, minToken, maxToken)
	c.text("moveToVersionId", in.MoveToVersionID, minToken, maxToken)
}

type secretName struct{ ARN, Name string }

func (s *Service) updateSecretVersionStage(_ context.Context, c *wire.Call, in *stageInput) (*secretName, error) {
	if in.RemoveFromVersionID == "" && in.MoveToVersionID == "" {
		return nil, invalidParameter("You must specify RemoveFromVersionId, MoveToVersionId, or both.")
	}
	e, _, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	_, err = s.change(e, func(next *secret) error {
		before := next.versions
		after, err := before.move(s.now(), in.VersionStage, in.RemoveFromVersionID, in.MoveToVersionID)
		if err != nil {
			return refusedMove(err, before, in)
		}
		if before.labels[in.VersionStage] == after.labels[in.VersionStage] {
			return errUnchanged
		}
		next.versions = after
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &secretName{ARN: e.arn, Name: e.name}, nil
}

// now is the clock's time, without what only this process can compare.
func (s *Service) now() time.Time { return s.opts.Clock.Now().UTC().Round(0) }
