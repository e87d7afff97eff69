package cloudformation

import (
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/"

// Wire is the service as the front door takes it.
func (s *Service) Wire() wire.Service {
	read := func(fn func(form) (any, error)) wire.Operation { return s.operation(wire.Read, whoever(fn)) }
	write := func(fn func(form) (any, error)) wire.Operation { return s.operation(wire.Write, whoever(fn)) }
	return wire.Service{
		Name: "cloudformation", EventSource: "cloudformation.amazonaws.com", Protocol: wire.Query,
		Operations: map[string]wire.Operation{
			"ValidateTemplate":       read(s.validateTemplate),
			"GetTemplate":            read(s.getTemplate),
			"CreateStack":            s.operation(wire.Write, s.createStack),
			"UpdateStack":            s.operation(wire.Write, s.updateStack),
			"CreateChangeSet":        write(s.createChangeSet),
			"DescribeChangeSet":      read(s.describeChangeSet),
			"ListChangeSets":         read(s.listChangeSets),
			"ExecuteChangeSet":       s.operation(wire.Write, s.executeChangeSet),
			"DeleteChangeSet":        write(s.deleteChangeSet),
			"DeleteStack":            s.operation(wire.Write, s.deleteStack),
			"DescribeStacks":         read(s.describeStacks),
			"ListStacks":             read(s.listStacks),
			"DescribeStackEvents":    read(s.describeEvents),
			"DescribeStackResources": read(s.describeResources),
			"ListStackResources":     read(s.listResources),
		},
	}
}

func decode(input json.RawMessage, f *form) error {
	if json.Unmarshal(input, f) != nil { // the front door made it of a form
		return invalid("The request is malformed.")
	}
	return nil
}

// An answer is a result in the envelope of the Query protocol.
type answer struct {
	operation, requestID string
	result               any
}

// MarshalXML writes the envelope.
func (a answer) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	outer := xml.StartElement{Name: xml.Name{Space: namespace, Local: a.operation + "Response"}}
	if err := e.EncodeToken(outer); err != nil {
		return err
	}
	if err := e.EncodeElement(a.result, xml.StartElement{Name: xml.Name{Local: a.operation + "Result"}}); err != nil {
		return err
	}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{a.requestID}
	if err := e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(outer.End())
}

type tag struct{ Key, Value string }

// stamp is a time as the Query protocol writes it; empty leaves it out.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

type stackOutput struct {
	OutputKey, OutputValue string
	Description            string `xml:",omitempty"`
}

type stackParameter struct{ ParameterKey, ParameterValue string }

type stackMember struct {
	StackName         string
	StackID           string `xml:"StackId"`
	Description       string `xml:",omitempty"`
	CreationTime      string
	LastUpdatedTime   string `xml:",omitempty"`
	DeletionTime      string `xml:",omitempty"`
	StackStatus       string
	StackStatusReason string `xml:",omitempty"`
	RoleARN           string `xml:",omitempty"`
	TimeoutInMinutes  string `xml:",omitempty"`
	DisableRollback   bool
	NotificationARNs  []string         `xml:"NotificationARNs>member"`
	Parameters        []stackParameter `xml:"Parameters>member"`
	Outputs           []stackOutput    `xml:"Outputs>member"`
	Capabilities      []string         `xml:"Capabilities>member"`
	Tags              []tag            `xml:"Tags>member"`
}

func (s *stack) member() stackMember {
	m := stackMember{
		StackName: s.Name, StackID: s.ID, Description: s.Description, CreationTime: stamp(s.Created),
		LastUpdatedTime: stamp(s.Updated), DeletionTime: stamp(s.DeletedAt), StackStatus: s.Status, StackStatusReason: s.Reason,
		RoleARN: s.RoleARN, TimeoutInMinutes: s.TimeoutInMinutes, DisableRollback: s.DisableRollback, NotificationARNs: s.NotificationARNs,
		Parameters: shown(s.told), Capabilities: s.Capabilities, Tags: s.Tags,
	}
	for _, o := range s.outputs {
		m.Outputs = append(m.Outputs, stackOutput{o.Name, o.Value, o.Description})
	}
	return m
}

// shown are parameters without the values that the template hides.
func shown(all []Parameter) []stackParameter {
	var members []stackParameter
	for _, p := range all {
		value := p.Value
		if p.NoEcho {
			value = "****"
		}
		members = append(members, stackParameter{p.Name, value})
	}
	return members
}

func (s *Service) describeStacks(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out struct {
		Stacks []stackMember `xml:"Stacks>member"`
	}
	if name := f["StackName"]; name != "" {
		st, err := s.findLocked(name)
		if err != nil {
			return nil, err
		}
		out.Stacks = []stackMember{st.member()}
		return out, nil
	}
	for _, st := range slices.Backward(s.stacks) {
		if st.live() {
			out.Stacks = append(out.Stacks, st.member())
		}
	}
	return out, nil
}

func (s *Service) listStacks(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := f.texts("StackStatusFilter")
	var out struct {
		Summaries []stackMember `xml:"StackSummaries>member"`
	}
	for _, st := range slices.Backward(s.stacks) {
		if len(wanted) == 0 || slices.Contains(wanted, st.Status) {
			out.Summaries = append(out.Summaries, st.member())
		}
	}
	return out, nil
}

type eventMember struct {
	StackID              string `xml:"StackId"`
	EventID              string `xml:"EventId"`
	StackName            string
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	Timestamp            string
	ResourceStatus       string
	ResourceStatusReason string `xml:",omitempty"`
	ClientRequestToken   string `xml:",omitempty"`
}

const eventsPage = 100

// describeEvents tells the newest first.
func (s *Service) describeEvents(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	if err != nil {
		return nil, err
	}
	var out struct {
		Events    []eventMember `xml:"StackEvents>member"`
		NextToken string        `xml:",omitempty"`
	}
	from := len(st.Events)
	if token := f["NextToken"]; token != "" {
		if from, err = strconv.Atoi(token); err != nil || from < 0 || from > len(st.Events) {
			return nil, invalid("The NextToken is invalid.")
		}
	}
	for i := from - 1; i >= 0 && len(out.Events) < eventsPage; i-- {
		v := st.Events[i]
		out.Events = append(out.Events, eventMember{
			st.ID, v.ID, st.Name, v.LogicalID, v.PhysicalID, v.Kind, stamp(v.At), v.Status, v.Reason, v.Token,
		})
	}
	if left := from - len(out.Events); left > 0 {
		out.NextToken = strconv.Itoa(left)
	}
	return out, nil
}

type resourceMember struct {
	StackID              string `xml:"StackId,omitempty"`
	StackName            string `xml:",omitempty"`
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId,omitempty"`
	ResourceType         string
	Timestamp            string `xml:",omitempty"`
	LastUpdatedTimestamp string `xml:",omitempty"`
	ResourceStatus       string
	ResourceStatusReason string `xml:"ResourceStatusReason,omitempty"`
}

func (s *Service) describeResources(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	if err != nil {
		return nil, err
	}
	var out struct {
		Resources []resourceMember `xml:"StackResources>member"`
	}
	for _, r := range st.listed() {
		if wanted := f["LogicalResourceId"]; wanted == "" || wanted == r.LogicalID {
			out.Resources = append(out.Resources, resourceMember{
				StackID: st.ID, StackName: st.Name, LogicalResourceID: r.LogicalID, PhysicalResourceID: r.PhysicalID,
				ResourceType: r.Kind, Timestamp: stamp(r.At), ResourceStatus: r.Status, ResourceStatusReason: r.Reason,
			})
		}
	}
	return out, nil
}

func (s *Service) listResources(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	if err != nil {
		return nil, err
	}
	var out struct {
		Resources []resourceMember `xml:"StackResourceSummaries>member"`
	}
	for _, r := range st.listed() {
		out.Resources = append(out.Resources, resourceMember{
			LogicalResourceID: r.LogicalID, PhysicalResourceID: r.PhysicalID, ResourceType: r.Kind,
			LastUpdatedTimestamp: stamp(r.At), ResourceStatus: r.Status, ResourceStatusReason: r.Reason,
		})
	}
	return out, nil
}

func (s *Service) getTemplate(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body := []byte(nil)
	if f["ChangeSetName"] != "" {
		_, cs, err := s.changeSetLocked(f)
		if err != nil {
			return nil, err
		}
		body = cs.Definition.Body
	} else {
		st, err := s.findLocked(f["StackName"])
		if err != nil {
			return nil, err
		}
		body = st.Body
	}
	return struct {
		TemplateBody    string
		StagesAvailable []string `xml:"StagesAvailable>member"`
	}{string(body), []string{"Original"}}, nil
}

type templateParameter struct {
	ParameterKey string
	DefaultValue string `xml:",omitempty"`
	NoEcho       bool
	Description  string `xml:",omitempty"`
}

func (s *Service) validateTemplate(f form) (any, error) {
	body, err := s.template(f, nil)
	if err != nil {
		return nil, err
	}
	all, err := s.opts.Provider.Template(body)
	if err != nil {
		return nil, invalid("Template error: %v", err)
	}
	var out struct {
		Parameters   []templateParameter `xml:"Parameters>member"`
		Capabilities []string            `xml:"Capabilities>member"`
	}
	for _, p := range all {
		out.Parameters = append(out.Parameters, templateParameter{p.Name, p.Default, p.NoEcho, p.Description})
	}
	if capable(body, nil) != nil {
		out.Capabilities = []string{"CAPABILITY_IAM"}
	}
	return out, nil
}
