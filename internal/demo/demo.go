// Package demo tells the whole story once, on a running stack: a database
// login is stored, used under load, rotated four times in different ways, once
// with the rotating function killed, and the superseded login is revoked and
// shown to be refused. Then the audit says who read what.
//
// Nothing in it reaches into the system: it calls the HTTP API, the AWS APIs
// and PostgreSQL as an operator would. The one exception is the kill, which no
// API offers.
package demo

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/stack"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// Parameters are the template's parameters for the story: the same mechanisms
// as in production, with the waiting cut short.
func Parameters() map[string]string {
	return map[string]string{"CheckInterval": "500ms", "Lease": "5s", "Grace": "1s", "RetireDeadline": "60s"}
}

// environments is how many environments of the login function are warm.
const environments = 4

// Options configure [Run].
type Options struct {
	// Stack is ready, with PostgreSQL, and started with [Parameters].
	Stack *stack.Stack
	// Consumer starts the long-running consumer process.
	Consumer func(ctx context.Context) *exec.Cmd
	// Report is the path of the HTML report.
	Report string
	// Say prints a line of progress.
	Say func(format string, args ...any)
}

// A Result is what the story ended with.
type Result struct {
	// Requests is the number of logins and queries sent by the load and the
	// consumer process, and Failed how many did not succeed.
	Requests int `json:"requests"`
	Failed   int `json:"failed"`
	// Rotations that ended well.
	Rotations int `json:"rotations"`
	// Fresh says how long it took from a rotation's end until a consumer's
	// environment held the new version, over all of them, in milliseconds.
	Fresh Freshness `json:"fresh_ms"`
	// Pushed is the same for the long-running process alone, which hears by an
	// event and not by a look at the bulletin.
	Pushed Freshness `json:"pushed_ms"`
	// Revoked says that the server refuses the superseded logins.
	Revoked bool `json:"revoked"`
	// Laggards is how many consumers still use an old version, by the audit.
	Laggards int `json:"laggards"`
	// Environments is how many environments of consumers took part.
	Environments int `json:"environments"`
	// Report is the path of the HTML report.
	Report string `json:"report"`
	// Seconds is how long it took.
	Seconds float64 `json:"seconds"`
	// Refused are the calls that the template's policies did not let through,
	// each with the statement that is missing.
	Refused []string `json:"refused,omitempty"`
	// FirstFailure says what the first failed request was answered.
	FirstFailure string `json:"firstFailure,omitempty"`
}

// Freshness is a distribution in milliseconds.
type Freshness struct {
	P50 float64 `json:"p50"`
	Max float64 `json:"max"`
}

// OK reports whether everything went as promised.
func (r *Result) OK() bool {
	return r.Failed == 0 && r.Requests > 0 && r.Rotations == rotations && r.Revoked && r.Laggards == 0 && len(r.Refused) == 0
}

// A story is the state of a run.
type story struct {
	Options
	secrets *secretsmanager.Client
	trail   *cloudtrail.Client
	board   *bulletin.Bulletin
	began   time.Time
	arn     string          // of database-credentials
	delays  []time.Duration // of all consumers
	pushed  []time.Duration // of the long-running process
	holders map[string]bool // consumers that were seen to become fresh
	result  Result
}

// Run tells the story. Where something fails that the story is about, such as
// a request, the result says so and the error is nil.
func Run(ctx context.Context, opts Options) (*Result, error) {
	s := newStory(opts)
	if err := s.tell(ctx); err != nil {
		return nil, err
	}
	s.result.Seconds = time.Since(s.began).Seconds()
	s.result.Fresh, s.result.Pushed = distribution(s.delays), distribution(s.pushed)
	s.result.Environments = len(s.holders)
	s.result.Refused = Refusals(opts.Stack)
	return &s.result, nil
}

// Refusals are the calls that a stack's policies did not let through, with the
// statement that is missing, each in one line. Where a story does not come to
// its end, they say why.
func Refusals(s *stack.Stack) []string {
	var lines []string
	for _, refused := range s.Engine.Policies().Refused {
		lines = append(lines, refused.String())
	}
	return lines
}

func newStory(opts Options) *story {
	cfg := opts.Stack.Config()
	return &story{
		Options: opts,
		secrets: secretsmanager.NewFromConfig(cfg),
		trail:   cloudtrail.NewFromConfig(cfg),
		board:   bulletin.New(dynamodb.NewFromConfig(cfg), opts.Stack.Stage+"-rekey-bulletin"),
		began:   time.Now(),
		holders: map[string]bool{},
	}
}

func (s *story) tell(ctx context.Context) error {
	if err := s.showPlaceholders(ctx); err != nil {
		return err
	}
	if err := s.storeCredentials(ctx); err != nil {
		return err
	}
	load, err := s.startLoad(ctx)
	if err != nil {
		return err
	}
	consumer, err := s.startConsumer(ctx)
	if err != nil {
		load.stop()
		return err
	}
	err = s.rotateAll(ctx)
	s.count(load.stop())
	served, stopErr := consumer.stop()
	s.count(served)
	if err != nil {
		return err
	}
	if stopErr != nil {
		return stopErr
	}
	s.say("load stopped: %d requests, %d failed", s.result.Requests, s.result.Failed)
	return s.audit(ctx)
}

func (s *story) say(format string, args ...any) {
	s.Say("%6.2fs  %s", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// A Tally counts requests. It is also what the consumer process prints at its
// end.
type Tally struct {
	OK           int    `json:"ok"`
	Failed       int    `json:"failed"`
	FirstFailure string `json:"firstFailure,omitempty"`
}

// Count notes a request with what was wrong with it; empty if nothing was.
func (t *Tally) Count(failure string) {
	if failure == "" {
		t.OK++
		return
	}
	t.Failed++
	if t.FirstFailure == "" {
		t.FirstFailure = failure
	}
}

func (s *story) count(t Tally) {
	s.result.Requests += t.OK + t.Failed
	s.result.Failed += t.Failed
	if s.result.FirstFailure == "" {
		s.result.FirstFailure = t.FirstFailure
	}
}
