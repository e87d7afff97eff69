package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/functions/invalidate"
	"github.com/rekey-go/rekey/internal/local"
	"github.com/rekey-go/rekey/runtime/invalidation"
	"github.com/rekey-go/rekey/runtime/secrets"
)

const (
	// fleetSize is how many environments, or processes, a consumer has.
	fleetSize = 32
	// fleetInterval is CheckInterval.
	fleetInterval = time.Second
	// volleyEvery is the time between two invocations of one environment, and
	// holdFor that of an invocation: long enough for each to get one of its own.
	volleyEvery, holdFor = 100 * time.Millisecond, 60 * time.Millisecond

	fleetProcess = "REKEY_FLEET_PROCESS"
)

const fleetTemplate = `
Transform: AWS::Serverless-2016-10-31
Globals:
  Function:
    Runtime: provided.al2023
    Handler: bootstrap
    Timeout: 30
    Environment: {Variables: {REKEY_STAGE: dev, REKEY_BUS: dev-rekey, REKEY_BULLETIN: dev-rekey-bulletin, REKEY_CHECK_INTERVAL: 1s, REKEY_LEASE: 10s}}
Resources:
  Bus: {Type: AWS::Events::EventBus, Properties: {Name: dev-rekey}}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: dev-fleet}}
  Bulletin:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: dev-rekey-bulletin
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
  Consumer:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: dev-consumer, CodeUri: consumer}
  Invalidate:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: dev-invalidate
      CodeUri: invalidate
      Events:
        LabelUpdated:
          Type: EventBridgeRule
          Properties: {Pattern: {source: [aws.secretsmanager], detail-type: [Secret Label Updated]}}
`

// TestMain is also the functions and the processes of the fleet.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(fleetProcess) != "":
		fleetMain(runProcess)
	case os.Getenv("AWS_LAMBDA_FUNCTION_NAME") == "dev-invalidate":
		fleetMain(func(_ context.Context, cfg aws.Config) error {
			h, err := invalidate.New(cfg, os.Getenv)
			if err == nil {
				awslambda.Start(h)
			}
			return err
		})
	case os.Getenv("AWS_LAMBDA_FUNCTION_NAME") == "dev-consumer":
		fleetMain(runEnvironment)
	default:
		os.Exit(m.Run())
	}
}

func fleetMain(run func(ctx context.Context, cfg aws.Config) error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err == nil {
		err = run(ctx, cfg)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// sighting is which version somebody used, and when.
type sighting struct {
	Pid     int       `json:"pid"`
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	// Tally is set at the end of a process.
	Tally *Tally `json:"tally,omitempty"`
}

// runEnvironment is one environment of the consumer function.
func runEnvironment(_ context.Context, cfg aws.Config) error {
	client, err := secrets.FromEnv(cfg, os.Getenv)
	if err != nil {
		return err
	}
	awslambda.Start(invalidation.Handler(client, func(ctx context.Context) (sighting, error) {
		s, err := client.Get(ctx, "fleet")
		if err != nil {
			return sighting{}, err
		}
		seen := sighting{Pid: os.Getpid(), Version: s.VersionID(), At: time.Now()}
		<-time.After(holdFor)
		return seen, nil
	}))
	return nil
}

// runProcess is one process that runs for long. It reads all the time and tells
// of each change.
func runProcess(ctx context.Context, cfg aws.Config) error {
	client, err := secrets.FromEnv(cfg, os.Getenv)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	subscribed, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		ended <- invalidation.Subscribe(ctx, cfg, os.Getenv("REKEY_BUS"), client, func(o *invalidation.SubscribeOptions) {
			o.Subscribed = func(string) { subscribed <- struct{}{} }
		})
	}()
	<-subscribed
	var last string
	var tally Tally
	for tick := time.NewTicker(2 * time.Millisecond); ctx.Err() == nil; <-tick.C {
		s, err := client.Get(context.WithoutCancel(ctx), "fleet")
		if err != nil {
			tally.Count(err.Error())
			continue
		}
		tally.Count("")
		if s.VersionID() != last {
			last = s.VersionID()
			if err := out.Encode(sighting{Pid: os.Getpid(), Version: last, At: time.Now()}); err != nil {
				return err
			}
		}
	}
	if err := <-ended; err != nil {
		return err
	}
	return out.Encode(sighting{Tally: &tally})
}

// A fleet is the consumers of a secret, with what was seen of them.
type fleet struct {
	engine    *local.Engine
	cfg       aws.Config
	secrets   *secretsmanager.Client
	events    *invalidation.Publisher
	sightings chan sighting

	mu    sync.Mutex
	tally Tally
}

func newFleet(b *testing.B) *fleet {
	b.Helper()
	if testing.Short() {
		b.Skip("it starts 32 processes")
	}
	e, err := local.Start(b.Context(), local.Options{
		Template: []byte(fleetTemplate), TemplateFile: "template.yaml", NoIAM: true,
		Command: func(string) ([]string, error) { return []string{os.Args[0]}, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	cfg := aws.Config{Region: local.Region, BaseEndpoint: new(e.Endpoint()), Credentials: credentials.NewStaticCredentialsProvider("operator", "operator", "")}
	f := &fleet{
		engine: e, cfg: cfg, secrets: secretsmanager.NewFromConfig(cfg), sightings: make(chan sighting, 16*fleetSize),
		events: invalidation.NewPublisher(eventbridge.NewFromConfig(cfg), "dev-rekey"),
	}
	f.rotate(b, "first")
	return f
}

// rotate makes a value current and announces it, as finishSecret does.
func (f *fleet) rotate(b *testing.B, value string) (version string, done time.Time) {
	b.Helper()
	out, err := f.secrets.PutSecretValue(b.Context(), &secretsmanager.PutSecretValueInput{SecretId: new("dev-fleet"), SecretString: &value})
	if err != nil {
		b.Fatal(err)
	}
	done = time.Now()
	news := invalidation.Rotated{SecretARN: *out.ARN, Name: *out.Name, VersionID: *out.VersionId, Reason: "rotated"}
	if err := f.events.Publish(b.Context(), invalidation.DetailTypeRotated, news); err != nil {
		b.Fatal(err)
	}
	return *out.VersionId, done
}

// measure rotates again and again, and reports how long it took from a
// rotation's end until each consumer used the new version, and the last.
func (f *fleet) measure(b *testing.B, bound time.Duration) {
	b.Helper()
	fleet := f.await(b, "", nil)
	var delays, last []time.Duration
	pace := time.NewTicker(fleetInterval) // a client looks into news once a second for long
	defer pace.Stop()
	n := 0
	for b.Loop() {
		<-pace.C
		n++
		version, done := f.rotate(b, fmt.Sprint("value ", n))
		var slowest time.Duration
		for _, at := range f.await(b, version, fleet) {
			delay := max(0, at.Sub(done))
			delays, slowest = append(delays, delay), max(slowest, delay)
		}
		last = append(last, slowest)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	slices.Sort(delays)
	b.ReportMetric(ms(delays[len(delays)/2]), "p50-ms")
	b.ReportMetric(ms(delays[len(delays)*99/100]), "p99-ms")
	b.ReportMetric(ms(slices.Max(last)), "max-ms")
	b.ReportMetric(ms(bound), "bound-ms")
	b.ReportMetric(0, "ns/op")
}

// await waits until the fleet, or one of its size, was seen with a version;
// empty for any.
func (f *fleet) await(b *testing.B, version string, fleet map[int]time.Time) map[int]time.Time {
	b.Helper()
	seen := map[int]time.Time{}
	timeout := time.After(patience)
	for len(seen) < fleetSize {
		select {
		case s := <-f.sightings:
			_, known := fleet[s.Pid]
			if _, again := seen[s.Pid]; !again && (version == "" || s.Version == version && known) {
				seen[s.Pid] = s.At
			}
		case <-timeout:
			b.Fatalf("%d of %d were seen with version %q", len(seen), fleetSize, version)
		}
	}
	return seen
}

// failed ends with how many requests there were, and an error if one failed.
func (f *fleet) failed(b *testing.B) {
	b.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	b.ReportMetric(float64(f.tally.OK+f.tally.Failed), "requests")
	b.ReportMetric(float64(f.tally.Failed), "failed")
	if f.tally.Failed > 0 {
		b.Errorf("%d requests failed, first: %s", f.tally.Failed, f.tally.FirstFailure)
	}
}

// BenchmarkFleetBulletin measures how long it takes until the last of 32
// environments of a function uses a new version. All are invoked all the time,
// and only one of them can hear of it by an event: they look at the bulletin at
// most every CheckInterval. The bound is that, until the next invocation, which
// looks, and until the one after, which uses what it found.
//
//	go test -run '^$' -bench Fleet -benchtime 20x ./internal/demo
func BenchmarkFleetBulletin(b *testing.B) {
	f := newFleet(b)
	arn := f.engine.Function("Consumer")
	if err := f.engine.Lambda.Warm(b.Context(), arn, fleetSize); err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	calls := lambda.NewFromConfig(f.cfg)
	var all sync.WaitGroup
	for range fleetSize { // as many callers as environments, in step
		all.Go(func() {
			for tick := time.NewTicker(volleyEvery); ctx.Err() == nil; <-tick.C {
				f.invoke(context.WithoutCancel(ctx), calls, arn)
			}
		})
	}
	f.measure(b, fleetInterval+2*volleyEvery)
	stop()
	all.Wait()
	f.failed(b)
}

// invoke calls one environment.
func (f *fleet) invoke(ctx context.Context, calls *lambda.Client, arn string) {
	out, err := calls.Invoke(ctx, &lambda.InvokeInput{FunctionName: &arn})
	var s sighting
	failure := ""
	switch {
	case err != nil:
		failure = err.Error()
	case out.FunctionError != nil, json.Unmarshal(out.Payload, &s) != nil:
		failure = string(out.Payload)
	default:
		select {
		case f.sightings <- s:
		default: // nobody looks at the moment
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.Count(failure)
}

// BenchmarkFleetQueues measures the same for 32 processes that run for long and
// have a queue of their own each. The bound is the look at the bulletin, for an
// event that is lost.
func BenchmarkFleetQueues(b *testing.B) {
	f := newFleet(b)
	var all sync.WaitGroup
	var processes []*exec.Cmd
	for range fleetSize {
		cmd := exec.CommandContext(b.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), fleetProcess+"=1", "AWS_ENDPOINT_URL="+f.engine.Endpoint(), "AWS_REGION="+local.Region,
			"AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator", "REKEY_STAGE=dev", "REKEY_BUS=dev-rekey",
			"REKEY_BULLETIN=dev-rekey-bulletin", "REKEY_CHECK_INTERVAL="+fleetInterval.String(), "REKEY_LEASE=10s")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		processes = append(processes, cmd)
		all.Go(func() { f.hear(out) })
	}
	f.measure(b, fleetInterval)
	for _, cmd := range processes {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Error(err)
		}
	}
	all.Wait()
	for _, cmd := range processes {
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}
	f.failed(b)
}

// hear takes what a process tells, to its end.
func (f *fleet) hear(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var s sighting
		if json.Unmarshal(lines.Bytes(), &s) != nil {
			continue
		}
		if s.Tally == nil {
			f.sightings <- s
			continue
		}
		f.mu.Lock()
		f.tally.OK, f.tally.Failed = f.tally.OK+s.Tally.OK, f.tally.Failed+s.Tally.Failed
		if f.tally.FirstFailure == "" {
			f.tally.FirstFailure = s.Tally.FirstFailure
		}
		f.mu.Unlock()
	}
}
