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

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/functions/apikeyrotator"
	"github.com/rekey-go/rekey/functions/charge"
	"github.com/rekey-go/rekey/functions/internal/rotatortest"
	"github.com/rekey-go/rekey/functions/internal/strategy"
	"github.com/rekey-go/rekey/internal/providers"
	"github.com/rekey-go/rekey/rotation"
)

const (
	function = "arn:aws:lambda:us-east-1:123456789012:function:dev-apikeyrotator"
	name     = "dev-external-api-keys"
)

// A bench is AWS, SendGrid and Stripe, with the rotating function and the sample
// shop between them.
type bench struct {
	*rotatortest.AWS
	sendgrid *providers.SendGrid
	stripe   *providers.Stripe
	shop     lambda.Handler
	choose   rotation.Chooser
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{sendgrid: providers.NewSendGrid(), stripe: providers.NewStripe()}
	sendgrid, stripe := httptest.NewServer(b.sendgrid), httptest.NewServer(b.stripe)
	t.Cleanup(func() { sendgrid.Close(); stripe.Close() })
	b.AWS = rotatortest.New(t, "dev-apikeyrotator", map[string]string{
		"REKEY_PROVIDERS": "sendgrid stripe", "REKEY_PROVIDER_ADMIN": "dev-provider-admin",
		"REKEY_SENDGRID_URL": sendgrid.URL, "REKEY_STRIPE_URL": stripe.URL,
	})
	var err error
	if b.Function, err = apikeyrotator.New(b.Config, b.Getenv); err != nil {
		t.Fatal(err)
	}
	if b.shop, err = charge.New(b.Config, b.Getenv); err != nil {
		t.Fatal(err)
	}
	if b.choose, err = strategy.All(b.Config)(rotation.NewStore(b.Client), b.Getenv); err != nil {
		t.Fatal(err)
	}
	return b
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
	b.Create(t, "dev-provider-admin", `{"sendgrid":"`+admin+`"}`, nil)
	b.Create(t, name, `{"stripe":"`+stripe+`","sendgrid":"`+first+`"}`, map[string]string{"rekey:strategy": "api-key"})
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
	var shops [4]chan struct{} // each hears of its orders
	for i := range shops {
		shops[i] = make(chan struct{})
		load.Go(func() {
			for ctx.Err() == nil {
				orders.Add(1)
				if err := b.order(context.WithoutCancel(ctx)); err != nil {
					failed.Add(1)
					t.Error(err)
				}
				select {
				case shops[i] <- struct{}{}:
				default:
				}
			}
		})
	}
	for i := range rotations {
		if err := b.Rotate(t, name); err != nil {
			t.Fatalf("rotation %d: %v", i+1, err)
		}
		if err := b.retire(t); err != nil {
			t.Fatalf("retiring after rotation %d: %v", i+1, err)
		}
		if err := b.order(t.Context()); err != nil {
			t.Error(err)
		}
		for range 2 { // no order is behind by two rotations: that of the first may have begun before this one
			for _, shop := range shops {
				<-shop
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
	if err := b.Rotate(t, name); err != nil {
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
			b.Create(t, name, tt.value, tt.tags)
			b.Create(t, "dev-provider-admin", "", nil)
			err := b.Rotate(t, name)
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
	if err := b.Rotate(t, name); err != nil {
		t.Error(err)
	}
	keys = append(keys, b.current(t)["sendgrid"])
	if err := b.retire(t); err != nil {
		t.Error(err)
	}
	b.sendgrid.Revoke(b.sendgrid.Live()[0]) // the administrator's: what follows fails
	failed := b.Rotate(t, name)
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
