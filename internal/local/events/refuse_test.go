package events_test

import (
	"errors"
	"strings"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
)

// TestRefusalsReadAsOnAWS compares whole messages, for scripts and people
// look for them.
func TestRefusalsReadAsOnAWS(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	e.rule(t, "default", "push", rotated, types.Target{Id: new("first"), Arn: new(function)})
	put := func(target types.Target) func() error {
		if target.Arn == nil {
			target.Arn = new(function)
		}
		return func() error {
			_, err := e.PutTargets(t.Context(), &sdk.PutTargetsInput{Rule: new("push"), Targets: []types.Target{target}})
			return err
		}
	}
	template := func(text string) func() error {
		target := transformer(text)
		target.Id = new("a")
		return put(target)
	}
	rule := func(in sdk.PutRuleInput) func() error {
		return func() error {
			_, err := e.PutRule(t.Context(), &in)
			return err
		}
	}
	test := func(event, pattern string) func() error {
		return func() error {
			_, err := e.TestEventPattern(t.Context(), &sdk.TestEventPatternInput{Event: &event, EventPattern: &pattern})
			return err
		}
	}
	long := strings.Repeat("x", 65)
	tests := map[string]struct {
		call func() error
		want string
	}{
		"a target's id with strange letters": {
			put(types.Target{Id: new("!@#")}),
			`1 validation error detected: Value '!@#' at 'targets.1.member.id' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`,
		},
		"a target's id that is too long": {
			put(types.Target{Id: &long}),
			`1 validation error detected: Value '` + long + `' at 'targets.1.member.id' failed to satisfy constraint: Member must have length less than or equal to 64`,
		},
		"two kinds of input": {
			put(types.Target{Id: new("a"), Input: new("1"), InputPath: new("$")}),
			`Only one of Input, InputPath, or InputTransformer must be provided for target a.`,
		},
		"a placeholder without a path": {
			template(`"<other>"`),
			`InputTemplate for target a contains invalid placeholder other.`,
		},
		"two faults at once": {
			rule(sdk.PutRuleInput{Name: new(long + " "), EventPattern: new(rotated)}),
			`2 validation errors detected: Value '` + long + ` ' at 'name' failed to satisfy constraint: Member must have length less than or equal to 64; Value '` + long + ` ' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`,
		},
		"a rule without a name": {
			func() error {
				_, err := e.DescribeRule(t.Context(), &sdk.DescribeRuleInput{Name: new("")})
				return err
			},
			`2 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+`,
		},
		"a bus with a space": {
			func() error {
				_, err := e.ListRules(t.Context(), &sdk.ListRulesInput{EventBusName: new("a bus")})
				return err
			},
			`1 validation error detected: Value 'a bus' at 'eventBusName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+`,
		},
		"a page of no rules": {
			func() error {
				_, err := e.ListRules(t.Context(), &sdk.ListRulesInput{Limit: new(int32(0))})
				return err
			},
			`1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1`,
		},
		"no targets to remove": {
			func() error {
				_, err := e.RemoveTargets(t.Context(), &sdk.RemoveTargetsInput{Rule: new("push"), Ids: []string{}})
				return err
			},
			`1 validation error detected: Value '[]' at 'ids' failed to satisfy constraint: Member must have length greater than or equal to 1`,
		},
		"a tag without a key": {
			rule(sdk.PutRuleInput{Name: new("tagged"), EventPattern: new(rotated), Tags: []types.Tag{{Key: new(""), Value: new("x")}}}),
			`1 validation error detected: Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1`,
		},
		"tags of nothing": {
			func() error {
				_, err := e.TagResource(t.Context(), &sdk.TagResourceInput{ResourceARN: new(""), Tags: []types.Tag{}})
				return err
			},
			`1 validation error detected: Value '' at 'resourceARN' failed to satisfy constraint: Member must have length greater than or equal to 1`,
		},
		"a state that is none": {
			rule(sdk.PutRuleInput{Name: new("r"), EventPattern: new(rotated), State: "ON"}),
			`1 validation error detected: Value 'ON' at 'state' failed to satisfy constraint: Member must satisfy enum value set: [ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS]`,
		},
		"an event that is a text": {test(`plain`, rotated), `Parameter Event is not valid.`},
		"an event without fields": {test(`{"source":"rekey"}`, rotated), `Parameter Event is not valid.`},
		"a pattern that is none":  {test(`{}`, `{"source":"rekey"}`), `Event pattern is not valid. Reason: "source" must be an object or an array`},
		"a page that is too long": {func() error {
			_, err := e.ListRules(t.Context(), &sdk.ListRulesInput{Limit: new(int32(101))})
			return err
		}, `1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100`},
		"the default bus cannot be deleted": {func() error {
			_, err := e.DeleteEventBus(t.Context(), &sdk.DeleteEventBusInput{Name: new("default")})
			return err
		}, `Cannot delete event bus default.`},
		"a rule that is not there": {func() error {
			_, err := e.DescribeRule(t.Context(), &sdk.DescribeRuleInput{Name: new("none")})
			return err
		}, `Rule none does not exist on EventBus default.`},
		"a rule that has targets": {func() error {
			_, err := e.DeleteRule(t.Context(), &sdk.DeleteRuleInput{Name: new("push")})
			return err
		}, `Rule can't be deleted since it has targets.`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := errors.AsType[smithy.APIError](tt.call())
			if !ok {
				t.Fatal("not refused")
			}
			if got.ErrorMessage() != tt.want {
				t.Errorf("got  %s\nwant %s", got.ErrorMessage(), tt.want)
			}
		})
	}
}
