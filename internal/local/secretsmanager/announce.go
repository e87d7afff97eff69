package secretsmanager

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	source      = "aws.secretsmanager"
	eventSource = "secretsmanager.amazonaws.com"
)

// labelUpdated is the detail of the event Secret Label Updated.
type labelUpdated struct {
	Name         string `json:"name"`
	LabelUpdated string `json:"labelUpdated"`
	VersionID    string `json:"versionId"`
}

// announceLabels publishes the moves of labels between two states.
func (s *Service) announceLabels(before, next *secret) {
	if s.opts.Publisher == nil {
		return
	}
	for _, label := range next.versions.movedTo(before.versions) {
		if label == labelPending || label == labelPrevious {
			continue
		}
		s.opts.Publisher.Publish(source, "Secret Label Updated", []string{next.ARN}, labelUpdated{
			Name: next.Name, LabelUpdated: label, VersionID: next.versions.labels[label],
		})
	}
}

// The service events of rotations.
const (
	rotationStarted   = "RotationStarted"
	rotationSucceeded = "RotationSucceeded"
	rotationFailed    = "RotationFailed"
	rotationAbandoned = "RotationAbandoned"
	// Those of a test of the configuration.
	testStarted   = "TestRotationStarted"
	testSucceeded = "TestRotationSucceeded"
	testFailed    = "TestRotationFailed"
)

// announceRotation tells what became of the rotation of a token. The message
// is that of a failure.
func (s *Service) announceRotation(st *secret, token, name, message string) {
	s.serviceEvent(name, "Rotation-"+st.ARN+"-"+token, message, map[string]any{"SecretId": st.ARN})
}

// announceDeletion tells of the deletion of a secret's versions.
func (s *Service) announceDeletion(st *secret, name string) {
	s.serviceEvent(name, wire.NewID(), "", map[string]any{"ARN": st.ARN, "Name": st.Name})
}

// serviceEvent writes a service event to the trail, which also publishes it.
func (s *Service) serviceEvent(name, requestID, message string, additional map[string]any) {
	if s.opts.Trail != nil {
		s.opts.Trail.ServiceEvent(wire.ServiceEvent{
			EventSource: eventSource, EventName: name, Additional: additional, ErrorMessage: message,
			RequestID: requestID, Time: s.now(),
		})
	}
}

// decrypted is the use of KMS when a version is read.
func (s *Service) decrypted(st *secret, v *version) wire.KMSUse {
	return s.kmsUse("Decrypt", v.keyID, st.ARN, v.id)
}

// encrypted is the use of KMS when a version is written.
func (s *Service) encrypted(st *secret, id string) wire.KMSUse {
	return s.kmsUse("GenerateDataKey", st.KMSKeyID, st.ARN, id)
}

func (s *Service) kmsUse(operation, keyID, arn, versionID string) wire.KMSUse {
	return wire.KMSUse{
		Operation: operation,
		KeyARN:    s.keyARN(keyID),
		Context:   map[string]string{"SecretARN": arn, "SecretVersionId": versionID},
	}
}

// defaultKey is the alias of the key that the account has for secrets.
const defaultKey = "alias/aws/secretsmanager"

// keyARN is the ARN of a key that is named by ARN, id or alias. There are no
// keys on the engine, so an alias stands for one whose id follows from it.
func (s *Service) keyARN(id string) string {
	prefix := "arn:aws:kms:" + s.opts.Region + ":" + s.opts.Account + ":"
	alias := strings.TrimPrefix(id, prefix)
	switch {
	case id == "":
		alias = defaultKey
	case strings.HasPrefix(alias, "alias/"):
	case strings.HasPrefix(id, "arn:"):
		return id
	default:
		return prefix + "key/" + id
	}
	sum := sha256.Sum256([]byte(prefix + alias))
	h := hex.EncodeToString(sum[:16])
	return prefix + "key/" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
