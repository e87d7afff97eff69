package retire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/rotation"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/invalidation"
)

const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-db-a1b2c3"

// A bench is the function with everything around it, on a clock of its own: it
// runs in a bubble of synctest.
type bench struct {
	*function
	secret  rotation.Secret
	held    []bulletin.Lease
	refused error // with which revoking fails
	revoked []string
	told    []string // detail-type and reason of each event
	delays  []time.Duration
	body    string // the message that waits in the queue
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		secret: rotation.Secret{ARN: arn, Name: "dev-db", Versions: map[string][]string{
			"new": {rotation.LabelCurrent}, "old": {rotation.LabelPrevious},
		}, Tags: map[string]string{}},
	}
	b.function = &function{
		describe: func(context.Context, string) (rotation.Secret, error) { return b.secret, nil },
		leases:   func(context.Context, string) ([]bulletin.Lease, error) { return b.held, nil },
		revoke: func(_ context.Context, secretARN, versionID string) error {
			if b.refused == nil {
				b.revoked = append(b.revoked, secretARN+" "+versionID)
			}
			return b.refused
		},
		publish: func(_ context.Context, detailType string, r invalidation.Rotated) error {
			if r.SecretARN != arn || r.VersionID != "new" || r.PreviousVersionID != "old" || !r.At.Equal(time.Now()) {
				t.Errorf("%s has the detail %+v", detailType, r)
			}
			b.told = append(b.told, detailType+": "+r.Reason)
			return nil
		},
		send: func(_ context.Context, body string, delay time.Duration) error {
			b.delays = append(b.delays, min(delay, maxDelay))
			b.body = body
			return nil
		},
		log: slog.New(slog.DiscardHandler),
	}
	if err := b.configure(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	return b
}

// rotated puts the event of a rotation that ended just now into the queue.
func (b *bench) rotated(t *testing.T, reason string) {
	t.Helper()
	detail, err := json.Marshal(invalidation.Rotated{
		SecretARN: arn, Name: "dev-db", VersionID: "new", PreviousVersionID: "old", Reason: reason, At: time.Now(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.body = `{"source":"rekey","detail-type":"Secret Rotated","detail":` + string(detail) + `}`
}

// work has the function work on the message until it puts none back, or until
// the time is over.
func (b *bench) work(t *testing.T, limit time.Duration) {
	t.Helper()
	for until := time.Now().Add(limit); b.body != "" && !time.Now().After(until); {
		body := b.body
		b.body = ""
		out := b.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", Body: body}}})
		if len(out.BatchItemFailures) > 0 {
			t.Fatalf("the message failed: %v", out)
		}
		if b.body != "" {
			time.Sleep(b.delays[len(b.delays)-1])
		}
	}
}

func (b *bench) expect(t *testing.T, revoked bool, told ...string) {
	t.Helper()
	if diff := cmp.Diff(told, b.told); diff != "" {
		t.Errorf("events (-want +got)\n%s", diff)
	}
	if got := len(b.revoked) > 0; got != revoked {
		t.Errorf("revoked: %v, want %v", got, revoked)
	}
}

func lease(consumer, version string, left time.Duration) bulletin.Lease {
	return bulletin.Lease{SecretARN: arn, Consumer: consumer, VersionID: version, Expires: time.Now().Add(left)}
}

const done = "Secret Retired: no consumer holds it"

func TestTheGracePeriodIsWaitedOut(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tag, reason string
		want        []time.Duration
	}{
		"of the function":   {"", "rotated", []time.Duration{15 * time.Minute, 15 * time.Minute, 15 * time.Minute, 15 * time.Minute}},
		"of the secret":     {"20m", "rotated", []time.Duration{15 * time.Minute, 5 * time.Minute}},
		"none after a leak": {"20m", "compromised", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				if tt.tag != "" {
					b.secret.Tags[TagGrace] = tt.tag
				}
				b.rotated(t, tt.reason)
				b.work(t, 2*time.Hour)
				if diff := cmp.Diff(tt.want, b.delays); diff != "" {
					t.Errorf("delays (-want +got)\n%s", diff)
				}
				b.expect(t, true, done)
			})
		})
	}
}

func TestTheGracePeriodPassesByTheClockOfTheService(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		clock, passed time.Duration // of the service: how far it is from ours, and what passed on it
		reason        string
		want          bool
	}{
		"it is ahead, and the rotation is new":        {90 * 24 * time.Hour, time.Second, "rotated", false},
		"it is behind, and the rotation is new":       {-90 * 24 * time.Hour, time.Second, "rotated", false},
		"the period is not quite over":                {0, time.Hour, "rotated", false},
		"it is over, though not by our clock":         {90 * 24 * time.Hour, time.Hour + time.Second, "rotated", true},
		"the value leaked, so that there is no grace": {0, 0, "compromised", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.rotated(t, tt.reason)
				event := time.Now().Add(tt.clock)
				body := strings.Replace(b.body, `{"source"`, `{"time":"`+event.Format(time.RFC3339)+`","source"`, 1)
				received := strconv.FormatInt(event.Add(tt.passed).UnixMilli(), 10)
				out := b.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{{
					MessageId: "m", Body: body, Attributes: map[string]string{"ApproximateFirstReceiveTimestamp": received},
				}}})
				if got := len(b.revoked) > 0; got != tt.want || len(out.BatchItemFailures) > 0 {
					t.Errorf("revoked: %v, want %v; failed: %v", got, tt.want, out.BatchItemFailures)
				}
			})
		})
	}
}

func TestALiveLeaseDelays(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lease bulletin.Lease
		want  time.Duration // after the grace period
	}{
		"on the old version":             {bulletin.Lease{VersionID: "old"}, 70 * time.Second},
		"on a version that nobody knows": {bulletin.Lease{VersionID: "older"}, 70 * time.Second},
		"not on the new version":         {bulletin.Lease{VersionID: "new"}, 0},
		"not on one that is newer still": {bulletin.Lease{VersionID: "newer"}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.grace = time.Hour
				b.secret.Versions["newer"] = []string{rotation.LabelPending}
				b.rotated(t, "rotated")
				began := time.Now()
				// It runs out a minute after the grace period; with the margin for
				// the clocks the seventh look finds it so.
				b.held = []bulletin.Lease{lease("consumer", tt.lease.VersionID, time.Hour+time.Minute)}
				b.work(t, 2*time.Hour)
				if got := time.Since(began) - time.Hour; got != tt.want {
					t.Errorf("retired %v after the grace period, want %v", got, tt.want)
				}
				b.expect(t, true, done)
			})
		})
	}
}

func TestAtTheDeadlineItNamesWhoHoldsTheVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.rotated(t, "rotated")
		began := time.Now()
		b.held = []bulletin.Lease{lease("web-2", "old", 1000*time.Hour), lease("web-1", "old", 1000*time.Hour)}
		b.work(t, 100*time.Hour)
		if got := time.Since(began); got != 24*time.Hour {
			t.Errorf("given up after %v, want 24h", got)
		}
		b.expect(t, false, "Retirement Abandoned: at the deadline: held by web-1, web-2")
	})
}

func TestAGraceBeyondTheDeadlineHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.secret.Tags[TagGrace] = "72h"
		b.rotated(t, "rotated")
		b.work(t, 100*time.Hour)
		b.expect(t, true, done)
	})
}

func TestAVersionThatIsNeededAgainIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, label := range []string{rotation.LabelCurrent, rotation.LabelPending} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.secret.Versions["old"] = []string{label}
			b.rotated(t, "rotated")
			b.work(t, 2*time.Hour)
			b.expect(t, false)
			if b.body != "" {
				t.Error("the message was kept")
			}
		})
	}
}

func TestWhatRevokingCameToIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refused error
		told    []string
	}{
		"replaced in place": {rotation.ErrReplaced, []string{"Secret Retired: no consumer holds it, and the new version took its place"}},
		"its value is gone": {rotation.ErrNoValue, []string{"Retirement Abandoned: its value is gone, and with it the name of the user to revoke"}},
		"only a human can": {
			fmt.Errorf("revoke the stripe key: %w", rotation.ErrManual),
			[]string{"Retirement Abandoned: revoke the stripe key: " + rotation.ErrManual.Error()},
		},
		"a rotation needs its user until the deadline": {
			rotation.ErrInUse, []string{"Retirement Abandoned: at the deadline: a version that is current or pending needs it"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.refused = tt.refused
				b.rotated(t, "rotated")
				b.work(t, 100*time.Hour)
				b.expect(t, false, tt.told...)
			})
		})
	}
}

func TestOnlyTheMessagesThatFailedComeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.refused = errors.New("the database is down")
	b.grace = 0
	b.rotated(t, "rotated")
	first := strings.Replace(b.body, `"old"`, `""`, 1)
	out := b.handle(t.Context(), events.SQSEvent{Records: []events.SQSMessage{
		{MessageId: "down", Body: b.body}, {MessageId: "no event", Body: "{"}, {MessageId: "nameless", Body: "{}"}, {MessageId: "first version", Body: first},
	}})
	var failed []string
	for _, f := range out.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	if diff := cmp.Diff([]string{"down", "no event", "nameless"}, failed); diff != "" {
		t.Errorf("failed messages (-want +got)\n%s", diff)
	}
}

func TestDurationsAreRead(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"REKEY_GRACE": "5s", "REKEY_CHECK_INTERVAL": "200ms"}
	f := new(function)
	if err := f.configure(func(name string) string { return vars[name] }); err != nil {
		t.Fatal(err)
	}
	if f.grace != 5*time.Second || f.deadline != 24*time.Hour || f.poll != time.Second {
		t.Errorf("grace %v, deadline %v, poll %v", f.grace, f.deadline, f.poll)
	}
	vars["REKEY_GRACE"] = "soon"
	if err := f.configure(func(name string) string { return vars[name] }); err == nil || !strings.Contains(err.Error(), "REKEY_GRACE") {
		t.Errorf("got %v, want an error about REKEY_GRACE", err)
	}
}

func TestAnOrderRevokesAtOnceUnlessSomebodyHoldsTheVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		held    []bulletin.Lease
		order   Order
		refused error
		want    Outcome
		told    []string
	}{
		"nobody holds it": {
			order: Order{SecretID: arn},
			want:  Outcome{Retired: true, VersionID: "old", Reason: "no consumer holds it"}, told: []string{done},
		},
		"somebody holds it": {
			held: []bulletin.Lease{lease("web", "old", time.Minute)}, order: Order{SecretID: arn},
			want: Outcome{VersionID: "old", Reason: "held by web", Holders: []string{"web"}},
		},
		"somebody holds it, and is hurt": {
			held: []bulletin.Lease{lease("web", "old", time.Minute)}, order: Order{SecretID: arn, Force: true},
			want: Outcome{Retired: true, VersionID: "old", Reason: "by order, although held by web", Holders: []string{"web"}},
			told: []string{"Secret Retired: by order, although held by web"},
		},
		"a version that is needed": {
			order: Order{SecretID: arn, VersionID: "old", Force: true}, refused: rotation.ErrInUse,
			want: Outcome{VersionID: "old", Reason: "a version that is current or pending needs it"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.held, b.refused = tt.held, tt.refused
				for i := range b.held { // the time of the bubble is another
					b.held[i].Expires = time.Now().Add(time.Minute)
				}
				got, err := b.serve(t.Context(), request{Order: tt.order})
				if err != nil {
					t.Fatal(err)
				}
				tt.want.Name, tt.want.ARN = "dev-db", arn
				if tt.want.Holders == nil {
					tt.want.Holders = []string{}
				}
				if diff := cmp.Diff(any(tt.want), got); diff != "" {
					t.Errorf("outcome (-want +got)\n%s", diff)
				}
				b.expect(t, tt.want.Retired, tt.told...)
			})
		})
	}
}
