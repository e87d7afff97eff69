package cloudtrail

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// eventVersion is the version of the record's shape.
const eventVersion = "1.11"

// The types of events that the trail has.
const (
	typeCall    = "AwsApiCall"
	typeService = "AwsServiceEvent"
)

// Services whose records have something of their own.
const (
	kmsSource     = "kms.amazonaws.com"
	secretsSource = "secretsmanager.amazonaws.com"
)

// A record is an event as CloudTrail writes it. The members and their order
// are CloudTrail's.
type record struct {
	EventVersion       string          `json:"eventVersion"`
	UserIdentity       identity        `json:"userIdentity"`
	EventTime          string          `json:"eventTime"`
	EventSource        string          `json:"eventSource"`
	EventName          string          `json:"eventName"`
	AWSRegion          string          `json:"awsRegion"`
	SourceIPAddress    string          `json:"sourceIPAddress,omitempty"`
	UserAgent          string          `json:"userAgent,omitempty"`
	ErrorCode          string          `json:"errorCode,omitempty"`
	ErrorMessage       string          `json:"errorMessage,omitempty"`
	RequestParameters  json.RawMessage `json:"requestParameters"`
	ResponseElements   json.RawMessage `json:"responseElements"`
	AdditionalData     map[string]any  `json:"additionalEventData,omitempty"`
	RequestID          string          `json:"requestID,omitempty"`
	EventID            string          `json:"eventID"`
	ReadOnly           bool            `json:"readOnly"`
	Resources          []resource      `json:"resources,omitempty"`
	EventType          string          `json:"eventType"`
	ManagementEvent    bool            `json:"managementEvent"`
	RecipientAccountID string          `json:"recipientAccountId"`
	SharedEventID      string          `json:"sharedEventID,omitempty"`
	EventCategory      string          `json:"eventCategory"`

	at time.Time // EventTime
}

// An identity is who made a call.
type identity struct {
	Type           string          `json:"type,omitempty"`
	PrincipalID    string          `json:"principalId,omitempty"`
	ARN            string          `json:"arn,omitempty"`
	AccountID      string          `json:"accountId,omitempty"`
	AccessKeyID    string          `json:"accessKeyId,omitempty"`
	UserName       string          `json:"userName,omitempty"`
	SessionContext *sessionContext `json:"sessionContext,omitempty"`
	InvokedBy      string          `json:"invokedBy,omitempty"`
	InScopeOf      *scope          `json:"inScopeOf,omitempty"`
}

// A scope says for what a role's credentials were issued.
type scope struct {
	IssuerType          string `json:"issuerType"`
	CredentialsIssuedTo string `json:"credentialsIssuedTo"`
}

type sessionContext struct {
	SessionIssuer issuer            `json:"sessionIssuer"`
	Attributes    sessionAttributes `json:"attributes"`
}

type sessionAttributes struct {
	CreationDate     string `json:"creationDate,omitempty"`
	MFAAuthenticated string `json:"mfaAuthenticated"`
}

type issuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName"`
}

type resource struct {
	AccountID string `json:"accountId,omitempty"`
	Type      string `json:"type,omitempty"`
	ARN       string `json:"ARN"`
}

// callRecords returns what a call leaves in the trail: its own record, those
// of its companions, and those of the KMS keys that it used.
func callRecords(r *recorded) []*record {
	c := &r.call
	main := callRecord(c, r.op.Access)
	main.RequestParameters = parameters(c.Input, c.Operation, r.op.Redact)
	main.setError(r.err)
	if r.err == nil && r.output != nil {
		main.ResponseElements = responseElements(c.Operation, r.output, r.op.Redact)
	}
	records := []*record{main}
	records = appendKMS(records, c, c.KMS)
	for _, also := range c.Also {
		extra := callRecord(c, r.op.Access)
		extra.EventName = also.Operation
		extra.RequestParameters = marshalMembers(also.Parameters, r.op.Redact)
		extra.setError(also.Err)
		records = append(records, extra)
		records = appendKMS(records, c, also.KMS)
	}
	return records
}

// callRecord is what all records of a call have in common.
func callRecord(c *wire.Call, access wire.Access) *record {
	return &record{
		EventVersion:       eventVersion,
		UserIdentity:       identify(c.Caller),
		EventTime:          stamp(c.Time),
		EventSource:        c.EventSource,
		EventName:          c.Operation,
		AWSRegion:          c.Region,
		SourceIPAddress:    c.SourceIP,
		UserAgent:          c.UserAgent,
		RequestID:          c.RequestID,
		EventID:            wire.NewID(),
		ReadOnly:           access == wire.Read,
		EventType:          typeCall,
		ManagementEvent:    true,
		RecipientAccountID: c.Account,
		EventCategory:      "Management",
		at:                 c.Time,
	}
}

// appendKMS adds the records of the keys that a service used for its caller.
// KMS names the caller, and the service as the place that the call came from.
// Of the services here KMS alone lists the resources in its records. A key of
// another account leaves a record there too, and both share an id.
func appendKMS(records []*record, c *wire.Call, uses []wire.KMSUse) []*record {
	for _, use := range uses {
		r := callRecord(c, wire.Read)
		r.UserIdentity.InvokedBy = c.EventSource
		r.EventSource = kmsSource
		r.EventName = use.Operation
		r.SourceIPAddress = c.EventSource
		r.UserAgent = c.EventSource
		r.RequestID = wire.NewID()
		r.RequestParameters = kmsParameters(use)
		owner := accountOf(use.KeyARN)
		if owner != c.Account {
			r.SharedEventID = wire.NewID()
		}
		r.Resources = []resource{{AccountID: owner, Type: "AWS::KMS::Key", ARN: use.KeyARN}}
		r.setError(use.Err)
		records = append(records, r)
	}
	return records
}

// accountOf is the account in an ARN.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

func kmsParameters(use wire.KMSUse) json.RawMessage {
	members := map[string]any{"encryptionContext": use.Context}
	if use.Operation == "Decrypt" {
		members["encryptionAlgorithm"] = "SYMMETRIC_DEFAULT"
	} else {
		members["keyId"] = use.KeyARN
		members["keySpec"] = "AES_256"
	}
	data, _ := json.Marshal(members) // strings only
	return data
}

// eventRecord is the record of something that a service did by itself. Its
// identity has neither a type nor an ARN, as on AWS.
func eventRecord(e *wire.ServiceEvent, opts Options) *record {
	return &record{
		EventVersion:       eventVersion,
		UserIdentity:       identity{AccountID: opts.Account, InvokedBy: e.EventSource},
		EventTime:          stamp(e.Time),
		EventSource:        e.EventSource,
		EventName:          e.EventName,
		AWSRegion:          opts.Region,
		SourceIPAddress:    e.EventSource,
		UserAgent:          e.EventSource,
		ErrorMessage:       e.ErrorMessage,
		AdditionalData:     e.Additional,
		RequestID:          e.RequestID,
		EventID:            wire.NewID(),
		EventType:          typeService,
		ManagementEvent:    true,
		RecipientAccountID: opts.Account,
		EventCategory:      "Management",
		at:                 e.Time,
	}
}

// identify is a principal as userIdentity.
func identify(p wire.Principal) identity {
	id := identity{
		Type:        p.Type,
		PrincipalID: p.PrincipalID,
		ARN:         p.ARN,
		AccountID:   p.AccountID,
		AccessKeyID: p.AccessKeyID,
		UserName:    p.UserName,
		InvokedBy:   p.InvokedBy,
	}
	if p.Type == "AssumedRole" {
		roleID := p.PrincipalID
		if len(p.SessionName)+1 < len(roleID) {
			roleID = roleID[:len(roleID)-len(p.SessionName)-1]
		}
		id.SessionContext = &sessionContext{
			SessionIssuer: issuer{Type: "Role", PrincipalID: roleID, ARN: p.RoleARN, AccountID: p.AccountID, UserName: p.RoleName},
			Attributes:    sessionAttributes{MFAAuthenticated: "false"},
		}
		if !p.Issued.IsZero() {
			id.SessionContext.Attributes.CreationDate = stamp(p.Issued)
		}
	}
	if p.IssuedTo != "" {
		id.InScopeOf = &scope{IssuerType: "AWS::Lambda::Function", CredentialsIssuedTo: p.IssuedTo}
	}
	return id
}

// userName is the name under which LookupEvents finds a principal's events:
// for a role that of the session.
func (r *record) userName() string {
	id := &r.UserIdentity
	switch id.Type {
	case "AssumedRole":
		if issuer := id.SessionContext; issuer != nil && len(issuer.SessionIssuer.PrincipalID) < len(id.PrincipalID) {
			return id.PrincipalID[len(issuer.SessionIssuer.PrincipalID)+1:]
		}
	case "Root":
		return "root"
	}
	return id.UserName
}

// setError notes a refusal in CloudTrail's words.
func (r *record) setError(err error) {
	if err == nil {
		return
	}
	e, ok := errors.AsType[*wire.Error](err)
	if !ok {
		e = &wire.Error{Code: "InternalFailure", Message: "An unknown error occurred"}
	}
	r.ErrorCode, r.ErrorMessage = e.Code, e.Message
	if e.Code == "AccessDeniedException" {
		r.ErrorCode = "AccessDenied"
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
