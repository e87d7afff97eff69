package local

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/dynamodb"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/sqs"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A maker makes a resource of one type on its service.
type maker func(e *deployment, r template.Resource) error

// makers are the resource types that the engine has.
//
//nolint:gochecknoglobals // a constant table.
var makers = map[string]maker{
	"AWS::SecretsManager::Secret":           (*deployment).makeSecret,
	"AWS::SecretsManager::RotationSchedule": (*deployment).makeRotation,
	"AWS::Serverless::Function":             (*deployment).makeFunction,
	"AWS::Serverless::LayerVersion":         (*deployment).makeLayer,
	"AWS::Serverless::HttpApi":              (*deployment).makeHTTPAPI,
	"AWS::Lambda::Permission":               (*deployment).makePermission,
	"AWS::Events::EventBus":                 (*deployment).makeBus,
	"AWS::Events::Rule":                     (*deployment).makeRule,
	"AWS::SQS::Queue":                       (*deployment).makeQueue,
	"AWS::DynamoDB::Table":                  (*deployment).makeTable,
	"AWS::KMS::Key":                         (*deployment).makeKey,
	"AWS::SecretsManager::ResourcePolicy":   (*deployment).makeSecretPolicy,
	"AWS::SQS::QueuePolicy":                 (*deployment).makeQueuePolicy,
	"AWS::Events::EventBusPolicy":           (*deployment).makeBusPolicy,
	"AWS::S3::Bucket":                       (*deployment).makeBucket,
	"AWS::S3::BucketPolicy":                 (*deployment).makeBucketPolicy,
	"AWS::CloudTrail::Trail":                (*deployment).makeTrail,
	"AWS::IAM::Role":                        (*deployment).makeRole,
	"AWS::IAM::ManagedPolicy":               (*deployment).makeManagedPolicy,
	"AWS::IAM::Policy":                      (*deployment).makeRolePolicy,
	"AWS::IAM::RolePolicy":                  (*deployment).makeRolePolicy,
}

// refused wraps what a service answered to a resource of the template.
func refused(r template.Resource, err error) error {
	if err == nil {
		return nil
	}
	return r.Errorf("mend the properties of the resource", "resource %q was refused: %v", r.ID, err)
}

type tag struct {
	Key   string `yaml:"Key"`
	Value string `yaml:"Value"`
}

func (e *deployment) makeSecret(r template.Resource) error {
	var p struct {
		Name        string `yaml:"Name"`
		Description string `yaml:"Description"`
		KmsKeyID    string `yaml:"KmsKeyId"`
		Tags        []tag  `yaml:"Tags"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	tags := make(map[string]string, len(p.Tags))
	for _, t := range p.Tags {
		tags[t.Key] = t.Value
	}
	p.Name = cmp.Or(p.Name, e.nameFor(r.ID))
	if e.kept[r.ID] == "" || !strings.HasPrefix(e.kept[r.ID], arnOf("secretsmanager", "secret:"+p.Name+"-")) {
		if taken := e.Secrets.Taken(p.Name); e.strict && taken != nil {
			return refused(r, taken)
		}
	} else if e.Secrets.Taken(p.Name) == nil {
		return refused(r, wire.Errorf("ResourceNotFoundException", "Secrets Manager can't find the specified secret."))
	}
	arn, err := e.Secrets.Provision(secretsmanager.Definition{
		Name: p.Name, Description: p.Description, KMSKeyID: p.KmsKeyID, Tags: tags,
	})
	e.plan.Set(r.ID, arn, map[string]string{"Id": arn})
	e.undo(func() error { return e.Secrets.Remove(arn) })
	return refused(r, err)
}

func (e *deployment) makeRotation(r template.Resource) error {
	var p struct {
		SecretID          string `yaml:"SecretId"`
		RotationLambdaARN string `yaml:"RotationLambdaARN"`
		RotationRules     struct {
			AutomaticallyAfterDays int    `yaml:"AutomaticallyAfterDays"`
			ScheduleExpression     string `yaml:"ScheduleExpression"`
			Duration               string `yaml:"Duration"`
		} `yaml:"RotationRules"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	e.plan.Set(r.ID, p.SecretID, nil)
	e.undo(func() error { return e.Secrets.StopRotation(p.SecretID) })
	if e.Lambda.Has(p.RotationLambdaARN) && !e.Lambda.Allows(p.RotationLambdaARN, secretsService, p.SecretID) {
		return r.Errorf("add a resource, and name it in DependsOn: "+oneLine(e.permission(p.RotationLambdaARN, secretsService, p.SecretID)),
			"resource %q: Secrets Manager cannot invoke the function: its policy does not let %s", r.ID, secretsService)
	}
	return refused(r, e.Secrets.ConfigureRotation(p.SecretID, secretsmanager.Rotation{
		LambdaARN:              p.RotationLambdaARN,
		AutomaticallyAfterDays: p.RotationRules.AutomaticallyAfterDays,
		ScheduleExpression:     p.RotationRules.ScheduleExpression,
		Duration:               p.RotationRules.Duration,
	}))
}

func (e *deployment) makeBus(r template.Resource) error {
	var p struct {
		Name        string `yaml:"Name"`
		Description string `yaml:"Description"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	arn, err := e.Events.CreateBus(p.Name, p.Description, nil)
	if fault, ok := errors.AsType[*wire.Error](err); ok && fault.Code == "ResourceAlreadyExistsException" && (!e.strict || e.kept[r.ID] == p.Name) {
		arn, err = "arn:aws:events:"+Region+":"+Account+":event-bus/"+p.Name, nil // kept in the state folder
	}
	e.plan.Set(r.ID, p.Name, map[string]string{"Arn": arn, "Name": p.Name})
	if err == nil {
		e.undo(func() error { return e.Events.RemoveBus(p.Name) })
	}
	return refused(r, err)
}

// ruleProperties are those of an EventBridge rule that the engine has.
type ruleProperties struct {
	Name               string         `yaml:"Name"`
	Description        string         `yaml:"Description"`
	EventBusName       string         `yaml:"EventBusName"`
	EventPattern       map[string]any `yaml:"EventPattern"`
	ScheduleExpression string         `yaml:"ScheduleExpression"`
	State              string         `yaml:"State"`
	Targets            []target       `yaml:"Targets"`
}

type target struct {
	ID               string `yaml:"Id"`
	ARN              string `yaml:"Arn"`
	Input            string `yaml:"Input"`
	InputPath        string `yaml:"InputPath"`
	InputTransformer *struct {
		InputPathsMap map[string]string `yaml:"InputPathsMap"`
		InputTemplate string            `yaml:"InputTemplate"`
	} `yaml:"InputTransformer"`
	DeadLetterConfig deadLetterConfig `yaml:"DeadLetterConfig"`
	RetryPolicy      *retryPolicy     `yaml:"RetryPolicy"`
}

type deadLetterConfig struct {
	ARN string `yaml:"Arn"`
}

type retryPolicy struct {
	MaximumRetryAttempts     *int `yaml:"MaximumRetryAttempts"`
	MaximumEventAgeInSeconds *int `yaml:"MaximumEventAgeInSeconds"`
}

func (t target) event() events.Target {
	out := events.Target{ID: t.ID, ARN: t.ARN, Input: t.Input, InputPath: t.InputPath}
	if t.InputTransformer != nil {
		out.InputTransformer = &events.InputTransformer{
			InputPathsMap: t.InputTransformer.InputPathsMap, InputTemplate: t.InputTransformer.InputTemplate,
		}
	}
	if t.DeadLetterConfig.ARN != "" {
		out.DeadLetterConfig = &events.DeadLetterConfig{ARN: t.DeadLetterConfig.ARN}
	}
	if t.RetryPolicy != nil {
		out.RetryPolicy = &events.RetryPolicy{
			MaximumRetryAttempts: t.RetryPolicy.MaximumRetryAttempts, MaximumEventAgeInSeconds: t.RetryPolicy.MaximumEventAgeInSeconds,
		}
	}
	return out
}

func (e *deployment) makeRule(r template.Resource) error {
	var p ruleProperties
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	p.Name = cmp.Or(p.Name, e.nameFor(r.ID))
	arn, err := e.putRule(p)
	e.plan.Set(r.ID, p.Name, map[string]string{"Arn": arn})
	e.undo(func() error { return e.Events.RemoveRule(p.EventBusName, p.Name) })
	return refused(r, err)
}

// putRule makes a rule with its targets.
func (e *deployment) putRule(p ruleProperties) (arn string, err error) {
	var pattern []byte
	if p.EventPattern != nil {
		if pattern, err = json.Marshal(p.EventPattern); err != nil {
			return "", fmt.Errorf("writing the event pattern as JSON: %w", err)
		}
	}
	arn, err = e.Events.PutRule(events.Rule{
		Name: p.Name, EventBusName: p.EventBusName, EventPattern: string(pattern),
		ScheduleExpression: p.ScheduleExpression, State: p.State, Description: p.Description,
	})
	if err != nil {
		return "", err
	}
	targets := make([]events.Target, 0, len(p.Targets))
	for _, t := range delivered(p.Targets) {
		targets = append(targets, t.event())
	}
	if len(targets) == 0 {
		return arn, nil
	}
	return arn, e.Events.PutTargets(p.EventBusName, p.Name, targets...)
}

func (e *deployment) makeQueue(r template.Resource) error {
	var p struct {
		QueueName                     string `yaml:"QueueName"`
		VisibilityTimeout             *int   `yaml:"VisibilityTimeout"`
		DelaySeconds                  *int   `yaml:"DelaySeconds"`
		MessageRetentionPeriod        *int   `yaml:"MessageRetentionPeriod"`
		ReceiveMessageWaitTimeSeconds *int   `yaml:"ReceiveMessageWaitTimeSeconds"`
		RedrivePolicy                 *struct {
			DeadLetterTargetARN string `yaml:"deadLetterTargetArn"`
			MaxReceiveCount     int    `yaml:"maxReceiveCount"`
		} `yaml:"RedrivePolicy"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	p.QueueName = cmp.Or(p.QueueName, e.nameFor(r.ID))
	if e.strict && e.Queues.Has(p.QueueName) && !strings.HasSuffix(e.kept[r.ID], "/"+p.QueueName) {
		return refused(r, wire.Errorf("QueueAlreadyExists", "A queue already exists with the name %s", p.QueueName))
	}
	q := sqs.Queue{
		Name: p.QueueName, VisibilityTimeout: p.VisibilityTimeout, DelaySeconds: p.DelaySeconds,
		MessageRetentionPeriod: p.MessageRetentionPeriod, ReceiveMessageWaitTimeSeconds: p.ReceiveMessageWaitTimeSeconds,
	}
	if p.RedrivePolicy != nil {
		q.DeadLetterTargetARN, q.MaxReceiveCount = p.RedrivePolicy.DeadLetterTargetARN, p.RedrivePolicy.MaxReceiveCount
	}
	arn, url, err := e.Queues.Provision(q)
	e.plan.Set(r.ID, url, map[string]string{"Arn": arn, "QueueName": p.QueueName, "QueueUrl": url})
	e.undo(func() error { return e.Queues.Remove(p.QueueName) })
	return refused(r, err)
}

func (e *deployment) makeTable(r template.Resource) error {
	var p struct {
		TableName string `yaml:"TableName"`
		KeySchema []struct {
			AttributeName string `yaml:"AttributeName"`
			KeyType       string `yaml:"KeyType"`
		} `yaml:"KeySchema"`
		TimeToLiveSpecification struct {
			AttributeName string `yaml:"AttributeName"`
		} `yaml:"TimeToLiveSpecification"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	p.TableName = cmp.Or(p.TableName, e.nameFor(r.ID))
	if e.strict && e.kept[r.ID] != p.TableName && e.Tables.Has(p.TableName) {
		return refused(r, wire.Errorf("ResourceInUseException", "Table already exists: %s", p.TableName))
	}
	table := dynamodb.Table{Name: p.TableName, TTLAttribute: p.TimeToLiveSpecification.AttributeName}
	for _, key := range p.KeySchema {
		if key.KeyType == "RANGE" {
			table.RangeKey = key.AttributeName
		} else {
			table.HashKey = key.AttributeName
		}
	}
	e.access.hashKeys.set(table.Name, table.HashKey)
	arn, err := e.Tables.Provision(table)
	e.plan.Set(r.ID, p.TableName, map[string]string{"Arn": arn})
	e.undo(func() error { return e.Tables.Remove(p.TableName) })
	return refused(r, err)
}

func bucketARN(bucket string) string { return "arn:aws:s3:::" + bucket }

// bucketFor is the name of a bucket that the template does not name: one that is
// free, as a former stack may have left its own.
func (e *deployment) bucketFor(id string) string {
	if kept := e.kept[id]; kept != "" {
		return kept
	}
	base := strings.ToLower(e.nameFor(id))
	name := base
	for n := 2; e.Objects.Has(name); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

// makeBucket makes a bucket. What else the template says of it has no effect.
func (e *deployment) makeBucket(r template.Resource) error {
	var p struct {
		BucketName string `yaml:"BucketName"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	name := cmp.Or(p.BucketName, e.bucketFor(r.ID))
	if e.strict && e.kept[r.ID] != name && e.Objects.Has(name) {
		return refused(r, wire.Errorf("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you already own it."))
	}
	e.plan.Set(r.ID, name, map[string]string{
		"Arn": bucketARN(name), "DomainName": name + ".s3.amazonaws.com", "RegionalDomainName": name + ".s3." + Region + ".amazonaws.com",
	})
	e.undo(func() error { return e.Objects.RemoveBucket(name) })
	return refused(r, e.Objects.Provision(name))
}

// makeTrail makes a trail that delivers to a bucket. As on AWS, it has to depend
// on the bucket's policy where that is in the same template.
func (e *deployment) makeTrail(r template.Resource) error {
	var p struct {
		TrailName               string `yaml:"TrailName"`
		S3BucketName            string `yaml:"S3BucketName"`
		S3KeyPrefix             string `yaml:"S3KeyPrefix"`
		EnableLogFileValidation bool   `yaml:"EnableLogFileValidation"`
		IsMultiRegionTrail      bool   `yaml:"IsMultiRegionTrail"`
		IsLogging               bool   `yaml:"IsLogging"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	name := cmp.Or(p.TrailName, e.nameFor(r.ID))
	e.plan.Set(r.ID, name, map[string]string{"Arn": arnOf("cloudtrail", "trail/"+name)})
	e.undo(func() error { e.Trail.Remove(name); return nil })
	return refused(r, e.Trail.Provision(&cloudtrail.TrailInput{
		Name: name, S3BucketName: p.S3BucketName, S3KeyPrefix: p.S3KeyPrefix,
		EnableLogFileValidation: p.EnableLogFileValidation, IsMultiRegionTrail: p.IsMultiRegionTrail,
	}, p.IsLogging))
}
