package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
	"golang.org/x/term"

	"github.com/rekey-go/rekey/rotation"
)

// The rules of what a person sees:
//
//   - standard output has data only; everything else goes to standard error
//   - an error is one line "rekey: error: ..." that says what and where, and
//     one or more lines "rekey: hint: ..." that say what to do
//   - no capital at the front, no full stop at the end
//   - --json prints the same data as one object, for every command
//   - colour only on a terminal, and never with NO_COLOR

// Exit codes of every command.
const (
	exitDone        = 0
	exitLocal       = 1 // usage, or something on this machine
	exitAWS         = 2 // AWS answered with an error, or a report is not of all records
	exitRotation    = 3 // the rotation failed
	exitNotFound    = 4
	exitFindings    = 5 // the audit found what --fail-on names
	exitInterrupted = 130
)

// A cliError is an error with an exit code and hints.
type cliError struct {
	err   error
	code  int
	hints []string
}

// Error is the text behind "rekey: error: ".
func (e *cliError) Error() string { return e.err.Error() }

// Unwrap gives the cause.
func (e *cliError) Unwrap() error { return e.err }

// withHint adds advice to an error.
func withHint(err error, hints ...string) error {
	if err == nil {
		return nil
	}
	return &cliError{err: err, code: exitCode(err), hints: hints}
}

// withCode gives an error its exit code.
func withCode(code int, err error, hints ...string) error {
	return &cliError{err: err, code: code, hints: hints}
}

// exitCode is the code that an error ends the command with.
func exitCode(err error) int {
	if e, ok := errors.AsType[*cliError](err); ok {
		return e.code
	}
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case !ok:
		return exitLocal
	case api.ErrorCode() == "ResourceNotFoundException":
		return exitNotFound
	default:
		return exitAWS
	}
}

// report prints an error and its hints, and returns its exit code.
func report(stderr io.Writer, err error) int {
	code := exitCode(err)
	if code == exitInterrupted {
		fmt.Fprintln(stderr, "rekey: interrupted")
		return code
	}
	text := oneLine(err.Error())
	fmt.Fprintf(stderr, "rekey: error: %s\n", text)
	if e, ok := errors.AsType[*cliError](err); ok {
		for _, hint := range e.hints {
			fmt.Fprintf(stderr, "rekey: hint: %s\n", oneLine(hint))
		}
	}
	if found := rotationCode.FindStringSubmatch(text + ": "); found != nil {
		fmt.Fprintf(stderr, "rekey: hint: see %s\n", rotation.Section(found[1]))
	}
	return code
}

// rotationCode is a code of [rotation.Explain] in the text of an error, which
// mostly comes from a function or out of the trail.
//
//nolint:gochecknoglobals // compiled once.
var rotationCode = regexp.MustCompile(`: ((?:authentication|configuration|conflict|network|permission|tls|unknown)\.[a-z-]+): `)

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// A printer writes for a person or, with --json, for a program.
type printer struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	colour         bool
	terminal       bool // whether standard error is one that a line can be rewritten on
}

func newPrinter(stdin io.Reader, stdout, stderr io.Writer) *printer {
	p := &printer{stdin: stdin, stdout: stdout, stderr: stderr}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.colour = os.Getenv("NO_COLOR") == ""
		p.terminal = os.Getenv("TERM") != "dumb"
	}
	return p
}

// data prints v as JSON, or calls text for a person.
func (p *printer) data(v any, text func(w io.Writer)) error {
	if !p.json {
		text(p.stdout)
		return nil
	}
	enc := json.NewEncoder(p.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// note prints one line of progress.
func (p *printer) note(format string, args ...any) {
	fmt.Fprintf(p.stderr, format+"\n", args...)
}

// Colours of progress lines.
const (
	bold  = "1"
	green = "32"
	red   = "31"
	grey  = "90"
)

// paint colours text where colours are wanted.
func (p *printer) paint(colour, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
