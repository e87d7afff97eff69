package events

import "github.com/rekey-go/rekey/internal/local/wire"

// Wire returns the service as the front door sees it.
func (s *Service) Wire() wire.Service {
	return wire.Service{
		Name:        "events",
		EventSource: "events.amazonaws.com",
		Protocol:    wire.JSON11,
		Targets:     []string{"AWSEvents"},
		Operations: map[string]wire.Operation{
			"PutEvents":        wire.Op(wire.Data, s.putEvents),
			"TestEventPattern": op(wire.Read, s.testEventPattern, text{member: "EventPattern", required: true, most: maxPattern}, text{member: "Event", required: true}),

			"PutRule":      op(wire.Write, s.putRule, onBus, text{member: "RoleArn", least: 1, most: 1600}),
			"DescribeRule": op(wire.Read, s.describeRule, named("Name"), onBus),
			"DeleteRule":   op(wire.Write, s.deleteRule, named("Name"), onBus),
			"EnableRule":   op(wire.Write, s.enableRule, named("Name"), onBus),
			"DisableRule":  op(wire.Write, s.disableRule, named("Name"), onBus),
			"ListRules":    op(wire.Read, s.listRules, text{member: "NamePrefix", least: 1, most: maxName, pattern: ruleLetters}, onBus, nextToken),

			"PutTargets":            op(wire.Write, s.putTargets, named("Rule"), onBus),
			"RemoveTargets":         op(wire.Write, s.removeTargets, named("Rule"), onBus),
			"ListTargetsByRule":     op(wire.Read, s.listTargets, named("Rule"), onBus, nextToken),
			"ListRuleNamesByTarget": op(wire.Read, s.listRuleNamesByTarget, arnOf("TargetArn"), onBus, nextToken),

			"CreateEventBus":   wire.Op(wire.Write, s.createBus),
			"DescribeEventBus": op(wire.Read, s.describeBus, text{member: "Name", least: 1, most: 1600, pattern: busOrARN}),
			"DeleteEventBus":   op(wire.Write, s.deleteBus, text{member: "Name", required: true, least: 1, most: maxBusName, pattern: busLetters}),
			"ListEventBuses":   op(wire.Read, s.listBuses, text{member: "NamePrefix", least: 1, most: maxBusName, pattern: busLetters}, nextToken),

			"TagResource":         op(wire.Write, s.tagResource, arnOf("ResourceARN")),
			"UntagResource":       op(wire.Write, s.untagResource, arnOf("ResourceARN")),
			"ListTagsForResource": op(wire.Read, s.listTags, arnOf("ResourceARN")),
		},
	}
}
