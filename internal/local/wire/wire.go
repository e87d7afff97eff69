// Package wire is the front door of the embedded engine: the AWS protocols as
// the SDKs and the aws CLI speak them.
//
// A [Service] lists its operations; a [Front] takes HTTP requests, finds the
// service and the operation, decodes the input, names the caller by the access
// key that signed the request, and hands a [Call] to the operation. Whatever
// comes of it, a [Recorder] then sees the call with its answer: that is how
// the audit trail gets its records, refused calls included.
//
// An operation that no service has is answered with status 501 and its name,
// so that nothing appears to work that does not.
//
// Signatures are read for the identity they name, not verified: the engine
// listens on the loopback interface and holds no user's secret key.
package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Protocol is the form in which a service takes requests and gives answers.
type Protocol int

// The protocols of the services that the engine answers for.
const (
	// JSON10 and JSON11 name the operation in X-Amz-Target and carry JSON.
	JSON10 Protocol = iota + 1
	JSON11
	// Query names the operation in the form field Action and answers in XML.
	Query
	// REST names the operation by method and path.
	REST
)

// contentType is the media type of the protocol's answers.
func (p Protocol) contentType() string {
	switch p {
	case JSON10:
		return "application/x-amz-json-1.0"
	case JSON11:
		return "application/x-amz-json-1.1"
	case Query:
		return "text/xml"
	default:
		return "application/json"
	}
}

// Access says what an operation does to the service's state, in the terms of
// CloudTrail: management calls are recorded, data calls are not.
type Access int

// The kinds of access.
const (
	// Read is a management call that changes nothing.
	Read Access = iota + 1
	// Write is a management call that changes something.
	Write
	// Data is a data-plane call, such as receiving a message: a trail does
	// not record it by default, and neither does the engine.
	Data
)

// A Service is one AWS service as the front door sees it.
type Service struct {
	// Name is the endpoint prefix, as it stands in the credential scope of a
	// signature: "secretsmanager".
	Name string
	// EventSource is the service's name in the trail:
	// "secretsmanager.amazonaws.com".
	EventSource string
	Protocol    Protocol
	// Targets are the prefixes of X-Amz-Target that belong to the service,
	// without the dot: "secretsmanager".
	Targets []string
	// Namespace stands before the names of errors in the bodies of the JSON
	// protocol, where the service has one there: "com.amazonaws.sqs".
	Namespace string
	// Operations by name, for the JSON and Query protocols.
	Operations map[string]Operation
	// Routes of the REST protocol.
	Routes []Route
}

// An Operation is one operation of a JSON or Query service.
type Operation struct {
	Access Access
	// Redact names members of the input and of the output that never reach
	// the trail.
	Redact []string
	// Handle answers a call. The answer is marshalled as JSON, or as XML by
	// the Query protocol; an error that is no *[Error] is answered as an
	// internal failure.
	Handle func(ctx context.Context, c *Call) (any, error)
}

// A Route is one operation of a REST service.
type Route struct {
	// Pattern is a pattern of [http.ServeMux] with a method.
	Pattern   string
	Operation string
	Access    Access
	// Serve answers the call on w, or returns an error for the front door to
	// write; it does not do both.
	Serve func(w http.ResponseWriter, r *http.Request, c *Call) error
}

// An ObjectStore takes the requests that are signed for S3, whose paths are
// the callers' own.
type ObjectStore struct {
	Handler http.Handler
	// Identify tells what a request asks for. It may read the body, and then
	// puts one that is as long in its place.
	Identify func(r *http.Request) ObjectCall
}

// An ObjectCall is what a request to an [ObjectStore] asks for.
type ObjectCall struct {
	Operation string
	Access    Access
	Needs     []Need
}

// A Need is an action that a call wants to be allowed on a resource.
type Need struct {
	Action, Resource string // "s3:GetObject" and an ARN
	// Keys are the condition keys that only this service has.
	Keys map[string]string
}

// Op makes an [Operation] of a typed function. In is decoded from the JSON
// input; members that it does not know are ignored, as AWS ignores them. A nil
// answer is written as an empty object.
func Op[In, Out any](access Access, fn func(ctx context.Context, c *Call, in *In) (*Out, error), redact ...string) Operation {
	return Operation{
		Access: access,
		Redact: redact,
		Handle: func(ctx context.Context, c *Call) (any, error) {
			in := new(In)
			if err := json.Unmarshal(c.Input, in); err != nil {
				// The decoder's own text quotes the input, which may hold a
				// secret value.
				return nil, Unmodelled("SerializationException", "the request body does not have the shape of %s's input", c.Operation)
			}
			out, err := fn(ctx, c, in)
			if err != nil {
				return nil, err
			}
			if out == nil {
				return struct{}{}, nil
			}
			return out, nil
		},
	}
}

// A Call is one API call at the front door. A handler reads what was asked and
// appends what the trail has to know.
type Call struct {
	Service     string
	EventSource string
	Operation   string
	Region      string
	Account     string
	RequestID   string
	SourceIP    string
	UserAgent   string
	Time        time.Time
	Caller      Principal
	// Input is the body of a JSON request, an empty object where there was
	// none, or the form fields of a Query request as an object.
	Input json.RawMessage
	// Target is what the path of a REST request names, such as a function.
	Target string
	// Needs are what a call of S3 wants to be allowed.
	Needs []Need

	// Resources are what the call was about.
	Resources []Resource
	// KMS lists the decrypts and encrypts done on the caller's behalf.
	KMS []KMSUse
	// Also lists further records that the call leaves in the trail.
	Also []Companion

	namespace string // of the service's errors, with its "#"
}

// A Principal is who made a call, in the terms of CloudTrail's userIdentity.
type Principal struct {
	// Type is AssumedRole, IAMUser, Root or AWSService.
	Type        string
	PrincipalID string
	ARN         string
	AccountID   string
	AccessKeyID string
	UserName    string
	// RoleARN, RoleName and SessionName are set for an assumed role.
	RoleARN     string
	RoleName    string
	SessionName string
	// Issued is when the credentials of an assumed role were, and IssuedTo the
	// ARN of the function that they are for.
	Issued   time.Time
	IssuedTo string
	// InvokedBy is the service that called, for type AWSService.
	InvokedBy string
}

// A Resource is something that a call was about.
type Resource struct {
	ARN, Type, AccountID string
}

// A KMSUse is one use of a KMS key on a caller's behalf.
type KMSUse struct {
	// Operation is Decrypt or GenerateDataKey.
	Operation string
	KeyARN    string
	// Context is the encryption context.
	Context map[string]string
	// Err is why the caller may not use the key, or nil.
	Err error
}

// A Companion is a further record of a call, such as the GetSecretValue of
// each secret that a BatchGetSecretValue returned.
type Companion struct {
	Operation  string
	Parameters any
	Resources  []Resource
	KMS        []KMSUse
	Err        error
}

// A ServiceEvent is something that a service did by itself, such as ending a
// rotation.
type ServiceEvent struct {
	EventSource  string
	EventName    string
	Additional   map[string]any
	ErrorMessage string
	RequestID    string
	Time         time.Time
}

// A Recorder sees every management call when it is answered. The output is
// nil where err is not.
type Recorder interface {
	Record(c *Call, op Operation, output any, err error)
}

// An Error is an answer of an AWS service that refuses a call.
type Error struct {
	// Code is the error's name: ResourceNotFoundException.
	Code    string
	Message string
	// Status is the HTTP status, 400 where zero.
	Status int
	// Modelled errors are part of the service's model; AWS spells their
	// member Message, that of all others message.
	Modelled bool
	// QueryCode is the code of the older Query protocol that awsQueryCompatible
	// services send beside Code, for example
	// "AWS.SimpleQueueService.NonExistentQueue".
	QueryCode string
	// Members are further members of the error's body.
	Members map[string]any
}

// Error gives code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes a modelled error with status 400.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Modelled: true}
}

// Unmodelled makes an error with status 400 that is common to all services,
// such as ValidationException or AccessDeniedException.
func Unmodelled(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// A Timestamp is a time on the wire of the JSON protocols: seconds since 1970
// as a number with three decimals.
type Timestamp time.Time

// MarshalJSON writes the number.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	return strconv.AppendFloat(nil, float64(ms)/1000, 'f', 3, 64), nil
}

// UnmarshalJSON reads the number, or an RFC 3339 string.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return fmt.Errorf("reading a timestamp: %w", err)
		}
		*t = Timestamp(parsed)
		return nil
	}
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return fmt.Errorf("reading a timestamp: %w", err)
	}
	*t = Timestamp(time.UnixMilli(int64(seconds * 1000)))
	return nil
}

// IsZero reports whether the timestamp is not set, so that omitzero leaves it
// out.
func (t Timestamp) IsZero() bool { return time.Time(t).IsZero() }
