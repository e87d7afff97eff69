package events_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/events"
	"github.com/rekey-go/rekey/internal/local/wire"
)

const rotated = `{"source":["rekey"],"detail-type":["Secret Rotated"]}`

// envelope is an event as a target sees it.
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

func parse(t *testing.T, text string) envelope {
	t.Helper()
	var e envelope
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("event %s: %v", text, err)
	}
	return e
}

func TestAnEventReachesEveryTargetOfTheRulesThatMatch(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	queue := e.queue(t, "jobs")
	e.rule(t, "default", "push", rotated,
		types.Target{Id: new("function"), Arn: new(function)}, types.Target{Id: new("queue"), Arn: &queue})
	e.rule(t, "default", "other", `{"source":["another"]}`, types.Target{Id: new("function"), Arn: new(function)})
	e.put(t, "default", "Secret Rotated", `{"name":"db <&>"}`)
	got := parse(t, e.invoked(t))
	if got.ID == "" {
		t.Error("event without an id")
	}
	want := envelope{
		Version: "0", ID: got.ID, DetailType: "Secret Rotated", Source: "rekey", Account: account,
		Time: e.clock.Now().UTC().Format(time.RFC3339), Region: region,
		Resources: []string{"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-a1b2c3"},
		Detail:    json.RawMessage(`{"name":"db <&>"}`),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event at the function (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, parse(t, e.received(t, queue).Body)); diff != "" {
		t.Errorf("event at the queue (-want +got):\n%s", diff)
	}
	select {
	case extra := <-e.lambda.got:
		t.Errorf("a rule that does not match delivered %s", extra)
	default:
	}
}

func TestWhatATargetGets(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target types.Target
		want   string
	}{
		"fixed input":       {types.Target{Input: new(`{"fixed":true}`)}, `{"fixed":true}`},
		"a part":            {types.Target{InputPath: new("$.detail")}, `{"name":"db","n":7,"tags":["a","b"]}`},
		"an element":        {types.Target{InputPath: new("$.detail.tags[1]")}, `"b"`},
		"a quoted step":     {types.Target{InputPath: new("$['detail-type']")}, `"Secret Rotated"`},
		"a template":        {transformer(`{"who":<name>,"n":<n>,"all":<tags>}`), `{"who":"db","n":7,"all":["a","b"]}`},
		"a text":            {transformer(`"<name> has <n> of <tags>"`), `"db has 7 of [a,b]"`},
		"a text of lines":   {transformer("\"<name>\"\n\"<aws.events.rule-name>\""), "\"db\"\n\"push\""},
		"a quoted list":     {transformer(`{"all":"<tags>"}`), `{"all":"[\"a\",\"b\"]"}`},
		"braces in a text":  {transformer(`"{[/<name>"`), `"{[/db"`},
		"a missing part":    {transformer(`{"gone":<gone>,"text":"<gone>"}`), `{"gone":"","text":""}`},
		"an escaped quote":  {transformer(`{"text":"say \"<name>\""}`), `{"text":"say \"db\""}`},
		"what is no part":   {transformer(`{"text":"1 < 2 > <>"}`), `{"text":"1 < 2 > <>"}`},
		"the rule":          {transformer(`{"rule":<aws.events.rule-name>,"arn":"<aws.events.rule-arn>"}`), `{"rule":"push","arn":"arn:aws:events:us-east-1:123456789012:rule/push"}`},
		"the whole of path": {types.Target{InputPath: new("$.source")}, `"rekey"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, nil)
			tt.target.Id, tt.target.Arn = new("function"), new(function)
			e.rule(t, "default", "push", rotated, tt.target)
			e.put(t, "default", "Secret Rotated", `{"name":"db","n":7,"tags":["a","b"]}`)
			if got := e.invoked(t); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func transformer(template string) types.Target {
	return types.Target{InputTransformer: &types.InputTransformer{
		InputTemplate: &template,
		InputPathsMap: map[string]string{"name": "$.detail.name", "n": "$.detail.n", "tags": "$.detail.tags", "gone": "$.detail.gone"},
	}}
}

func TestATemplateMayHoldTheEvent(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	target := transformer(`{"event":<aws.events.event.json>,"head":<aws.events.event>}`)
	target.Id, target.Arn = new("function"), new(function)
	e.rule(t, "default", "push", rotated, target)
	e.put(t, "default", "Secret Rotated", `{"name":"db"}`)
	var got struct {
		Event envelope
		Head  struct {
			envelope
			DetailType string `json:"detailType"`
		}
	}
	if err := json.Unmarshal([]byte(e.invoked(t)), &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Event.Detail) != `{"name":"db"}` || got.Head.Detail != nil || got.Head.ID != got.Event.ID || got.Head.DetailType != "Secret Rotated" {
		t.Errorf("got event %+v and head %+v", got.Event, got.Head)
	}
}

func TestADeliveryIsTriedAgainAndThenBuried(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy    events.RetryPolicy
		wantTries int
		exhausted string
	}{
		"when its retries are used up": {events.RetryPolicy{MaximumRetryAttempts: new(2)}, 3, "MaximumRetryAttempts"},
		"when the event is too old":    {events.RetryPolicy{MaximumEventAgeInSeconds: new(60)}, 0, "MaximumEventAgeInSeconds"},
		"after a day where not told":   {events.RetryPolicy{}, 0, "MaximumEventAgeInSeconds"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := services(t, nil)
				dead := e.queue(t, "dead")
				tries := 0
				e.lambda.refuse = func() error {
					tries++
					return errors.New("busy")
				}
				if _, err := e.service.PutRule(events.Rule{Name: "push", EventPattern: rotated}); err != nil {
					t.Fatal(err)
				}
				if err := e.service.PutTargets("", "push", events.Target{
					ID: "function", ARN: function, RetryPolicy: &tt.policy, DeadLetterConfig: &events.DeadLetterConfig{ARN: dead},
				}); err != nil {
					t.Fatal(err)
				}
				e.service.Publish("rekey", "Secret Rotated", nil, struct{}{})
				synctest.Wait()
				e.advance(t, 25*time.Hour)
				got := make(map[string]string)
				for name, a := range e.received(t, dead).MessageAttributes {
					got[name] = a.StringValue
				}
				want := map[string]string{
					"RULE_ARN": "arn:aws:events:us-east-1:123456789012:rule/push", "TARGET_ARN": function,
					"ERROR_CODE": "ERROR_FROM_TARGET", "ERROR_MESSAGE": "busy",
					"RETRY_ATTEMPTS": strconv.Itoa(tries - 1), "EXHAUSTED_RETRY_CONDITION": tt.exhausted,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("attributes of the dead letter (-want +got):\n%s", diff)
				}
				if tries < 3 || tt.wantTries > 0 && tries != tt.wantTries {
					t.Errorf("%d tries, want %d", tries, tt.wantTries)
				}
			})
		})
	}
}

func TestWhatCannotSucceedIsBuriedAtOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		target types.Target
		err    error
		code   string
	}{
		"a function that is not there":   {err: wire.Errorf("ResourceNotFoundException", "Function not found"), code: "NO_RESOURCE"},
		"a function that may not":        {err: wire.Errorf("AccessDeniedException", "no"), code: "NO_PERMISSIONS"},
		"a queue that is not there":      {target: types.Target{Arn: new("arn:aws:sqs:us-east-1:123456789012:none")}, code: "NO_RESOURCE"},
		"a path that leads nowhere":      {target: types.Target{InputPath: new("$.detail.gone")}, code: "INVALID_JSON"},
		"a template that makes no JSON":  {target: transformer(`{<aws.events.event>:1}`), code: "INVALID_JSON"},
		"a bus that sends to itself":     {target: types.Target{Arn: new("arn:aws:events:us-east-1:123456789012:event-bus/default")}, code: "THIRD_ACCOUNT_HOP_DETECTED"},
		"no tries after the first error": {err: errors.New("busy"), target: types.Target{RetryPolicy: &types.RetryPolicy{MaximumRetryAttempts: new(int32(0))}}, code: "ERROR_FROM_TARGET"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, nil)
			dead := e.queue(t, "dead")
			e.lambda.refuse = func() error { return tt.err }
			target := tt.target
			target.Id, target.DeadLetterConfig = new("one"), &types.DeadLetterConfig{Arn: &dead}
			if target.Arn == nil {
				target.Arn = new(function)
			}
			e.rule(t, "default", "push", rotated, target)
			e.put(t, "default", "Secret Rotated", `{"name":"db"}`)
			m := e.received(t, dead)
			if got := m.MessageAttributes["ERROR_CODE"].StringValue; got != tt.code {
				t.Errorf("error code: got %s, want %s", got, tt.code)
			}
			if got := m.MessageAttributes["RETRY_ATTEMPTS"].StringValue; got != "0" {
				t.Errorf("retries: got %s, want 0", got)
			}
		})
	}
}

func TestAnEventGoesFromBusToBus(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	arn, err := e.service.CreateBus("dev-rekey", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	e.rule(t, "default", "forward", rotated, types.Target{Id: new("bus"), Arn: &arn})
	e.rule(t, arn, "push", rotated, types.Target{Id: new("function"), Arn: new(function)})
	e.put(t, "default", "Secret Rotated", `{"name":"db"}`)
	if got := parse(t, e.invoked(t)); string(got.Detail) != `{"name":"db"}` {
		t.Errorf("got detail %s", got.Detail)
	}
}

func TestReadsReachOnlyTheRulesThatAskForThem(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	const pattern = `{"detail-type":["AWS API Call via CloudTrail"]}`
	e.rule(t, "default", "plain", pattern, types.Target{Id: new("function"), Arn: new(function), Input: new(`"plain"`)})
	publish := func() {
		e.service.PublishRead("aws.secretsmanager", "AWS API Call via CloudTrail", nil, map[string]string{"eventName": "GetSecretValue"})
	}
	publish()
	if _, err := e.PutRule(t.Context(), &sdk.PutRuleInput{
		Name: new("all"), EventPattern: new(pattern), State: types.RuleStateEnabledWithAllCloudtrailManagementEvents,
	}); err != nil {
		t.Fatal(err)
	}
	e.targets(t, "default", "all", types.Target{Id: new("function"), Arn: new(function), Input: new(`"all"`)})
	publish()
	e.service.Close() // waits for all deliveries
	if got := e.invoked(t); got != `"all"` || len(e.lambda.got) > 0 {
		t.Errorf("got %s and %d more, want the rule for all events once", got, len(e.lambda.got))
	}
}

func TestPublishIsOnTheDefaultBus(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	e.rule(t, "default", "native", `{"source":["aws.secretsmanager"],"detail":{"labelUpdated":["AWSCURRENT"]}}`,
		types.Target{Id: new("function"), Arn: new(function)})
	e.service.Publish("aws.secretsmanager", "Secret Label Updated", []string{"arn:of:secret"},
		map[string]string{"name": "db", "labelUpdated": "AWSCURRENT", "versionId": "v"})
	got := parse(t, e.invoked(t))
	if got.Resources[0] != "arn:of:secret" || !strings.Contains(string(got.Detail), `"versionId":"v"`) {
		t.Errorf("got resources %v, detail %s", got.Resources, got.Detail)
	}
}
