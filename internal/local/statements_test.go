package local

import (
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A call is what one of the template's statements is asked about.
type call struct {
	// who is the logical id of a role, a service, or else the ARN of a role
	// that may do everything as far as its own policies go.
	who, action, resource string
	keys                  keys
	// policy is that of a resource of the template which the engine only
	// accepts, by its logical id.
	policy string
}

// keys are condition keys, beside those that every call has.
type keys map[string]string

// A row is a call that is allowed, and changes of it of which none is.
type row struct {
	call
	near map[string]change
}

type change func(*call)

func on(resource string) change     { return func(c *call) { c.resource = resource } }
func by(who string) change          { return func(c *call) { c.who = who } }
func doing(action string) change    { return func(c *call) { c.action = action } }
func with(key, value string) change { return func(c *call) { c.keys[key] = value } }

func without(key string) change { return func(c *call) { delete(c.keys, key) } }

// whole is the system's template with a network, on the engine.
func whole(t *testing.T) *Engine {
	t.Helper()
	return wholeWith(t, nil)
}

// wholeWith is whole with more parameters.
func wholeWith(t *testing.T, more map[string]string) *Engine {
	t.Helper()
	parameters := map[string]string{"SubnetIds": "subnet-1,subnet-2", "VpcId": "vpc-1", "VpcEndpoints": "true", "RouteTableIds": "rtb-1", "AlertEmail": "a@example.com"}
	maps.Copy(parameters, more)
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	e, err := Start(t.Context(), Options{
		Template: text, TemplateFile: "template.yaml",
		Parameters: parameters,
		Command:    func(string) ([]string, error) { return []string{"/bin/true"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

// A judge asks the policies of the template, and remembers which statement had
// a say.
type judge struct {
	*Engine
	said map[*iam.Statement]bool
}

// allows reports what all policies together say of a call.
func (j *judge) allows(t *testing.T, c call) bool {
	t.Helper()
	held := keys{"aws:SecureTransport": "true", "aws:PrincipalIsAWSService": "false"}
	r := &iam.Request{Action: c.action, Resource: c.resource, Context: func(key string) []string { return iam.Member(held, key) }}
	service := strings.HasSuffix(c.who, ".amazonaws.com")
	caller := wire.Principal{ARN: "arn:aws:sts::" + Account + ":assumed-role/x/y", RoleARN: c.who, AccountID: Account}
	if _, attributes, ok := j.main.plan.Made(c.who); ok {
		caller.RoleARN = attributes["Arn"]
	}
	held["aws:PrincipalArn"], held["aws:PrincipalAccount"] = caller.RoleARN, Account
	if service {
		r.Party.Service = c.who
		held["aws:PrincipalIsAWSService"] = "true"
	} else {
		r.Party = partyOf(caller)
	}
	maps.Copy(held, c.keys)
	d := j.judged(t, caller, c, r)
	for _, used := range d.Used {
		j.said[used.Statement] = true
	}
	if d.By != nil {
		j.said[d.By] = true
	}
	return d.Verdict == iam.Allow
}

func (j *judge) judged(t *testing.T, caller wire.Principal, c call, r *iam.Request) iam.Decision {
	t.Helper()
	switch {
	case c.policy != "":
		return iam.Policies{Resource: j.document(t, c.policy)}.Evaluate(r)
	case r.Party.Service == "":
		return j.decide(caller, r)
	case strings.HasPrefix(c.action, "kms:"):
		return iam.Policies{Resource: j.keyPolicy(c.resource), KeyPolicy: true}.Evaluate(r)
	default:
		return iam.Policies{Resource: j.resourcePolicy(c.resource)}.Evaluate(r)
	}
}

// document is the policy of a resource that the engine only accepts.
func (j *judge) document(t *testing.T, id string) *iam.Policy {
	t.Helper()
	var p struct {
		PolicyDocument yaml.Node `yaml:"PolicyDocument"`
	}
	if err := j.main.plan.Properties(id, &p); err != nil {
		t.Fatal(err)
	}
	policy, err := iam.ParseResource(&p.PolicyDocument)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// statements are all that the engine enforces, by who has them.
func (j *judge) statements() map[*iam.Statement]string {
	all := map[*iam.Statement]string{}
	for _, own := range j.access.roles.each {
		for _, policy := range own.policies {
			for _, s := range policy.Statements {
				all[s] = own.resource.ID
			}
		}
	}
	for text, policy := range j.access.parsed.byText {
		for _, s := range policy.Statements {
			all[s] = text
		}
	}
	for arn, policy := range j.access.buses.each {
		for _, s := range policy.Statements {
			all[s] = arn
		}
	}
	return all
}

// TestEachStatementAllowsWhatItIsForAndNoMore asks each statement of the
// template's policies for something that it is for, and for what is next to it.
func TestEachStatementAllowsWhatItIsForAndNoMore(t *testing.T) {
	t.Parallel()
	j := &judge{whole(t), map[*iam.Statement]bool{}}
	for name, tt := range j.rows() {
		if !j.allows(t, tt.call) {
			t.Errorf("%s: %s of %s on %s with %v is refused", name, tt.action, tt.who, tt.resource, tt.keys)
		}
		if len(tt.near) == 0 {
			t.Errorf("%s: nothing is near it", name)
		}
		for near, change := range tt.near {
			c := tt.call
			c.keys = maps.Clone(tt.keys)
			if c.keys == nil {
				c.keys = keys{}
			}
			change(&c)
			if j.allows(t, c) {
				t.Errorf("%s, but %s: %s of %s on %s with %v is allowed", name, near, c.action, c.who, c.resource, c.keys)
			}
		}
	}
	for s, of := range j.statements() {
		if !j.said[s] {
			t.Errorf("template.yaml:%d: no row asks for the statement %s of %s on %v", s.Line, s.Sid, strings.Join(s.Actions, ", "), of)
		}
	}
}

// TestTheSampleApplicationCanBeLeftOut asks for what of it is anywhere: routes,
// rules, roles, and mentions in the policies of others.
func TestTheSampleApplicationCanBeLeftOut(t *testing.T) {
	t.Parallel()
	const sample = `(?i)\b(protected|login|charge)`
	for value, want := range map[string]bool{"true": true, "false": false} {
		j := &judge{wholeWith(t, map[string]string{"SampleApplication": value}), nil}
		found := map[string]bool{}
		for _, r := range j.main.plan.Resources() {
			if regexp.MustCompile(sample).MatchString(r.ID) {
				found["a resource"] = true
			}
			for property, text := range j.main.plan.Values(r.ID).Texts() {
				if regexp.MustCompile(`dev-(protected|login|charge)\b`).MatchString(text) && property != "FunctionName" {
					found["a mention"] = true
				}
			}
		}
		for _, r := range j.main.routes {
			if regexp.MustCompile(sample).MatchString(r.owner) {
				found["a route"] = true
			}
		}
		for _, what := range []string{"a resource", "a mention", "a route"} {
			if found[what] != want {
				t.Errorf("SampleApplication=%s: there is %s of the sample: %v", value, what, found[what])
			}
		}
		if !strings.HasPrefix(j.Function("Admin"), "arn:") || (j.Function("Login") != "") != want {
			t.Errorf("SampleApplication=%s: the function Login is %q", value, j.Function("Login"))
		}
	}
}

// TestFunctionsAreInvokedForWhatTheyAreFor holds the functions' own policies to
// whom they let in, and for what.
func TestFunctionsAreInvokedForWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	j := judge{Engine: whole(t)}
	rule := func(name string) string { return arnOf("events", "rule/"+name) }
	tests := map[string]struct{ service, source string }{
		"DbRotator":     {secretsService, j.secret("DatabaseCredentials")},
		"ApiKeyRotator": {secretsService, j.secret("ExternalApiKeys")},
		"KeyRotator":    {secretsService, j.secret("AdminToken")},
		"Invalidate":    {eventsService, rule("dev-rekey/dev-invalidate-rotated")},
		"Audit":         {eventsService, rule("dev-audit-daily")},
		"Login":         {eventsService, rule("dev-rekey/dev-login-rotated")},
	}
	for id, tt := range tests {
		arn := j.Function(id)
		if !j.Lambda.Allows(arn, tt.service, tt.source) {
			t.Errorf("%s is not to be invoked by %s for %s", id, tt.service, tt.source)
		}
		for _, source := range []string{prod(j.secret("DatabaseSuperuser")), rule("other"), strings.Replace(tt.source, Account, "111111111111", 1)} {
			if j.Lambda.Allows(arn, tt.service, source) {
				t.Errorf("%s may be invoked by %s for %s", id, tt.service, source)
			}
		}
		for _, service := range []string{"s3.amazonaws.com", secretsService, eventsService} {
			if service != tt.service && j.Lambda.Allows(arn, service, tt.source) {
				t.Errorf("%s may be invoked by %s", id, service)
			}
		}
	}
	if !j.Lambda.Allows(j.Function("Audit"), eventsService, rule("dev-audit-deployed")) {
		t.Error("Audit is not to be invoked when a deployment has ended")
	}
}

func (j *judge) secret(id string) string { ref, _, _ := j.main.plan.Made(id); return ref }

func (j *judge) arn(id string) string {
	_, attributes, _ := j.main.plan.Made(id)
	return attributes["Arn"]
}

// roles are those of the functions.
func (j *judge) roles() []string {
	var all []string
	for _, r := range j.main.plan.Resources() {
		if r.Type == "AWS::IAM::Role" {
			all = append(all, r.ID)
		}
	}
	slices.Sort(all)
	return all
}
