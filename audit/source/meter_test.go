package source_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

func TestAMeterTellsHowFarAReadingIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := source.NewMeter()
		metered := func(o *source.LogsOptions) { o.Meter = m }
		one := source.Files([]string{write(t, map[string][]byte{"a.json": []byte(sound("a") + strings.Repeat(" ", 1000)), "b.json.gz": packed(t, sound("b"))})}, metered)
		other := source.Files([]string{write(t, map[string][]byte{"c.json": []byte(strings.Repeat("\n", 3000))})}, metered)
		read := func(l *source.Logs) {
			if _, errs := collect(l); len(errs) > 0 {
				t.Fatal(errs)
			}
		}
		time.Sleep(time.Second)
		read(one)
		got := m.Progress()
		want := source.Progress{Files: 2, Bytes: int64(2*len(sound("a")) + 1000), PerSecond: int64(2*len(sound("a")) + 1000), Records: 2}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("before the files were counted (-want +got):\n%s", diff)
		}
		if err := source.Survey(t.Context(), m, one, other); err != nil {
			t.Fatal(err)
		}
		if got = m.Progress(); got.Files != 2 || got.Of != 3 || got.Left < time.Second || got.Left > 5*time.Second {
			t.Errorf("after two of three files: %+v, want the third to take 1 to 5 seconds", got)
		}
		read(other)
		if got = m.Progress(); got.Files != 3 || got.Of != 3 || got.Left != 0 {
			t.Errorf("at the end: %+v, want 3 of 3 and nothing left", got)
		}
	})
}

func TestTheEndIsKnownWhereTheSurveyWasSlower(t *testing.T) {
	t.Parallel()
	m := source.NewMeter()
	logs := source.Files([]string{write(t, map[string][]byte{"a.json": []byte(sound("a")), "b.json": []byte(sound("b"))})}, func(o *source.LogsOptions) { o.Meter = m })
	if _, errs := collect(logs); len(errs) > 0 {
		t.Fatal(errs)
	}
	m.Complete()
	if p := m.Progress(); p.Files != 2 || p.Of != 2 || p.Left != 0 {
		t.Errorf("%+v, want 2 of 2 and nothing left", p)
	}
}

func TestWhatACheckpointHasIsNotLeftToRead(t *testing.T) {
	t.Parallel()
	dir := write(t, map[string][]byte{"a.json": []byte(sound("a"))})
	path := filepath.Join(t.TempDir(), "kept")
	for run, want := range []int{1, 0} {
		kept, err := source.OpenCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		m := source.NewMeter()
		logs := source.Files([]string{dir}, func(o *source.LogsOptions) { o.Checkpoint, o.Meter = kept, m })
		_, errs := collect(logs)
		if err := errors.Join(append(errs, source.Survey(t.Context(), m, logs), kept.Close())...); err != nil {
			t.Fatal(err)
		}
		if p := m.Progress(); p.Files != want || p.Of != want {
			t.Errorf("run %d: %+v, want %d files", run, p, want)
		}
	}
}

func TestTheSizeOfStandardInputIsNotKnown(t *testing.T) {
	t.Parallel()
	m := source.NewMeter()
	if err := source.Survey(t.Context(), m, source.Files([]string{"-"})); err != nil {
		t.Fatal(err)
	}
	if p := m.Progress(); p.Of != 0 || p.Left != 0 {
		t.Errorf("%+v, want nothing about what is left", p)
	}
}

func TestAPlaceOfSeveralThatCannotBeListedIsLeftOut(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone")
	there := write(t, map[string][]byte{"a.json": []byte(sound("a"))})
	b := newBucket(t)
	for name, src := range map[string]audit.Source{
		"of folders read together": source.Files([]string{gone, there}),
		"of joined folders":        source.Join(source.Files([]string{gone}), source.Files([]string{there})),
		"of a bucket and a folder": source.Join(b.records(t, "s3://"+filepath.Base(gone)), source.Files([]string{there})),
	} {
		report, err := audit.Summarize(t.Context(), src, audit.Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c := report.Coverage; c.Events != 1 || len(c.Skipped) != 1 || !strings.Contains(c.Skipped[0].What, "gone") {
			t.Errorf("%s: %d events, skipped %v; want one of each", name, c.Events, c.Skipped)
		}
	}
	if _, err := audit.Summarize(t.Context(), source.Files([]string{gone}), audit.Options{}); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("by itself: %v, want an error that names it", err)
	}
}
