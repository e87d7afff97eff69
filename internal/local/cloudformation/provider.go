package cloudformation

import "github.com/rekey-go/rekey/internal/local/wire"

// A Definition is a stack's template with its parameters.
type Definition struct {
	StackName, StackID string
	Body               []byte
	Parameters         map[string]string
	// Imports are the identifiers of resources to take over, by logical id.
	Imports map[string]string
	// Kept are the physical ids, by logical id, of what was made before the
	// engine was started again. Where it is not nil, names that are taken are
	// the stack's own, and what has them is taken over.
	Kept map[string]string `json:"-"`
}

// A Parameter is one that a template has.
type Parameter struct {
	Name, Value, Default, Description, Type string
	NoEcho, HasDefault                      bool
}

// A Resource is one of a template, with what its type and policies say.
type Resource struct {
	LogicalID, Type                     string
	DeletionPolicy, UpdateReplacePolicy string
	// Note says why the resource has no effect, and is empty for one that has.
	Note string
}

// An Output is one of a stack's.
type Output struct{ Name, Value, Description string }

// A Provider makes the resources of stacks.
type Provider interface {
	// Template says what a template takes, without values for all of it.
	Template(body []byte) ([]Parameter, error)
	// Deployment reads a stack's definition. Before is the deployment of the
	// stack's last template, or nil for a new one: what both have of the same
	// type the new one starts with. The error is one of the template.
	Deployment(d Definition, before Deployment) (Deployment, error)
	// Object reads the template at the URL of an S3 object.
	Object(url string) ([]byte, error)
	// Assume is CloudFormation with the rights of a role. The error says that
	// there is no such role, or that it is not for CloudFormation.
	Assume(roleARN string) (wire.Principal, error)
	// Permit refuses what somebody may not do to a resource: to make, change or
	// remove it, as the verb CREATE, UPDATE or DELETE says.
	Permit(by wire.Principal, verb string, r Resource, of Deployment) error
}

// A Deployment is a template that is made, or being made.
type Deployment interface {
	// Parameters are those of the template, with their values.
	Parameters() ([]Parameter, error)
	// Resources are listed each after those it refers to.
	Resources() []Resource
	// Properties are those of a resource as the template has them now, each as
	// text, and Made as they were when it was made.
	Properties(id string) map[string]string
	Made(id string) map[string]string
	// PhysicalID is empty for what is not made.
	PhysicalID(id string) string
	// Make makes a resource, or changes it in place.
	Make(id string) error
	// Finish does what waits for all resources, such as opening an API.
	Finish() error
	// Remove removes a resource.
	Remove(id string) error
	// Restore makes a resource as it was before another deployment of the stack
	// changed it.
	Restore(id string, from Deployment) error
	// Outputs of what is made.
	Outputs() ([]Output, error)
	// Discard forgets a deployment whose resources another one has, or nobody.
	Discard()
}

// kinds are the types that the SAM transform makes of its own.
//
//nolint:gochecknoglobals // a constant table.
var kinds = map[string]string{
	"AWS::Serverless::Function": "AWS::Lambda::Function",
	"AWS::Serverless::HttpApi":  "AWS::ApiGatewayV2::Api",
}

// kind is the type of a resource as it is listed.
func (r Resource) kind() string {
	if made, ok := kinds[r.Type]; ok {
		return made
	}
	return r.Type
}

// retained reports whether a removed resource stays.
func retained(policy string) bool { return policy == "Retain" || policy == "RetainExceptOnCreate" }

// replacing are the properties whose change makes a new resource in the place
// of the old, by type.
//
//nolint:gochecknoglobals // a constant table.
var replacing = map[string][]string{
	"AWS::SecretsManager::Secret":           {"Name"},
	"AWS::SecretsManager::RotationSchedule": {"SecretId"},
	"AWS::SecretsManager::ResourcePolicy":   {"SecretId"},
	"AWS::Serverless::Function":             {"FunctionName", "PackageType"},
	"AWS::Lambda::Permission":               {"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"},
	"AWS::Events::EventBus":                 {"Name"},
	"AWS::Events::Rule":                     {"Name", "EventBusName"},
	"AWS::SQS::Queue":                       {"QueueName", "FifoQueue"},
	"AWS::DynamoDB::Table":                  {"TableName", "KeySchema", "AttributeDefinitions"},
	"AWS::KMS::Key":                         {"KeySpec", "KeyUsage", "MultiRegion"},
	"AWS::IAM::Role":                        {"RoleName", "Path"},
	"AWS::IAM::ManagedPolicy":               {"ManagedPolicyName", "Path"},
	"AWS::S3::Bucket":                       {"BucketName"},
}
