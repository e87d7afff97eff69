package secrets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// labelFirst marks the version that SetFirst made.
const labelFirst = "REKEY_FIRST"

// Set stores a value as the current version of a secret that is there, and
// returns the version's id. A string is stored as it is, a []byte as binary, a
// [*Secret] as what it reveals, and anything else as JSON. Reads of this
// client return the new value at once.
func (c *Client) Set(ctx context.Context, name string, value any) (versionID string, err error) {
	id := c.physical(name)
	in, err := valueInput(id, value)
	if err != nil {
		return "", err
	}
	asked := c.now()
	out, err := c.api.PutSecretValue(ctx, in)
	if err != nil {
		return "", answered("storing", id, err)
	}
	text := aws.ToString(in.SecretString)
	if in.SecretString == nil {
		text = string(in.SecretBinary)
	}
	c.adopt(ctx, c.table.get(entryID{id: id}), asked, &Secret{
		value: &text, arn: aws.ToString(out.ARN), name: aws.ToString(out.Name),
		version: aws.ToString(out.VersionId), created: time.Now(),
	})
	return aws.ToString(out.VersionId), nil
}

// adopt makes a value that was just stored the one that reads return.
func (c *Client) adopt(ctx context.Context, e *entry, asked instant, s *Secret) {
	e.mu.Lock()
	e.gen.Add(1) // reads that are under way may have got the version before
	e.wanted = s.version
	f := &flight{gen: e.gen.Load(), version: s.version, asked: asked, secret: s, done: make(chan struct{})}
	e.mu.Unlock()
	c.land(context.WithoutCancel(ctx), e, f)
}

// SetFirst stores the first value of a secret, as Set does. If the secret has
// a value already, also one that another process stores at the same moment, it
// changes nothing and the error wraps [ErrHasValue].
func (c *Client) SetFirst(ctx context.Context, name string, value any) error {
	e := c.table.get(entryID{id: c.physical(name)})
	_, err := c.fresh(ctx, e, "")
	if err == nil {
		return fmt.Errorf("storing secret %s: %w", e.id, ErrHasValue)
	}
	if !errors.Is(err, ErrNoValue) {
		return err
	}
	in, err := valueInput(e.id, value)
	if err != nil {
		return err
	}
	// Of all who come here at once, one token lets one value in. Under a label
	// of its own a version becomes current only where there is none.
	sum := sha256.Sum256([]byte(labelFirst + e.id))
	in.ClientRequestToken = aws.String(hex.EncodeToString(sum[:]))
	in.VersionStages = []string{labelFirst}
	_, err = c.api.PutSecretValue(ctx, in)
	if _, taken := errors.AsType[*types.ResourceExistsException](err); !taken && err != nil {
		return answered("storing", e.id, err)
	}
	s, readErr := c.fresh(ctx, e, "")
	switch {
	case err != nil, readErr == nil && s.VersionID() != *in.ClientRequestToken:
		return fmt.Errorf("storing secret %s: %w", e.id, ErrHasValue)
	default:
		return readErr
	}
}

// valueInput gives a value the form in which it is stored.
func valueInput(id string, value any) (*secretsmanager.PutSecretValueInput, error) {
	in := &secretsmanager.PutSecretValueInput{SecretId: &id}
	switch v := value.(type) {
	case string:
		in.SecretString = &v
	case []byte:
		in.SecretBinary = v
	case *Secret:
		in.SecretString = v.value
	default:
		text, err := json.Marshal(v)
		if err != nil { // its text may quote the value
			return nil, fmt.Errorf("storing secret %s: a %T cannot be written as JSON", id, value)
		}
		in.SecretString = aws.String(string(text))
	}
	return in, nil
}
