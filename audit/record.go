package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

const (
	secretsSource = "secretsmanager.amazonaws.com"
	kmsSource     = "kms.amazonaws.com"
)

// A record is what the audit reads of a CloudTrail record. The decoder takes
// members in any case, so that arn, aRN and ARN are one. Its texts keep the
// whole record alive: what is kept of it, a collector interns.
type record struct {
	UserIdentity        identity
	EventTime           string
	EventSource         string
	EventName           string
	EventType           string
	AWSRegion           string
	SourceIPAddress     string
	UserAgent           string
	ErrorCode           string
	ErrorMessage        string
	RequestParameters   parameters
	ResponseElements    response
	AdditionalEventData additional
	ServiceEventDetails additional
	RequestID           string
	EventID             string
	SharedEventID       string
	RecipientAccountID  string
	VPCEndpointID       string
	Resources           []struct{ ARN string }
	Addendum            struct {
		Reason          string
		OriginalEventID string
	}
	SessionCredentialFromConsole string

	at time.Time
	// sum identifies a record that has no id.
	sum eventID
}

type parameters struct {
	SecretID                   string
	Name                       string
	VersionID                  string
	VersionStage               string
	VersionStages              []string
	ClientRequestToken         string
	MoveToVersionID            string
	ForceDeleteWithoutRecovery bool
	RecoveryWindowInDays       float64
	SecretIDList               []string
	Filters                    []struct {
		Key    string
		Values []string
	}
	EncryptionContext struct{ SecretARN, SecretVersionID string }

	// What a change is about.
	KeyID, KMSKeyID      string
	BlockPublicPolicy    *bool
	RotationLambdaARN    string
	RotationRules        rules
	AddReplicaRegions    []struct{ Region string }
	RemoveReplicaRegions []string
	PendingWindowInDays  float64
}

type rules struct {
	AutomaticallyAfterDays float64
	ScheduleExpression     string
}

type response struct {
	ARN, Name, VersionID, DeletionDate string
}

type additional struct {
	SecretID, ARN, Name string
}

type identity struct {
	Type           string
	PrincipalID    string
	ARN            string
	AccountID      string
	AccessKeyID    string
	UserName       string
	InvokedBy      string
	SessionContext struct {
		SessionIssuer   struct{ ARN, AccountID string }
		EC2RoleDelivery string
		SourceIdentity  string
		Attributes      struct{ MFAAuthenticated string }
	}
	OnBehalfOf struct{ UserID, IdentityStoreARN string }
}

// relevant reports whether a record may be about Secrets Manager, or about a
// KMS key that secrets need, without decoding it.
func relevant(raw []byte) bool {
	return bytes.Contains(raw, []byte("secretsmanager")) ||
		bytes.Contains(raw, []byte(kmsSource)) && (bytes.Contains(raw, []byte("Key\"")) || bytes.Contains(raw, []byte("Deletion\"")))
}

// errMalformed means that a record cannot be read.
var errMalformed = errors.New("malformed record")

// parse decodes a record, and reports whether it is about secrets. A member of an
// unexpected type is left out.
func parse(raw []byte, r *record) (ok bool, err error) {
	if !relevant(raw) {
		return false, nil
	}
	*r = record{}
	if err := decode(raw, r); err != nil && (!errors.Is(err, errOtherType) || r.EventSource == "") {
		return false, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if r.EventSource != secretsSource && !r.isKeyUse() && !r.isKeyChange() {
		return false, nil
	}
	if r.at, err = parseTime(r.EventTime); err != nil {
		return false, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if r.EventName == "" {
		return false, fmt.Errorf("%w: no eventName", errMalformed)
	}
	if r.EventID == "" {
		r.sum = parseID(string(raw))
	}
	return true, nil
}

// validation is the version for which Secrets Manager uses a key when a secret
// gets it: there is none yet, and no value is read or written.
const validation = "RequestToValidateKeyAccess"

// isKeyUse reports whether KMS was used for a version of a secret.
func (r *record) isKeyUse() bool {
	in := &r.RequestParameters.EncryptionContext
	return r.EventSource == kmsSource && in.SecretARN != "" && in.SecretVersionID != validation
}

// isKeyChange reports whether a KMS key was made unusable or usable again: the
// secrets under it cannot be read without it. Which key it is may be told by
// its id only; where no secret is known to use it, it is none of ours.
func (r *record) isKeyChange() bool {
	if r.EventSource != kmsSource {
		return false
	}
	switch r.EventName {
	case "DisableKey", "EnableKey", "ScheduleKeyDeletion", "CancelKeyDeletion":
		return true
	}
	return false
}

// corrects reports whether a record takes the place of an earlier one.
func (r *record) corrects() bool { return r.Addendum.OriginalEventID != "" }

// firstResource is the ARN of the first resource of a record; for KMS, its key.
func (r *record) firstResource() string {
	if len(r.Resources) == 0 {
		return ""
	}
	return r.Resources[0].ARN
}

// parseTime reads a time as CloudTrail writes it, or as tools do that store
// its records.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return t.UTC(), nil
	}
	if t, plain := time.Parse("2006-01-02 15:04:05", text); plain == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("reading eventTime: %w", err)
}

// parseDate reads the time of a deletion: "Jul 10, 2023, 12:07:59 PM".
func parseDate(text string) time.Time {
	text = strings.ReplaceAll(text, "\u202f", " ")
	for _, layout := range []string{"Jan 2, 2006, 3:04:05 PM", "Jan 2, 2006 3:04:05 PM", time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// deniedResource finds what a refused call was about in its message: CloudTrail
// may write no requestParameters for a call that was refused.
var deniedResource = regexp.MustCompile(`on resource:? "?([^\s"]+)"?`)

// secretID is the secret that a record names, in whatever form.
func (r *record) secretID() string {
	p := &r.RequestParameters
	id := cmp.Or(p.EncryptionContext.SecretARN, p.SecretID,
		r.AdditionalEventData.ARN, r.AdditionalEventData.SecretID, r.AdditionalEventData.Name,
		r.ServiceEventDetails.ARN, r.ServiceEventDetails.SecretID, r.ServiceEventDetails.Name)
	if id == "" && r.EventName == "CreateSecret" {
		id = cmp.Or(r.ResponseElements.ARN, p.Name)
	}
	if id == "" && r.EventName != "BatchGetSecretValue" {
		id = r.ResponseElements.ARN
	}
	if id == "" && r.ErrorMessage != "" {
		if m := deniedResource.FindStringSubmatch(r.ErrorMessage); m != nil && m[1] != "*" {
			id = strings.TrimRight(m[1], ".,")
		}
	}
	return id
}

// denied reports whether a call was refused for lack of permission.
func (r *record) denied() bool {
	code := strings.TrimPrefix(r.ErrorCode, "Client.")
	for _, prefix := range []string{"AccessDenied", "Unauthorized", "NotAuthorized"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return false
}

// rotationToken is the version that a rotation's event is about: its request
// id is "Rotation-", the ARN, "-" and the token.
func (r *record) rotationToken() string {
	rest, ok := strings.CutPrefix(r.RequestID, "Rotation-")
	if !ok {
		return ""
	}
	for _, id := range []string{
		r.AdditionalEventData.SecretID, r.AdditionalEventData.ARN, r.ServiceEventDetails.SecretID, r.ServiceEventDetails.ARN,
	} {
		if token, ok := strings.CutPrefix(rest, id+"-"); ok && id != "" {
			return token
		}
	}
	return ""
}

// failure reads where a rotation failed: "Error when executing lambda
// arn:aws:lambda:... during createSecret step".
var failure = regexp.MustCompile(`(?:(arn:[a-z-]+:lambda:\S+)\s.*?)?during (\w+) step`)
