package invalidation_test

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// serveSubscriber is a function that subscribes for the time of an invocation:
// a process with a role.
func serveSubscriber() {
	awslambda.Start(func(ctx context.Context) (string, error) {
		cfg, err := awsconfig.LoadDefaultConfig(ctx)
		if err != nil {
			return "", err
		}
		client := secrets.New(secretsmanager.NewFromConfig(cfg), func(o *secrets.Options) { o.Stage = "dev" })
		if _, err := client.Get(ctx, "db"); err != nil {
			return "", err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var value string
		client.OnChange("db", func(_, after *secrets.Secret) {
			if value = after.Reveal(); value == "last-value" {
				cancel()
			}
		})
		err = invalidation.Subscribe(ctx, cfg, bus1, client, func(o *invalidation.SubscribeOptions) { o.Heartbeat = 10 * time.Millisecond })
		return value, err
	})
}

// The policy in the documentation is enough, and no more than that.
func TestThePolicyInTheDocumentationFits(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/invalidation.md")
	if err != nil {
		t.Fatal(err)
	}
	policy := regexp.MustCompile("(?s)```json\n(.*?)```").FindSubmatch(doc)
	if policy == nil {
		t.Fatal("there is no policy in the documentation")
	}
	p := startPipeline(t, local.Options{TemplateFile: "template.yaml", Template: []byte(pipelineTemplate + `
  Subscriber:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: dev-subscriber
      CodeUri: subscriber
      Runtime: provided.al2023
      Handler: bootstrap
      Timeout: 60
      Policies:
        - Version: "2012-10-17"
          Statement: [{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: "*"}]
        - ` + oneLine(policy[1])), Command: func(string) ([]string, error) { return []string{os.Args[0]}, nil }})

	// One whose process is dead, so that it has something to remove.
	dead := "dev-rekey-process-aaaaa-dead"
	_, err = p.sqs.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &dead, Tags: map[string]string{"rekey:heartbeat": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.rules.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: &dead, EventBusName: new(bus1), EventPattern: new(`{"source":["rekey"]}`)}); err != nil {
		t.Fatal(err)
	}
	type result struct {
		out *lambda.InvokeOutput
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := lambda.NewFromConfig(p.cfg).Invoke(t.Context(), &lambda.InvokeInput{FunctionName: new("dev-subscriber")})
		done <- result{out, err}
	}()
	polltest.Until(t, "it has subscribed and removed what was dead", func() bool {
		queues, rules := p.left(t)
		return len(queues) == 1 && len(rules) == 1 && !slices.Contains(queues, dead) && !slices.Contains(rules, dead) && p.hasTarget(t, rules[0])
	})
	p.rotate(t, "second-value")
	polltest.Until(t, "it has done all that it may", func() bool { return len(p.notNeeded()) == 0 })
	p.rotate(t, "last-value")
	if r := <-done; r.err != nil || r.out.FunctionError != nil || string(r.out.Payload) != `"last-value"` {
		t.Errorf("the subscriber ended with %s, %v", r.out.Payload, r.err)
	}
	for _, refused := range p.Policies().Refused {
		t.Errorf("refused: %v", refused)
	}
	if queues, rules := p.left(t); len(queues) > 0 || len(rules) > 0 {
		t.Errorf("left behind: queues %v, rules %v", queues, rules)
	}
}

// notNeeded are the permissions of the subscriber that nothing has used yet.
func (p *pipeline) notNeeded() []string {
	var actions []string
	for _, s := range p.Policies().Statements {
		if s.Of == "Subscriber" {
			actions = append(actions, s.UnusedActions...)
		}
		if s.Of == "Subscriber" && s.Uses == 0 {
			actions = append(actions, s.Actions...)
		}
	}
	return actions
}

func (p *pipeline) hasTarget(t *testing.T, rule string) bool {
	t.Helper()
	out, err := p.rules.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: &rule, EventBusName: new(bus1)})
	return err == nil && len(out.Targets) == 1
}

// oneLine is JSON without line breaks, which is YAML too.
func oneLine(text []byte) string {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		panic(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
