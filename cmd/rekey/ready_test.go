package main

import (
	"encoding/json"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rekey-go/rekey/internal/polltest"
)

// ready is the script command "ready FILE": it waits for the ready file of
// "rekey up" and sets the variables that the command tells to export, and
// ADMIN_TOKEN and API.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready FILE")
	}
	path := ts.MkAbs(args[0])
	var r readiness
	polltest.Until(ts, args[0]+" is there", func() bool {
		data, err := os.ReadFile(path)
		if err == nil {
			ts.Check(json.Unmarshal(data, &r))
		}
		return err == nil
	})
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": r.AWS, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "operator",
		"API": r.API, "ADMIN_TOKEN": r.AdminToken,
	} {
		ts.Setenv(name, value)
	}
}

// until is the script command "until TEXT COMMAND...": it runs a command again and
// again, until that goes well and its output has a text in it.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until TEXT COMMAND...")
	}
	polltest.Until(ts, args[1]+" prints "+args[0], func() bool {
		return ts.Exec(args[1], args[2:]...) == nil && strings.Contains(ts.ReadFile("stdout"), args[0])
	})
}

// setFrom is the script command "setfrom NAME FILE": it waits for a file to be
// there, and sets a variable to its text.
func setFrom(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setfrom NAME FILE")
	}
	text := ""
	polltest.Until(ts, args[1]+" is there", func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[1]))
		text = strings.TrimSpace(string(data))
		return err == nil
	})
	ts.Setenv(args[0], text)
}

// waitFor is the script command "waitfor FILE TEXT": it waits until a file has
// a text in it.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: waitfor FILE TEXT")
	}
	polltest.Until(ts, args[0]+" has "+args[1], func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(data), args[1])
	})
}
