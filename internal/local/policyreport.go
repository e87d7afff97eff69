package local

import (
	"fmt"
	"strings"
	"time"
)

// A PolicyStatement is a statement of the template and what it did.
type PolicyStatement struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Of is the logical id of the function, role or other resource whose
	// policy it is.
	Of        string   `json:"of"`
	Sid       string   `json:"sid,omitempty"`
	Deny      bool     `json:"deny,omitempty"`
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
	// Elsewhere says that it is about services that the engine does not have,
	// so that nothing here can use it.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// Uses is how many requests it has allowed.
	Uses uint64 `json:"uses"`
	// UnusedActions and UnusedResources are those of a statement in use that
	// no request needed.
	UnusedActions   []string `json:"unusedActions,omitempty"`
	UnusedResources []string `json:"unusedResources,omitempty"`
}

// A PolicyRefusal is a kind of call that was refused, or with IAM off would
// have been.
type PolicyRefusal struct {
	// Who is the logical id of the function or role, or else an ARN or a
	// service.
	Who      string `json:"who"`
	Action   string `json:"action"`
	Resource string `json:"resource"`
	Reason   string `json:"reason"`
	// Statement is what is missing, as YAML. Into says where it belongs, and
	// File and Line where that is. They are empty where no statement helps.
	Statement string `json:"statement,omitempty"`
	Into      string `json:"into,omitempty"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	// Near tells of a statement of the template that has to do with it.
	Near  string    `json:"near,omitempty"`
	Count int       `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// String is the refusal in one line.
func (r PolicyRefusal) String() string {
	text := r.Who + " may not " + r.Action + " on " + r.Resource + " " + r.Reason
	if r.Into != "" {
		text += "; add to " + r.Into
	}
	if r.Line > 0 {
		text += fmt.Sprintf(" at %s:%d", r.File, r.Line)
	}
	if r.Statement != "" {
		text += ": " + strings.TrimPrefix(oneLine(r.Statement), "- ")
	}
	if r.Near != "" {
		text += " (" + r.Near + ")"
	}
	return text
}

// A PolicyReport says what the template's policies did in a run.
type PolicyReport struct {
	// Enforced is false with IAM off: then nothing was refused that Refused
	// lists.
	Enforced   bool              `json:"enforced"`
	Statements []PolicyStatement `json:"statements"`
	Refused    []PolicyRefusal   `json:"refused"`
}

// Unused are the statements that allow something here and were used by nothing.
func (p *PolicyReport) Unused() []PolicyStatement {
	var all []PolicyStatement
	for _, s := range p.Statements {
		if s.Uses == 0 && !s.Deny && !s.Elsewhere {
			all = append(all, s)
		}
	}
	return all
}

// Policies reports what the template's policies did until now.
func (e *Engine) Policies() *PolicyReport {
	p := &PolicyReport{Enforced: !e.access.off}
	p.Statements, p.Refused = e.access.ledger.report()
	return p
}

// oneLine is a text with each run of white space as one space.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
