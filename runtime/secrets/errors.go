package secrets

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

// What the errors of this package wrap. Each says what the situation means;
// the answer of AWS, where there was one, is wrapped beside it.
var (
	// ErrNotFound means that there is no such secret.
	ErrNotFound = errors.New("there is no such secret")
	// ErrNoValue means that the secret is there and has no value, as after a
	// deployment, or none under the label or id that was asked for.
	ErrNoValue = errors.New("the secret has no such value yet")
	// ErrHasValue means that the secret has a value already.
	ErrHasValue = errors.New("the secret has a value already")
	// ErrDenied means that the caller may not read the secret, or not use its
	// key.
	ErrDenied = errors.New("access to the secret is denied")
	// ErrDeleted means that the secret is scheduled for deletion. It can be
	// restored.
	ErrDeleted = errors.New("the secret is scheduled for deletion")
	// ErrThrottled means that Secrets Manager took no more calls.
	ErrThrottled = errors.New("Secrets Manager is throttling") //nolint:staticcheck // a name
	// ErrUnavailable means that Secrets Manager could not be reached, or did
	// not answer in time.
	ErrUnavailable = errors.New("Secrets Manager cannot be reached") //nolint:staticcheck // a name
	// ErrDecode means that a value has not the shape that was asked for. The
	// value is not part of the error.
	ErrDecode = errors.New("the value has not the expected shape")

	// errMoved means that the version does not carry the label: another one
	// has it by now, or this replica of Secrets Manager has not heard yet.
	errMoved = fmt.Errorf("%w: the label is on another version", ErrNoValue)
)

// answered wraps an error of Secrets Manager in what it means.
func answered(doing, id string, err error) error {
	return fmt.Errorf("%s secret %s: %w: %w", doing, id, meaning(err), err)
}

// meaning finds the sentinel for an error of Secrets Manager.
func meaning(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ErrUnavailable // also context.DeadlineExceeded: no answer in time
	}
	switch code := api.ErrorCode(); {
	case code == "ResourceNotFoundException" && strings.Contains(api.ErrorMessage(), "secret value"):
		// "can't find the specified secret." against "... the specified secret
		// value for staging label: AWSCURRENT": the code is the same.
		return ErrNoValue
	case code == "ResourceNotFoundException":
		return ErrNotFound
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "deletion"):
		return ErrDeleted
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "not associated"):
		return errMoved
	case strings.Contains(code, "Throttl"), strings.Contains(code, "TooManyRequests"),
		strings.Contains(code, "LimitExceeded"):
		return ErrThrottled
	case strings.Contains(code, "AccessDenied"), code == "UnrecognizedClientException",
		code == "InvalidSignatureException", strings.HasPrefix(code, "ExpiredToken"):
		return ErrDenied
	default:
		return ErrUnavailable
	}
}

// definite reports whether an error is an answer about the secret itself, so
// that a value from before must not be served any more. A refusal is not: it
// is as often a slip of a policy, which must not become an outage.
func definite(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoValue) || errors.Is(err, ErrDeleted)
}

// waited is the error of a caller whose own context ended.
func waited(ctx context.Context, id string) error {
	return fmt.Errorf("waiting for secret %s: %w", id, context.Cause(ctx))
}
