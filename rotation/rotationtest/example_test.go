package rotationtest_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/rotation/rotationtest"
)

// A gate lets in whoever has one of its tokens.
type gate struct {
	mu     sync.Mutex
	tokens map[string]bool
}

func (g *gate) change(token string, open bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tokens[token] = open
	return nil
}

func (g *gate) enter(token string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.tokens[token] {
		return rotation.ErrAuth
	}
	return nil
}

// gateTokens is a strategy. Its calls go through call so that the suite can
// fail them; in a function of your own, call the service.
type gateTokens struct {
	gate *gate
	call rotationtest.Call
}

func (s gateTokens) Create(_ context.Context, _ rotation.Change, supplied rotation.Value) (rotation.Value, error) {
	if !supplied.Empty() {
		return supplied, nil
	}
	return rotation.NewPassword(), nil
}

func (s gateTokens) Set(_ context.Context, c rotation.Change) error {
	return s.call(func() error { return s.gate.change(c.Pending.Reveal(), true) })
}

func (s gateTokens) Test(_ context.Context, c rotation.Change) error {
	return s.call(func() error { return s.gate.enter(c.Pending.Reveal()) })
}

func (s gateTokens) Retire(ctx context.Context, r rotation.Retirement) error {
	if err := r.UnderWay(ctx); err != nil {
		return err
	}
	return s.call(func() error { return s.gate.change(r.Superseded.Reveal(), false) })
}

func TestGateTokens(t *testing.T) {
	t.Parallel()
	rotationtest.Exercise(t, func(*testing.T) rotationtest.Target {
		g := &gate{tokens: map[string]bool{"the first token": true}}
		return rotationtest.Target{
			Value:    rotation.NewValue("the first token"),
			Strategy: func(call rotationtest.Call) rotation.Strategy { return gateTokens{g, call} },
			Accepts:  func(_ context.Context, v rotation.Value) error { return g.enter(v.Reveal()) },
		}
	})
}

func TestTheDocumentationShowsThisStrategy(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/strategy.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")
	for _, block := range blocks[1:3] {
		shown, _, _ := strings.Cut(block, "\n```")
		if !strings.Contains(string(code), shown) {
			t.Errorf("docs/strategy.md shows what is not in this file:\n%s", shown)
		}
	}
}
