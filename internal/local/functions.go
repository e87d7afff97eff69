package local

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey/internal/local/httpapi"
	"github.com/rekey-go/rekey/internal/local/lambda"
	"github.com/rekey-go/rekey/internal/local/template"
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
	Events              map[string]eventSource `yaml:"Events"`
}

// An eventSource is an entry of a function's Events.
type eventSource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
}

func (e *Engine) makeFunction(r template.Resource) error {
	var p functionProperties
	if err := e.plan.Properties(r.ID, &p); err != nil {
		return err
	}
	if p.FunctionName == "" {
		p.FunctionName = r.ID
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
	arn, err := e.Lambda.Define(f)
	if err != nil {
		return refused(r, err)
	}
	e.functions[r.ID] = arn
	e.plan.Set(r.ID, p.FunctionName, map[string]string{"Arn": arn})
	for _, name := range slices.Sorted(maps.Keys(p.Events)) {
		source := p.Events[name]
		make, ok := eventSources[source.Type]
		if !ok {
			e.warnings = append(e.warnings, fmt.Sprintf("%s:%d:%d: the engine has no event source %s; %s of %s is left out",
				r.File, r.Line, r.Column, source.Type, name, r.ID))
			continue
		}
		if err := make(e, arn, r.ID+name, &source.Properties); err != nil {
			return refused(r, err)
		}
	}
	return nil
}

// eventSources are the types of event source that the engine has.
//
//nolint:gochecknoglobals // a constant table.
var eventSources = map[string]func(e *Engine, functionARN, name string, properties *yaml.Node) error{
	"HttpApi":         (*Engine).addRoute,
	"EventBridgeRule": (*Engine).addRule,
	"CloudWatchEvent": (*Engine).addRule,
	"Schedule":        (*Engine).addSchedule,
	"ScheduleV2":      (*Engine).addSchedule,
	"SQS":             (*Engine).addQueue,
}

func (e *Engine) addRoute(functionARN, _ string, properties *yaml.Node) error {
	var p struct {
		Method string `yaml:"Method"`
		Path   string `yaml:"Path"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	e.routes = append(e.routes, httpapi.Route{Method: strings.ToUpper(p.Method), Path: p.Path, FunctionARN: functionARN})
	return nil
}

// Routes are those of the HTTP API.
func (e *Engine) Routes() []httpapi.Route { return e.routes }

func (e *Engine) addRule(functionARN, name string, properties *yaml.Node) error {
	var p struct {
		EventBusName     string         `yaml:"EventBusName"`
		Pattern          map[string]any `yaml:"Pattern"`
		Input            string         `yaml:"Input"`
		InputPath        string         `yaml:"InputPath"`
		State            string         `yaml:"State"`
		DeadLetterConfig struct {
			ARN string `yaml:"Arn"`
		} `yaml:"DeadLetterConfig"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	t := target{ID: name, ARN: functionARN, Input: p.Input, InputPath: p.InputPath, DeadLetterConfig: p.DeadLetterConfig}
	return e.ruleFor(functionARN, ruleProperties{
		Name: name, EventBusName: p.EventBusName, EventPattern: p.Pattern, State: p.State, Targets: []target{t},
	})
}

func (e *Engine) addSchedule(functionARN, name string, properties *yaml.Node) error {
	var p struct {
		Schedule           string `yaml:"Schedule"`
		ScheduleExpression string `yaml:"ScheduleExpression"`
		Input              string `yaml:"Input"`
		State              string `yaml:"State"`
	}
	if err := properties.Decode(&p); err != nil {
		return err
	}
	if p.Schedule == "" {
		p.Schedule = p.ScheduleExpression
	}
	return e.ruleFor(functionARN, ruleProperties{
		Name: name, ScheduleExpression: p.Schedule, State: p.State,
		Targets: []target{{ID: name, ARN: functionARN, Input: p.Input}},
	})
}

// ruleFor makes a rule whose target is a function, and lets it invoke the
// function, as SAM does.
func (e *Engine) ruleFor(functionARN string, p ruleProperties) error {
	arn, err := e.putRule(p)
	if err != nil {
		return err
	}
	e.Lambda.AddPermission(functionARN, eventsService, arn, "")
	return nil
}

func (e *Engine) addQueue(functionARN, _ string, properties *yaml.Node) error {
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
	e.afterwards = append(e.afterwards, func() error {
		return e.Lambda.MapQueue(functionARN, p.Queue, p.BatchSize, partial)
	})
	return nil
}

func (e *Engine) makeHTTPAPI(r template.Resource) error {
	e.plan.Set(r.ID, r.ID, map[string]string{"ApiEndpoint": e.APIURL(), "ApiId": r.ID})
	return nil
}

func (e *Engine) makePermission(r template.Resource) error {
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
	e.Lambda.AddPermission(p.FunctionName, p.Principal, p.SourceARN, p.SourceAccount)
	e.plan.Set(r.ID, r.ID, nil)
	return nil
}
