package cloudformation

type changeSetMember struct {
	ChangeSetName   string
	ChangeSetID     string `xml:"ChangeSetId"`
	StackID         string `xml:"StackId"`
	StackName       string
	Description     string `xml:",omitempty"`
	CreationTime    string
	ExecutionStatus string
	Status          string
	StatusReason    string `xml:",omitempty"`
}

func (cs *changeSet) member(st *stack) changeSetMember {
	return changeSetMember{
		cs.Name, cs.ID, st.ID, st.Name, cs.Description, stamp(cs.Created), cs.Execution, cs.Status, cs.Reason,
	}
}

// A changeMember is a change on the wire.
type changeMember struct {
	Type           string
	ResourceChange struct {
		Action             string
		LogicalResourceID  string `xml:"LogicalResourceId"`
		PhysicalResourceID string `xml:"PhysicalResourceId,omitempty"`
		ResourceType       string
		Replacement        string   `xml:",omitempty"`
		PolicyAction       string   `xml:",omitempty"`
		Scope              []string `xml:"Scope>member"`
		Details            []detail `xml:"Details>member"`
	}
}

type detail struct {
	Target struct {
		Attribute, Name, RequiresRecreation string
	}
	Evaluation, ChangeSource string
}

func (c change) member() changeMember {
	m := changeMember{Type: "Resource"}
	r := &m.ResourceChange
	r.Action, r.LogicalResourceID, r.PhysicalResourceID, r.ResourceType, r.Replacement = c.Action, c.LogicalID, c.PhysicalID, c.Kind, c.Replacement
	if c.Action == "Remove" {
		r.PolicyAction = "Delete"
		if retained(c.Policy) {
			r.PolicyAction = "Retain"
		}
	}
	for _, name := range c.Properties {
		var d detail
		d.Target.Attribute, d.Target.Name, d.Target.RequiresRecreation = "Properties", name, "Never"
		if c.Recreate[name] {
			d.Target.RequiresRecreation = "Always"
		}
		d.Evaluation, d.ChangeSource = "Static", "DirectModification"
		r.Details = append(r.Details, d)
		r.Scope = []string{"Properties"}
	}
	return m
}

func (s *Service) describeChangeSet(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, cs, err := s.changeSetLocked(f)
	if err != nil {
		return nil, err
	}
	out := struct {
		changeSetMember
		Parameters   []stackParameter `xml:"Parameters>member"`
		Capabilities []string         `xml:"Capabilities>member"`
		Changes      []changeMember   `xml:"Changes>member"`
	}{changeSetMember: cs.member(st), Parameters: shown(cs.told), Capabilities: cs.Capabilities}
	for _, c := range cs.Changes {
		out.Changes = append(out.Changes, c.member())
	}
	return out, nil
}

func (s *Service) listChangeSets(f form) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.findLocked(f["StackName"])
	if err != nil {
		return nil, err
	}
	var out struct {
		Summaries []changeSetMember `xml:"Summaries>member"`
	}
	for _, cs := range st.ChangeSets {
		out.Summaries = append(out.Summaries, cs.member(st))
	}
	return out, nil
}
