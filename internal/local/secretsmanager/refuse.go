package secretsmanager

import (
	"errors"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// What the operations refuse, in AWS's words.

func notFound() *wire.Error {
	return wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

func noValueFor(what, id string) *wire.Error {
	return wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for %s: %s", what, id)
}

func markedDeleted() *wire.Error {
	return invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
}

func invalidRequest(format string, args ...any) *wire.Error {
	return wire.Errorf("InvalidRequestException", format, args...)
}

func invalidParameter(format string, args ...any) *wire.Error {
	return wire.Errorf("InvalidParameterException", format, args...)
}

// noPartners refuses what is about secrets that a partner of AWS keeps.
func noPartners() *wire.Error {
	return invalidParameter("The embedded engine has no managed external secrets.")
}

func validation(format string, args ...any) *wire.Error {
	return wire.Unmodelled("ValidationException", format, args...)
}

// tokenInUse is what becomes of a token that a version with another value has.
func tokenInUse(token, arn string) *wire.Error {
	return wire.Errorf("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, arn)
}

// refusedPut says why a value could not be put.
func refusedPut(err error, token, arn string) error {
	switch {
	case errors.Is(err, errOtherValue):
		return tokenInUse(token, arn)
	case errors.Is(err, errTooMany):
		return tooMany()
	default:
		return err
	}
}

// refusedMove says why a label could not be moved.
func refusedMove(err error, v versions, in *stageInput) error {
	switch {
	case errors.Is(err, errNoVersion) && in.MoveToVersionID != "" && v.get(in.MoveToVersionID) == nil:
		return noValueFor("VersionId", in.MoveToVersionID)
	case errors.Is(err, errNoVersion):
		return noValueFor("VersionId", in.RemoveFromVersionID)
	case errors.Is(err, errNotAttached):
		return invalidParameter("The staging label %s is not attached to version %s, which you specified in RemoveFromVersionId.", in.VersionStage, in.RemoveFromVersionID)
	case errors.Is(err, errMustName):
		return invalidParameter("The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", in.VersionStage, v.labels[in.VersionStage])
	case errors.Is(err, errKeepCurrent):
		return invalidParameter("You can only move staging label %s to a different secret version. It can't be completely removed.", labelCurrent)
	case errors.Is(err, errEmptyCurrent):
		return invalidRequest("You can't move staging label %s to version %s because it has no secret value.", labelCurrent, in.MoveToVersionID)
	case errors.Is(err, errTooMany):
		return tooMany()
	default:
		return err
	}
}

func tooMany() *wire.Error {
	return wire.Errorf("LimitExceededException", "The secret has reached its limit of %d labelled versions, or a version its limit of %d staging labels.", maxVersions, maxLabels)
}
