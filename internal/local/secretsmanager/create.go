package secretsmanager

import (
	"context"
	"crypto/rand"
	"math/big"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	alphanumerics = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffixLength  = 6 // of the random end of an ARN
)

type createInput struct {
	Name               string
	ClientRequestToken string
	Description        string
	KMSKeyID           string `json:"KmsKeyId"`
	SecretString       *string
	SecretBinary       []byte
	Tags               []tag
	AddReplicaRegions  []struct{ Region string }
	Type               string // of a secret that a partner of AWS keeps
}

func (in *createInput) check(c *constraints) {
	c.required("name", in.Name, maxName)
	c.token(in.ClientRequestToken)
	c.text("description", in.Description, 0, maxDescription)
	c.kmsKey(in.KMSKeyID)
	c.value(in.SecretString, in.SecretBinary)
	c.tags(in.Tags)
	if !validName(in.Name) {
		c.invalidName = true
	}
}

// versionName is the answer that names a secret and one of its versions.
type versionName struct {
	ARN, Name string
	VersionID string `json:"VersionId,omitempty"`
}

func (s *Service) createSecret(_ context.Context, c *wire.Call, in *createInput) (*versionName, error) {
	if err := checkToken(in.ClientRequestToken, invalidRequest); err != nil {
		return nil, err
	}
	val, err := checkCreate(in)
	if err != nil {
		return nil, err
	}
	s.making.Lock()
	defer s.making.Unlock()
	if e := s.find(in.Name); e != nil {
		return recreated(e, in, val)
	}
	if err := s.tryKey(c, in.KMSKeyID); err != nil {
		return nil, err
	}
	arn := s.arnPrefix + in.Name + "-" + suffix()
	use := s.kmsUse("GenerateDataKey", in.KMSKeyID, arn, in.ClientRequestToken)
	if val != nil {
		if err := s.mayUse(c, in.KMSKeyID, use); err != nil {
			return nil, err
		}
	}
	e, err := s.makeLocked(in, arn, val)
	if err != nil {
		return nil, err
	}
	c.Resources = append(c.Resources, s.resource(e.arn))
	out := &versionName{ARN: e.arn, Name: e.name}
	if val != nil {
		out.VersionID = in.ClientRequestToken
		c.KMS = append(c.KMS, use)
	}
	return out, nil
}

func checkCreate(in *createInput) (*value, error) {
	if in.Type != "" {
		return nil, noPartners()
	}
	if len(in.AddReplicaRegions) > 0 {
		return nil, invalidParameter("The embedded engine has one region: it does not replicate secrets.")
	}
	if err := checkTags(nil, in.Tags); err != nil {
		return nil, err
	}
	return newValue(in.SecretString, in.SecretBinary)
}

// recreated answers for a name that is taken: only a repetition of the call
// that made the secret succeeds.
func recreated(e *entry, in *createInput, val *value) (*versionName, error) {
	st := e.state.Load()
	if st.deleted() {
		return nil, invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := st.versions.get(in.ClientRequestToken); v != nil && val != nil {
		if !v.value.equal(val) {
			return nil, tokenInUse(in.ClientRequestToken, e.arn)
		}
		return &versionName{ARN: e.arn, Name: e.name, VersionID: v.id}, nil
	}
	return nil, wire.Errorf("ResourceExistsException", "The operation failed because the secret %s already exists.", e.name)
}

// makeLocked makes a secret with an ARN. The caller holds making.
func (s *Service) makeLocked(in *createInput, arn string, val *value) (*entry, error) {
	now := s.now()
	st := &secret{meta: meta{
		ARN: arn, Name: in.Name,
		Description: in.Description, KMSKeyID: in.KMSKeyID,
		Created: now, Changed: now,
	}}
	if len(in.Tags) > 0 {
		st.Tags = slices.Clone(in.Tags)
	}
	if val != nil {
		v, err := st.versions.put(now, in.ClientRequestToken, val, st.KMSKeyID, labelCurrent)
		if err != nil {
			return nil, err
		}
		st.versions = v
	}
	e := newEntry(st)
	if err := s.save(e, nil, st); err != nil {
		return nil, err
	}
	s.insert(e)
	s.announceLabels(new(secret), st)
	return e, nil
}

// suffix returns the random end of an ARN.
func suffix() string {
	var b strings.Builder
	for range suffixLength {
		b.WriteByte(alphanumerics[randomInt(len(alphanumerics))])
	}
	return b.String()
}

// randomInt returns an unpredictable number from 0 to n-1.
func randomInt(n int) int {
	i, _ := rand.Int(rand.Reader, big.NewInt(int64(n))) // it never fails
	return int(i.Int64())
}

// A Definition is what a template says of a secret: all but its value.
type Definition struct {
	Name, Description string
	// KMSKeyID is the key that values are encrypted with. If empty, it is the
	// account's default key.
	KMSKeyID string
	Tags     map[string]string
}

// Taken is why no secret of that name can be created: there is one, or one
// that is scheduled for deletion. It is nil where the name is free.
func (s *Service) Taken(name string) error {
	e := s.find(name)
	if e == nil {
		return nil
	}
	_, err := recreated(e, &createInput{Name: name}, nil)
	return err
}

// Provision makes a secret as a template defines it, without a value. Where
// there is one of that name it gets the definition's description, key and
// tags, and keeps everything else. The error is a [*wire.Error] as of
// CreateSecret.
func (s *Service) Provision(d Definition) (arn string, err error) {
	in := &createInput{Name: d.Name, Description: d.Description, KMSKeyID: d.KMSKeyID, ClientRequestToken: wire.NewID()}
	for key, val := range d.Tags {
		in.Tags = append(in.Tags, tag{key, val})
	}
	slices.SortFunc(in.Tags, func(a, b tag) int { return strings.Compare(a.Key, b.Key) })
	if err := checked(in, nil); err != nil {
		return "", err
	}
	if _, err := checkCreate(in); err != nil {
		return "", err
	}
	s.making.Lock()
	defer s.making.Unlock()
	e := s.find(d.Name)
	if e == nil {
		if e, err = s.makeLocked(in, s.arnPrefix+in.Name+"-"+suffix(), nil); err != nil {
			return "", err
		}
		return e.arn, nil
	}
	_, err = s.change(e, func(next *secret) error {
		tags := withTags(next.Tags, in.Tags)
		if next.Description == d.Description && next.KMSKeyID == d.KMSKeyID && slices.Equal(next.Tags, tags) {
			return errUnchanged
		}
		next.Description, next.KMSKeyID, next.Tags = d.Description, d.KMSKeyID, tags
		return nil
	})
	return e.arn, err
}
