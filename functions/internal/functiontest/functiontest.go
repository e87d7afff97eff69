// Package functiontest lets the tests of a function run the engine with the
// whole template, whose functions are the test binary itself.
package functiontest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Main is for TestMain: it runs the tests, or, as what [Command] names, an
// environment of a function. Choose returns the handler of a CodeUri; nil is one
// that does nothing.
func Main(m *testing.M, choose func(codeURI string, cfg aws.Config) (lambda.Handler, error)) {
	if len(os.Args) != 3 || os.Args[1] != "function" {
		os.Exit(m.Run())
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		panic(err)
	}
	h, err := choose(os.Args[2], cfg)
	if err != nil {
		panic(err)
	}
	if h == nil {
		h = lambda.NewHandler(func(context.Context, json.RawMessage) (any, error) { return nil, nil })
	}
	lambda.Start(h)
}

// Command is the command line of a function's environment.
func Command(codeURI string) ([]string, error) {
	self, err := os.Executable()
	return []string{self, "function", codeURI}, err
}

// A Log may be written by many. Its zero value is empty.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
