package source_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	engine "github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/wire"
)

func TestLookupReadsTheEventHistory(t *testing.T) {
	t.Parallel()
	trail, err := engine.New(engine.Options{Account: "123456789012", Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trail.Close() })
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Now: time.Now}, trail.Wire()))
	t.Cleanup(server.Close)
	client := cloudtrail.New(cloudtrail.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	now := time.Now()
	for i := range 120 { // three pages
		trail.Record(&wire.Call{
			EventSource: "secretsmanager.amazonaws.com", Operation: "GetSecretValue", Time: now.Add(-time.Duration(i) * time.Minute),
			KMS: []wire.KMSUse{{Operation: "Decrypt", Context: map[string]string{"SecretVersionId": fmt.Sprint(i)}}},
		}, wire.Operation{Access: wire.Read}, nil, nil)
	}
	trail.Record(&wire.Call{EventSource: "kms.amazonaws.com", Operation: "DisableKey", Time: now}, wire.Operation{Access: wire.Write}, nil, nil)
	trail.Record(&wire.Call{EventSource: "events.amazonaws.com", Operation: "PutRule", Time: now}, wire.Operation{Access: wire.Write}, nil, nil)

	for name, tt := range map[string]struct {
		opts source.LookupOptions
		want map[string]int
	}{
		"all":            {source.LookupOptions{}, map[string]int{"GetSecretValue": 120, "Decrypt": 120, "DisableKey": 1}},
		"an hour":        {source.LookupOptions{From: now.Add(-59*time.Minute - 30*time.Second)}, map[string]int{"GetSecretValue": 60, "Decrypt": 60, "DisableKey": 1}},
		"the hour of it": {source.LookupOptions{From: now.Add(-2 * time.Hour), To: now.Add(-90*time.Minute - 2*time.Second)}, map[string]int{"GetSecretValue": 29, "Decrypt": 29}},
		"without KMS":    {source.LookupOptions{WithoutKMS: true}, map[string]int{"GetSecretValue": 120}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(map[string]int)
			progress := 0
			for raw, err := range source.Lookup(client, func(o *source.LookupOptions) {
				*o = tt.opts
				o.PerSecond = -1
				o.Progress = func(p source.LookupProgress) { progress = p.Events }
			}).Records(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				var r struct{ EventName string }
				if err := json.Unmarshal(raw, &r); err != nil {
					t.Fatal(err)
				}
				got[r.EventName]++
			}
			for event, n := range tt.want {
				if got[event] != n {
					t.Errorf("%d %s, want %d", got[event], event, n)
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("events: %v, want %v", got, tt.want)
			}
			if want := got["GetSecretValue"] + got["Decrypt"] + got["DisableKey"]; progress != want {
				t.Errorf("progress: %d, want %d", progress, want)
			}
		})
	}
}

// pages answers each lookup with the same number of pages, at once.
type pages struct {
	each  int
	calls []time.Time
	err   error
}

func (p *pages) LookupEvents(context.Context, *cloudtrail.LookupEventsInput, ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error) {
	p.calls = append(p.calls, time.Now())
	out := &cloudtrail.LookupEventsOutput{Events: []types.Event{{CloudTrailEvent: aws.String("{}")}}}
	if len(p.calls)%p.each != 0 {
		out.NextToken = aws.String(fmt.Sprint(len(p.calls)))
	}
	return out, p.err
}

func TestLookupKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		history := &pages{each: 4}
		for _, err := range source.Lookup(history).Records(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(history.calls) != 28 {
			t.Fatalf("%d calls, want four for each of seven attributes", len(history.calls))
		}
		for i := range history.calls[1:] {
			if gap := history.calls[i+1].Sub(history.calls[i]); gap < 500*time.Millisecond {
				t.Errorf("call %d came %v after the one before, want half a second", i+1, gap)
			}
		}
	})
}

func TestLookupEndsWithAnError(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	var got []error
	for _, err := range source.Lookup(&pages{each: 1, err: refused}).Records(t.Context()) {
		got = append(got, err)
	}
	if len(got) != 1 || !errors.Is(got[0], refused) {
		t.Errorf("errors: %v, want %v once", got, refused)
	}
}

// A past is an event history with an event an hour, each of one source.
type past struct {
	calls []string // the days and attributes that were looked up
	fail  int      // the number of the call that fails, from one
}

func (p *past) LookupEvents(_ context.Context, in *cloudtrail.LookupEventsInput, _ ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error) {
	p.calls = append(p.calls, in.StartTime.Format(time.DateOnly)+" "+*in.LookupAttributes[0].AttributeValue)
	if len(p.calls) == p.fail {
		return nil, errors.New("AccessDenied")
	}
	out := &cloudtrail.LookupEventsOutput{}
	if in.EndTime == nil { // the rare ones, of which there are none
		return out, nil
	}
	for at := *in.EndTime; at.After(*in.StartTime); at = at.Add(-time.Hour) {
		if !at.After(time.Now()) {
			id := at.Format("02T15") + (*in.LookupAttributes[0].AttributeValue)[:3]
			out.Events = append(out.Events, types.Event{EventTime: &at, CloudTrailEvent: aws.String(record(id))})
		}
	}
	return out, nil
}

func TestLookupGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "checkpoint")
	synctest.Test(t, func(t *testing.T) { // the present is 2000-01-01T00:00:00Z
		time.Sleep(12 * time.Hour)
		run := func(history *past) (ids []string, errs []error, left []time.Duration) {
			open(t, path, func(c *source.Checkpoint) {
				ids, errs = collect(source.Lookup(history, func(o *source.LookupOptions) {
					o.From, o.Checkpoint, o.Name = time.Now().Add(-48*time.Hour), c, "1111 eu-west-1"
					o.Progress = func(p source.LookupProgress) { left = append(left, p.Left) }
				}))
			})
			return ids, errs, left
		}
		first := &past{fail: 12}
		_, errs, left := run(first)
		if s, ok := errors.AsType[*audit.SkippedError](errors.Join(errs...)); !ok || s.What != "1111 eu-west-1" {
			t.Errorf("errors %v, want the Region skipped", errs)
		}
		if len(left) != 7 || left[1] < time.Second || left[6] < time.Second || left[6] > 6*time.Second {
			t.Errorf("left: %v", left)
		}
		second := &past{}
		ids, errs, _ := run(second)
		want := []string{
			"1999-12-30 DisableKey", "1999-12-30 EnableKey", "1999-12-30 ScheduleKeyDeletion", "1999-12-30 CancelKeyDeletion",
			"2000-01-01 secretsmanager.amazonaws.com", "2000-01-01 Decrypt", "2000-01-01 GenerateDataKey",
			"1999-12-30 Decrypt", "1999-12-30 GenerateDataKey",
		}
		if diff := cmp.Diff(want, second.calls); diff != "" || len(errs) > 0 {
			t.Errorf("calls of the second run (-want +got):\n%s%v", diff, errs)
		}
		slices.Sort(ids)
		if ids = slices.Compact(ids); len(ids) != 3*(12+24+24) {
			t.Errorf("%d events, want those of 60 hours and three attributes", len(ids))
		}
	})
}

func TestJoinReadsAll(t *testing.T) {
	t.Parallel()
	a, b := audit.Records{json.RawMessage(record("a"))}, audit.Records{json.RawMessage(record("b"))}
	ids, errs := collect(source.Join(a, b))
	if diff := cmp.Diff([]string{"a", "b"}, ids); diff != "" || len(errs) > 0 {
		t.Errorf("records (-want +got):\n%s%v", diff, errs)
	}
}
