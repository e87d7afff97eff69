package secretsmanager

import (
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// Access says what a caller may do beyond the call that the front door let in.
// The errors are those that the caller is answered with.
type Access interface {
	// Read refuses the reading of one secret of a batch, by its name or ARN.
	Read(c *wire.Call, secretID string) error
	// UseKey refuses the use of a KMS key on the caller's behalf.
	UseKey(c *wire.Call, use wire.KMSUse) error
}

// mayUse asks whether a call may use a key. Everyone may use the account's
// default key. A refused use is noted for the trail.
func (s *Service) mayUse(c *wire.Call, keyID string, use wire.KMSUse) error {
	if s.opts.Access == nil || keyID == "" || strings.HasSuffix(keyID, defaultKey) {
		return nil
	}
	if use.Err = s.opts.Access.UseKey(c, use); use.Err == nil {
		return nil
	}
	c.KMS = append(c.KMS, use)
	return wire.Unmodelled("AccessDeniedException", "Access to KMS is not allowed")
}

// noVersion stands in the encryption context where Secrets Manager tries a
// key. AWS documents it as the version's id; key policies of others have it as
// the secret's ARN too, which is what a policy by ARN has to know.
const noVersion = "RequestToValidateKeyAccess"

// tryKey makes a data key and decrypts it, as Secrets Manager does before a
// secret gets another key than the account's: who may not do both gets none.
func (s *Service) tryKey(c *wire.Call, keyID string) error {
	if keyID == "" {
		return nil
	}
	for _, operation := range []string{"GenerateDataKey", "Decrypt"} {
		use := s.kmsUse(operation, keyID, noVersion, noVersion)
		if err := s.mayUse(c, keyID, use); err != nil {
			return err
		}
		c.KMS = append(c.KMS, use)
	}
	return nil
}

// Facts are what policies ask of a secret.
type Facts struct {
	// ARN of the secret. Where there is none of that name, it ends in six
	// question marks.
	ARN string
	// Policy is the secret's resource policy; empty where it has none.
	Policy string
	// LambdaARN is the function that rotates it; empty where it has none.
	LambdaARN string
	Tags      map[string]string
}

// Facts returns what policies ask of the secret with a name or ARN.
func (s *Service) Facts(id string) Facts {
	e := s.find(id)
	switch name, isARN := strings.CutPrefix(id, s.arnPrefix); {
	case e == nil && isARN && endsLikeARN(name):
		return Facts{ARN: id}
	case e == nil:
		return Facts{ARN: s.arnPrefix + name + "-??????"}
	}
	st := e.state.Load()
	f := Facts{ARN: st.ARN, Policy: st.Policy, LambdaARN: st.Rotation.LambdaARN}
	if len(st.Tags) > 0 {
		f.Tags = make(map[string]string, len(st.Tags))
		for _, t := range st.Tags {
			f.Tags[t.Key] = t.Value
		}
	}
	return f
}
