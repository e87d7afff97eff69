package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
)

// An answer is what a server said to one request. Its fault says why there is
// none.
type answer struct {
	status int
	header http.Header
	body   string
	fault  error
}

// answer reads the output of curl.
func (o output) answer() answer {
	if o.fault == nil && o.code != 0 {
		o.fault = fmt.Errorf("curl ended with %d: %s", o.code, o.err)
	}
	if o.fault != nil {
		return answer{fault: o.fault}
	}
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(o.out)), nil)
	if err != nil {
		return answer{fault: fmt.Errorf("the answer %q: %w", o.out, err)}
	}
	body, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return answer{fault: fmt.Errorf("the body of %q: %w", o.out, err)}
	}
	return answer{status: res.StatusCode, header: res.Header, body: strings.TrimSuffix(string(body), "\n")}
}

// is checks status and body, to the letter.
func (a answer) is(status int, body string) error {
	if a.fault == nil && (a.status != status || a.body != body) {
		return fmt.Errorf("answered %d %s, want %d %s", a.status, a.body, status, body)
	}
	return a.fault
}

// like checks the status, and that the body has a text.
func (a answer) like(status int, part string) error {
	if a.fault == nil && (a.status != status || !strings.Contains(a.body, part)) {
		return fmt.Errorf("answered %d %s, want %d with %s", a.status, a.body, status, part)
	}
	return a.fault
}

// has checks a header.
func (a answer) has(name, want string) error {
	if got := a.header.Get(name); a.fault == nil && got != want {
		return fmt.Errorf("header %s is %q, want %q", name, got, want)
	}
	return a.fault
}

// into decodes the body.
func (a answer) into(v any) error {
	if a.fault != nil {
		return a.fault
	}
	return unmarshal(a.body, v)
}

// prints checks that commands went well and printed exactly a text, but for
// space at its ends.
func (o output) prints(want string) error {
	if err := o.went(); err != nil {
		return err
	}
	if got := strings.TrimSpace(o.out); got != want {
		return fmt.Errorf("printed %q, want %q", got, want)
	}
	return nil
}

// went checks that commands went well.
func (o output) went() error {
	if o.fault == nil && o.code != 0 {
		return fmt.Errorf("exit code %d: %s%s", o.code, o.out, o.err)
	}
	return o.fault
}

// shows checks that commands went well and that their output has texts.
func (o output) shows(texts ...string) error {
	if err := o.went(); err != nil {
		return err
	}
	return contains("the output", o.out, texts...)
}

// fails checks that commands failed, and said texts.
func (o output) fails(texts ...string) error {
	if o.fault == nil && o.code == 0 {
		return fmt.Errorf("it went well, and printed %s", o.out)
	}
	if o.fault != nil {
		return o.fault
	}
	return contains("the error", o.err, texts...)
}

// together is all that commands printed.
func together(outputs []output) string {
	var all strings.Builder
	for _, o := range outputs {
		fmt.Fprintln(&all, o.out, o.err, o.fault)
	}
	return all.String()
}

// text is what commands printed, without space at its ends.
func (o output) text() string { return strings.TrimSpace(o.out) }

// contains checks that something has texts.
func contains(what, in string, texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(in, text) {
			return fmt.Errorf("%s has no %q: %.300s", what, text, in)
		}
	}
	return nil
}

// lacks checks that something has none of the texts, which it does not repeat.
func lacks(what, in string, texts ...string) error {
	for _, text := range texts {
		if strings.Contains(in, text) {
			return fmt.Errorf("%s has a text that is to be nowhere", what)
		}
	}
	return nil
}

// sameJSON checks that two texts are the same JSON.
func sameJSON(got, want string) error {
	var g, w any
	if err := unmarshal(got, &g); err != nil {
		return err
	}
	if err := unmarshal(want, &w); err != nil {
		return err
	}
	if !reflect.DeepEqual(g, w) {
		return fmt.Errorf("got %s, want %s", got, want)
	}
	return nil
}

// unmarshal decodes JSON and keeps numbers as they are written.
func unmarshal(text string, v any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%q is not the JSON that was expected: %w", text, err)
	}
	return nil
}

// marshal makes JSON of what always can be.
func marshal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// oneLine puts a text on one line, and shortens it.
func oneLine(text string) string {
	const most = 600
	line := strings.Join(strings.Fields(text), " ")
	if len(line) > most {
		line = line[:most] + " ..."
	}
	return line
}

// equal checks that two values are the same.
func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}
