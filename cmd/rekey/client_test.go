package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
)

// aTransport remembers the body that it was given.
type aTransport struct{ body io.Reader }

func (c *aTransport) Do(r *http.Request) (*http.Response, error) {
	c.body = r.Body
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

// TestNoCallBreaksItsAnswerOff checks that every client is made with bodies that
// net/http cannot misread.
func TestNoCallBreaksItsAnswerOff(t *testing.T) {
	t.Parallel()
	cfg, err := (&app{}).config(t.Context(), config.WithRegion("us-east-1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := cfg.HTTPClient.(plainBodies); !ok {
		t.Errorf("the commands call AWS with a %T", cfg.HTTPClient)
	}
	var got aTransport
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost", io.NopCloser(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	if _, writes := req.Body.(io.WriterTo); !writes {
		t.Fatal("the body that is to be hidden writes itself in no way")
	}
	res, err := plainBodies{&got}.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if _, writes := got.body.(io.WriterTo); writes {
		t.Error("net/http sees that the body writes itself")
	}
}
