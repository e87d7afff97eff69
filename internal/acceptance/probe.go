package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// A probe is a program that uses runtime/secrets; see the folder of this name.
type probe struct {
	in      io.WriteCloser
	answers *bufio.Reader
	lock    sync.Mutex // one order at a time
}

// An order is what the probe is to do.
type order struct {
	Do, Name string
	Value    any           `json:",omitempty"`
	TTL      time.Duration `json:",omitempty"`
	NoCache  bool          `json:",omitempty"`
	Times    int           `json:",omitempty"`
	For      time.Duration `json:",omitempty"`
}

// A probed is its answer.
type probed struct {
	Value       json.RawMessage
	Version     string
	Stale       bool
	Times       int
	Longest     time.Duration
	Error, Says string
	Reads       []struct {
		Value       string
		First, Last time.Time
	}
}

// probe starts a probe whose Secrets Manager is at an endpoint: that of the
// system, or a gate before it.
func (s *system) probe(endpoint string, flags ...string) (*probe, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.bench.probe(); err != nil {
		return nil, err
	}
	s.bench.say(s.id, "probe "+fmt.Sprint(flags))
	cmd := exec.CommandContext(s.ctx, filepath.Join(s.bench.dir, "bin", "probe"), flags...) //nolint:gosec // a program of ours.
	cmd.Dir, cmd.Env = s.run.dir, userEnv(s.bench, s.run.dir, "AWS_ENDPOINT_URL="+endpoint, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=operator", "AWS_SECRET_ACCESS_KEY=operator", "AWS_MAX_ATTEMPTS=1", "REKEY_STAGE=dev")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.ends = append(s.ends, func() {
		_ = in.Close() // ends it
		_ = cmd.Wait() // as it should
	})
	return &probe{in: in, answers: bufio.NewReader(out)}, nil
}

// do has an order done.
func (p *probe) do(o order) (a probed, err error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if _, err := fmt.Fprintln(p.in, marshal(o)); err != nil {
		return a, fmt.Errorf("the probe takes no order: %w", err)
	}
	line, err := p.answers.ReadString('\n')
	if err != nil {
		return a, fmt.Errorf("the probe ended: %w", err)
	}
	return a, unmarshal(line, &a)
}

// gets reads a secret, and checks the text that it is.
func (p *probe) gets(o order, want string) error {
	o.Do = "get"
	return p.returns(o, marshal(want))
}

// returns has an order done, and checks what it returned, given as JSON.
func (p *probe) returns(o order, want string) error {
	a, err := p.do(o)
	if err != nil {
		return err
	}
	if a.Error != "" {
		return fmt.Errorf("%s of %s ended with %q: %s", o.Do, o.Name, a.Error, a.Says)
	}
	return sameJSON(string(a.Value), want)
}

// fails has an order done, and checks what its error means.
func (p *probe) fails(o order, meaning string) error {
	a, err := p.do(o)
	if err != nil {
		return err
	}
	if a.Error != meaning {
		return fmt.Errorf("%s of %s ended with %q (%s), want %q", o.Do, o.Name, a.Error, a.Says, meaning)
	}
	return nil
}
