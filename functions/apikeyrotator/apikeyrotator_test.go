package apikeyrotator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/rekey-go/rekey/functions/apikeyrotator"
	"github.com/rekey-go/rekey/functions/charge"
	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/iam"
	engine "github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/internal/providers"
	"github.com/rekey-go/rekey/rotation"
)

const (
	account  = "123456789012"
	region   = "us-east-1"
	function = "arn:aws:lambda:us-east-1:123456789012:function:dev-apikeyrotator"
	name     = "dev-external-api-keys"
	patience = 20 * time.Second
)

// A bench is AWS, SendGrid and Stripe, with the rotating function and the sample
// shop between them.
type bench struct {
	*secretsmanager.Client
	sendgrid *providers.SendGrid
	stripe   *providers.Stripe
	rotator  lambda.Handler
	shop     lambda.Handler
	choose   rotation.Chooser
	ended    chan error // what each step came to
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{sendgrid: providers.NewSendGrid(), stripe: providers.NewStripe(), ended: make(chan error, 64)}
	ticking := clock.New()
	bus, err := events.New(events.Options{Account: account, Region: region, Clock: ticking})
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := engine.New(engine.Options{Account: account, Region: region, Clock: ticking, Invoker: b, Publisher: bus})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bus.CreateBus("dev-rekey", "", nil); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(wire.NewFront(wire.FrontOptions{
		Region: region, Account: account, Now: ticking.Now, Identify: iam.NewKeys(account).Lookup,
	}, secrets.Wire(), bus.Wire()))
	sendgrid, stripe := httptest.NewServer(b.sendgrid), httptest.NewServer(b.stripe)
	t.Cleanup(func() { secrets.Close(); bus.Close(); front.Close(); sendgrid.Close(); stripe.Close() })
	cfg := aws.Config{
		Region: region, BaseEndpoint: &front.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "operator", SecretAccessKey: "none"}, nil
		}),
	}
	b.Client = secretsmanager.NewFromConfig(cfg)
	vars := map[string]string{
		"REKEY_STAGE": "dev", "REKEY_BUS": "dev-rekey", "AWS_LAMBDA_FUNCTION_NAME": "dev-apikeyrotator",
		"REKEY_PROVIDERS": "sendgrid stripe", "REKEY_PROVIDER_ADMIN": "dev-provider-admin",
		"REKEY_SENDGRID_URL": sendgrid.URL, "REKEY_STRIPE_URL": stripe.URL,
	}
	getenv := func(name string) string { return vars[name] }
	if b.rotator, err = apikeyrotator.New(cfg, getenv); err != nil {
		t.Fatal(err)
	}
	if b.shop, err = charge.New(cfg, getenv); err != nil {
		t.Fatal(err)
	}
	if b.choose, err = strategy.All(cfg)(rotation.NewStore(b.Client), getenv); err != nil {
		t.Fatal(err)
	}
	return b
}

// Invoke runs a step in the function.
func (b *bench) Invoke(ctx context.Context, _ string, payload []byte) (result []byte, functionError string, err error) {
	result, err = b.rotator.Invoke(ctx, payload)
	b.ended <- err
	if err != nil {
		return nil, "Unhandled", nil //nolint:nilerr // the function failed, not the invocation.
	}
	return result, "", nil
}

// Allows lets Secrets Manager call the function.
func (*bench) Allows(string, string, string) bool { return true }

func (b *bench) create(t *testing.T, name, value string, tags map[string]string) {
	t.Helper()
	in := &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value}
	for key, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: &key, Value: &v})
	}
	if value == "" {
		in.SecretString = nil
	}
	if _, err := b.CreateSecret(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// rotate rotates the secret, and returns what the steps came to.
func (b *bench) rotate(t *testing.T) error {
	t.Helper()
	if _, err := b.RotateSecret(t.Context(), &secretsmanager.RotateSecretInput{SecretId: aws.String(name), RotationLambdaARN: aws.String(function)}); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		select {
		case err := <-b.ended:
			if err != nil {
				return err
			}
		case <-time.After(patience):
			t.Fatal("a step did not end")
		}
	}
	return nil
}

// retire revokes what the last rotation superseded.
func (b *bench) retire(t *testing.T) error {
	t.Helper()
	store := rotation.NewStore(b.Client)
	about, err := store.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return rotation.Retire(t.Context(), store, b.choose, name, about.VersionWith(rotation.LabelPrevious))
}

func (b *bench) current(t *testing.T) map[string]string {
	t.Helper()
	out, err := b.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String(name)})
	if err != nil {
		t.Fatal(err)
	}
	var held map[string]string
	if err := json.Unmarshal([]byte(*out.SecretString), &held); err != nil {
		t.Fatal(err)
	}
	return held
}

// order charges a card, and reports whether that and the receipt came off.
func (b *bench) order(ctx context.Context) error {
	req := lambdaevents.APIGatewayV2HTTPRequest{
		Version: "2.0", RawPath: "/payments/charge", Body: `{"amount":12.34,"token":"tok_visa","email":"ana@example.com"}`,
	}
	req.RequestContext.HTTP.Method, req.RequestContext.HTTP.Path = http.MethodPost, req.RawPath
	payload, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, err := b.shop.Invoke(ctx, payload)
	if err != nil {
		return err
	}
	if !bytes.Contains(out, []byte(`"statusCode":200`)) || !bytes.Contains(out, []byte(`\"receipt\":true`)) {
		return fmt.Errorf("the shop answered %s", out)
	}
	return nil
}

var all = []string{"mail.send", "api_keys.create", "api_keys.read", "api_keys.delete"}

// open stores the first keys: one of SendGrid's that may send mail only, which an
// administrator's key looks after.
func open(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	_, admin := b.sendgrid.Add("admin", all...)
	_, first := b.sendgrid.Add("made by hand", "mail.send")
	_, stripe := b.stripe.Add()
	b.create(t, "dev-provider-admin", `{"sendgrid":"`+admin+`"}`, nil)
	b.create(t, name, `{"stripe":"`+stripe+`","sendgrid":"`+first+`"}`, map[string]string{"rekey:strategy": "api-key"})
	return b
}

func TestNoChargeFailsWhileKeysAreRotatedAndRevoked(t *testing.T) {
	t.Parallel()
	const rotations = 20
	b := open(t)
	before := b.current(t)
	ctx, stop := context.WithCancel(t.Context())
	var orders, failed atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				orders.Add(1)
				if err := b.order(context.WithoutCancel(ctx)); err != nil {
					failed.Add(1)
					t.Error(err)
				}
			}
		})
	}
	for i := range rotations {
		if err := b.rotate(t); err != nil {
			t.Fatalf("rotation %d: %v", i+1, err)
		}
		if err := b.retire(t); err != nil {
			t.Fatalf("retiring after rotation %d: %v", i+1, err)
		}
		for seen := orders.Load(); orders.Load() < seen+8; { // the next orders meet the revoked key
			if failed.Load() > 0 {
				break
			}
			if err := b.order(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	stop()
	load.Wait()
	if got := len(b.sendgrid.Live()); got != 2 {
		t.Errorf("%d keys of SendGrid live, want the administrator's and the current one", got)
	}
	if b.sendgrid.Refused() < rotations {
		t.Errorf("SendGrid refused %d calls, want at least one after each of %d rotations: the shop held a revoked key", b.sendgrid.Refused(), rotations)
	}
	after := b.current(t)
	if after["stripe"] != before["stripe"] || after["sendgrid"] == before["sendgrid"] {
		t.Error("the key of Stripe changed, or that of SendGrid did not")
	}
	t.Logf("%d orders, %d failed, during %d rotations", orders.Load(), failed.Load(), rotations)
}

// TestAKeyOfStripeIsHandedOver rotates with a value that an operator supplies.
func TestAKeyOfStripeIsHandedOver(t *testing.T) {
	t.Parallel()
	b := open(t)
	_, restricted := b.stripe.Add("charges")
	supplied := `{"stripe":"` + restricted + `"}`
	_, err := b.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: &supplied, VersionStages: []string{rotation.LabelSupplied},
	})
	if err != nil {
		t.Fatal(err)
	}
	before := b.current(t)
	if err := b.rotate(t); err != nil {
		t.Fatal(err)
	}
	after := b.current(t)
	if after["stripe"] != restricted || after["sendgrid"] != before["sendgrid"] {
		t.Error("the supplied key is not current, or the other one changed")
	}
	if err := b.order(t.Context()); err != nil {
		t.Error(err)
	}
	err = b.retire(t)
	if got := rotation.Explain(err).Code; got != "permission.manual" || !strings.Contains(err.Error(), "revoke the stripe key of version") {
		t.Errorf("retire: %v (%s), want to be told to revoke the key by hand", err, got)
	}
}

func TestWhatIsNotConfiguredIsSaid(t *testing.T) {
	t.Parallel()
	for title, tt := range map[string]struct {
		value string
		tags  map[string]string
		want  string
	}{
		"a placeholder":              {"", nil, "store the first value: rekey put"},
		"no key of a known provider": {`{"other":"x"}`, nil, `the secret's value has no API key in "sendgrid" or "stripe"`},
		"only a key of Stripe":       {`{"stripe":"sk"}`, nil, "rotate with it as the new value"},
		"a provider that is none":    {`{"x":"y"}`, map[string]string{"rekey:providers": "x=acme"}, "there is no such provider"},
		"another strategy":           {`{"x":"y"}`, map[string]string{"rekey:strategy": "single-user"}, "mend the tag rekey:strategy"},
		"one key of two providers":   {`SG.a.b`, nil, "name the one provider"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.create(t, name, tt.value, tt.tags)
			b.create(t, "dev-provider-admin", "", nil)
			err := b.rotate(t)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
		})
	}
}

// TestNoKeyIsWritten runs alone, because it looks at what the process writes.
func TestNoKeyIsWritten(t *testing.T) { //nolint:paralleltest // it replaces the standard output.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = write, write
	written := make(chan []byte)
	go func() {
		text, _ := io.ReadAll(read)
		written <- text
	}()
	b := open(t)
	keys := []string{b.current(t)["stripe"], b.current(t)["sendgrid"]}
	if err := b.rotate(t); err != nil {
		t.Error(err)
	}
	keys = append(keys, b.current(t)["sendgrid"])
	if err := b.retire(t); err != nil {
		t.Error(err)
	}
	b.sendgrid.Revoke(b.sendgrid.Live()[0]) // the administrator's: what follows fails
	failed := b.rotate(t)
	os.Stdout, os.Stderr = stdout, stderr
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	log := string(<-written)
	if failed == nil || !strings.Contains(log, "rotation step failed") || !strings.Contains(log, "rotation step done") {
		t.Fatalf("%v; the log: %s", failed, log)
	}
	for _, key := range keys {
		if strings.Contains(log+failed.Error(), key[len(key)/2:]) {
			t.Error("a key is in the log or in an error")
		}
	}
}
