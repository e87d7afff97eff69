package source_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/internal/corpus"
)

// found is what a report says, in the form of a corpus's truth.
func found(r *audit.Report) (list []corpus.Access) {
	for _, s := range r.Secrets {
		for _, a := range s.Accesses {
			if strings.HasPrefix(a.Principal, "service:") {
				continue
			}
			one := corpus.Access{
				Secret: s.ARN, Principal: a.Principal, Reads: a.Reads, Writes: a.Writes, Denied: a.Denied,
				Describes: a.Describes, Batches: a.Batches, Versions: make(map[string]int),
			}
			for _, v := range a.Versions {
				one.Versions[v.VersionID] += v.Reads
			}
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b corpus.Access) int {
		return cmp.Or(strings.Compare(a.Secret, b.Secret), strings.Compare(a.Principal, b.Principal))
	})
	return list
}

// checkTruth compares a report with what is true.
func checkTruth(t testing.TB, truth *corpus.Truth, r *audit.Report) {
	t.Helper()
	if diff := gocmp.Diff(truth.Accesses, found(r)); diff != "" {
		t.Errorf("accesses (-want +got):\n%.4000s", diff)
	}
	got := r.Coverage
	if again := got.Duplicates + got.Replaced; got.Events != truth.Events || again != truth.Again && got.Duplicates != truth.Again {
		t.Errorf("%d events and %d more records of them, want %d and %d", got.Events, again, truth.Events, truth.Again)
	}
	if !got.Whole() || got.Unattributed > 0 {
		t.Errorf("skipped %v, %d malformed, %d without a secret, want none", got.Skipped, got.Malformed, got.Unattributed)
	}
}

func TestTheCountsOfACorpusAreExact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	truth, err := corpus.Write(dir, corpus.Options{Seed: 1, Bytes: 12 << 20, FileBytes: 128 << 10, Secrets: 150, Principals: 60, Share: 300})
	if err != nil {
		t.Fatal(err)
	}
	if truth.Events < 2000 || truth.Again < 50 || len(truth.Accesses) < 100 {
		t.Fatalf("the corpus is too small to show anything: %d events, %d again, %d accesses", truth.Events, truth.Again, len(truth.Accesses))
	}
	report, err := audit.Summarize(t.Context(), source.Files([]string{dir}), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	checkTruth(t, truth, report)
}
