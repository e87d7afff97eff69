package source

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"runtime/debug"

	"github.com/rekey-go/rekey/audit"
)

const (
	// whileReading is how much garbage there may be, in percent of what is in use.
	whileReading = 50
	// afterReading is that for the making of the report, which is when most is in
	// use and little time is spent.
	afterReading = 10
)

// Sparingly is a source of the same records that has the process collect its
// garbage more often, so that a report over months fits beside other work. It is
// for a program that does nothing else at the time: it sets what GOGC sets, and
// leaves it so. Where GOGC is set already, it does nothing.
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
		debug.SetGCPercent(whileReading)
		defer debug.SetGCPercent(afterReading)
		s.Source.Records(ctx)(yield)
	}
}
