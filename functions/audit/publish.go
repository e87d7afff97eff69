package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

// DetailType is the detail-type of the events; their detail is an [Event].
const DetailType = "Audit Finding"

// An Event tells of one finding. It begins as the pipeline's other events do:
// VersionID is the current version of the secret, PreviousVersionID the one that
// a laggard uses, and Reason says what was found. A finding that is of no secret
// has no version.
type Event struct {
	invalidation.Rotated

	// Kind and Severity are the finding's, see [audit.Finding], and so are
	// Principal, who did it, and Next, a command that looks further.
	Kind      string `json:"kind"`
	Severity  string `json:"severity"`
	Principal string `json:"principal,omitempty"`
	Next      string `json:"next,omitempty"`
}

// grave lists the findings of a report that are published.
func grave(report *audit.Report) (list []audit.Finding) {
	for _, f := range report.Findings {
		if f.Severity == audit.High {
			list = append(list, f)
		}
	}
	return list
}

// key is what a finding is known by from one report to the next. Something that
// lasts is one finding for as long as it does; something that somebody did is
// another one when it is done again.
func key(f *audit.Finding) string {
	parts := []string{f.Kind, f.SecretARN, f.Principal, f.VersionID}
	if f.SecretARN == "" {
		parts[1] = f.Secret
	}
	switch f.Kind {
	case audit.KindLaggard, audit.KindRotationFailed, audit.KindRotationStuck, audit.KindRotationOverdue:
	default:
		parts = append(parts, f.At.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, " ")
}

// perCall is how many events EventBridge takes at once.
const perCall = 10

// publish sends an event for each finding, and returns those that were taken.
func (f *function) publish(ctx context.Context, report *audit.Report, findings []audit.Finding) (sent []audit.Finding, err error) {
	current := make(map[string]string, len(report.Secrets))
	for i := range report.Secrets {
		current[report.Secrets[i].ARN] = report.Secrets[i].Current
	}
	var errs []error
	for some := range slices.Chunk(findings, perCall) {
		taken, err := f.send(ctx, some, current)
		sent = append(sent, taken...)
		errs = append(errs, err)
	}
	return sent, errors.Join(errs...)
}

// send publishes as many findings as go in one call.
func (f *function) send(ctx context.Context, findings []audit.Finding, current map[string]string) (taken []audit.Finding, err error) {
	in := &eventbridge.PutEventsInput{}
	for i := range findings {
		entry, err := f.entry(&findings[i], current[findings[i].SecretARN])
		if err != nil {
			return nil, err
		}
		in.Entries = append(in.Entries, entry)
	}
	out, err := f.bus.PutEvents(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("publishing %d findings: %w", len(findings), err)
	}
	// PutEvents answers with status 200 even where it took nothing.
	for i, result := range out.Entries[:min(len(out.Entries), len(findings))] {
		if result.ErrorCode == nil {
			taken = append(taken, findings[i])
			continue
		}
		err = errors.Join(err, fmt.Errorf("publishing the finding %q of %s: EventBridge answered %s: %s",
			findings[i].Kind, findings[i].Secret, *result.ErrorCode, aws.ToString(result.ErrorMessage)))
	}
	return taken, err
}

// entry is the event of a finding.
func (f *function) entry(finding *audit.Finding, current string) (types.PutEventsRequestEntry, error) {
	event := Event{
		Rotated: invalidation.Rotated{
			SecretARN: finding.SecretARN, Name: finding.Secret, VersionID: current,
			Reason: finding.Kind + ": " + finding.Text, At: finding.At,
		},
		Kind: finding.Kind, Severity: finding.Severity, Principal: finding.Principal, Next: finding.Next,
	}
	if finding.Principal != "" {
		event.Reason = finding.Kind + ": " + finding.Principal + " " + finding.Text
	}
	if finding.Kind == audit.KindLaggard {
		event.PreviousVersionID = finding.VersionID
	}
	if event.At.IsZero() {
		event.At = time.Now().UTC()
	}
	detail, err := json.Marshal(event)
	if err != nil {
		return types.PutEventsRequestEntry{}, fmt.Errorf("encoding the finding %q: %w", finding.Kind, err)
	}
	entry := types.PutEventsRequestEntry{
		EventBusName: &f.busName, Source: aws.String(invalidation.Source), DetailType: aws.String(DetailType),
		Detail: aws.String(string(detail)), Time: &event.At,
	}
	if finding.SecretARN != "" {
		entry.Resources = []string{finding.SecretARN}
	}
	return entry, nil
}
