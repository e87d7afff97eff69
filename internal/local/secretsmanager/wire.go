package secretsmanager

import "github.com/rekey-go/rekey/internal/local/wire"

// Members that never reach the trail.
const (
	secretString  = "SecretString"
	secretBinary  = "SecretBinary"
	rotationToken = "RotationToken"
	secretValues  = "SecretValues"
	randomText    = "RandomPassword"
)

// Wire returns the service as the front door sees it.
func (s *Service) Wire() wire.Service {
	return wire.Service{
		Name:        "secretsmanager",
		EventSource: eventSource,
		Protocol:    wire.JSON11,
		Targets:     []string{"secretsmanager"},
		Operations: map[string]wire.Operation{
			"CreateSecret":   op(wire.Write, s.createSecret, secretString, secretBinary),
			"UpdateSecret":   op(wire.Write, s.updateSecret, secretString, secretBinary),
			"DescribeSecret": op(wire.Read, s.describeSecret),
			"ListSecrets":    op(wire.Read, s.listSecrets),
			"DeleteSecret":   op(wire.Write, s.deleteSecret),
			"RestoreSecret":  op(wire.Write, s.restoreSecret),

			"PutSecretValue":           op(wire.Write, s.putSecretValue, secretString, secretBinary, rotationToken),
			"GetSecretValue":           op(wire.Read, s.getSecretValue, secretString, secretBinary),
			"BatchGetSecretValue":      op(wire.Read, s.batchGetSecretValue, secretValues),
			"ListSecretVersionIds":     op(wire.Read, s.listSecretVersionIDs),
			"UpdateSecretVersionStage": op(wire.Write, s.updateSecretVersionStage),
			"GetRandomPassword":        op(wire.Read, s.getRandomPassword, randomText),

			"RotateSecret":       op(wire.Write, s.rotateSecret),
			"CancelRotateSecret": op(wire.Write, s.cancelRotateSecret),

			"TagResource":   op(wire.Write, s.tagResource),
			"UntagResource": op(wire.Write, s.untagResource),

			"PutResourcePolicy":      op(wire.Write, s.putResourcePolicy),
			"GetResourcePolicy":      op(wire.Read, s.getResourcePolicy),
			"DeleteResourcePolicy":   op(wire.Write, s.deleteResourcePolicy),
			"ValidateResourcePolicy": op(wire.Read, s.validateResourcePolicy),
		},
	}
}
