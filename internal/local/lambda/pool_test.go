package lambda_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// pids lists the processes of the function's environments.
func (b *bench) pids() []int {
	var all []int
	for _, e := range b.Environments(b.arn) {
		all = append(all, e.PID)
	}
	slices.Sort(all)
	return all
}

func (b *bench) pid() int {
	b.t.Helper()
	pid, err := strconv.Atoi(b.invoke(command{Do: "pid"}).ok(b.t))
	if err != nil {
		b.t.Fatal(err)
	}
	return pid
}

func TestInvocationsThatOverlapHaveEnvironmentsOfTheirOwn(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	const n = 4
	visitors, done := make(map[int]*visitor), make([]<-chan answer, n)
	var last *visitor
	for i := range n {
		last, done[i] = b.begin(g, "overlapping")
		visitors[last.pid] = last
	}
	if got := len(visitors); got != n {
		t.Fatalf("%d overlapping invocations ran in %d environments", n, got)
	}
	for _, e := range b.Environments(b.arn) {
		if !e.Busy || visitors[e.PID] == nil {
			t.Errorf("environment %+v, want one of those at work", e)
		}
	}
	for _, v := range visitors {
		if v != last {
			v.pass()
		}
	}
	for i := range n - 1 {
		await(t, done[i]).ok(t)
	}
	last.pass()
	await(t, done[n-1]).ok(t)
	for range 3 {
		if got := b.pid(); got != last.pid {
			t.Errorf("the next ran in %d, want %d, which was used last", got, last.pid)
		}
	}
	if got := len(b.pids()); got != n {
		t.Errorf("%d environments are left, want %d", got, n)
	}
}

func TestReservedConcurrency(t *testing.T) {
	t.Parallel()
	f := child("function")
	f.ReservedConcurrency = 2
	b, g := start(t, f), newGate(t)
	first, done1 := b.begin(g, "a")
	second, done2 := b.begin(g, "b")
	e, ok := errors.AsType[*wire.Error](b.invoke(command{Do: "echo"}).err)
	if !ok || e.Code != "TooManyRequestsException" || e.Status != 429 {
		t.Errorf("the third at once: %v, want TooManyRequestsException", e)
	}
	// An event waits for its turn, and is no failure.
	if err := b.InvokeAsync(b.arn, []byte(`{"do":"hold","text":"event","at":"`+g.addr()+`"}`)); err != nil {
		t.Fatal(err)
	}
	first.pass()
	await(t, done1).ok(t)
	third := g.arrival()
	if third.name != "event" || third.pid != first.pid {
		t.Errorf("after the first came %q in %d, want the event in %d", third.name, third.pid, first.pid)
	}
	second.pass()
	await(t, done2).ok(t)
	third.pass()
}

func TestWarm(t *testing.T) {
	t.Parallel()
	b := start(t, child("function"))
	for _, n := range []int{3, 2, 3} {
		if err := b.Warm(t.Context(), b.arn, n); err != nil {
			t.Fatal(err)
		}
		got := b.Environments(b.arn)
		if len(got) != 3 {
			t.Fatalf("after Warm(%d): %d environments, want 3", n, len(got))
		}
		for _, e := range got {
			if e.Busy || e.PID == 0 || e.ID == "" || e.Started.IsZero() {
				t.Errorf("after Warm(%d): environment %+v is not ready", n, e)
			}
		}
	}
	before := b.pids()
	b.pid()
	if got := b.pids(); !slices.Equal(got, before) {
		t.Errorf("an invocation started an environment: %v, before %v", got, before)
	}
}

func TestWarmFails(t *testing.T) {
	t.Parallel()
	t.Run("where the function does not start", func(t *testing.T) {
		t.Parallel()
		b := start(t, child("exits"))
		if err := b.Warm(t.Context(), b.arn, 2); err == nil {
			t.Error("Warm: no error")
		}
	})
	t.Run("where there is no such program", func(t *testing.T) {
		t.Parallel()
		f := child("function")
		f.Command = []string{"/nowhere"}
		b := start(t, f)
		if err := b.Warm(t.Context(), b.arn, 2); err == nil {
			t.Error("Warm: no error")
		}
		if _, _, err := b.Invoke(t.Context(), b.arn, []byte("{}")); err == nil {
			t.Error("Invoke: no error")
		}
		if got := b.Environments(b.arn); len(got) != 0 {
			t.Errorf("environments %+v, want none", got)
		}
	})
	t.Run("beyond the reserved concurrency", func(t *testing.T) {
		t.Parallel()
		f := child("function")
		f.ReservedConcurrency = 1
		b := start(t, f)
		if err := b.Warm(t.Context(), b.arn, 2); err == nil {
			t.Error("Warm: no error")
		}
	})
}

func TestKill(t *testing.T) {
	t.Parallel()
	t.Run("an environment at work", func(t *testing.T) {
		t.Parallel()
		b, g := start(t, child("function")), newGate(t)
		v, done := b.begin(g, "killed")
		if err := b.Kill(v.pid); err != nil {
			t.Fatal(err)
		}
		got := await(t, done).failure(t)
		if want := "Runtime exited with error: signal: killed"; got.Type != "Runtime.ExitError" || got.Message[len(got.Message)-len(want):] != want {
			t.Errorf("function error %+v, want %s", got, want)
		}
	})
	t.Run("an idle environment", func(t *testing.T) {
		t.Parallel()
		b := start(t, child("function"))
		killed := b.pid()
		if err := b.Kill(killed); err != nil {
			t.Fatal(err)
		}
		if got := b.pid(); got == killed {
			t.Errorf("invoked in %d, which was killed", got)
		}
	})
	t.Run("a process that is none", func(t *testing.T) {
		t.Parallel()
		if err := start(t, child("function")).Kill(1); err == nil {
			t.Error("Kill(1): no error")
		}
	})
}

func TestAReplacedConfiguration(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	b.AddPermission(b.arn, "events.amazonaws.com", "", "")
	v, done := b.begin(g, "old")
	f := child("function")
	f.MemoryMB = 256
	if arn, err := b.Define(f); err != nil || arn != b.arn {
		t.Fatalf("Define: %s, %v", arn, err)
	}
	if got := b.pid(); got == v.pid {
		t.Error("invoked in an environment of the old configuration")
	}
	if !b.Allows(b.arn, "events.amazonaws.com", "") {
		t.Error("the permissions are gone")
	}
	v.pass()
	await(t, done).ok(t) // what was begun is finished
	if got := b.pid(); got == v.pid {
		t.Error("an environment of the old configuration is used again")
	}
}

func TestCloseEndsEveryProcess(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{"that ends when it is asked to": "function", "that ignores SIGTERM": "stubborn"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, g := start(t, child(kind)), newGate(t)
			first, done1 := b.begin(g, "a")
			second, done2 := b.begin(g, "b")
			b.invoke(command{Do: "fork", At: g.addr()}).ok(t)
			forked := g.arrival() // by an environment that is idle now
			if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
				t.Fatal(err)
			}
			first.gone()
			second.gone()
			forked.end() // killed with its group, though nobody is told of its end
			for _, done := range []<-chan answer{done1, done2} {
				await(t, done).failure(t)
			}
			if got := b.Environments(b.arn); len(got) != 0 {
				t.Errorf("environments %+v are left", got)
			}
			if got := b.invoke(command{Do: "echo"}); got.err == nil {
				t.Errorf("invoked after Close: %+v", got)
			}
			if err := b.InvokeAsync(b.arn, []byte("{}")); err == nil {
				t.Error("InvokeAsync after Close: no error")
			}
			if err := b.Warm(t.Context(), b.arn, 1); err == nil {
				t.Error("Warm after Close: no error")
			}
		})
	}
}

// A process dies with the thread that started it, so no thread that may end
// starts one.
func TestAnEnvironmentOutlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	b, g := start(t, child("function")), newGate(t)
	warmed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		warmed <- b.Warm(context.WithoutCancel(t.Context()), b.arn, 1)
	}()
	if err := await(t, warmed); err != nil {
		t.Fatal(err)
	}
	before := b.pids()
	v, done := b.begin(g, "alive")
	if !slices.Equal(before, []int{v.pid}) {
		t.Errorf("invoked in %d, want the environment of before, %v", v.pid, before)
	}
	v.pass()
	await(t, done).ok(t)
}
