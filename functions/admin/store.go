package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

const storeFailed = "Failed to store secret"

// storeRequest is the body of POST /admin/secrets.
type storeRequest struct {
	SecretName  string
	SecretValue json.RawMessage
	// Create makes a secret that the template does not define.
	Create bool
	// Token is the body's form of the Idempotency-Key.
	Token string
}

// message is the answer to a call that did what it was asked.
type message struct {
	Message string `json:"message"`
}

func (h *Handler) storeSecret(c *call) (*answer, error) {
	var req storeRequest
	if p := decode(c.Request, members{
		"secretName": &req.SecretName, "secretValue": &req.SecretValue, "create": &req.Create, "clientRequestToken": &req.Token,
	}); p != nil {
		return nil, p
	}
	id, err := h.named(c, "secretName", req.SecretName)
	if err != nil {
		return nil, err
	}
	if guards(req.SecretName) && !c.who.all() {
		return nil, errForbidden
	}
	value, p := secretText("secretValue", req.SecretValue)
	if p != nil {
		return nil, p
	}
	token, p := versionToken(c, req.Token, id)
	if p != nil {
		return nil, p
	}
	if c.version, err = h.put(c.Context(), id, value, token, req.Create); err != nil {
		return nil, err
	}
	h.changed(id)
	c.header.Set("Rekey-Version-Id", c.version)
	return &answer{http.StatusOK, message{fmt.Sprintf("Secret '%s' stored successfully", req.SecretName)}}, nil
}

// put stores a value as the current version, and returns its id.
func (h *Handler) put(ctx context.Context, id, value string, token *string, create bool) (string, error) {
	out, err := h.store.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &id, SecretString: &value, ClientRequestToken: token,
	})
	if err == nil {
		return aws.ToString(out.VersionId), nil
	}
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); !missing {
		return "", err
	}
	if !create {
		p := problemOf(err)
		p.Hint = `secrets are defined in template.yaml; to make one here, add "create": true`
		return "", p
	}
	in := &secretsmanager.CreateSecretInput{
		Name: &id, SecretString: &value, ClientRequestToken: token,
		Tags: []types.Tag{{Key: aws.String("rekey:stage"), Value: &h.stage}},
	}
	if h.kmsKey != "" {
		in.KmsKeyId = &h.kmsKey
	}
	made, err := h.store.CreateSecret(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(made.VersionId), nil
}

// maxKey is the longest idempotency key, in characters.
const maxKey = 255

// versionToken makes of an idempotency key the id of the version that a call
// makes. So Secrets Manager itself keeps the keys: a repeat with the same value
// changes nothing, and one with another value is refused. Without a key it is
// nil, and each call makes a version of its own.
func versionToken(c *call, inBody, id string) (*string, *problem) {
	key := c.Header.Get("Idempotency-Key")
	if key != "" && inBody != "" && key != inBody {
		return nil, badRequest("Idempotency-Key and clientRequestToken are both given, and differ")
	}
	if key == "" {
		key = inBody
	}
	if key == "" {
		return nil, nil
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, badRequest("the idempotency key has at most %d characters, all of them printable ASCII", maxKey)
	}
	sum := sha256.Sum256([]byte(c.route.action + "\x00" + id + "\x00" + key))
	return aws.String(hex.EncodeToString(sum[:])), nil
}

// changed forgets what was known of a secret that a call has changed.
func (h *Handler) changed(id string) {
	h.details.forget(id)
	h.inventory.change(id) // which asks for the details again
}
