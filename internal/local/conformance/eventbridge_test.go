package conformance_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// The records are the snapshots that LocalStack's tests took of AWS
// (tests/aws/services/events).

func TestEventBridge(t *testing.T) {
	service{
		name: "events", target: "AWSEvents",
		client:   func(cfg aws.Config) any { return eventbridge.NewFromConfig(cfg) },
		modelled: func(code string) bool { return code != "ValidationException" },
		derive:   deriveQueue,
		cleanUp:  removeRules,
	}.check(t, eventBridge())
}

// deriveQueue sets $queue, the ARN of a queue in the account of $rule. It need
// not be there: EventBridge looks for it when it delivers.
func deriveQueue(v variables) {
	if parts := strings.Split(v["rule"], ":"); len(parts) == 6 {
		v["queue"] = strings.Join([]string{parts[0], parts[1], "sqs", parts[3], parts[4], v["name"]}, ":")
	}
}

// removeRules removes what a case may have made: the rule $name on the default
// bus, and the bus $name.
func removeRules(ctx context.Context, client any, v variables) error {
	eb, ok := client.(*eventbridge.Client)
	if !ok {
		return errors.New("no client of EventBridge")
	}
	name := v["name"]
	targets, err := eb.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: &name})
	if _, absent := errors.AsType[*types.ResourceNotFoundException](err); absent {
		targets, err = &eventbridge.ListTargetsByRuleOutput{}, nil
	}
	if err != nil {
		return err
	}
	errs := []error{}
	for _, target := range targets.Targets {
		_, err := eb.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: &name, Ids: []string{*target.Id}})
		errs = append(errs, err)
	}
	_, err = eb.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: &name})
	errs = append(errs, err)
	_, err = eb.DeleteEventBus(ctx, &eventbridge.DeleteEventBusInput{Name: &name})
	return errors.Join(append(errs, err)...)
}

const (
	// ours is a pattern of no one else's events, as a JSON text in JSON.
	ours        = `"{\"source\":[\"rekey.conformance\"]}"`
	arnPattern  = "must satisfy regular expression pattern"
	badPattern  = "InvalidEventPatternException: Event pattern is not valid. Reason: "
	badEvent    = "ValidationException: Parameter Event is not valid."
	tooComplex  = badPattern + "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character"
	noFailures  = `{"FailedEntries":[],"FailedEntryCount":0}`
	emptyAnswer = `{}`
)

func ruleMade() step {
	return ok("PutRule", `{"Name":"$name","EventPattern":`+ours+`}`, `{"RuleArn":"$rule"}`)
}

func ruleIs(state string) step {
	return ok("DescribeRule", `{"Name":"$name"}`,
		`{"Arn":"$rule","CreatedBy":"$account","EventBusName":"default","EventPattern":`+ours+`,"Name":"$name","State":"`+state+`"}`)
}

// matches asks whether an event with a detail matches a pattern of it.
func matches(detail, pattern string, want bool) step {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	event := `{"id":"1","source":"s","detail-type":"t","account":"1","region":"r","time":"2026-01-01T00:00:00Z","detail":` + detail + `}`
	answer := `{"Result":false}`
	if want {
		answer = `{"Result":true}`
	}
	return ok("TestEventPattern", `{"Event":"`+quote(event)+`","EventPattern":"`+quote(`{"detail":`+pattern+`}`)+`"}`, answer)
}

func patternRefused(pattern, why string) step {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	return refused("TestEventPattern", `{"Event":"{}","EventPattern":"`+quote(pattern)+`"}`, why)
}

func entryRefused(entry, code, text string) step {
	return ok("PutEvents", `{"Entries":[`+entry+`]}`,
		`{"Entries":[{"ErrorCode":"`+code+`","ErrorMessage":"`+text+`"}],"FailedEntryCount":1}`)
}

func eventBridge() map[string]belief {
	return map[string]belief{
		"a rule from making to deleting": {recorded, "LocalStack test_put_list_with_prefix_describe_delete_rule[default]", []step{
			ruleMade(),
			ok("ListRules", `{"NamePrefix":"$name"}`, `{"Rules":[{"Arn":"$rule","EventBusName":"default","EventPattern":`+ours+`,"Name":"$name","State":"ENABLED"}]}`),
			ruleIs("ENABLED"),
			ok("DeleteRule", `{"Name":"$name"}`, emptyAnswer),
			ok("ListRules", `{"NamePrefix":"$name"}`, `{"Rules":[]}`),
		}},
		"a rule is disabled and enabled": {recorded, "LocalStack test_disable_re_enable_rule[default]", []step{
			ruleMade(),
			ok("DisableRule", `{"Name":"$name"}`, emptyAnswer), ruleIs("DISABLED"),
			ok("EnableRule", `{"Name":"$name"}`, emptyAnswer), ruleIs("ENABLED"),
		}},
		"a rule that there is not": {recorded, "LocalStack test_describe_nonexistent_rule", []step{
			refused("DescribeRule", `{"Name":"$name"}`, "ResourceNotFoundException: Rule $name does not exist on EventBus default."),
		}},
		"a rule with targets is not deleted": {recorded, "LocalStack test_delete_rule_with_targets", []step{
			ruleMade(),
			ok("PutTargets", `{"Rule":"$name","Targets":[{"Id":"one","Arn":"$queue"}]}`, noFailures),
			refused("DeleteRule", `{"Name":"$name"}`, "ValidationException: Rule can't be deleted since it has targets."),
		}},
		"a schedule on a bus of one's own": {recorded, "LocalStack tests_put_rule_with_schedule_custom_event_bus", []step{
			ok("CreateEventBus", `{"Name":"$name"}`, `{"EventBusArn":"$bus"}`),
			refused("PutRule", `{"Name":"$name","EventBusName":"$name","ScheduleExpression":"rate(1 minute)"}`,
				"ValidationException: ScheduleExpression is supported only on the default event bus."),
		}},
		"targets are put, listed in pages and removed": {recorded, "LocalStack test_put_list_remove_target, test_list_target_by_rule_limit", []step{
			ruleMade(),
			ok("PutTargets", `{"Rule":"$name","Targets":[{"Id":"a","Arn":"$queue"},{"Id":"b","Arn":"$queue"},{"Id":"c","Arn":"$queue"}]}`, noFailures),
			ok("ListTargetsByRule", `{"Rule":"$name","Limit":2}`, `{"NextToken":"$any","Targets":[{"Arn":"$queue","Id":"a"},{"Arn":"$queue","Id":"b"}]}`),
			ok("RemoveTargets", `{"Rule":"$name","Ids":["a","b","c"]}`, noFailures),
			ok("ListTargetsByRule", `{"Rule":"$name"}`, `{"Targets":[]}`),
		}},
		"a sixth target": {recorded, "LocalStack test_add_exceed_fife_targets_per_rule", []step{
			ruleMade(),
			refused("PutTargets", `{"Rule":"$name","Targets":[{"Id":"a","Arn":"$queue"},{"Id":"b","Arn":"$queue"},{"Id":"c","Arn":"$queue"},{"Id":"d","Arn":"$queue"},{"Id":"e","Arn":"$queue"},{"Id":"f","Arn":"$queue"}]}`,
				"LimitExceededException: The requested resource exceeds the maximum number allowed."),
		}},
		"a target whose id has other letters": {recorded, "LocalStack test_put_target_id_validation", []step{
			ruleMade(),
			refused("PutTargets", `{"Rule":"$name","Targets":[{"Id":"!@#","Arn":"$queue"}]}`,
				`ValidationException: 1 validation error detected: Value '!@#' at 'targets.1.member.id' failed to satisfy constraint: Member `+arnPattern+`: [\.\-_A-Za-z0-9]+`),
		}},
		"two kinds of input": {recorded, "LocalStack test_put_event_input_path_and_input_transformer", []step{
			ruleMade(),
			refused("PutTargets", `{"Rule":"$name","Targets":[{"Id":"one","Arn":"$queue","InputPath":"$.detail","InputTransformer":{"InputTemplate":"\"x\""}}]}`,
				"ValidationException: Only one of Input, InputPath, or InputTransformer must be provided for target one."),
		}},
		"a placeholder that there is no path for": {recorded, "LocalStack test_put_events_with_input_transformer_missing_keys", []step{
			ruleMade(),
			refused("PutTargets", `{"Rule":"$name","Targets":[{"Id":"one","Arn":"$queue","InputTransformer":{"InputTemplate":"\"<notdefinedkey>\""}}]}`,
				"ValidationException: InputTemplate for target one contains invalid placeholder notdefinedkey."),
		}},
		"a bus from making to deleting": {recorded, "LocalStack test_create_list_describe_delete_custom_event_buses", []step{
			ok("CreateEventBus", `{"Name":"$name"}`, `{"EventBusArn":"$bus"}`),
			ok("DescribeEventBus", `{"Name":"$name"}`, `{"Arn":"$bus","CreationTime":"$time","LastModifiedTime":"$time","Name":"$name"}`),
			ok("ListEventBuses", `{"NamePrefix":"$name"}`, `{"EventBuses":[{"Arn":"$bus","CreationTime":"$time","LastModifiedTime":"$time","Name":"$name"}]}`),
			refused("CreateEventBus", `{"Name":"$name"}`, "ResourceAlreadyExistsException: Event bus $name already exists."),
			ok("DeleteEventBus", `{"Name":"$name"}`, emptyAnswer),
			refused("DescribeEventBus", `{"Name":"$name"}`, "ResourceNotFoundException: Event bus $name does not exist."),
			ok("DeleteEventBus", `{"Name":"$name"}`, emptyAnswer),
		}},
		"the default bus is not deleted": {recorded, "LocalStack test_delete_default_event_bus", []step{
			refused("DeleteEventBus", `{"Name":"default"}`, "ValidationException: Cannot delete event bus default."),
		}},
		"entries that lack something": {recorded, "LocalStack test_put_events_without_source and its neighbours", []step{
			entryRefused(`{"DetailType":"t","Detail":"{}"}`, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required argument."),
			entryRefused(`{"Source":"s","Detail":"{}"}`, "InvalidArgument", "Parameter DetailType is not valid. Reason: DetailType is a required argument."),
			entryRefused(`{"Source":"s","DetailType":"t"}`, "InvalidArgument", "Parameter Detail is not valid. Reason: Detail is a required argument."),
		}},
		"entries whose detail is no object": {recorded, "LocalStack test_put_event_malformed_detail", []step{
			entryRefused(`{"Source":"s","DetailType":"t","Detail":"text"}`, "MalformedDetail", "Detail is malformed."),
			entryRefused(`{"Source":"s","DetailType":"t","Detail":"[1]"}`, "MalformedDetail", "Detail is malformed."),
			entryRefused(`{"Source":"s","DetailType":"t","Detail":"\"x\""}`, "MalformedDetail", "Detail is malformed."),
			entryRefused(`{"Source":"s","DetailType":"t","Detail":"{\"a\":"}`, "MalformedDetail", "Detail is malformed."),
		}},
		"an event that nobody waits for is published": {recorded, "LocalStack test_put_events_with_time_field", []step{
			ok("PutEvents", `{"Entries":[{"Source":"rekey.conformance","DetailType":"t","Detail":"{}"}]}`, `{"Entries":[{"EventId":"$any"}],"FailedEntryCount":0}`),
		}},
		"an event for a bus that there is not is lost": {recorded, "LocalStack test_put_events_nonexistent_event_bus", []step{
			ok("PutEvents", `{"Entries":[{"Source":"rekey.conformance","DetailType":"t","Detail":"{}","EventBusName":"$name"}]}`, `{"Entries":[{"EventId":"$any"}],"FailedEntryCount":0}`),
		}},
		"entries above 256 KiB": {recorded, "LocalStack test_put_event_with_too_big_detail", []step{
			refused("PutEvents", `{"Entries":[{"Source":"s","DetailType":"t","Detail":"{\"x\":\"`+strings.Repeat("x", 256<<10)+`\"}"}]}`,
				"ValidationException: Total size of the entries in the request is over the limit."),
		}},
		"a field that stands in a pattern twice": {recorded, "LocalStack test_event_pattern_with_multi_key", []step{
			matches(`{"place":"north"}`, `{"place":[{"prefix":"south"}],"place":[{"anything-but":"west"}]}`, true),
		}},
		"a star and a backslash are texts": {recorded, "LocalStack test_event_pattern_with_escape_characters", []step{
			matches(`{"star":"*","stroke":"\\"}`, `{"star":["*"],"stroke":["\\"]}`, true),
		}},
		"patterns that match, and that do not": {recorded, "LocalStack test_event_pattern", []step{
			matches(`{"a":["x","y"]}`, `{"a":["y"]}`, true),
			matches(`{"a":null}`, `{"a":[{"anything-but":["x"]}]}`, true),
			matches(`{}`, `{"a":[{"anything-but":["x"]}]}`, false),
			matches(`{"n":301.8}`, `{"n":[{"numeric":["=",3.018e2]}]}`, true),
			matches(`{"n":"101"}`, `{"n":[{"numeric":[">",100]}]}`, false),
			matches(`{"s":{"t":1}}`, `{"s":[{"exists":true}]}`, false),
			matches(`{"s":[]}`, `{"s":[{"exists":true}]}`, false),
			matches(`{"s.t":{"u":1}}`, `{"s":{"t.u":[1]}}`, true),
			matches(`{"ip":"2001:0db8:1234:1a00:0000:0000:0000:0000"}`, `{"ip":[{"cidr":"2001:db8:1234:1a00::/64"}]}`, true),
			matches(`{"f":"dir/init/file"}`, `{"f":[{"anything-but":{"wildcard":"*/init/*"}}]}`, false),
			matches(`{"l":[{"k":1},{"id":"x"}]}`, `{"l":{"id":[{"exists":true}]}}`, true),
		}},
		// AWS adds the place in the text to most of what it says of a pattern;
		// these are without it.
		"patterns that are refused": {recorded, "LocalStack test_event_pattern, the cases that end in EXC", []step{
			patternRefused(`{"a":[{"cidr":"bad-filter"}]}`, badPattern+"Malformed CIDR, one '/' required"),
			patternRefused(`{"a":[{"cidr":"bad-/64filter"}]}`, badPattern+"Malformed CIDR, mask bits must be an integer"),
			patternRefused(`{"a":[{"cidr":"xx.11.xx/8"}]}`, badPattern+"Nonstandard IP address: xx.11.xx"),
			patternRefused(`{"a":[{"wildcard":"*:*:*:*:*:event-bus/*"}]}`, tooComplex),
		}},
		"events that are none": {recorded, "LocalStack test_plain_string_payload, test_invalid_event_payload", []step{
			refused("TestEventPattern", `{"Event":"plain","EventPattern":`+ours+`}`, badEvent),
			refused("TestEventPattern", `{"Event":"{\"source\":\"s\"}","EventPattern":`+ours+`}`, badEvent),
		}},
		"tags of a rule": {recorded, "LocalStack tests_tag_untag_resource[rule]", []step{
			ruleMade(),
			ok("TagResource", `{"ResourceARN":"$rule","Tags":[{"Key":"tag1","Value":"value1"},{"Key":"tag2","Value":"value2"}]}`, emptyAnswer),
			ok("ListTagsForResource", `{"ResourceARN":"$rule"}`, `{"Tags":[{"Key":"tag1","Value":"value1"},{"Key":"tag2","Value":"value2"}]}`),
			ok("UntagResource", `{"ResourceARN":"$rule","TagKeys":["tag2"]}`, emptyAnswer),
			ok("ListTagsForResource", `{"ResourceARN":"$rule"}`, `{"Tags":[{"Key":"tag1","Value":"value1"}]}`),
		}},
	}
}
