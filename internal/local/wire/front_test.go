package wire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/wire"
)

type echoInput struct {
	Name   string
	Secret string
}

type echoOutput struct {
	Hello string
	At    wire.Timestamp
}

// A notebook is a recorder.
type notebook struct {
	mu    sync.Mutex
	lines []string
}

// Record notes who did what and how it ended.
func (n *notebook) Record(c *wire.Call, _ wire.Operation, _ any, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	outcome := "ok"
	if err != nil {
		outcome = err.Error()
	}
	n.lines = append(n.lines, c.Caller.UserName+" "+c.Operation+" "+outcome)
}

// front serves one service of each protocol, and notes its calls.
func front(t *testing.T, authorize func(*wire.Call) error) (url string, notes *notebook) {
	t.Helper()
	hello := func(_ context.Context, _ *wire.Call, in *echoInput) (*echoOutput, error) {
		switch in.Name {
		case "refused":
			return nil, wire.Errorf("ResourceNotFoundException", "there is no %s", in.Name)
		case "broken":
			return nil, errors.New("a failure with a canary in it")
		}
		return &echoOutput{Hello: in.Name, At: wire.Timestamp(time.Unix(1700000000, 250e6))}, nil
	}
	operations := map[string]wire.Operation{
		"Hello": wire.Op(wire.Read, hello, "Secret"),
		"Data":  wire.Op(wire.Data, hello),
	}
	notes = &notebook{}
	f := wire.NewFront(wire.FrontOptions{
		Region: "us-east-1", Account: "1", Now: time.Now, Recorder: notes, Authorize: authorize,
		Identify: func(key string) wire.Principal { return wire.Principal{UserName: key} },
	},
		wire.Service{Name: "echo", EventSource: "echo.amazonaws.com", Protocol: wire.JSON11, Targets: []string{"Echo"}, Operations: operations},
		wire.Service{Name: "sts", EventSource: "sts.amazonaws.com", Protocol: wire.Query, Operations: map[string]wire.Operation{"Ask": operations["Hello"]}},
		wire.Service{Name: "rest", EventSource: "rest.amazonaws.com", Protocol: wire.REST, Routes: []wire.Route{{
			Pattern: "GET /things/{id}", Operation: "GetThing", Access: wire.Read,
			Serve: func(w http.ResponseWriter, r *http.Request, _ *wire.Call) error {
				if r.PathValue("id") == "0" {
					return &wire.Error{Code: "NotFound", Message: "no thing", Status: 404}
				}
				_, err := io.WriteString(w, "thing "+r.PathValue("id"))
				return err
			},
		}}})
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL, notes
}

const signature = "AWS4-HMAC-SHA256 Credential=alice/20260101/eu-west-1/echo/aws4_request, SignedHeaders=host, Signature=0"

func send(t *testing.T, method, url, target, contentType, body string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", signature)
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.Header.Get("X-Amzn-Requestid") == "" {
		t.Error("the answer has no request id")
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(data))
}

func TestEachProtocolIsAnsweredInItsOwnForm(t *testing.T) {
	t.Parallel()
	url, notes := front(t, nil)
	const json11, form = "application/x-amz-json-1.1", "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, path, target, contentType, body string
		status                                        int
		want                                          string
	}{
		{"JSON", "POST", "/", "Echo.Hello", json11, `{"Name":"a","Unknown":1}`, 200, `{"Hello":"a","At":1700000000.250}`},
		{"a modelled refusal", "POST", "/", "Echo.Hello", json11, `{"Name":"refused"}`, 400, `{"Message":"there is no refused","__type":"ResourceNotFoundException"}`},
		{"a body of another shape", "POST", "/", "Echo.Hello", json11, `{"Name":["canary"]}`, 400, `{"__type":"SerializationException","message":"the request body does not have the shape of Hello's input"}`},
		{"a failure of ours", "POST", "/", "Echo.Hello", json11, `{"Name":"broken"}`, 500, `{"Message":"An error occurred on the server side.","__type":"InternalServiceError"}`},
		{"an operation that is not there", "POST", "/", "Echo.Nope", json11, `{}`, 501, `{"__type":"NotImplementedException","message":"the embedded engine does not have Nope of echo; docs/engine.md lists what it has"}`},
		{"a form", "POST", "/", "", form, "Action=Ask&Name=b", 200, "<echoOutput><Hello>b</Hello>"},
		{"an unknown form", "POST", "/", "", form, "Action=Nope", 501, "<Code>NotImplementedException</Code>"},
		{"a path", "GET", "/things/7", "", "", "", 200, "thing 7"},
		{"a path that is refused", "GET", "/things/0", "", "", "", 404, `{"message":"no thing"}`},
		{"an unknown path", "GET", "/nothing", "", "", "", 501, `{"message":"the embedded engine does not have GET /nothing of echo`},
		{"a data call", "POST", "/", "Echo.Data", json11, `{"Name":"c"}`, 200, `"Hello":"c"`},
	}
	for _, tt := range tests {
		status, got := send(t, tt.method, url+tt.path, tt.target, tt.contentType, tt.body)
		if status != tt.status || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, status, got, tt.status, tt.want)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("%s: the answer quotes what was sent", tt.name)
		}
	}
	want := []string{
		"alice Hello ok",
		"alice Hello ResourceNotFoundException: there is no refused",
		"alice Hello SerializationException: the request body does not have the shape of Hello's input",
		"alice Hello InternalServiceError: An error occurred on the server side.",
		"alice Ask ok", "alice GetThing ok", "alice GetThing NotFound: no thing",
	}
	if diff := cmp.Diff(want, notes.lines); diff != "" {
		t.Errorf("recorded calls (-want +got):\n%s", diff)
	}
}

func TestARefusedCallerIsRecorded(t *testing.T) {
	t.Parallel()
	url, notes := front(t, func(c *wire.Call) error {
		return wire.Unmodelled("AccessDeniedException", "%s may not %s in %s", c.Caller.UserName, c.Operation, c.Region)
	})
	status, got := send(t, "POST", url, "Echo.Hello", "application/x-amz-json-1.1", `{"Name":"a"}`)
	if want := `{"__type":"AccessDeniedException","message":"alice may not Hello in eu-west-1"}`; status != 400 || got != want {
		t.Errorf("got %d %s, want 400 %s", status, got, want)
	}
	if len(notes.lines) != 1 || !strings.Contains(notes.lines[0], "AccessDenied") {
		t.Errorf("recorded %v, want the refusal", notes.lines)
	}
}
