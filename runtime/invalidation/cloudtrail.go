package invalidation

import (
	"encoding/json"
	"strings"
)

// record is what the detail of an event via CloudTrail says of a secret. The
// decoder matches names without regard to case, so arn, aRN (until 2024) and
// ARN are one.
type record struct {
	EventSource       string        `json:"eventSource"`
	EventName         string        `json:"eventName"`
	ErrorCode         string        `json:"errorCode"`
	RequestParameters callInput     `json:"requestParameters"`
	ResponseElements  secretID      `json:"responseElements"`
	Additional        serviceDetail `json:"additionalEventData"`
	ServiceDetails    serviceDetail `json:"serviceEventDetails"`
}

type callInput struct {
	SecretID        string `json:"secretId"`
	Name            string `json:"name"`
	VersionStage    string `json:"versionStage"`
	MoveToVersionID string `json:"moveToVersionId"`
}

type secretID struct {
	ARN  string `json:"arn"`
	Name string `json:"name"`
}

type serviceDetail struct {
	SecretID string `json:"SecretId"`
	ARN      string `json:"ARN"`
}

// reasons names the operations and service events after which consumers may
// read something else, and what is told of them.
//
//nolint:gochecknoglobals // a constant table.
var reasons = map[string]string{
	"CreateSecret":             "created",
	"PutSecretValue":           "put",
	"UpdateSecret":             "updated",
	"UpdateSecretVersionStage": "label moved",
	"DeleteSecret":             "deleted",
	"RestoreSecret":            "restored",
	"RotationSucceeded":        "rotated",
}

// cloudTrail reads an event via CloudTrail. Operations that change nothing for
// consumers are not ours.
func (e envelope) cloudTrail() ([]Rotated, bool) {
	var d record
	if json.Unmarshal(e.Detail, &d) != nil {
		return nil, false
	}
	reason, ok := reasons[d.EventName]
	if !ok || d.EventSource != "" && d.EventSource != "secretsmanager.amazonaws.com" {
		return nil, false
	}
	r := Rotated{Reason: reason, At: e.Time, Name: d.ResponseElements.Name}
	for _, id := range []string{
		d.ResponseElements.ARN, d.Additional.SecretID, d.Additional.ARN,
		d.ServiceDetails.SecretID, d.RequestParameters.SecretID, d.RequestParameters.Name,
	} {
		switch {
		case strings.HasPrefix(id, "arn:") && r.SecretARN == "":
			r.SecretARN = id
		case !strings.HasPrefix(id, "arn:") && r.Name == "":
			r.Name = id
		}
	}
	if d.ErrorCode != "" || r.SecretARN == "" && r.Name == "" || d.otherLabel() {
		return nil, true
	}
	r.VersionID = d.version()
	return []Rotated{r}, true
}

// otherLabel reports whether the call moved a label that consumers do not
// read.
func (d record) otherLabel() bool {
	stage := d.RequestParameters.VersionStage
	return d.EventName == "UpdateSecretVersionStage" && stage != "" && stage != "AWSCURRENT"
}

// version is the version that the call made current, where the record says
// so for sure. A put does not: it may have been staged as pending.
func (d record) version() string {
	if d.EventName == "UpdateSecretVersionStage" {
		return d.RequestParameters.MoveToVersionID
	}
	return ""
}
