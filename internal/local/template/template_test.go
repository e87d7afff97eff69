package template_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/local/template"
)

const sample = `
Parameters:
  Stage: {Type: String, Default: dev, AllowedPattern: "[a-z]+"}
  Size: {Type: Number, Default: 7}
  Subnets: {Type: CommaDelimitedList, Default: "a, b"}
Mappings:
  Sizes: {dev: {Timeout: 5}, prod: {Timeout: 50}}
Conditions:
  IsProd: !Equals [!Ref Stage, prod]
  Small: !And [!Not [Condition: IsProd], !Or [!Equals [1, 2], !Equals [!Ref Size, "7"]]]
Globals:
  Function:
    Timeout: 3
    Environment: {Variables: {STAGE: !Ref Stage, BOTH: global}}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    DependsOn: Late
    Properties:
      Name: !Sub "${Stage}-fn-${Queue.QueueName}-${!literal}"
      Timeout: !FindInMap [Sizes, !Ref Stage, Timeout]
      Memory: !Ref Size
      Subnets: !Ref Subnets
      First: !Select [0, !Split ["/", "x/y"]]
      Joined: !Join ["+", [!Ref AWS::Region, !GetAtt Queue.Arn]]
      Gone: !If [IsProd, here, !Ref AWS::NoValue]
      Environment: {Variables: {BOTH: own, SMALL: !If [Small, "yes", "no"]}}
      Local: {"Fn::Sub": ["${A}-${Stage}", {A: !Ref Queue}]}
  Queue:
    Type: AWS::SQS::Queue
  ProdOnly:
    Type: AWS::SQS::Queue
    Condition: IsProd
  Late:
    Type: AWS::SNS::Topic
Outputs:
  Url: {Value: !Ref Queue}
`

type functionProperties struct {
	Name        string   `yaml:"Name"`
	First       string   `yaml:"First"`
	Joined      string   `yaml:"Joined"`
	Gone        string   `yaml:"Gone"`
	Local       string   `yaml:"Local"`
	Timeout     int      `yaml:"Timeout"`
	Memory      int      `yaml:"Memory"`
	Subnets     []string `yaml:"Subnets"`
	Environment struct {
		Variables map[string]string `yaml:"Variables"`
	} `yaml:"Environment"`
}

func TestPlanEvaluatesTheTemplate(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse("t.yaml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := tmpl.Plan(template.Inputs{Region: "us-east-1", Account: "1"})
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range plan.Resources() {
		order = append(order, r.ID)
	}
	if diff := cmp.Diff([]string{"Queue", "Late", "Fn"}, order); diff != "" {
		t.Errorf("order of the resources (-want +got):\n%s", diff)
	}
	plan.Set("Queue", "http://q", map[string]string{"Arn": "arn:q", "QueueName": "q"})
	var got functionProperties
	if err := plan.Properties("Fn", &got); err != nil {
		t.Fatal(err)
	}
	want := functionProperties{
		Name: "dev-fn-q-${literal}", First: "x", Joined: "us-east-1+arn:q", Local: "http://q-dev",
		Timeout: 5, Memory: 7, Subnets: []string{"a", "b"},
	}
	want.Environment.Variables = map[string]string{"STAGE": "dev", "BOTH": "own", "SMALL": "yes"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	outputs, err := plan.Outputs()
	if err != nil || outputs["Url"] != "http://q" {
		t.Errorf("outputs = %v, %v; want Url http://q", outputs, err)
	}
}

func TestConditionsFollowTheParameters(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse("t.yaml", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := tmpl.Plan(template.Inputs{Parameters: map[string]string{"Stage": "prod"}})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range plan.Resources() {
		found = found || r.ID == "ProdOnly"
	}
	if !found {
		t.Error("the resource of the condition IsProd is missing in stage prod")
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	const head = "Resources:\n  S:\n    Type: AWS::SecretsManager::Secret\n    Properties:\n      Name: x\n"
	tests := map[string]struct {
		text, parameter string
		want, hint      string
	}{
		"a secret with its value in the file": {
			text: head + "      SecretString: hunter2\n",
			want: `t.yaml:6:21: secret "S" has its value in the template`, hint: "rekey put",
		},
		"a reference to nothing": {
			text: head + "      Description: !Ref Stag\nParameters:\n  Stage: {Type: String, Default: d}\n",
			want: `t.yaml:6:20: there is no resource or parameter "Stag"`, hint: `did you mean "Stage"?`,
		},
		"a reference inside a text": {
			text: head + "      Description: !Sub \"${Nope}\"\n",
			want: `t.yaml:6:20: there is no resource or parameter "Nope"`,
		},
		"an unknown function": {
			text: head + "      Description: !Frobnicate x\n",
			want: "t.yaml:6:20: unknown or unsupported function Fn::Frobnicate",
		},
		"a resource without a type": {
			text: "Resources:\n  S:\n    Properties: {}\n",
			want: `t.yaml:2:3: resource "S" has no Type`,
		},
		"a circle": {
			text: "Resources:\n  A: {Type: X, Properties: {P: !Ref B}}\n  B: {Type: X, Properties: {P: !Ref A}}\n",
			want: `t.yaml:2:3: resource "A" refers to itself through others`,
		},
		"an unknown parameter": {
			text: head, parameter: "Nope", want: `t.yaml:1:1: the template has no parameter "Nope"`,
		},
		"a parameter without a value": {
			text: head + "Parameters:\n  P: {Type: String}\n", want: `t.yaml:7:3: parameter "P" has no default and no value`,
		},
		"a rule with a function of conditions": {
			text: head + "Rules:\n  R:\n    Assertions:\n      - Assert: !Equals [!Join [\"\", [a]], a]\n",
			want: "t.yaml:9:26: a rule cannot use Fn::Join", hint: "Fn::EachMemberEquals",
		},
		"a rule about what is no parameter": {
			text: head + "Rules:\n  R:\n    Assertions: [{Assert: !Equals [!Ref S, a]}]\n",
			want: `t.yaml:8:36: there is no parameter "S"`,
		},
		"a rule that asserts nothing": {
			text: head + "Rules:\n  R: {RuleCondition: !Equals [a, b]}\n", want: `t.yaml:7:3: rule "R" asserts nothing`,
		},
		"no YAML":     {text: "Resources: [", want: "t.yaml:1:1: did not find expected node content"},
		"no mapping":  {text: "- a\n", want: "t.yaml:1:1: not a template: the file is no YAML mapping"},
		"no resource": {text: "Parameters: {}\n", want: "t.yaml:1:1: the template has no resources"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tmpl, err := template.Parse("t.yaml", []byte(tt.text))
			if err == nil {
				in := template.Inputs{Parameters: map[string]string{}}
				if tt.parameter != "" {
					in.Parameters[tt.parameter] = "x"
				}
				_, err = tmpl.Plan(in)
			}
			fault, ok := errors.AsType[*template.Error](err)
			if !ok {
				t.Fatalf("got error %v, want a *template.Error", err)
			}
			if fault.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", fault, tt.want)
			}
			if fault.Hint == "" || !strings.Contains(fault.Hint, tt.hint) {
				t.Errorf("hint %q does not hold %q", fault.Hint, tt.hint)
			}
		})
	}
}

// TestRulesHoldTheParameters has rules as CloudFormation takes them.
func TestRulesHoldTheParameters(t *testing.T) {
	t.Parallel()
	const text = `
Parameters:
  Vpc: {Type: String, Default: ""}
  Subnets: {Type: CommaDelimitedList, Default: ""}
  Size: {Type: String, Default: small}
Rules:
  VpcHasSubnets:
    RuleCondition: !Not [!Equals [!Ref Vpc, ""]]
    Assertions:
      - Assert: !Not [{"Fn::EachMemberEquals": [!Ref Subnets, ""]}]
        AssertDescription: Vpc needs Subnets
  Sizes:
    Assertions:
      - Assert: {"Fn::Contains": [[small, large], !Ref Size]}
      - Assert: !Or [!Equals [!Ref Size, small], {"Fn::EachMemberIn": [!Ref Subnets, [s-1, s-2]]}]
        AssertDescription: these subnets are too small
  AsksTheAccount:
    Assertions:
      - Assert: {"Fn::EachMemberIn": [{"Fn::ValueOfAll": ["AWS::EC2::Subnet::Id", VpcId]}, {"Fn::RefAll": "AWS::EC2::VPC::Id"}]}
Resources:
  Queue: {Type: AWS::SQS::Queue}
`
	tests := map[string]struct {
		parameters map[string]string
		want       string // empty if they go together
	}{
		"nothing is given":                {},
		"what belongs together is":        {parameters: map[string]string{"Vpc": "v", "Subnets": "s-9"}},
		"one is missing":                  {map[string]string{"Vpc": "v"}, "t.yaml:10:9: the parameters break the rule VpcHasSubnets: Vpc needs Subnets"},
		"a text that is not in a list":    {map[string]string{"Size": "huge"}, "t.yaml:14:9: the parameters break the rule Sizes: an assertion does not hold"},
		"a member that is not in a list":  {map[string]string{"Size": "large", "Subnets": "s-1,s-9"}, "t.yaml:15:9: the parameters break the rule Sizes: these subnets are too small"},
		"all members that are in a list":  {parameters: map[string]string{"Size": "large", "Subnets": "s-2,s-1"}},
		"a list without members is in it": {parameters: map[string]string{"Size": "large"}},
	}
	tmpl, err := template.Parse("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if _, err := tmpl.Plan(template.Inputs{Parameters: tt.parameters}); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestTheSystemsOwnTemplateIsRead(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse("template.yaml", rekey.Template)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := tmpl.Plan(template.Inputs{Region: "us-east-1", Account: "123456789012", StackName: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Resources()) < 20 {
		t.Errorf("only %d resources in the plan", len(plan.Resources()))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add(rekey.Template)
	f.Fuzz(func(t *testing.T, data []byte) {
		tmpl, err := template.Parse("t.yaml", data)
		if err != nil {
			return
		}
		plan, err := tmpl.Plan(template.Inputs{})
		if err != nil {
			return
		}
		for _, r := range plan.Resources() {
			plan.Set(r.ID, r.ID, map[string]string{"Arn": r.ID})
			var into map[string]any
			_ = plan.Properties(r.ID, &into) // an error is fine, a panic is not
		}
	})
}
