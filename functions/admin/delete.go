package admin

import (
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/stage"
)

// recoveryDays is how long a deletion can be taken back.
const recoveryDays = 7

// deleted is the answer to a deletion.
type deleted struct {
	message
	SecretName string `json:"secretName"`
	// DeletionDate is when the secret is gone.
	DeletionDate time.Time `json:"deletionDate"`
	RestoreURL   string    `json:"restoreUrl"`
}

func (h *Handler) deleteSecret(c *call) (*answer, error) {
	if p := decode(c.Request, nil); p != nil {
		return nil, p
	}
	if guards(c.name) && !c.who.all() {
		return nil, errForbidden
	}
	id := stage.Physical(h.stage, c.name)
	out, err := h.store.DeleteSecret(c.Context(), &secretsmanager.DeleteSecretInput{SecretId: &id, RecoveryWindowInDays: aws.Int64(recoveryDays)})
	if err != nil {
		return nil, err
	}
	h.changed(id)
	return &answer{http.StatusOK, deleted{
		message:    message{fmt.Sprintf("Secret '%s' is deleted in %d days, and can be restored until then", c.name, recoveryDays)},
		SecretName: c.name, DeletionDate: out.DeletionDate.UTC(), RestoreURL: "/admin/secrets/" + c.name + "/restore",
	}}, nil
}

func (h *Handler) restoreSecret(c *call) (*answer, error) {
	if p := decode(c.Request, nil); p != nil {
		return nil, p
	}
	id := stage.Physical(h.stage, c.name)
	if _, err := h.store.RestoreSecret(c.Context(), &secretsmanager.RestoreSecretInput{SecretId: &id}); err != nil {
		return nil, err
	}
	h.changed(id)
	return &answer{http.StatusOK, message{fmt.Sprintf("Secret '%s' restored", c.name)}}, nil
}
