// Command acceptance checks, from outside, every statement that Rekey was asked
// to make true.
//
//	go run ./internal/acceptance            # all of them
//	go run ./internal/acceptance M39 M40-M49
//
// It prints a line for each, "ok M39 ..." or "FAIL M39 ...: why", and how many
// are ok. The exit code is 0 only if all that were asked for are.
//
// # How it checks
//
// It builds the rekey command once, starts "rekey up" as a user does, and talks
// to it by curl, the aws CLI, rekey's own commands, the list of processes, files
// and a browser without a window. It shares no code with the product: what it
// checks is what a stranger sees. Where an interface of Go is the subject, a
// program of its own in the folder probe uses the public packages.
//
// A check has its own system, in memory or in a folder of its own, wherever it
// changes what others look at; those that only look share one.
//
// A tool that is not on the machine fails the checks that need it; with -present
// they are left out, and named.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := start(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // a statement does not hold, or could not be checked
	exitUsage  = 2
)

// start runs what the arguments name and returns the exit code.
func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("acceptance", flag.ContinueOnError)
	flags.SetOutput(stderr)
	verbose := flags.Bool("v", false, "show the commands")
	present := flags.Bool("present", false, "leave out what needs a tool that is not on this machine")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	chosen, err := choose(statements(), flags.Args())
	if err != nil {
		fmt.Fprintf(stderr, "acceptance: %v\n", err)
		return exitUsage
	}
	log := io.Discard
	if *verbose {
		log = stderr
	}
	b, err := newBench(ctx, log)
	if err != nil {
		fmt.Fprintf(stderr, "acceptance: %v\n", err)
		return exitUsage
	}
	defer b.close()
	return report(stdout, chosen, b.check(chosen), *present)
}

// longestFirst are the indices of checks in the order in which they begin: those
// that compile, make many rotations, or run Terraform, would else be what all wait for.
func longestFirst(chosen []statement) []int {
	long := func(i int) bool { return slices.Contains([]string{"M76", "M96", "M100", "M104", "M105"}, chosen[i].id) }
	var first, others []int
	for i := range chosen {
		if long(i) {
			first = append(first, i)
		} else {
			others = append(others, i)
		}
	}
	return append(first, others...)
}

// check runs checks beside each other, two for each processor: they mostly wait
// for processes. What became of each is sent in the order of the statements.
func (b *bench) check(chosen []statement) <-chan error {
	slots := make(chan struct{}, 2*runtime.GOMAXPROCS(0))
	results := make([]chan error, len(chosen))
	var running sync.WaitGroup
	for i := range chosen {
		results[i] = make(chan error, 1)
	}
	running.Go(func() {
		for _, i := range longestFirst(chosen) {
			s := chosen[i]
			slots <- struct{}{}
			running.Go(func() {
				results[i] <- b.try(s)
				<-slots
			})
		}
	})
	all := make(chan error)
	go func() {
		defer close(all)
		for _, result := range results {
			all <- <-result
		}
		running.Wait()
	}()
	return all
}

// report prints a line for each statement and how many hold. With present, one
// that a tool is missing for is none that fails.
func report(w io.Writer, chosen []statement, results <-chan error, present bool) int {
	began := time.Now()
	held, left, i := 0, 0, 0
	for err := range results {
		s := chosen[i]
		i++
		switch {
		case err == nil:
			held++
			fmt.Fprintf(w, "ok %s %s\n", s.id, s.title)
		case present && errors.Is(err, errNoTool):
			left++
			fmt.Fprintf(w, "NOT TESTED %s %s: %s\n", s.id, s.title, oneLine(err.Error()))
		default:
			fmt.Fprintf(w, "FAIL %s %s: %s\n", s.id, s.title, oneLine(err.Error()))
		}
	}
	fmt.Fprintf(w, "%d of %d ok, %d checked, in %.0f s\n", held, len(chosen), len(chosen)-left, time.Since(began).Seconds())
	if held+left < len(chosen) {
		return exitFailed
	}
	return exitOK
}
