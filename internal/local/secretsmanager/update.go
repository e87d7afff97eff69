package secretsmanager

import (
	"context"
	"slices"

	"github.com/rekey-go/rekey/internal/local/wire"
)

type updateInput struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	Description        *string
	KMSKeyID           *string `json:"KmsKeyId"`
	SecretString       *string
	SecretBinary       []byte
	Type               string // as of CreateSecret
}

func (in *updateInput) check(c *constraints) {
	c.secretID(in.SecretID)
	c.token(in.ClientRequestToken)
	if in.Description != nil {
		c.given("description", *in.Description, 0, maxDescription)
	}
	if in.KMSKeyID != nil {
		c.kmsKey(*in.KMSKeyID)
	}
	c.value(in.SecretString, in.SecretBinary)
}

func (s *Service) updateSecret(_ context.Context, c *wire.Call, in *updateInput) (*versionName, error) {
	if in.Type != "" {
		return nil, noPartners()
	}
	val, err := newValue(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	if val != nil {
		if err := checkToken(in.ClientRequestToken, invalidRequest); err != nil {
			return nil, err
		}
	}
	e, st, err := s.live(c, in.SecretID)
	if err != nil {
		return nil, err
	}
	keyID, rekeyed, err := s.rekey(c, st, in.KMSKeyID)
	if err != nil {
		return nil, err
	}
	describe := func(next *secret) {
		if in.Description != nil {
			next.Description = *in.Description
		}
		if rekeyed {
			next.KMSKeyID = keyID
			next.versions = next.versions.reencrypted(keyID)
		}
	}
	out := &versionName{ARN: e.arn, Name: e.name}
	if val == nil {
		_, err = s.change(e, func(next *secret) error { describe(next); return nil })
		return out, err
	}
	var changes []func(*secret)
	if in.Description != nil || rekeyed {
		changes = append(changes, describe)
	}
	use := s.kmsUse("GenerateDataKey", keyID, st.ARN, in.ClientRequestToken)
	if err := s.mayUse(c, keyID, use); err != nil {
		return nil, err
	}
	if _, err := s.put(e, in.ClientRequestToken, val, []string{labelCurrent}, changes...); err != nil {
		return nil, err
	}
	out.VersionID = in.ClientRequestToken
	c.KMS = append(c.KMS, use)
	return out, nil
}

// rekey returns the KMS key that a secret gets, and whether that is another one
// than it has: then the caller has to be allowed the use of both.
func (s *Service) rekey(c *wire.Call, st *secret, keyID *string) (_ string, other bool, err error) {
	if keyID == nil || *keyID == st.KMSKeyID {
		return st.KMSKeyID, false, nil
	}
	if err := s.tryKey(c, *keyID); err != nil {
		return "", false, err
	}
	return *keyID, true, s.noteReencryption(c, st, *keyID)
}

// reencrypted returns the versions with those under a label that the service
// gives encrypted with another key.
func (v versions) reencrypted(keyID string) versions {
	next := v.clone()
	for _, ver := range v.inUse() {
		changed := *ver
		changed.keyID = keyID
		next.set(&changed)
	}
	return next
}

// inUse lists the versions with values under the labels that the service
// gives.
func (v versions) inUse() []*version {
	var used []*version
	for _, label := range []string{labelCurrent, labelPending, labelPrevious} {
		if ver := v.at(label); ver != nil && ver.value != nil && !slices.Contains(used, ver) {
			used = append(used, ver)
		}
	}
	return used
}

// noteReencryption notes that the versions in use are encrypted with another
// key, unless the caller may not use one of the keys.
func (s *Service) noteReencryption(c *wire.Call, st *secret, keyID string) error {
	for _, v := range st.versions.inUse() {
		old, anew := s.decrypted(st, v), s.kmsUse("GenerateDataKey", keyID, st.ARN, v.id)
		if err := s.mayUse(c, v.keyID, old); err != nil {
			return err
		}
		if err := s.mayUse(c, keyID, anew); err != nil {
			return err
		}
		c.KMS = append(c.KMS, old, anew)
	}
	return nil
}
