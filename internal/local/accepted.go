package local

import (
	"cmp"

	"github.com/rekey-go/rekey/internal/local/template"
)

// An accepted type of resource has nothing to do on the engine: it is made so
// far that others can refer to it.
type accepted struct {
	// reason says what of it AWS has and the engine needs not.
	reason string
	// arn is that of a resource by its name, which GetAtt of Arn gives and,
	// where refers is set, Ref too. If nil, there is none.
	arn    func(name string) string
	refers bool
}

// acceptedTypes are taken from a template without a word. What is neither here
// nor in makers is a warning. docs/engine.md lists them.
//
//nolint:gochecknoglobals // a constant table.
var acceptedTypes = map[string]accepted{
	"AWS::Logs::LogGroup": {
		reason: "what functions print is on standard error, and kept nowhere",
		arn:    func(name string) string { return arnOf("logs", "log-group:"+name+":*") },
	},
	"AWS::Logs::MetricFilter":   {reason: "there are no log groups to count in"},
	"AWS::Logs::ResourcePolicy": {reason: "there are no log groups to write to"},
	"AWS::SNS::Topic": {
		reason: "nobody is paged for a laptop; a rule's target that is a topic is left out",
		arn:    func(name string) string { return arnOf("sns", name) }, refers: true,
	},
	"AWS::SNS::TopicPolicy":      {reason: "nothing is published to topics"},
	"AWS::SNS::Subscription":     {reason: "nothing is published to topics"},
	"AWS::CloudWatch::Alarm":     {reason: "there are no metrics", arn: func(name string) string { return arnOf("cloudwatch", "alarm:"+name) }},
	"AWS::CloudWatch::Dashboard": {reason: "there are no metrics"},
	"AWS::EC2::SecurityGroup":    {reason: "functions are processes on this machine's network"},
	"AWS::EC2::VPCEndpoint":      {reason: "functions are processes on this machine's network"},
	"AWS::KMS::Alias":            {reason: "keys are known by their ARNs"},
}

// accept gives a resource the name and the ARN that others refer to.
func (e *deployment) accept(r template.Resource, about accepted) error {
	var p struct {
		LogGroupName  string `yaml:"LogGroupName"`
		TopicName     string `yaml:"TopicName"`
		AlarmName     string `yaml:"AlarmName"`
		AliasName     string `yaml:"AliasName"`
		DashboardName string `yaml:"DashboardName"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	name := cmp.Or(p.LogGroupName, p.TopicName, p.AlarmName, p.AliasName, p.DashboardName, e.nameFor(r.ID))
	attributes := map[string]string{"Id": name, "GroupId": name}
	ref := name
	if about.arn != nil {
		arn := about.arn(name)
		attributes["Arn"], attributes["TopicArn"] = arn, arn
		if about.refers {
			ref = arn
		}
	}
	e.plan.Set(r.ID, ref, attributes)
	return nil
}

// delivered are the targets of a rule but for those that the engine has no
// service for, and says so in acceptedTypes.
func delivered(targets []target) []target {
	var all []target
	for _, t := range targets {
		if service := serviceOf(t.ARN); service != "sns" && service != "logs" {
			all = append(all, t)
		}
	}
	return all
}
