package local_test

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"golang.org/x/sys/unix"

	"github.com/rekey-go/rekey/internal/local"
)

// fill makes every write of the engine's process to a file fail, as on a full
// disk, until empty is called.
func (l *life) fill() (empty func()) {
	var before unix.Rlimit
	if err := unix.Prlimit(l.cmd.Process.Pid, unix.RLIMIT_FSIZE, nil, &before); err != nil {
		l.t.Fatal(err)
	}
	set := func(limit unix.Rlimit) {
		if err := unix.Prlimit(l.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			l.t.Fatal(err)
		}
	}
	set(unix.Rlimit{Cur: 0, Max: before.Max})
	return func() { set(before) }
}

// writes makes one write of each kind, and returns how many were refused.
func (b *notebook) writes(t *testing.T, l *life) (refused int) {
	for _, write := range []func() error{
		func() error { return b.put("one")(t.Context(), l.cfg) },
		func() error { return b.send(t.Context(), l.cfg) },
		func() error { return b.item(t.Context(), l.cfg) },
		func() error { return b.rule(t.Context(), l.cfg) },
	} {
		if write() != nil {
			refused++
		}
	}
	return refused
}

func TestAFullDiskRefusesWritesAndChangesNothing(t *testing.T) {
	t.Parallel()
	dir, book := t.TempDir(), newNotebook()
	l := begin(t, dir)
	if refused := book.writes(t, l); refused > 0 {
		t.Fatalf("before: %d writes refused", refused)
	}
	empty := l.fill()
	if refused := book.writes(t, l); refused != 4 {
		t.Errorf("on a full disk %d writes were refused, want 4", refused)
	}
	// What was refused is not there, and reads go on: they are recorded later.
	book.maybe = map[string]string{}
	book.checkSecrets(t, l.cfg)
	read, err := secretsmanager.NewFromConfig(l.cfg).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("one")})
	if err != nil {
		t.Fatal(err)
	}
	readID, _ := middleware.GetRequestIDMetadata(read.ResultMetadata)
	rules, err := eventbridge.NewFromConfig(l.cfg).ListRules(t.Context(), &eventbridge.ListRulesInput{NamePrefix: aws.String("rule-")})
	if err != nil || len(rules.Rules) != 1 {
		t.Errorf("on a full disk there are %d rules, %v; want the one of before", len(rules.Rules), err)
	}
	empty()
	if refused := book.writes(t, l); refused > 0 {
		t.Errorf("after: %d writes refused", refused)
	}
	if messages, items := book.checkQueue(t, l.cfg), book.checkItems(t, l.cfg); messages != 2 || items != 2 {
		t.Errorf("%d messages and %d items, want 2 and 2: those that were refused are not among them", messages, items)
	}
	l.kill()

	e, err := local.Start(t.Context(), durableOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf(e.Endpoint())
	book.checkSecrets(t, cfg)
	book.checkQueue(t, cfg)
	book.checkItems(t, cfg)
	book.checkRules(t, cfg)
	if err := e.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	book.requests[readID] = "GetSecretValue on a full disk"
	book.checkTrail(t, filepath.Join(dir, "trail"))
}
