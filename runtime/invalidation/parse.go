package invalidation

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Parse returns the changes that a payload tells of, and whether it is nothing
// but such news. It understands, as EventBridge delivers them to a function:
//
//   - our own events "Secret Rotated" and "Secret Retired";
//   - the native event "Secret Label Updated";
//   - "AWS API Call via CloudTrail" and "AWS Service Event via CloudTrail" of
//     Secrets Manager, where the operation changes what consumers read;
//   - each of them in the messages of an SQS batch or in SNS notifications, with
//     and without raw message delivery, and as the body of one SQS message.
//
// A refused call, or a label that consumers do not read, is news without a
// change: an empty list and true. A batch in which other messages stand beside
// the news gives the changes and false.
//
// The source decides: "aws.secretsmanager" is refused to everyone but AWS, and
// what another source says under the same detail-type is no news. One message
// tells of one change at most, however large it is, and the same change is given
// once.
func Parse(payload []byte) ([]Rotated, bool) {
	if !mayBeNews(payload) {
		return nil, false
	}
	if changes, ok := parseOne(payload); ok {
		return changes, true
	}
	var batch struct{ Records []json.RawMessage }
	if json.Unmarshal(payload, &batch) != nil || len(batch.Records) == 0 {
		return nil, false
	}
	var all []Rotated
	only, seen := true, map[Rotated]bool{}
	for _, raw := range batch.Records {
		_, changes, ok := parseRecord(raw)
		only = only && ok
		for _, change := range changes {
			if !seen[change] {
				seen[change] = true
				all = append(all, change)
			}
		}
	}
	return all, only
}

// mayBeNews spares most payloads, which are none of ours, a decode.
func mayBeNews(payload []byte) bool { return bytes.Contains(payload, []byte("detail-type")) }

// envelope is the union of the forms in which one event arrives.
type envelope struct {
	// EventBridge
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Time       time.Time       `json:"time"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
	// SNS, as it writes into a queue
	Type    string `json:"Type"`
	Message string `json:"Message"`
}

// parseOne reads an event that is alone, or in a notification of SNS.
func parseOne(payload []byte) ([]Rotated, bool) {
	var e envelope
	if json.Unmarshal(payload, &e) != nil {
		return nil, false
	}
	if e.DetailType == "" && e.Type == "Notification" {
		inner := []byte(e.Message)
		e = envelope{}
		if json.Unmarshal(inner, &e) != nil {
			return nil, false
		}
	}
	if e.DetailType == "" {
		return nil, false
	}
	return e.event()
}

// message is a record of SQS or SNS, as it calls a function.
type message struct {
	EventSource string `json:"eventSource"` // SNS writes EventSource
	MessageID   string `json:"messageId"`
	Body        string `json:"body"`
	SNS         struct {
		Message string `json:"Message"`
	} `json:"Sns"`
}

// parseRecord reads a record of a batch.
func parseRecord(raw json.RawMessage) (message, []Rotated, bool) {
	var m message
	if json.Unmarshal(raw, &m) != nil {
		return message{}, nil, false
	}
	inner := m.Body
	if inner == "" {
		inner = m.SNS.Message
	}
	if !strings.Contains(inner, "detail-type") {
		return m, nil, false
	}
	changes, ok := parseOne([]byte(inner))
	return m, changes, ok
}

// event reads an EventBridge event.
func (e envelope) event() ([]Rotated, bool) {
	switch {
	case e.Source == Source && (e.DetailType == DetailTypeRotated || e.DetailType == DetailTypeRetired):
		var r Rotated
		if json.Unmarshal(e.Detail, &r) != nil || r.SecretARN == "" && r.Name == "" {
			return nil, true // ours, and unreadable: nobody behind could read it
		}
		if e.DetailType == DetailTypeRetired {
			r.Reason = secrets.ReasonRetired // whatever the rotation was for
		}
		return []Rotated{r}, true
	case e.Source != awsSource:
		return nil, false
	case e.DetailType == "Secret Label Updated":
		return e.labelUpdated(), true
	case strings.HasSuffix(e.DetailType, " via CloudTrail"):
		return e.cloudTrail()
	default:
		return nil, false
	}
}

// awsSource is the source of what AWS itself says of secrets.
const awsSource = "aws.secretsmanager"

// labelUpdated reads the native event of Secrets Manager.
func (e envelope) labelUpdated() []Rotated {
	var d struct{ Name, LabelUpdated, VersionID string }
	if json.Unmarshal(e.Detail, &d) != nil || d.LabelUpdated != "AWSCURRENT" {
		return nil
	}
	r := Rotated{Name: d.Name, VersionID: d.VersionID, Reason: "label updated", At: e.Time}
	if len(e.Resources) > 0 {
		r.SecretARN = e.Resources[0]
	}
	if r.SecretARN == "" && r.Name == "" {
		return nil
	}
	return []Rotated{r}
}
