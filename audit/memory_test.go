package audit_test

import (
	"testing"

	"github.com/rekey-go/rekey/audit"
)

// TestAnEventIsKeptInFewBytes holds the memory that a report over months takes to
// what docs/performance.md says of it: what is in use when everything was read, and
// what the report has, for each event. No other test may run meanwhile.
func TestAnEventIsKeptInFewBytes(t *testing.T) { //nolint:paralleltest // it measures the heap that all share.
	for what, test := range map[string]struct {
		load         load
		kept, report int64 // bytes of each event
	}{
		"the same callers do the same again and again": {load{records: 40_000, principals: 20, secrets: 20, record: readOf}, 60, 8},
		"a day's mix of some pairs":                    {load{records: 40_000, principals: 100, secrets: 100, record: mixOf}, 100, 40},
		"each caller calls for a secret of its own":    {load{records: 8_000, principals: 8_000, secrets: 8_000, record: readOf}, 650, 3_300},
		"a secret is rotated all the time":             {load{records: 40_000, principals: 1, secrets: 1, record: rotationOf}, 380, 150},
	} {
		t.Run(what, func(t *testing.T) {
			events, before, kept := int64(test.load.records), heap(), int64(0)
			test.load.end = func() { kept = (heap() - before) / events }
			report, err := audit.Summarize(t.Context(), test.load, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if kept > test.kept {
				t.Errorf("%d bytes of each event are kept, want %d at most", kept, test.kept)
			}
			if made := (heap() - before) / events; made > test.report {
				t.Errorf("a report has %d bytes of each event, want %d at most", made, test.report)
			}
			if int64(report.Coverage.Events) != events {
				t.Errorf("%d events, want %d", report.Coverage.Events, events)
			}
		})
	}
}
