// Command probe uses the package runtime/secrets as a program of a user does,
// and does what it is told, so that what an interface of Go promises can be
// checked from outside.
//
//	probe [-ttl 2s] [-max-stale 1s] [-patience 500ms]
//
// It reads orders from its standard input, one JSON object a line, and answers
// each with a line of JSON, before it reads the next. Where Secrets Manager is,
// and the stage, it takes from the environment, as any consumer does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// An order is a call of the client.
type order struct {
	Do    string // get, any, string, json or set; any is a get whose shape is not known
	Name  string
	Value json.RawMessage // of set: a text is stored as text, anything else as JSON

	TTL     time.Duration // of a get, in nanoseconds; 0 is the client's
	NoCache bool          // of a get
	Times   int           // how often; 0 is once
	For     time.Duration // for how long, in nanoseconds, in place of Times
}

// An answer is what the last call of an order returned.
type answer struct {
	Value   any // a text; of json and any, what it decodes to
	Version string
	Stale   bool
	Times   int // how often the call was made
	// Longest is the longest time from the beginning of one call to that of the
	// next: how long the machine, or Secrets Manager, has held this program up.
	Longest time.Duration
	Error   string `json:",omitempty"` // what the error means; "other" if it means nothing
	Says    string `json:",omitempty"` // its text
	Reads   []read `json:",omitempty"` // of an order with For: each value, from its first read to its last
}

// A read says of a value when the first read of it began, and when the last did.
type read struct {
	Value       string
	First, Last time.Time
}

func main() {
	if err := start(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, args []string, orders io.Reader, answers io.Writer) error {
	flags := flag.NewFlagSet("probe", flag.ContinueOnError)
	ttl := flags.Duration("ttl", 0, "Options.TTL")
	maxStale := flags.Duration("max-stale", 0, "Options.MaxStale")
	patience := flags.Duration("patience", 0, "Options.Patience")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client, err := secrets.FromEnv(cfg, os.Getenv, func(o *secrets.Options) { o.TTL, o.MaxStale, o.Patience = *ttl, *maxStale, *patience })
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(orders)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return err
		}
		if err := json.NewEncoder(answers).Encode(follow(ctx, client, o)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// follow does what an order says.
func follow(ctx context.Context, client *secrets.Client, o order) answer {
	var a answer
	last := time.Now()
	until := last.Add(o.For)
	for a.Times < max(o.Times, 1) || time.Now().Before(until) {
		a.Times++
		began := time.Now()
		a.Longest, last = max(a.Longest, began.Sub(last)), began
		value, err := a.call(ctx, client, o)
		a.Value, a.Error, a.Says = value, "", ""
		if err != nil {
			a.Error, a.Says = meaning(err), err.Error()
		}
		if o.For > 0 {
			a.note(fmt.Sprint(value, a.Error), began)
			<-time.After(time.Millisecond)
		}
	}
	return a
}

// call makes one call.
func (a *answer) call(ctx context.Context, client *secrets.Client, o order) (any, error) {
	var options []secrets.ReadOption
	if o.TTL != 0 {
		options = append(options, secrets.TTL(o.TTL))
	}
	if o.NoCache {
		options = append(options, secrets.NoCache())
	}
	switch o.Do {
	case "get", "any":
		s, err := client.Get(ctx, o.Name, options...)
		if err != nil {
			return nil, err
		}
		a.Version, a.Stale = s.VersionID(), s.Stale()
		if o.Do == "any" {
			return s.RevealAny(), nil
		}
		return s.Reveal(), nil
	case "string":
		return client.String(ctx, o.Name, options...)
	case "json":
		return secrets.JSON[any](ctx, client, o.Name, options...)
	case "set":
		var value any
		if err := json.Unmarshal(o.Value, &value); err != nil {
			return nil, err
		}
		version, err := client.Set(ctx, o.Name, value)
		a.Version = version
		return nil, err
	default:
		return nil, fmt.Errorf("there is no order %q", o.Do)
	}
}

// note tells that a read returned a value.
func (a *answer) note(value string, began time.Time) {
	for i := range a.Reads {
		if a.Reads[i].Value == value {
			a.Reads[i].Last = began
			return
		}
	}
	a.Reads = append(a.Reads, read{value, began, began})
}

// meaning says in a word which of the package's errors it is.
func meaning(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{secrets.ErrNotFound, "not found"},
		{secrets.ErrNoValue, "no value"},
		{secrets.ErrDenied, "denied"},
		{secrets.ErrDeleted, "deleted"},
		{secrets.ErrThrottled, "throttled"},
		{secrets.ErrUnavailable, "unavailable"},
		{secrets.ErrDecode, "decode"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return "other"
}
