package invalidation_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// endpointVariable makes the test binary a process that subscribes.
const endpointVariable = "REKEY_TEST_SUBSCRIBE_AT"

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(endpointVariable); endpoint != "" {
		if err := child(endpoint); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		serveSubscriber()
		return
	}
	os.Exit(m.Run())
}

// child subscribes until it is told to end, and prints its queues.
func child(endpoint string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg := config(endpoint)
	client := secrets.New(secretsmanager.NewFromConfig(cfg))
	return invalidation.Subscribe(ctx, cfg, bus1, client, quick, func(o *invalidation.SubscribeOptions) {
		o.Subscribed = func(queue string) { _, _ = fmt.Println(queue) }
	})
}

const bus1 = "dev-rekey"

// quick has the time between heartbeats no part in a test.
func quick(o *invalidation.SubscribeOptions) {
	o.Heartbeat = time.Hour
	o.Logger = slog.New(slog.DiscardHandler)
}

func config(endpoint string) aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "consumer", SecretAccessKey: "none"}, nil
		}),
	}
}

// A pipeline is the engine with a bus and a secret.
type pipeline struct {
	*local.Engine
	cfg   aws.Config
	sqs   *awssqs.Client
	rules *eventbridge.Client
}

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	return startPipeline(t, local.Options{TemplateFile: "template.yaml", Template: []byte(pipelineTemplate)})
}

const pipelineTemplate = `
Transform: AWS::Serverless-2016-10-31
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: dev-rekey}}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-db}}
`

func startPipeline(t *testing.T, opts local.Options) *pipeline {
	t.Helper()
	e, err := local.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	cfg := config(e.Endpoint())
	_, err = secretsmanager.NewFromConfig(cfg).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: new("dev-db"), SecretString: new("first-value")})
	if err != nil {
		t.Fatal(err)
	}
	return &pipeline{Engine: e, cfg: cfg, sqs: awssqs.NewFromConfig(cfg), rules: eventbridge.NewFromConfig(cfg)}
}

// startAWS is AWS for the examples, with a secret.
func startAWS(ctx context.Context) (*local.Engine, aws.Config) {
	e, err := local.Start(ctx, local.Options{TemplateFile: "template.yaml", Template: []byte(pipelineTemplate)})
	if err != nil {
		panic(err)
	}
	cfg := config(e.Endpoint())
	_, err = secretsmanager.NewFromConfig(cfg).PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new("dev-db"), SecretString: new("first-value")})
	if err != nil {
		panic(err)
	}
	return e, cfg
}

// rotateAndTell gives the secret another value and publishes that it did.
func rotateAndTell(ctx context.Context, value string, api *secretsmanager.Client, rules *eventbridge.Client) {
	out, err := api.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: new("dev-db"), SecretString: &value})
	if err != nil {
		panic(err)
	}
	err = invalidation.NewPublisher(rules, bus1).Publish(ctx, invalidation.DetailTypeRotated,
		invalidation.Rotated{SecretARN: *out.ARN, Name: *out.Name, VersionID: *out.VersionId, Reason: "rotated"})
	if err != nil {
		panic(err)
	}
}

// rotate gives the secret another value and publishes that it did.
func (p *pipeline) rotate(t *testing.T, value string) {
	t.Helper()
	rotateAndTell(t.Context(), value, secretsmanager.NewFromConfig(p.cfg), p.rules)
}

// left are the names of the queues and of the rules that are there.
func (p *pipeline) left(t *testing.T) (queues, rules []string) {
	t.Helper()
	listed, err := p.sqs.ListQueues(t.Context(), &awssqs.ListQueuesInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range listed.QueueUrls {
		queues = append(queues, name(url))
	}
	ruled, err := p.rules.ListRules(t.Context(), &eventbridge.ListRulesInput{EventBusName: new(bus1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range ruled.Rules {
		rules = append(rules, *rule.Name)
	}
	return queues, rules
}

func name(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// subscribe subscribes in this process, and returns when it has. What it
// returns ends the subscription.
func (p *pipeline) subscribe(t *testing.T, client *secrets.Client, optFns ...func(*invalidation.SubscribeOptions)) (queues <-chan string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	subscribed, done := make(chan string, 8), make(chan error, 1)
	optFns = append([]func(*invalidation.SubscribeOptions){quick, func(o *invalidation.SubscribeOptions) {
		o.Subscribed = func(url string) { subscribed <- url }
	}}, optFns...)
	go func() { done <- invalidation.Subscribe(ctx, p.cfg, bus1, client, optFns...) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Subscribe: %v", err)
		}
	})
	t.Cleanup(stop)
	return subscribed, stop
}

// A process is a child that subscribes.
type process struct {
	*exec.Cmd
	queues chan string
}

func (p *pipeline) start(t *testing.T) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), endpointVariable+"="+p.Endpoint())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &process{Cmd: cmd, queues: make(chan string, 8)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.queues <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return c
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	client := secrets.New(secretsmanager.NewFromConfig(p.cfg), func(o *secrets.Options) { o.Stage = "dev" })
	if got := read(t, client); got != "first-value" {
		t.Fatalf("the first value is %s", got)
	}
	changed := make(chan string, 1)
	client.OnChange("db", func(_, after *secrets.Secret) { changed <- after.Reveal() })
	queues, stop := p.subscribe(t, client)
	url := <-queues
	tags, err := p.sqs.ListQueueTags(t.Context(), &awssqs.ListQueueTagsInput{QueueUrl: &url})
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(tags.Tags)); !slices.Equal(got, []string{"rekey:created-at", "rekey:heartbeat", "rekey:host", "rekey:owner", "rekey:pid"}) {
		t.Errorf("the queue has the tags %v", got)
	}
	p.rotate(t, "second-value")
	if got := <-changed; got != "second-value" {
		t.Errorf("after the event reads give %s", got)
	}
	stop()
	if queues, rules := p.left(t); len(queues) > 0 || len(rules) > 0 {
		t.Errorf("left behind: queues %v, rules %v", queues, rules)
	}
}

func TestWhatKilledProcessesLeaveIsRemoved(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	var orphans []string
	for range 3 {
		c := p.start(t)
		orphans = append(orphans, name(<-c.queues))
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait()
	}
	alive := p.start(t)
	orphans = append(orphans, name(<-alive.queues)) // by the clock below it is dead too
	rule := "dev-rekey-process-" + strings.Split(orphans[0], "-")[3] + "-without"
	if _, err := p.rules.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: &rule, EventBusName: new(bus1), EventPattern: new(`{"source":["rekey"]}`)}); err != nil {
		t.Fatal(err)
	}
	foreign := "dev-rekey-process-of-someone"
	if _, err := p.sqs.CreateQueue(t.Context(), &awssqs.CreateQueueInput{QueueName: &foreign}); err != nil {
		t.Fatal(err)
	}
	p.rotate(t, "a-value-that-no-queue-has")
	p.noneHasTheValue(t, orphans, "a-value-that-no-queue-has")

	// In time nobody touches them.
	client := secrets.New(secretsmanager.NewFromConfig(p.cfg))
	_, stop := p.subscribe(t, client)
	stop()
	if queues, rules := p.left(t); len(queues) != 5 || len(rules) != 5 {
		t.Fatalf("before they are dead there are left: queues %v, rules %v", queues, rules)
	}
	// Hours later two processes clear up at once, while a third does not run.
	if err := alive.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	later := invalidation.At(func() time.Time { return time.Now().Add(4 * time.Hour) })
	one, stopOne := p.subscribe(t, client, later)
	two, stopTwo := p.subscribe(t, client, later)
	own := []string{name(<-one), name(<-two)}
	polltest.Until(t, "the queue of the stopped process is gone", func() bool {
		queues, _ := p.left(t)
		return !slices.Contains(queues, orphans[3])
	})
	if err := alive.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	again := name(<-alive.queues) // it noticed that its queue is gone
	want := append(slices.Clone(own), again)
	slices.Sort(want)
	polltest.Until(t, "the orphans are gone", func() bool {
		queues, rules := p.left(t)
		queues = slices.DeleteFunc(queues, func(n string) bool { return n == foreign })
		slices.Sort(queues)
		slices.Sort(rules)
		return cmp.Equal(queues, want) && cmp.Equal(rules, want)
	})
	stopOne()
	stopTwo()
	if err := alive.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := alive.Wait(); err != nil {
		t.Errorf("the process ended with %v", err)
	}
	if queues, rules := p.left(t); !cmp.Equal(queues, []string{foreign}) || len(rules) > 0 {
		t.Errorf("left at last: queues %v, rules %v", queues, rules)
	}
}

// noneHasTheValue reads what is in queues, and how many of them have news.
func (p *pipeline) noneHasTheValue(t *testing.T, queues []string, value string) {
	t.Helper()
	for _, name := range queues[:3] { // of those that are dead, whose messages nobody takes
		url, err := p.sqs.GetQueueUrl(t.Context(), &awssqs.GetQueueUrlInput{QueueName: &name})
		if err != nil {
			t.Fatal(err)
		}
		out, err := p.sqs.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: url.QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 20})
		if err != nil || len(out.Messages) == 0 {
			t.Errorf("queue %s has no news: %v", name, err)
			continue
		}
		for _, m := range out.Messages {
			if strings.Contains(*m.Body, value) || !strings.Contains(*m.Body, "versionId") {
				t.Errorf("queue %s has %s", name, *m.Body)
			}
		}
	}
}

// refusing is SQS that makes no queues for a while.
type refusing struct {
	*awssqs.Client
	mu      sync.Mutex
	refuses int
}

func (r *refusing) CreateQueue(ctx context.Context, in *awssqs.CreateQueueInput, opts ...func(*awssqs.Options)) (*awssqs.CreateQueueOutput, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuses > 0 {
		r.refuses--
		return nil, errors.New("no route")
	}
	return r.Client.CreateQueue(ctx, in, opts...)
}

func TestASubscriptionThatCannotBeMadeIsTriedAgain(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	client := secrets.New(secretsmanager.NewFromConfig(p.cfg))
	queues, stop := p.subscribe(t, client, func(o *invalidation.SubscribeOptions) { o.Queues = &refusing{Client: p.sqs, refuses: 1} })
	<-queues
	if queues, rules := p.left(t); len(queues) != 1 || len(rules) != 1 { // the rule of the first try is gone
		t.Errorf("there are queues %v, rules %v", queues, rules)
	}
	stop()
	err := invalidation.Subscribe(t.Context(), p.cfg, bus1, client, func(o *invalidation.SubscribeOptions) { o.Prefix = strings.Repeat("p", 41) })
	if err == nil || !strings.Contains(err.Error(), "more than 40 characters") {
		t.Errorf("a prefix that is too long: %v", err)
	}
}

// A queue that is gone is noticed at once, whoever removed it.
func TestASubscriptionWhoseQueueIsGoneIsMadeAnew(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	client := secrets.New(secretsmanager.NewFromConfig(p.cfg), func(o *secrets.Options) { o.Stage = "dev" })
	read(t, client)
	changed := make(chan string, 1)
	client.OnChange("db", func(_, after *secrets.Secret) { changed <- after.Reveal() })
	queues, _ := p.subscribe(t, client)
	first := <-queues
	if _, err := p.sqs.DeleteQueue(t.Context(), &awssqs.DeleteQueueInput{QueueUrl: &first}); err != nil {
		t.Fatal(err)
	}
	if second := <-queues; second == first {
		t.Errorf("subscribed to %s again", first)
	}
	p.rotate(t, "second-value")
	if got := <-changed; got != "second-value" {
		t.Errorf("after the event reads give %s", got)
	}
	_, err := p.sqs.ListQueueTags(t.Context(), &awssqs.ListQueueTagsInput{QueueUrl: &first})
	if _, gone := errors.AsType[*sqstypes.QueueDoesNotExist](err); !gone {
		t.Errorf("the first queue: %v", err)
	}
}
