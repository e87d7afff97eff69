// Package invalidation carries the news that a secret changed: the events, the
// publisher that sends them, and what receives them in a consumer.
//
// # Events
//
// The pipeline publishes events of source [Source] on its own bus. Their
// detail is a [Rotated]: ARN, name, version ids, reason and time, never a
// value. An event is a hint. A consumer that gets one fetches the named version
// from Secrets Manager by its id, so a forged, repeated, late or lost event
// does no harm.
//
// [Parse] also understands what AWS itself sends: the native event "Secret
// Label Updated", and the calls and service events that reach EventBridge
// through CloudTrail; each alone, or inside messages of SQS or SNS.
//
// # Receiving
//
// A Lambda function wraps its handler with [Handler]. An event reaches only
// one of the function's execution environments, therefore the same middleware
// also looks at the bulletin. A process that runs for long calls [Subscribe],
// which makes it a queue of its own, or [Listen] on one that it was given; one
// that needs no more than the bulletin calls [secrets.Client.Run].
package invalidation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Source is the source of all events that the pipeline publishes.
const Source = "rekey"

// The detail-types of the events whose detail is a [Rotated].
const (
	// DetailTypeRotated says that VersionID became current in place of
	// PreviousVersionID, which is still accepted.
	DetailTypeRotated = "Secret Rotated"
	// DetailTypeRetired says that PreviousVersionID was revoked.
	DetailTypeRetired = "Secret Retired"
	// DetailTypeAbandoned says that PreviousVersionID was not revoked, because
	// a consumer still held it when the deadline came.
	DetailTypeAbandoned = "Retirement Abandoned"
)

// Rotated is the detail of an event.
type Rotated = secrets.Rotated

// EventBridge is what a [Publisher] asks of Amazon EventBridge. A
// *[eventbridge.Client] is one.
type EventBridge interface {
	PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, opts ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// A Publisher sends events to one bus. It is safe for concurrent use.
type Publisher struct {
	client EventBridge
	bus    string
}

// NewPublisher returns a publisher to a bus, by name or ARN.
func NewPublisher(client EventBridge, bus string) *Publisher {
	return &Publisher{client: client, bus: bus}
}

// Publish sends one event and returns when EventBridge has taken it. If r.At
// is zero, it is now. The SDK repeats what was throttled or lost on the way,
// so an event may be sent twice.
func (p *Publisher) Publish(ctx context.Context, detailType string, r Rotated) error {
	if r.At.IsZero() {
		r.At = time.Now().UTC()
	}
	detail, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the event %q: %w", detailType, err)
	}
	out, err := p.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &p.bus,
		Source:       aws.String(Source),
		DetailType:   &detailType,
		Detail:       aws.String(string(detail)),
		Resources:    []string{r.SecretARN},
		Time:         &r.At,
	}}})
	if err != nil {
		return fmt.Errorf("publishing %q of %s: %w", detailType, r.Name, err)
	}
	// PutEvents answers with status 200 even where it took nothing.
	if out.FailedEntryCount > 0 && len(out.Entries) > 0 {
		refused := out.Entries[0]
		return fmt.Errorf("publishing %q of %s: EventBridge answered %s: %s",
			detailType, r.Name, aws.ToString(refused.ErrorCode), aws.ToString(refused.ErrorMessage))
	}
	return nil
}
