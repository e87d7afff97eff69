package local_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	smithymiddleware "github.com/aws/smithy-go/middleware"

	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/internal/polltest"
)

const durable = `
Resources:
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: rotated}}
  Schedule:
    Type: AWS::SecretsManager::RotationSchedule
    DependsOn: Permission
    Properties: {SecretId: !Ref Secret, RotationLambdaARN: !GetAtt Rotator.Arn, RotationRules: {AutomaticallyAfterDays: 30}}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {Action: lambda:InvokeFunction, FunctionName: !Ref Rotator, Principal: secretsmanager.amazonaws.com}
  Rotator:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: rotator
      Timeout: 60
      Policies: [{Statement: [{Effect: Allow, Action: "secretsmanager:*", Resource: !Ref Secret}]}]
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: items
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
`

// stateVariable has the state folder of the engine that the test binary is.
const stateVariable = "REKEY_TEST_STATE"

func durableOptions(dir string) local.Options {
	return local.Options{
		Template: []byte(durable), TemplateFile: "durable.yaml", StateDir: dir, RotationBackoff: []time.Duration{time.Millisecond},
		Command: func(codeURI string) ([]string, error) { return []string{os.Args[0], functionVariable, codeURI}, nil },
	}
}

// runEngine is what happens in a process that is killed: an engine, which says
// on its output where it is, until its input ends.
func runEngine() {
	e, err := local.Start(context.Background(), durableOptions(os.Getenv(stateVariable)))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(e.Endpoint())
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = e.Close(context.Background())
}

// A life is an engine's process from its start to its end.
type life struct {
	t   *testing.T
	cmd *exec.Cmd
	cfg aws.Config
}

// begin starts an engine on a state folder.
func begin(t *testing.T, dir string) *life {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], functionVariable, "engine")
	cmd.Env, cmd.Stderr = append(os.Environ(), stateVariable+"="+dir), os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	endpoint, err := bufio.NewReader(out).ReadString('\n')
	endpoint = strings.TrimSpace(endpoint)
	if err != nil || !strings.HasPrefix(endpoint, "http") {
		_ = cmd.Process.Kill()
		t.Fatalf("the engine did not start: %q, %v", endpoint, err)
	}
	return &life{t: t, cmd: cmd, cfg: configOf(endpoint)}
}

func configOf(endpoint string) aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: &endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("operator", "operator", ""),
	}
}

func (l *life) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

// A notebook says what was acknowledged, and what may or may not have been.
type notebook struct {
	mu       sync.Mutex
	n        int
	value    map[string]string // :: secret -> its current value
	maybe    map[string]string // :: secret -> a value that was not acknowledged
	sent     map[string]bool   // :: messages
	gone     map[string]bool   // :: messages that were deleted
	perhaps  map[string]bool   // :: messages whose delete was not acknowledged
	items    map[string]bool
	rules    map[string]bool
	requests map[string]string // :: request ids of recorded calls -> operation
}

func newNotebook() *notebook {
	return &notebook{
		value: map[string]string{}, maybe: map[string]string{}, sent: map[string]bool{}, gone: map[string]bool{},
		perhaps: map[string]bool{}, items: map[string]bool{}, rules: map[string]bool{}, requests: map[string]string{},
	}
}

// next is a text that was not used yet, with the canary in it.
func (b *notebook) next(kind string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.n++
	return fmt.Sprintf("%s-%d-%s", kind, b.n, canary)
}

const canary = "canary-77b1"

func (b *notebook) note(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn()
}

// answered notes the request id of a call that was acknowledged.
func (b *notebook) answered(operation string, metadata smithymiddleware.Metadata) {
	if id, ok := middleware.GetRequestIDMetadata(metadata); ok {
		b.note(func() { b.requests[id] = operation })
	}
}

// work has several clients write until the engine is killed.
func (b *notebook) work(ctx context.Context, l *life) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, one := range []func(context.Context, aws.Config) error{
		b.put("one"), b.put("two"), b.put("three"), b.send, b.send, b.receive, b.item, b.rule, b.rotate,
	} {
		all.Go(func() {
			for ctx.Err() == nil && one(ctx, l.cfg) == nil {
			}
		})
	}
	return &all
}

// put writes one secret, which has this client alone.
func (b *notebook) put(name string) func(context.Context, aws.Config) error {
	return func(ctx context.Context, cfg aws.Config) error {
		client, value := secretsmanager.NewFromConfig(cfg), b.next(name)
		b.note(func() { b.maybe[name] = value })
		out, err := client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value})
		if err != nil {
			if _, made := b.current(name); !made {
				_, err = client.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
			}
			if err != nil {
				return err
			}
		} else {
			b.answered("PutSecretValue", out.ResultMetadata)
		}
		b.note(func() { b.value[name] = value; delete(b.maybe, name) })
		return nil
	}
}

func (b *notebook) current(name string) (value string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	value, ok = b.value[name]
	return value, ok
}

func queueURL(cfg aws.Config) *string {
	return aws.String(*cfg.BaseEndpoint + "/" + local.Account + "/jobs")
}

func (b *notebook) send(ctx context.Context, cfg aws.Config) error {
	body := b.next("message")
	_, err := sqs.NewFromConfig(cfg).SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queueURL(cfg), MessageBody: &body, DelaySeconds: rand.Int32N(2)})
	if err == nil {
		b.note(func() { b.sent[body] = true })
	}
	return err
}

// receive deletes what it receives, but for one message in three.
func (b *notebook) receive(ctx context.Context, cfg aws.Config) error {
	client := sqs.NewFromConfig(cfg)
	out, err := client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: queueURL(cfg), MaxNumberOfMessages: 3})
	if err != nil {
		return err
	}
	for i, m := range out.Messages {
		if i == 2 {
			continue
		}
		b.note(func() { b.perhaps[*m.Body] = true })
		if _, err := client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: queueURL(cfg), ReceiptHandle: m.ReceiptHandle}); err != nil {
			return err
		}
		b.note(func() { b.gone[*m.Body] = true })
	}
	return nil
}

func (b *notebook) item(ctx context.Context, cfg aws.Config) error {
	id := strings.TrimSuffix(b.next("item"), "-"+canary) // a key is no value
	_, err := dynamodb.NewFromConfig(cfg).PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("items"), Item: map[string]dbtypes.AttributeValue{
		"id": &dbtypes.AttributeValueMemberS{Value: id}, "twice": &dbtypes.AttributeValueMemberS{Value: id + canary + id},
	}})
	if err == nil {
		b.note(func() { b.items[id] = true })
	}
	return err
}

func (b *notebook) rule(ctx context.Context, cfg aws.Config) error {
	name := strings.TrimSuffix(b.next("rule"), "-"+canary)
	out, err := eventbridge.NewFromConfig(cfg).PutRule(ctx, &eventbridge.PutRuleInput{Name: &name, EventPattern: aws.String(`{"source":["` + name + `"]}`)})
	if err == nil {
		b.note(func() { b.rules[name] = true })
		b.answered("PutRule", out.ResultMetadata)
	}
	return err
}

// rotate starts rotations; that one runs already is no failure.
func (b *notebook) rotate(ctx context.Context, cfg aws.Config) error {
	out, err := secretsmanager.NewFromConfig(cfg).RotateSecret(ctx, &secretsmanager.RotateSecretInput{SecretId: aws.String("rotated")})
	if _, refused := errors.AsType[smithy.APIError](err); err != nil && !refused {
		return err
	}
	if err == nil {
		b.answered("RotateSecret", out.ResultMetadata)
	}
	select { // a rotation takes its time, and is not to take all of the engine's
	case <-time.After(30 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil
}

// checkSecrets finds out that each secret has the value that was acknowledged
// last, or the one after it.
func (b *notebook) checkSecrets(t *testing.T, cfg aws.Config) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, want := range b.value {
		out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
		switch {
		case err != nil:
			t.Errorf("secret %s: %v", name, err)
		case *out.SecretString == b.maybe[name]:
			b.value[name] = b.maybe[name]
		case *out.SecretString != want:
			t.Errorf("secret %s has %s, want %s or %s", name, *out.SecretString, want, b.maybe[name])
		}
	}
}

func TestAKillLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	const kills = 20
	dir, book := t.TempDir(), newNotebook()
	for range kills {
		l := begin(t, dir)
		book.checkSecrets(t, l.cfg)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond+rand.N(120*time.Millisecond))
		workers := book.work(context.WithoutCancel(ctx), l)
		<-ctx.Done()
		cancel()
		l.kill()
		workers.Wait()
	}
	e, err := local.Start(t.Context(), durableOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf(e.Endpoint())
	book.checkSecrets(t, cfg)
	book.checkQueue(t, cfg)
	book.checkItems(t, cfg)
	book.checkRules(t, cfg)
	checkRotation(t, cfg)
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	book.checkTrail(t, filepath.Join(dir, "trail"))
	checkNoCanary(t, dir)
	t.Logf("%d kills: %d messages, %d deleted, %d items, %d rules, %d recorded calls", kills, len(book.sent), len(book.gone), len(book.items), len(book.rules), len(book.requests))
}

// checkQueue receives all messages: what was sent is there unless it was
// deleted. It returns how many there are.
func (b *notebook) checkQueue(t *testing.T, cfg aws.Config) int {
	t.Helper()
	client, there := sqs.NewFromConfig(cfg), make(map[string]bool)
	for quiet := 0; quiet < 2; {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queueURL(cfg), MaxNumberOfMessages: 10, WaitTimeSeconds: 1, VisibilityTimeout: 3600})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			quiet++ // the delays are one second at most
		}
		for _, m := range out.Messages {
			if there[*m.Body] {
				t.Errorf("message %s is there twice", *m.Body)
			}
			there[*m.Body] = true
		}
	}
	for body := range b.sent {
		if !there[body] && !b.perhaps[body] {
			t.Errorf("message %s was sent and is lost", body)
		}
	}
	for body := range b.gone {
		if there[body] {
			t.Errorf("message %s was deleted and is there", body)
		}
	}
	return len(there)
}

// checkItems reads all items, and returns how many there are.
func (b *notebook) checkItems(t *testing.T, cfg aws.Config) int {
	t.Helper()
	there := make(map[string]bool)
	for pages := dynamodb.NewScanPaginator(dynamodb.NewFromConfig(cfg), &dynamodb.ScanInput{TableName: aws.String("items")}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			id, _ := item["id"].(*dbtypes.AttributeValueMemberS)
			twice, ok := item["twice"].(*dbtypes.AttributeValueMemberS)
			if !ok || twice.Value != id.Value+canary+id.Value {
				t.Errorf("item %s is half written: %v", id.Value, item)
			}
			there[id.Value] = true
		}
	}
	for id := range b.items {
		if !there[id] {
			t.Errorf("item %s was put and is lost", id)
		}
	}
	return len(there)
}

func (b *notebook) checkRules(t *testing.T, cfg aws.Config) {
	t.Helper()
	client := eventbridge.NewFromConfig(cfg)
	for name := range b.rules {
		out, err := client.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: &name})
		if err != nil || *out.EventPattern != `{"source":["`+name+`"]}` {
			t.Errorf("rule %s: %v", name, err)
		}
	}
}

// checkRotation waits until the rotation that a kill interrupted has ended by
// itself. Where the machine was so slow that none was begun, it begins one.
func checkRotation(t *testing.T, cfg aws.Config) {
	t.Helper()
	client := secretsmanager.NewFromConfig(cfg)
	if out, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("rotated")}); err == nil && len(out.VersionIdsToStages) == 0 {
		if _, err := client.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String("rotated")}); err != nil {
			t.Fatal(err)
		}
	}
	polltest.Until(t, "the rotation that was under way has ended", func() bool {
		out, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: aws.String("rotated")})
		if err != nil {
			t.Fatal(err)
		}
		var current, pending int
		for _, labels := range out.VersionIdsToStages {
			if slices.Contains(labels, "AWSCURRENT") {
				current++
			} else if slices.Contains(labels, "AWSPENDING") {
				pending++
			}
		}
		return current == 1 && pending == 0
	})
}

// checkTrail reads the log files: each call that was answered is there once.
func (b *notebook) checkTrail(t *testing.T, dir string) {
	t.Helper()
	events, requests := make(map[string]bool), make(map[string]int)
	err := filepath.WalkDir(filepath.Join(dir, "AWSLogs", local.Account, "CloudTrail"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		for _, r := range recordsOf(t, path) {
			if events[r.EventID] {
				t.Errorf("event %s is in the trail twice", r.EventID)
			}
			events[r.EventID] = true
			if r.EventSource != "kms.amazonaws.com" {
				requests[r.RequestID]++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, operation := range b.requests {
		if requests[id] != 1 {
			t.Errorf("%s %s was answered and is in the trail %d times", operation, id, requests[id])
		}
	}
}

type trailRecord struct{ EventID, EventSource, RequestID string }

func recordsOf(t *testing.T, path string) []trailRecord {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var log struct{ Records []trailRecord }
	if err := json.NewDecoder(z).Decode(&log); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return log.Records
}

// checkNoCanary looks for values in all files of the state, unpacked too.
func checkNoCanary(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if z, err := gzip.NewReader(bytes.NewReader(data)); err == nil {
			text, _ := io.ReadAll(z)
			data = append(data, text...)
		}
		if bytes.Contains(data, []byte(canary)) {
			t.Errorf("%s has a value in clear text", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
