package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/internal/stage"
)

// The metrics, in the namespace Rekey and with the dimension Stage.
const (
	namespace = "Rekey"
	// DaysSinceRotation is the age of the oldest current version among the
	// stage's secrets that rotate by themselves; with the dimension Secret too,
	// it is that of one of them.
	metricDaysSinceRotation = "DaysSinceRotation"
	metricLaggards          = "Laggards"
	metricFailedRotations   = "FailedRotations"
	metricHighFindings      = "HighFindings"
	metricEventsRead        = "EventsRead"
	metricCoverageAge       = "CoverageAge"
	// fewSecrets is how many secrets have a metric of their own at most: each is
	// paid for.
	fewSecrets = 20
)

// figures are the numbers of a report.
type figures struct {
	reads, denied, laggards, rotations int
	// failed are the rotations that failed or were abandoned, and high the
	// grave findings: those that are news, see [figures.news].
	failed, high int
	// days since their last rotation, of the stage's secrets that rotate.
	days map[string]float64
	// age is how long ago the events end that were read.
	age time.Duration
}

// figuresOf counts all but the news, in a stage that is ours.
func figuresOf(report *audit.Report, ours string) figures {
	f := figures{days: make(map[string]float64), age: max(report.Generated.Sub(report.Coverage.To), 0)}
	for i := range report.Secrets {
		s := &report.Secrets[i]
		f.reads += s.Reads
		f.rotations += len(s.Rotations)
		for _, l := range s.Laggards {
			if l.Proven {
				f.laggards++
			}
		}
		if st := s.State; st != nil && st.Rotation && st.Deleted.IsZero() && stage.Has(ours, s.Name) {
			last := st.Rotated
			if last.IsZero() {
				last = st.Created
			}
			f.days[s.Name] = math.Floor(report.Generated.Sub(last).Hours()/24*100) / 100
		}
	}
	for _, d := range report.Denied {
		f.denied += d.Count
	}
	return f
}

// news counts the grave findings that nobody was told of before.
func (n *figures) news(findings []audit.Finding) {
	n.high = len(findings)
	for i := range findings {
		if findings[i].Kind == audit.KindRotationFailed {
			n.failed++
		}
	}
}

// tell leaves the line with the numbers, and those of the metrics.
func (f *function) tell(ctx context.Context, report *audit.Report, n figures, published int) {
	f.log.InfoContext(ctx, "audit",
		"from", report.Coverage.From, "to", report.Coverage.To, "events", report.Coverage.Events,
		"secrets", len(report.Secrets), "reads", n.reads, "denied", n.denied, "laggards", n.laggards,
		"rotations", n.rotations, "failedRotations", n.failed, "findings", len(report.Findings),
		"published", published, "notes", report.Coverage.Notes)
	for _, line := range metricLines(report, f.stage, n) {
		text, err := json.Marshal(line)
		if err != nil {
			f.log.ErrorContext(ctx, "a metric cannot be written", "error", err)
			continue
		}
		fmt.Fprintf(f.metrics, "%s\n", text)
	}
}

// metricLines are log lines that CloudWatch makes metrics of: its embedded
// metric format.
func metricLines(report *audit.Report, stage string, n figures) []map[string]any {
	values := map[string]any{
		metricLaggards: n.laggards, metricFailedRotations: n.failed, metricHighFindings: n.high,
		metricEventsRead: report.Coverage.Events, metricCoverageAge: n.age.Seconds(),
	}
	oldest := -1.0
	for _, days := range n.days {
		oldest = max(oldest, days)
	}
	if len(n.days) > 0 {
		values[metricDaysSinceRotation] = oldest
	}
	lines := []map[string]any{metricLine(report.Generated, values, map[string]string{"Stage": stage})}
	if len(n.days) > fewSecrets {
		return lines
	}
	for name, days := range n.days {
		lines = append(lines, metricLine(report.Generated, map[string]any{metricDaysSinceRotation: days}, map[string]string{"Stage": stage, "Secret": name}))
	}
	return lines
}

// metricLine is one line: the values of metrics with the same dimensions.
func metricLine(at time.Time, values map[string]any, dimensions map[string]string) map[string]any {
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	about := directive{Namespace: namespace, Dimensions: [][]string{sortedKeys(dimensions)}}
	line := map[string]any{}
	for _, name := range sortedKeys(values) {
		unit := "Count"
		switch name {
		case metricCoverageAge:
			unit = "Seconds"
		case metricDaysSinceRotation:
			unit = "None"
		}
		about.Metrics = append(about.Metrics, metric{name, unit})
	}
	maps.Copy(line, values)
	for name, value := range dimensions {
		line[name] = value
	}
	line["_aws"] = map[string]any{"Timestamp": at.UnixMilli(), "CloudWatchMetrics": []directive{about}}
	return line
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
