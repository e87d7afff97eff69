package events_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// FuzzOperations checks that whatever JSON an operation gets, it answers or
// refuses, and that what it answers can be encoded.
func FuzzOperations(f *testing.F) {
	for body := range strings.SplitSeq(`{"Entries":[{"Source":"rekey","DetailType":"x","Detail":"{\"a\":[1]}","Time":1.5e9,"Resources":["r"]}]}
{"Name":"r","EventPattern":"{\"source\":[{\"prefix\":\"re\"}]}","State":"ENABLED","Tags":[{"Key":"a","Value":"b"}]}
{"Name":"r","ScheduleExpression":"cron(0 12 * * ? *)"}
{"Rule":"push","Targets":[{"Id":"a","Arn":"arn:aws:sqs:us-east-1:123456789012:q","InputTransformer":{"InputPathsMap":{"x":"$.detail.a[0]"},"InputTemplate":"\"<x>\""}}]}
{"Rule":"push","Ids":["first"],"Limit":5,"NextToken":"a"}
{"Event":"{\"id\":\"1\"}","EventPattern":"{\"id\":[\"1\"]}"}
{"ResourceARN":"arn:aws:events:us-east-1:123456789012:rule/push","TagKeys":["a"]}`, "\n") {
		for op := range uint8(24) {
			f.Add(op, body)
		}
	}
	f.Fuzz(func(t *testing.T, op uint8, body string) {
		operations := services(t, nil).service.Wire().Operations
		names := slices.Sorted(maps.Keys(operations))
		name := names[int(op)%len(names)]
		out, err := operations[name].Handle(t.Context(), &wire.Call{Input: json.RawMessage(body)})
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Errorf("%s of %q: %v, want a refusal", name, body, err)
			}
			return
		}
		if _, err := json.Marshal(out); err != nil {
			t.Errorf("the answer of %s to %q cannot be encoded: %v", name, body, err)
		}
	})
}
