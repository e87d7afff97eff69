package audit

import (
	"cmp"
	"regexp"
	"strings"
)

// labelRotator marks who carries out rotations.
const labelRotator = "rotator"

// label says what made a call, where that is known: by the service that called
// for the principal, or by what the user agent says of itself.
func (b *builder) label(f *fact) string {
	switch {
	case b.isFunction(f):
		return labelRotator
	case f.who.invoked == "cloudformation.amazonaws.com":
		return "cloudformation"
	case f.who.invoked != "" || strings.HasPrefix(f.who.id, "service:"):
		return "service"
	case f.who.flags&flagConsole != 0:
		return "console"
	}
	label, ok := b.tools[f.agent]
	if !ok {
		label = toolOf(f.agent)
		b.tools[f.agent] = label
	}
	return label
}

// toolOf is the tool that a user agent names. Anybody can send any user agent:
// a label explains, and proves nothing.
func toolOf(agent string) string {
	agent = strings.ToLower(agent)
	for _, tool := range []struct{ label, sign string }{
		{"terraform", "terraform"},
		{"pulumi", "pulumi"},
		{"cloudformation", "cloudformation"},
		{"console", "signin.amazonaws.com"},
		{"console", "aws internal"},
		{"console", "awsconsole"},
		{"external-secrets", "external-secrets"},
		{"scanner", "prowler"},
		{"scanner", "scoutsuite"},
		{"scanner", "scout suite"},
		{"scanner", "steampipe"},
		{"scanner", "cloudsploit"},
		{"scanner", "trufflehog"},
		{"scanner", "pacu"},
		{"scanner", "stratus-red-team"},
		{"scanner", "wiz"},
	} {
		if strings.Contains(agent, tool.sign) {
			return tool.label
		}
	}
	return ""
}

// family is the program that a user agent names: a known tool, or its first
// word, without the version, which changes with every update.
func (b *builder) family(agent string) string {
	family, ok := b.agents[agent]
	if !ok {
		family = cmp.Or(toolOf(agent), b.intern(familyOf(agent)))
		b.agents[agent] = family
	}
	return family
}

// version is a version number, and an id that a program makes up for each run.
var version = regexp.MustCompile(`[/_ -]v?[0-9a-f]*[0-9][0-9a-f.-]*$`)

func familyOf(agent string) string {
	agent = strings.TrimLeft(agent, "[ ")
	if i := strings.IndexAny(agent, " ]"); i > 0 {
		agent = agent[:i]
	}
	if len(agent) > 100 {
		agent = agent[:100]
	}
	if short := version.ReplaceAllString(agent, ""); short != "" {
		return short
	}
	return agent
}

// findFunctions learns the names of the functions that rotate secrets: from the
// calls that set them, from failures that name them, and from the inventory.
func (b *builder) findFunctions() {
	learn := func(arn string) {
		if name := functionName(arn); name != "" {
			b.functions[name] = true
		}
	}
	for f := range b.facts.all() {
		if f.rare != nil {
			learn(f.rare.lambda)
		}
		if f.action == "RotationFailed" || f.action == "RotationAbandoned" {
			if m := failure.FindStringSubmatch(f.message()); m != nil {
				learn(m[1])
			}
		}
	}
	for _, state := range b.opts.Inventory {
		learn(state.Function)
	}
}

// functionName is the name in the ARN of a function.
func functionName(arn string) string {
	// arn:aws:lambda:us-east-1:111122223333:function:name:alias
	parts := strings.Split(arn, ":")
	if len(parts) < 7 || parts[2] != "lambda" || parts[5] != "function" {
		return ""
	}
	return parts[6]
}

// isFunction reports whether a call came from a function that rotates secrets:
// Lambda names a role's session after the function. Whoever may assume the role
// can choose that name as well.
func (b *builder) isFunction(f *fact) bool {
	return f.who.kind == "AssumedRole" && b.functions[f.who.session]
}
