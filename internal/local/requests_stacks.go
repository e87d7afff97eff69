package local

import (
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// stacks asks for what a call of CloudFormation needs: the operation on the
// stack, the transform that a template may have, the template where it is in S3,
// and to pass on the role that is to do the work.
func (a *asked) stacks() {
	in := map[string]string{}
	a.decode(&in)
	switch a.call.Operation {
	case "ListStacks", "ValidateTemplate":
		a.about(a.action, "*", "", nil)
	case "DescribeStacks":
		if in["StackName"] == "" {
			a.about(a.action, "*", "", nil)
			break
		}
		a.aboutStack(in)
	default:
		a.aboutStack(in)
	}
	if a.call.Operation == "CreateChangeSet" && slices.Contains(capabilities(in), "CAPABILITY_AUTO_EXPAND") {
		const transform = "arn:aws:cloudformation:" + Region + ":aws:transform/Serverless-2016-10-31"
		a.about(a.action, transform, transform, nil)
	}
	if at := in["TemplateURL"]; at != "" {
		if bucket, key, err := objectAt(at); err == nil { // else it is refused for that
			object := bucketARN(bucket) + "/" + key
			a.about("s3:GetObject", object, object, nil)
		}
	}
	if role := in["RoleARN"]; role != "" {
		a.about("iam:PassRole", role, role, keyed(map[string]string{"iam:PassedToService": stacksService}))
	}
}

func (a *asked) aboutStack(in map[string]string) {
	arn := a.engine.Stacks.ARN(in["StackName"], in["ChangeSetName"])
	keys := map[string]string{}
	if role := in["RoleARN"]; role != "" {
		keys["cloudformation:RoleArn"] = role
	}
	a.about(a.action, arn, arn, keyed(keys))
}

func capabilities(in map[string]string) []string {
	var all []string
	for key, value := range in {
		if strings.HasPrefix(key, "Capabilities.member.") {
			all = append(all, value)
		}
	}
	return all
}

// keyed are condition keys with one value each.
func keyed(values map[string]string) iam.Context {
	lower := make(map[string]string, len(values))
	for key, value := range values {
		lower[strings.ToLower(key)] = value
	}
	return func(key string) []string { return iam.Text(lower[key]) }
}
