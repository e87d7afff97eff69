package lambda_test

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/lambda"
)

// engineMain is an engine in a process of its own. Its function goes to the
// gate and stays there.
func engineMain() {
	s := lambda.New(lambda.Options{Account: account, Region: region, Clock: clock.New(), Keys: iam.NewKeys(account), Logs: os.Stderr})
	f := child("function")
	f.Timeout = 2 * patience
	arn, err := s.Define(f)
	check(err)
	_, _, err = s.Invoke(context.Background(), arn, []byte(`{"do":"hold","text":"orphan","at":"`+os.Getenv("GATE")+`"}`))
	check(err)
}

func TestFunctionsDieWithAnEngineThatIsKilled(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	engine := exec.Command(os.Args[0])
	engine.Env = []string{childVar + "=engine", "GATE=" + g.addr()}
	engine.Stderr = t.Output()
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	v := g.arrival()
	if err := engine.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = engine.Wait() // it was killed
	// In the middle of an invocation the runtime does not see that its Runtime
	// API is gone: it is the kernel that ends the process.
	v.end()
}
