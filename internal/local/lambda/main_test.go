package lambda_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"
)

// childVar is the environment variable that makes of the test binary a
// function, or an engine.
const childVar = "LAMBDA_TEST_CHILD"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "extension" {
		extensionMain(os.Args[2])
		return
	}
	if child := os.Getenv(childVar); child != "" {
		children[child]()
		return
	}
	os.Setenv("ENGINES_OWN", "not for functions") //nolint:usetesting // for all tests, which run in parallel.
	// A server lingers for half a second after it refused a body.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// children are the programs that the test binary can be.
var children = map[string]func(){
	"function": func() { runtime.Start(handle) },
	"engine":   engineMain, // for the test of what happens when an engine is killed
	"exits":    func() { os.Exit(7) },
	"forked": func() {
		signal.Ignore(syscall.SIGTERM)
		check(hold(os.Getenv("GATE"), "forked"))
	},
	"stubborn": func() {
		signal.Ignore(syscall.SIGTERM)
		runtime.Start(handle)
	},
	"refuses": func() {
		post("init/error", `{"errorType":"Test.Refused","errorMessage":"it does not want to"}`)
		select {}
	},
	"gets stuck": func() {
		id := next()
		post("invocation/"+id+"/response", strconv.Itoa(os.Getpid())) // and from now on it is
		select {}
	},
	"breaks off": func() { // its answer has the trailer of a stream that failed
		req, err := http.NewRequest(http.MethodPost, runtimeURL("invocation/"+next()+"/response"), io.MultiReader(strings.NewReader(`"half`)))
		check(err)
		req.Trailer = http.Header{
			"Lambda-Runtime-Function-Error-Type": {"Test.Broken"},
			"Lambda-Runtime-Function-Error-Body": {"eyJlcnJvclR5cGUiOiJUZXN0LkJyb2tlbiJ9"},
		}
		_, err = http.DefaultClient.Do(req)
		check(err)
		next()
	},
	"answers for others": func() {
		id := next()
		if status := post("invocation/another/response", `"wrong"`); status != http.StatusBadRequest {
			os.Exit(8)
		}
		post("invocation/"+id+"/response", `"right"`)
		if status := post("invocation/"+id+"/response", `"twice"`); status != http.StatusBadRequest {
			os.Exit(9)
		}
		next()
	},
}

func runtimeURL(path string) string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/" + path
}

func next() (id string) {
	resp, err := http.Get(runtimeURL("invocation/next"))
	check(err)
	_, err = io.Copy(io.Discard, resp.Body)
	check(err)
	return resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
}

func post(path, body string) (status int) {
	resp, err := http.Post(runtimeURL(path), "application/json", strings.NewReader(body))
	check(err)
	check(resp.Body.Close())
	return resp.StatusCode
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A command is the event of the test function.
type command struct {
	Do   string `json:"do"`
	Text string `json:"text,omitempty"`
	// At is the address of a gate.
	At string `json:"at,omitempty"`
}

// handle is the test function.
func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var c command
	if bytes.Contains(event, []byte(`"Records"`)) {
		return handleBatch(event)
	}
	if err := json.Unmarshal(event, &c); err != nil {
		return nil, err
	}
	switch c.Do {
	case "echo":
		return c.Text, nil
	case "env":
		return os.Environ(), nil
	case "pid":
		return os.Getpid(), nil
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn,
			"deadline": deadline.UnixMilli(), "trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	case "print":
		fmt.Print(c.Text)
		return nil, nil
	case "big":
		return strings.Repeat("x", 6<<20), nil
	case "fail":
		return nil, errors.New(c.Text)
	case "panic":
		panic(c.Text)
	case "exit":
		os.Exit(3)
	case "hold":
		return nil, hold(c.At, c.Text)
	case "fork":
		// The child holds the gate open, not this process.
		child := exec.Command(os.Args[0])
		child.Env = []string{childVar + "=forked", "GATE=" + c.At}
		return nil, child.Start()
	}
	return nil, fmt.Errorf("the test function cannot do %q", c.Do)
}

// hold goes to a gate, says who it is, and waits until it is let through. What
// the gate says is the error.
func hold(addr, name string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "%s %d\n", name, os.Getpid()); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err == nil && len(said) > 0 {
		err = errors.New(string(said))
	}
	return err
}

// handleBatch works on messages that are commands.
func handleBatch(event json.RawMessage) (any, error) {
	var batch events.SQSEvent
	if err := json.Unmarshal(event, &batch); err != nil {
		return nil, err
	}
	var out events.SQSEventResponse
	for _, m := range batch.Records {
		var c command
		if err := json.Unmarshal([]byte(m.Body), &c); err != nil {
			return nil, err
		}
		switch c.Do {
		case "hold":
			if err := hold(c.At, c.Text); err != nil {
				out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			}
		case "tell":
			var line bytes.Buffer
			if err := json.Compact(&line, event); err != nil {
				return nil, err
			}
			return nil, hold(c.At, "tell 0\n"+line.String()+"\n")
		case "return":
			return json.RawMessage(c.Text), hold(c.At, "return")
		}
	}
	return out, nil
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}
