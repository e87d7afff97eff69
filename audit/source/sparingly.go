package source

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"runtime/debug"
	"runtime/metrics"

	"github.com/rekey-go/rekey/audit"
)

const (
	// mostGarbage is how much garbage there may be, in percent of what is in use.
	mostGarbage = 50
	// leastGarbage is that where much is in use, as it is while the report is
	// made, which takes little time.
	leastGarbage = 10
	// roomyHeap is how large the heap may be with mostGarbage, in bytes. What is
	// in use beyond that takes the place of garbage, down to leastGarbage.
	roomyHeap = 36 << 20
	// perLook is after how many records to look at what is in use: seldom enough
	// to cost nothing, and before another MiB of it has come.
	perLook = 1000
)

// Sparingly is a source of the same records that has the process collect its
// garbage more often, and the more so the more is in use, so that a report over
// months fits beside other work. It is for a program that does nothing else at
// the time: it sets what GOGC sets, and leaves it so. Where GOGC is set already,
// it does nothing.
func Sparingly(src audit.Source) audit.Source {
	if os.Getenv("GOGC") != "" {
		return src
	}
	return sparing{src}
}

type sparing struct{ audit.Source }

// Records yields those of the source.
func (s sparing) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		percent, records := mostGarbage, 0
		debug.SetGCPercent(percent)
		defer debug.SetGCPercent(leastGarbage)
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for raw, err := range s.Source.Records(ctx) {
			if records++; records%perLook == 0 {
				metrics.Read(live)
				if p := garbage(live[0].Value.Uint64()); p != percent {
					percent = p
					debug.SetGCPercent(percent)
				}
			}
			if !yield(raw, err) {
				return
			}
		}
	}
}

// garbage is how much there may be, in percent of what is in use.
func garbage(inUse uint64) int {
	heap := 100 * roomyHeap / max(inUse, 1) // in percent of the same
	return int(min(max(heap, 100+leastGarbage), 100+mostGarbage)) - 100
}
