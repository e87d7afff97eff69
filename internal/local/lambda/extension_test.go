package lambda_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/lambda"
)

// extensionMain is an extension that prints what it hears.
func extensionMain(kind string) {
	for _, name := range []string{"_HANDLER", "AWS_LAMBDA_LOG_STREAM_NAME"} {
		if os.Getenv(name) != "" {
			fmt.Println("extension has", name)
		}
	}
	if kind == "crashes" {
		os.Exit(3)
	}
	name := "watcher"
	if kind == "another name" {
		name = "another"
	}
	id, status := registerExtension(name, `{"events":["INVOKE","SHUTDOWN"]}`)
	fmt.Println("extension registered", status, os.Getenv("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT") != "")
	if status != http.StatusOK {
		os.Exit(4)
	}
	for n := 0; ; n++ {
		event := nextEvent(id)
		fmt.Println("extension heard", event.EventType, event.ShutdownReason, event.RequestID != "")
		if event.EventType == "SHUTDOWN" {
			if kind == "stays" {
				select {}
			}
			return
		}
		if kind == "crashes later" {
			os.Exit(5)
		}
	}
}

func extensionURL(path string) string {
	return "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2020-01-01/extension/" + path
}

func registerExtension(name, body string) (id string, status int) {
	req, err := http.NewRequest(http.MethodPost, extensionURL("register"), strings.NewReader(body))
	check(err)
	req.Header.Set("Lambda-Extension-Name", name)
	res, err := http.DefaultClient.Do(req)
	check(err)
	check(res.Body.Close())
	return res.Header.Get("Lambda-Extension-Identifier"), res.StatusCode
}

type lifeEvent struct{ EventType, ShutdownReason, RequestID string }

func nextEvent(id string) (e lifeEvent) {
	req, err := http.NewRequest(http.MethodGet, extensionURL("event/next"), nil)
	check(err)
	req.Header.Set("Lambda-Extension-Identifier", id)
	res, err := http.DefaultClient.Do(req)
	check(err)
	data, err := io.ReadAll(res.Body)
	check(err)
	check(json.Unmarshal(data, &e))
	return e
}

func withExtension(kind string) lambda.Function {
	f := child("function")
	f.Extensions = []lambda.Extension{{Name: "watcher", Command: []string{os.Args[0], "extension", kind}}}
	return f
}

// heard are the lines that the extension printed, without the environment's
// name.
func (b *bench) heard() []string {
	var lines []string
	for line := range strings.Lines(b.logs.String()) {
		if _, said, ok := strings.Cut(strings.TrimSpace(line), " extension "); ok {
			lines = append(lines, said)
		}
	}
	return lines
}

// untilHeardToTheEnd repeats what has an extension hear of its environment's life,
// as long as the last that it hears is not the shutdown: it has two seconds for
// that, in which the machine may have other things to do.
func untilHeardToTheEnd(t *testing.T, life func() (heard []string)) []string {
	t.Helper()
	for tries := 5; ; tries-- {
		heard := life()
		if n := len(heard); n > 0 && heard[n-1] == "heard SHUTDOWN spindown false" {
			return heard
		}
		if tries == 1 {
			t.Fatalf("the extension heard %q", heard)
		}
	}
}

func TestAnExtensionHearsOfItsEnvironmentsLife(t *testing.T) {
	t.Parallel()
	heard := untilHeardToTheEnd(t, func() []string { return lifeOfExtension(t) })
	want := []string{"registered 200 true", "heard INVOKE  true"}
	if len(heard) < 4 || !slices.Equal(heard[:2], want) {
		t.Errorf("the extension heard %q", heard)
	}
}

// lifeOfExtension is what an extension hears of an environment that has two
// invocations.
func lifeOfExtension(t *testing.T) (heard []string) {
	t.Helper()
	b := start(t, withExtension("good"))
	for range 2 {
		if got := b.invoke(command{Do: "echo", Text: "hi"}); got.result != `"hi"` {
			t.Fatalf("the function answered %v", got)
		}
		if err := b.Warm(t.Context(), b.arn, 1); err != nil { // waits for the extension too
			t.Fatal(err)
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b.heard()
}

func TestAFunctionWhoseExtensionFailsDoesNotRun(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"crashes": "Extension.Crash", "another name": "Extension.Crash"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := start(t, withExtension(kind))
			payload, functionError, err := b.Invoke(t.Context(), b.arn, []byte(`{"do":"echo"}`))
			if err != nil || functionError == "" || !strings.Contains(string(payload), want) {
				t.Errorf("got %s, %q, %v; want %s", payload, functionError, err, want)
			}
		})
	}
}

func TestAnEnvironmentEndsWithItsExtension(t *testing.T) {
	t.Parallel()
	b, g := start(t, withExtension("crashes later")), newGate(t)
	payload, functionError, err := b.Invoke(t.Context(), b.arn, []byte(`{"do":"hold","at":"`+g.addr()+`"}`))
	if err != nil || functionError == "" || !strings.Contains(string(payload), "Runtime exited") {
		t.Errorf("got %s, %q, %v, though nobody let the function go on", payload, functionError, err)
	}
}

func TestAnExtensionThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	untilHeardToTheEnd(t, func() []string {
		b := start(t, withExtension("stays"))
		if got := b.invoke(command{Do: "echo", Text: "hi"}); got.result != `"hi"` {
			t.Fatalf("the function answered %v", got)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.heard()
	})
}
