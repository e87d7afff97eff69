package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rekey-go/rekey/internal/child/childtest"
	"github.com/rekey-go/rekey/internal/pgserver"
)

// TestMain lets the scripts, and the engine that they start, run this test
// binary as rekey.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "function" || len(os.Args) == 2 && os.Args[1] == "extension" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) // as a test's engine starts it
	}
	testscript.Main(m, map[string]func(){
		"rekey": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(code)
		},
		"httpget": func() {
			if err := httpget(os.Args); err != nil {
				log.Fatal(err)
			}
		},
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir) // testscript's own is not writable for PostgreSQL's tools
			// Servers' accounts may pass through, so that their files lie here and go with the rest.
			if err := os.Chmod(filepath.Dir(env.WorkDir), 0o711); err != nil {
				return err
			}
			template, err := filepath.Abs("../../template.yaml")
			if err != nil {
				return err
			}
			env.Setenv("TEMPLATE", template)
			for _, name := range []string{"PGBIN", "GOCOVERDIR"} {
				if value, ok := os.LookupEnv(name); ok {
					env.Setenv(name, value)
				}
			}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Getuid() == 0, nil // who may look into all
			}
			_, err := pgserver.Find()
			return cond == "postgres" && (err == nil || childtest.Required()), nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready":      ready,
			"nowhere":    nowhere,
			"bootstraps": bootstraps(t),
			"setfrom":    setFrom,
			"until":      until,
			"waitfor":    waitFor,
		},
	})
}
