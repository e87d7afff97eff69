package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/internal/polltest"
)

func TestAFunctionsOutcome(t *testing.T) {
	t.Parallel()
	type want struct{ result, functionError string } // regular expressions
	tests := map[string]struct {
		child   string
		command command
		want    want
	}{
		"a result":                   {"function", command{Do: "echo", Text: "hi"}, want{`^"hi"$`, "^$"}},
		"an error":                   {"function", command{Do: "fail", Text: "it rains"}, want{`^{"errorMessage":"it rains","errorType":"errorString"}$`, "^Unhandled$"}},
		"a panic":                    {"function", command{Do: "panic", Text: "it pours"}, want{`"errorMessage":"it pours","errorType":"string"`, "^Unhandled$"}},
		"an end of the process":      {"function", command{Do: "exit"}, want{`^{"errorMessage":"RequestId: [0-9a-f-]{36} Error: Runtime exited with error: exit status 3","errorType":"Runtime.ExitError"}$`, "^Unhandled$"}},
		"a result that is too large": {"function", command{Do: "big"}, want{`"errorType":"Function.ResponseSizeTooLarge"`, "^Unhandled$"}},
		"a process that never asks":  {"exits", command{}, want{`Error: Runtime exited with error: exit status 7","errorType":"Runtime.ExitError"}$`, "^Unhandled$"}},
		"an error of the init":       {"refuses", command{}, want{`^{"errorType":"Test.Refused","errorMessage":"it does not want to"}$`, "^Unhandled$"}},
		"a stream that broke off":    {"breaks off", command{}, want{`^{"errorType":"Test.Broken"}$`, "^Unhandled$"}},
		"answers to other requests":  {"answers for others", command{}, want{`^"right"$`, "^$"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, child(tt.child))
			got := b.invoke(tt.command)
			if got.err != nil {
				t.Fatal(got.err)
			}
			if !regexp.MustCompile(tt.want.result).MatchString(got.result) {
				t.Errorf("result: %s, want %s", got.result, tt.want.result)
			}
			if !regexp.MustCompile(tt.want.functionError).MatchString(got.functionError) {
				t.Errorf("function error: %q, want %s", got.functionError, tt.want.functionError)
			}
		})
	}
}

func TestAfterAFailureTheFunctionGoesOn(t *testing.T) {
	t.Parallel()
	for _, do := range []string{"fail", "panic", "exit", "big"} {
		t.Run(do, func(t *testing.T) {
			t.Parallel()
			b := start(t, child("function"))
			b.invoke(command{Do: do}).failure(t)
			if got := b.invoke(command{Do: "echo", Text: "hi"}).ok(t); got != `"hi"` {
				t.Errorf("after %s: %s", do, got)
			}
		})
	}
}

func TestAnInvocationIsKilledAtTheTimeout(t *testing.T) {
	t.Parallel()
	f := child("function")
	f.Timeout = 1250 * time.Millisecond
	b, g := start(t, f), newGate(t)
	if err := b.Warm(t.Context(), b.arn, 1); err != nil {
		t.Fatal(err)
	}
	late := b.pids()[0]
	before := time.Now()
	got := b.invoke(command{Do: "hold", At: g.addr()}).failure(t)
	if took := time.Since(before); took < f.Timeout {
		t.Errorf("killed after %v, before the timeout", took)
	}
	if got.Type != "Sandbox.Timedout" || !strings.HasSuffix(got.Message, " Error: Task timed out after 1.25 seconds") {
		t.Errorf("function error: %+v", got)
	}
	polltest.Until(t, "the process has ended", func() bool { return !alive(t, late) })
	if got := b.answerInTime(command{Do: "echo", Text: "hi"}); got != `"hi"` {
		t.Errorf("after the timeout: %s", got)
	}
}

// answerInTime invokes the function until it answers within its timeout: the
// machine may have other things to do.
func (b *bench) answerInTime(c command) string {
	b.t.Helper()
	for {
		a := b.invoke(c)
		if a.functionError == "" || a.failure(b.t).Type != "Sandbox.Timedout" {
			return a.ok(b.t)
		}
	}
}

func TestARuntimeThatIsStuckAfterItsAnswerIsReplaced(t *testing.T) {
	t.Parallel()
	f := child("gets stuck")
	f.Timeout = 2 * time.Second
	b := start(t, f)
	stuck, err := strconv.Atoi(b.answerInTime(command{}))
	if err != nil {
		t.Fatal(err)
	}
	if next := b.answerInTime(command{}); next == strconv.Itoa(stuck) {
		t.Errorf("the process %s, which is stuck, has answered again", next)
	}
	polltest.Until(t, "the environment that is stuck has ended", func() bool { // it was killed, and is forgotten when its process is gone
		return !slices.ContainsFunc(b.Environments(b.arn), func(e lambda.Environment) bool { return e.PID == stuck })
	})
}

func TestWhatTheFunctionIsToldOfItsInvocation(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	before := time.Now()
	var got struct {
		ID, ARN, Trace string
		Deadline       int64
	}
	if err := json.Unmarshal([]byte(b.invoke(command{Do: "context"}).ok(t)), &got); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(got.ID) {
		t.Errorf("request id %q", got.ID)
	}
	if got.ARN != "arn:aws:lambda:us-east-1:123456789012:function:dev-test" || got.ARN != b.arn {
		t.Errorf("invoked function ARN %q", got.ARN)
	}
	if !regexp.MustCompile(`^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Sampled=0$`).MatchString(got.Trace) {
		t.Errorf("trace id %q", got.Trace)
	}
	deadline := time.UnixMilli(got.Deadline)
	if earliest := before.Add(time.Minute).Truncate(time.Millisecond); deadline.Before(earliest) || deadline.After(time.Now().Add(time.Minute)) {
		t.Errorf("deadline %v, want a minute after %v", deadline, before)
	}
}

func TestTheEnvironmentVariables(t *testing.T) {
	t.Parallel()
	f := child("function")
	f.MemoryMB = 512
	f.Environment["STAGE"] = "dev"
	f.Environment["AWS_REGION"] = "eu-west-9" // reserved: it has no effect
	b := start(t, f)
	var vars []string
	if err := json.Unmarshal([]byte(b.invoke(command{Do: "env"}).ok(t)), &vars); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"PATH": os.Getenv("PATH"), "TZ": ":UTC", "STAGE": "dev", "_HANDLER": "bootstrap",
		"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL": "http://engine.test",
		"AWS_LAMBDA_FUNCTION_NAME": "dev-test", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/dev-test",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if _, there := got["ENGINES_OWN"]; there {
		t.Error("a variable of the engine's own environment came through")
	}
	if id := b.Environments(b.arn)[0].ID; !strings.HasSuffix(got["AWS_LAMBDA_LOG_STREAM_NAME"], "/[$LATEST]"+id) {
		t.Errorf("log stream %q, want that of %s", got["AWS_LAMBDA_LOG_STREAM_NAME"], id)
	}
	p := b.keys.Lookup(got["AWS_ACCESS_KEY_ID"])
	if want := "arn:aws:sts::123456789012:assumed-role/dev-test/dev-test"; p.ARN != want {
		t.Errorf("the credentials are of %s, want %s", p.ARN, want)
	}
}

func TestInvokeIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	for name, tt := range map[string]struct {
		arn     string
		payload []byte
		code    string
	}{
		"for a function that does not exist": {b.arn + "x", []byte("{}"), "ResourceNotFoundException"},
		"for a version":                      {b.arn + ":7", []byte("{}"), "ResourceNotFoundException"},
		"for an event that is too large":     {b.arn, make([]byte, 6<<20+1), "RequestTooLargeException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := b.Invoke(t.Context(), tt.arn, tt.payload)
			if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != tt.code {
				t.Errorf("Invoke: %v, want %s", err, tt.code)
			}
		})
	}
}

func TestAnInvocationGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	payload := []byte(`{"do":"hold","text":"a","at":"` + g.addr() + `"}`)
	go func() {
		_, _, err := b.Invoke(ctx, b.arn, payload)
		done <- err
	}()
	v := g.arrival()
	cancel()
	if err := await(t, done); !errors.Is(err, context.Canceled) {
		t.Errorf("Invoke: %v, want %v", err, context.Canceled)
	}
	if got := b.Environments(b.arn); len(got) != 1 || got[0].PID != v.pid || !got[0].Busy {
		t.Errorf("after the caller went away: %+v, want %d at work", got, v.pid)
	}
	v.pass()
}
