package retire

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

// An Order is an operator's: to revoke a superseded version now, without the
// rest of the grace period.
type Order struct {
	SecretID string `json:"SecretId"`
	// VersionID is the version to revoke; the one with AWSPREVIOUS if empty.
	VersionID string `json:"VersionId,omitempty"`
	// Force revokes it although consumers hold it.
	Force bool `json:"Force,omitempty"`
}

// An Outcome is what came of an [Order].
type Outcome struct {
	Name      string `json:"name"`
	ARN       string `json:"arn"`
	VersionID string `json:"versionId"`
	Retired   bool   `json:"retired"`
	Reason    string `json:"reason"`
	// Holders are the consumers that hold the version: those that a forced
	// order hurts.
	Holders []string `json:"holders"`
}

// request is a batch of the queue, or an order.
type request struct {
	events.SQSEvent
	Order
}

// serve works on a batch or carries out an order.
func (f *function) serve(ctx context.Context, in request) (any, error) {
	if in.SecretID == "" {
		return f.handle(ctx, in.SQSEvent), nil
	}
	return f.carryOut(ctx, in.Order)
}

// carryOut revokes a version at an operator's order.
func (f *function) carryOut(ctx context.Context, o Order) (Outcome, error) {
	secret, err := f.describe(ctx, o.SecretID)
	if err != nil {
		return Outcome{}, err
	}
	out := Outcome{Name: secret.Name, ARN: secret.ARN, VersionID: o.VersionID, Holders: []string{}}
	if out.VersionID == "" {
		out.VersionID = secret.VersionWith(rotation.LabelPrevious)
	}
	if out.VersionID == "" {
		out.Reason = "no version carries " + rotation.LabelPrevious
		return out, nil
	}
	r := invalidation.Rotated{
		SecretARN: secret.ARN, Name: secret.Name, VersionID: secret.VersionWith(rotation.LabelCurrent), PreviousVersionID: out.VersionID, At: time.Now().UTC(),
	}
	holders, err := f.holders(ctx, secret, r)
	if err != nil {
		return out, err
	}
	out.Holders = append(out.Holders, holders...)
	if len(holders) > 0 && !o.Force {
		out.Reason = "held by " + strings.Join(holders, ", ")
		return out, nil
	}
	d, err := f.revoked(ctx, r, f.deadline)
	if err != nil {
		return out, err
	}
	out.Retired, out.Reason = d.verdict == retired, d.reason
	f.log.InfoContext(ctx, "an order to retire was carried out", "secret", secret.Name, "version", out.VersionID, "retired", out.Retired, "held_by", holders)
	if !out.Retired {
		return out, nil
	}
	if len(holders) > 0 {
		out.Reason = "by order, although held by " + strings.Join(holders, ", ")
	}
	return out, f.tell(ctx, invalidation.DetailTypeRetired, r, out.Reason)
}
