package conformance_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/rekey-go/rekey/internal/local"
)

// A target is what answers.
type target struct {
	config aws.Config
	// rotator is the ARN of a rotation function, if there is one, and role
	// that of a role that functions may have.
	rotator, role string
	// patience is how long an answer may take to be right, and pause how long
	// to wait between two looks.
	patience, pause time.Duration
	// mustHold says that a case that does not hold is a failure.
	mustHold bool
}

// newTarget returns what the environment asks for; see the package's
// documentation.
func newTarget(t *testing.T) target {
	t.Helper()
	rotator, role := os.Getenv("REKEY_CONFORMANCE_ROTATOR"), os.Getenv("REKEY_CONFORMANCE_ROLE")
	if os.Getenv("REKEY_CONFORMANCE_AWS") == "1" {
		cfg, err := config.LoadDefaultConfig(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return target{config: cfg, rotator: rotator, role: role, patience: 2 * time.Minute, pause: 2 * time.Second, mustHold: true}
	}
	anyone := aws.Config{Region: local.Region, Credentials: credentials.NewStaticCredentialsProvider("conformance", "none", "")}
	if url := os.Getenv("REKEY_CONFORMANCE_ENDPOINT"); url != "" {
		anyone.BaseEndpoint = &url
		return target{config: anyone, rotator: rotator, role: role, patience: time.Second, pause: 50 * time.Millisecond}
	}
	engine := startEngine(t)
	anyone.BaseEndpoint = aws.String(engine.Endpoint())
	return target{config: anyone, rotator: engine.Function("Rotator"), role: "arn:aws:iam::123456789012:role/conformance", patience: 3 * time.Minute, pause: 5 * time.Millisecond, mustHold: true}
}

// A service is how the cases of one AWS service are called and cleaned up.
type service struct {
	name     string               // in signatures and default endpoints
	target   string               // the prefix of X-Amz-Target
	rest     bool                 // its errors have their names in a header
	client   func(aws.Config) any // of the SDK
	modelled func(code string) bool
	// derive sets variables that follow from others.
	derive  func(v variables)
	cleanUp func(ctx context.Context, client any, v variables) error
}

// check runs the cases of a service.
func (s service) check(t *testing.T, beliefs map[string]belief) {
	t.Helper()
	to := newTarget(t)
	results := make(map[string]error)
	for _, name := range slices.Sorted(maps.Keys(beliefs)) {
		b := beliefs[name]
		t.Run(name, func(t *testing.T) {
			err := s.run(t, to, b)
			if errors.Is(err, errUnknown) {
				t.Skip(err)
			}
			results[name] = err
			switch {
			case err != nil && to.mustHold:
				t.Errorf("%v\n%s: %s", err, b.source, b.where)
			case err != nil:
				t.Logf("does not hold: %v", err)
			}
		})
	}
	held := 0
	for _, err := range results {
		if err == nil {
			held++
		}
	}
	t.Logf("%s: %d of %d cases hold at %s", s.name, held, len(results), aws.ToString(to.config.BaseEndpoint))
}

// run is one case.
func (s service) run(t *testing.T, to target, b belief) error {
	t.Helper()
	wire := &recorder{}
	cfg := to.config
	cfg.HTTPClient = wire
	c := caller{service: s, target: to, config: cfg, client: s.client(cfg), wire: wire}
	vars := variables{"name": "rekey-conformance-" + token()[:8], "t1": token(), "t2": token(), "t3": token(), "t4": token()}
	vars["other"] = vars["name"] + "/Other"
	if to.rotator != "" {
		vars["rotator"] = to.rotator
	}
	if to.role != "" {
		vars["role"] = to.role
	}
	s.derive(vars)
	defer func() {
		if err := s.cleanUp(context.WithoutCancel(t.Context()), c.client, vars); err != nil && to.mustHold {
			t.Errorf("cleaning up: %v", err)
		}
	}()
	for i, st := range b.steps {
		if err := c.step(t.Context(), st, vars); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, st.call, err)
		}
	}
	return nil
}

// A caller makes the calls of one case.
type caller struct {
	service service
	target  target
	config  aws.Config
	client  any
	wire    *recorder
}

// step makes a call and compares its answer; where it may take time, until
// the answer is right.
func (c caller) step(ctx context.Context, st step, vars variables) error {
	err := c.try(ctx, st, vars)
	if !st.patient || err == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.target.patience)
	defer cancel()
	look := time.NewTicker(c.target.pause)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return err
		case <-look.C:
			again := c.try(ctx, st, vars)
			switch {
			case again == nil:
				return nil
			case ctx.Err() == nil:
				err = again
			}
		}
	}
}

func (c caller) try(ctx context.Context, st step, vars variables) error {
	in := vars.expand(st.in)
	for _, given := range []string{"$rotator", "$function", "$account", "$role"} {
		if strings.Contains(in, given) {
			return fmt.Errorf("%w: there is no %s at this target", errUnknown, given)
		}
	}
	call := c.viaSDK
	if st.raw {
		call = c.viaHTTP
	}
	if err := call(ctx, st.call, in); err != nil {
		return err
	}
	return c.compare(st, vars)
}

// viaSDK calls the client's method of the operation's name. What the service
// refuses is no error here: it is on the wire.
func (c caller) viaSDK(ctx context.Context, operation, in string) error {
	method := reflect.ValueOf(c.client).MethodByName(operation)
	if !method.IsValid() {
		return fmt.Errorf("the SDK has no operation %s", operation)
	}
	input := reflect.New(method.Type().In(1).Elem())
	decoder := json.NewDecoder(strings.NewReader(in))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(input.Interface()); err != nil {
		return fmt.Errorf("the case's input: %w", err)
	}
	c.wire.status = 0
	out := method.Call([]reflect.Value{reflect.ValueOf(ctx), input})
	err, _ := reflect.TypeAssert[error](out[1])
	if err != nil && c.wire.status == 0 {
		return err // it never got an answer
	}
	return nil
}

// viaHTTP sends a signed request with the input as it stands.
func (c caller) viaHTTP(ctx context.Context, operation, in string) error {
	url := aws.ToString(c.config.BaseEndpoint)
	if url == "" {
		url = "https://" + c.service.name + "." + c.config.Region + ".amazonaws.com"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", strings.NewReader(in))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", c.service.target+"."+operation)
	key, err := c.config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(in))
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(sum[:]), c.service.name, c.config.Region, time.Now()); err != nil {
		return err
	}
	res, err := c.wire.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// compare holds the last answer against what a step wants.
func (c caller) compare(st step, vars variables) error {
	want, status := st.want, http.StatusOK
	if st.refused != "" {
		code, text, _ := strings.Cut(vars.expand(st.refused), ": ")
		body, err := json.Marshal(c.service.refusal(code, text))
		if err != nil {
			return err
		}
		if got, _, _ := strings.Cut(c.wire.header.Get("X-Amzn-Errortype"), ":"); c.service.rest && got != code {
			return fmt.Errorf("the error is %q: %s, want %s", got, c.wire.body, code)
		}
		want, status = string(body), http.StatusBadRequest
	}
	if status = cmp.Or(st.status, status); c.wire.status != status {
		return fmt.Errorf("status %d: %s, want %d", c.wire.status, c.wire.body, status)
	}
	for header, want := range st.headers {
		if got := c.wire.header.Get(header); got != want && (want != "$any" || got == "") {
			return fmt.Errorf("header %s is %q, want %q", header, got, want)
		}
	}
	wantValue, err := parse([]byte(want))
	if err != nil {
		return fmt.Errorf("the case's answer: %w", err)
	}
	got, err := parse(c.wire.body)
	if err != nil {
		return fmt.Errorf("the answer %s: %w", c.wire.body, err)
	}
	if err := vars.match(wantValue, got); err != nil {
		return err
	}
	c.service.derive(vars)
	return nil
}

// refusal is the body of an error.
func (s service) refusal(code, text string) map[string]string {
	member := "message"
	if s.modelled(code) {
		member = "Message"
	}
	if s.rest {
		return map[string]string{"Type": "User", member: text}
	}
	return map[string]string{"__type": code, member: text}
}

// parse reads JSON, with numbers as they were written. No text is an empty
// object.
func parse(text []byte) (any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	return v, decoder.Decode(&v)
}

// A recorder is an HTTP client that keeps the last answer.
type recorder struct {
	status int
	header http.Header
	body   []byte
}

// Do sends a request.
func (r *recorder) Do(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	r.status, r.header, r.body = res.StatusCode, res.Header, body
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// token is a random UUID.
func token() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
