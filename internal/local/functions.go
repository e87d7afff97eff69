package local

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/httpapi"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/template"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// functionProperties are those of a serverless function that the engine has.
type functionProperties struct {
	FunctionName string `yaml:"FunctionName"`
	CodeURI      string `yaml:"CodeUri"`
	Runtime      string `yaml:"Runtime"`
	Timeout      int    `yaml:"Timeout"`
	MemorySize   int    `yaml:"MemorySize"`
	Reserved     *int   `yaml:"ReservedConcurrentExecutions"`
	Environment  struct {
		Variables map[string]string `yaml:"Variables"`
	} `yaml:"Environment"`
	DeadLetterQueue struct {
		TargetARN string `yaml:"TargetArn"`
	} `yaml:"DeadLetterQueue"`
	// Role is that of the template or another; empty makes one.
	Role                string                 `yaml:"Role"`
	RolePath            string                 `yaml:"RolePath"`
	PermissionsBoundary string                 `yaml:"PermissionsBoundary"`
	Policies            yaml.Node              `yaml:"Policies"`
	Tags                map[string]string      `yaml:"Tags"`
	Layers              []string               `yaml:"Layers"`
	Events              map[string]eventSource `yaml:"Events"`
}

// An eventSource is an entry of a function's Events.
type eventSource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
}

func (e *deployment) makeFunction(r template.Resource) error {
	var p functionProperties
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	p.FunctionName = cmp.Or(p.FunctionName, e.nameFor(r.ID))
	if e.strict && e.kept[r.ID] != p.FunctionName && e.Lambda.Has(p.FunctionName) {
		return refused(r, wire.Errorf("AlreadyExists", "%s already exists", p.FunctionName))
	}
	role, err := e.roleOf(r, &p)
	if err != nil {
		return err
	}
	f := lambda.Function{
		Name: p.FunctionName, RoleARN: role,
		Timeout: time.Duration(p.Timeout) * time.Second, MemoryMB: p.MemorySize,
		Environment: p.Environment.Variables, DeadLetterARN: p.DeadLetterQueue.TargetARN,
	}
	if p.Reserved != nil {
		f.ReservedConcurrency = *p.Reserved
		if *p.Reserved == 0 {
			f.ReservedConcurrency = lambda.NoConcurrency
		}
	}
	if err := e.load(r, &p, &f); err != nil {
		return err
	}
	f.Extensions = e.extensions(r, p.Layers)
	arn, err := e.Lambda.Define(f)
	if err != nil {
		return refused(r, err)
	}
	e.undo(func() error { e.Lambda.Remove(arn); return nil })
	e.functions[r.ID] = arn
	e.plan.Set(r.ID, p.FunctionName, map[string]string{"Arn": arn})
	for _, name := range slices.Sorted(maps.Keys(p.Events)) {
		source := p.Events[name]
		make, ok := eventSources[source.Type]
		if !ok {
			e.warn(r.File, r.Line, r.Column, "the engine has no event source %s; %s of %s is left out", source.Type, name, r.ID)
			continue
		}
		if err := make(e, arn, e.nameFor(r.ID+name), &source.Properties); err != nil {
			return refused(r, err)
		}
	}
	return nil
}

// eventSources are the types of event source that the engine has.
//
//nolint:gochecknoglobals // a constant table.
var eventSources = map[string]func(e *deployment, functionARN, name string, properties *yaml.Node) error{
	"HttpApi":         (*deployment).addRoute,
	"EventBridgeRule": (*deployment).addRule,
	"CloudWatchEvent": (*deployment).addRule,
	"Schedule":        (*deployment).addSchedule,
	"ScheduleV2":      (*deployment).addSchedule,
	"SQS":             (*deployment).addQueue,
}

func (e *deployment) addRoute(functionARN, _ string, properties *yaml.Node) error {
	var p struct {
		Method string `yaml:"Method"`
		Path   string `yaml:"Path"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	route := httpapi.Route{Method: strings.ToUpper(p.Method), Path: p.Path, FunctionARN: functionARN}
	e.routes = append(e.routes, ownedRoute{e.making, route})
	return nil
}

// Routes are those of the HTTP API.
func (e *Engine) Routes() []httpapi.Route {
	var routes []httpapi.Route
	for _, r := range e.main.routes {
		routes = append(routes, r.Route)
	}
	return routes
}

// A pushed has what event sources that become rules have in common.
type pushed struct {
	Input            string           `yaml:"Input"`
	InputPath        string           `yaml:"InputPath"`
	State            string           `yaml:"State"`
	DeadLetterConfig deadLetterConfig `yaml:"DeadLetterConfig"`
	RetryPolicy      *retryPolicy     `yaml:"RetryPolicy"`
}

// target is the rule's for a function.
func (p *pushed) target(name, functionARN string) []target {
	return []target{{
		ID: name, ARN: functionARN, Input: p.Input, InputPath: p.InputPath,
		DeadLetterConfig: p.DeadLetterConfig, RetryPolicy: p.RetryPolicy,
	}}
}

func (e *deployment) addRule(functionARN, name string, properties *yaml.Node) error {
	var p struct {
		pushed       `yaml:",inline"`
		RuleName     string         `yaml:"RuleName"`
		EventBusName string         `yaml:"EventBusName"`
		Pattern      map[string]any `yaml:"Pattern"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	return e.ruleFor(functionARN, ruleProperties{
		Name: cmp.Or(p.RuleName, name), EventBusName: p.EventBusName, EventPattern: p.Pattern, State: p.State, Targets: p.target(name, functionARN),
	})
}

func (e *deployment) addSchedule(functionARN, name string, properties *yaml.Node) error {
	var p struct {
		pushed             `yaml:",inline"`
		Name               string `yaml:"Name"`
		Schedule           string `yaml:"Schedule"`
		ScheduleExpression string `yaml:"ScheduleExpression"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	return e.ruleFor(functionARN, ruleProperties{
		Name: cmp.Or(p.Name, name), ScheduleExpression: cmp.Or(p.Schedule, p.ScheduleExpression), State: p.State, Targets: p.target(name, functionARN),
	})
}

// ruleFor makes a rule whose target is a function, and lets it invoke the
// function, as SAM does.
func (e *deployment) ruleFor(functionARN string, p ruleProperties) error {
	arn, err := e.putRule(p)
	if err != nil {
		return err
	}
	remove := e.Lambda.AddPermission(functionARN, eventsService, arn, "")
	e.undoPart(e.making, func() error {
		remove()
		return e.Events.RemoveRule(p.EventBusName, p.Name)
	})
	return nil
}

func (e *deployment) addQueue(functionARN, _ string, properties *yaml.Node) error {
	var p struct {
		Queue                 string   `yaml:"Queue"`
		BatchSize             int      `yaml:"BatchSize"`
		FunctionResponseTypes []string `yaml:"FunctionResponseTypes"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	if p.BatchSize == 0 {
		p.BatchSize = 10
	}
	partial := slices.Contains(p.FunctionResponseTypes, "ReportBatchItemFailures")
	// Messages wait for all functions to be there.
	owner := e.making
	e.afterwards = append(e.afterwards, func() error {
		stop, err := e.Lambda.MapQueue(functionARN, p.Queue, p.BatchSize, partial)
		if err == nil {
			e.undoPart(owner, func() error { stop(); return nil })
		}
		return err
	})
	return nil
}

func (e *deployment) makeHTTPAPI(r template.Resource) error {
	e.undo(func() error { return e.closeAPI() })
	if e.api == nil {
		var err error
		if e.api, err = e.keptAPIServer(context.Background()); err != nil {
			return err
		}
		go e.api.serve()
	}
	e.plan.Set(r.ID, e.nameFor(r.ID), map[string]string{"ApiEndpoint": e.api.url(), "ApiId": e.nameFor(r.ID)})
	return nil
}

func (e *deployment) makePermission(r template.Resource) error {
	var p struct {
		FunctionName  string `yaml:"FunctionName"`
		Principal     string `yaml:"Principal"`
		SourceARN     string `yaml:"SourceArn"`
		SourceAccount string `yaml:"SourceAccount"`
	}
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	if !strings.HasPrefix(p.FunctionName, "arn:") {
		p.FunctionName = "arn:aws:lambda:" + Region + ":" + Account + ":function:" + p.FunctionName
	}
	remove := e.Lambda.AddPermission(p.FunctionName, p.Principal, p.SourceARN, p.SourceAccount)
	e.undoPart(r.ID, func() error { remove(); return nil })
	e.plan.Set(r.ID, e.nameFor(r.ID), nil)
	return nil
}
