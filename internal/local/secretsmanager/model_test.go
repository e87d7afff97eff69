package secretsmanager_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/secretsmanager"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// A model is what a secret is to the caller of the API, in the plainest form:
// what the service does is held against it.
type model struct {
	values  map[string]string // by version
	labels  map[string]string // label to version
	deleted bool
}

func (m *model) put(id, val string, labels []string) string {
	if old, there := m.values[id]; there {
		if old != val {
			return "ResourceExistsException"
		}
		return ""
	}
	m.values[id] = val
	current := m.labels["AWSCURRENT"]
	for _, label := range labels {
		m.labels[label] = id
	}
	if current == "" {
		m.labels["AWSCURRENT"] = id
	}
	if current != "" && m.labels["AWSCURRENT"] == id {
		m.labels["AWSPREVIOUS"] = current
		if m.labels["AWSPENDING"] != id {
			delete(m.labels, "AWSPENDING") // a new value overtakes a rotation
		}
	}
	return ""
}

func (m *model) move(label, from, to string) string {
	at := m.labels[label]
	switch {
	case from == "" && to == "":
		return "InvalidParameterException"
	case from != "" && !m.has(from), to != "" && !m.has(to):
		return "ResourceNotFoundException"
	case from != "" && from != at, at != "" && at != to && from == "", label == "AWSCURRENT" && to == "":
		return "InvalidParameterException"
	case at == to:
		return ""
	case to == "":
		delete(m.labels, label)
		return ""
	}
	m.labels[label] = to
	if label == "AWSCURRENT" && at != "" {
		m.labels["AWSPREVIOUS"] = at
	}
	return ""
}

func (m *model) has(id string) bool { _, there := m.values[id]; return there }

func (m *model) stages() map[string][]string {
	stages := make(map[string][]string)
	for label, id := range m.labels {
		stages[id] = append(stages[id], label)
	}
	for _, labels := range stages {
		slices.Sort(labels)
	}
	return stages
}

// machine runs the service and the models side by side.
type machine struct {
	service *secretsmanager.Service
	secrets map[string]*model
	tokens  []string
}

func newMachine(t *rapid.T) *machine {
	c := clock.New()
	c.Freeze()
	service, err := secretsmanager.New(secretsmanager.Options{Account: account, Region: region, Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{service: service, secrets: make(map[string]*model)}
	for i := range 6 {
		m.tokens = append(m.tokens, fmt.Sprintf("%08d-aaaa-4aaa-8aaa-aaaaaaaaaaaa", i))
	}
	return m
}

// call calls an operation, and returns the code of the error or the answer.
func (m *machine) call(t *rapid.T, operation string, in map[string]any) (code string, out map[string]any) {
	body, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.service.Wire().Operations[operation].Handle(context.Background(), &wire.Call{Operation: operation, Input: body})
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return refused.Code, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if body, err = json.Marshal(answer); err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "", out
}

// expect calls an operation on a secret, and holds its outcome against what
// the model says of one that is there and not deleted.
func (m *machine) expect(t *rapid.T, operation, name string, in map[string]any, live func(*model) string) {
	in["SecretId"] = name
	got, _ := m.call(t, operation, in)
	want := "ResourceNotFoundException"
	switch s := m.secrets[name]; {
	case s != nil && s.deleted:
		want = "InvalidRequestException"
	case s != nil:
		want = live(s)
	}
	if got != want {
		t.Fatalf("%s %v: %q, want %q", operation, in, got, want)
	}
}

// actions are what a caller may do, at random.
func (m *machine) actions() map[string]func(*rapid.T) {
	name := rapid.SampledFrom([]string{"one", "two"})
	id := rapid.SampledFrom(m.tokens)
	maybe := rapid.SampledFrom(append([]string{""}, m.tokens...))
	val := rapid.SampledFrom([]string{"a", "b"})
	label := rapid.SampledFrom([]string{"AWSCURRENT", "AWSPENDING", "MINE", "OURS"})
	return map[string]func(*rapid.T){
		"CreateSecret": func(t *rapid.T) { m.create(t, name.Draw(t, "name"), id.Draw(t, "id"), val.Draw(t, "value")) },
		"PutSecretValue": func(t *rapid.T) {
			version, value, labels := id.Draw(t, "id"), val.Draw(t, "value"), rapid.SliceOfNDistinct(label, 1, 3, rapid.ID).Draw(t, "labels")
			m.expect(t, "PutSecretValue", name.Draw(t, "name"), map[string]any{"ClientRequestToken": version, "SecretString": value, "VersionStages": labels},
				func(s *model) string { return s.put(version, value, labels) })
		},
		"UpdateSecret": func(t *rapid.T) {
			version, value := id.Draw(t, "id"), val.Draw(t, "value")
			m.expect(t, "UpdateSecret", name.Draw(t, "name"), map[string]any{"ClientRequestToken": version, "SecretString": value},
				func(s *model) string { return s.put(version, value, []string{"AWSCURRENT"}) })
		},
		"UpdateSecretVersionStage": func(t *rapid.T) {
			l, from, to := label.Draw(t, "label"), maybe.Draw(t, "from"), maybe.Draw(t, "to")
			n := name.Draw(t, "name")
			if s := m.secrets[n]; s != nil && rapid.Bool().Draw(t, "from where it is") {
				from = s.labels[l]
			}
			if from == "" && to == "" {
				t.Skip("refused before the secret is looked up")
			}
			in := map[string]any{"VersionStage": l, "RemoveFromVersionId": from, "MoveToVersionId": to}
			maps.DeleteFunc(in, func(_ string, val any) bool { return val == "" })
			m.expect(t, "UpdateSecretVersionStage", n, in,
				func(s *model) string { return s.move(l, from, to) })
		},
		"DeleteSecret": func(t *rapid.T) {
			m.expect(t, "DeleteSecret", name.Draw(t, "name"), map[string]any{}, func(s *model) string { s.deleted = true; return "" })
		},
		"DeleteSecret by force": func(t *rapid.T) {
			n := name.Draw(t, "name")
			if code, _ := m.call(t, "DeleteSecret", map[string]any{"SecretId": n, "ForceDeleteWithoutRecovery": true}); code != "" {
				t.Fatalf("DeleteSecret by force: %s", code)
			}
			delete(m.secrets, n)
		},
		"RestoreSecret": func(t *rapid.T) {
			n := name.Draw(t, "name")
			code, _ := m.call(t, "RestoreSecret", map[string]any{"SecretId": n})
			if s := m.secrets[n]; s != nil {
				s.deleted = false
			}
			if (code == "") != (m.secrets[n] != nil) {
				t.Fatalf("RestoreSecret of %s: %q", n, code)
			}
		},
		"": m.compare,
	}
}

func (m *machine) create(t *rapid.T, name, id, val string) {
	code, _ := m.call(t, "CreateSecret", map[string]any{"Name": name, "ClientRequestToken": id, "SecretString": val})
	s, want := m.secrets[name], ""
	switch {
	case s == nil:
		m.secrets[name] = &model{values: map[string]string{id: val}, labels: map[string]string{"AWSCURRENT": id}}
	case s.deleted:
		want = "InvalidRequestException"
	case s.values[id] != val:
		want = "ResourceExistsException"
	}
	if code != want {
		t.Fatalf("CreateSecret %s: %q, want %q", name, code, want)
	}
}

// compare holds everything that can be read against the models.
func (m *machine) compare(t *rapid.T) {
	for _, name := range []string{"one", "two"} {
		s := m.secrets[name]
		code, about := m.call(t, "DescribeSecret", map[string]any{"SecretId": name})
		if (code == "") != (s != nil) {
			t.Fatalf("DescribeSecret of %s: %q", name, code)
		}
		if s == nil {
			continue
		}
		if _, deleted := about["DeletedDate"]; deleted != s.deleted {
			t.Fatalf("%s is deleted: %v, want %v", name, deleted, s.deleted)
		}
		got := make(map[string][]string)
		stages, _ := about["VersionIdsToStages"].(map[string]any)
		for id, labels := range stages {
			list, _ := labels.([]any)
			for _, label := range list {
				got[id] = append(got[id], fmt.Sprint(label))
			}
		}
		if diff := cmp.Diff(s.stages(), got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("labels of %s (-model +service):\n%s", name, diff)
		}
		for _, id := range slices.Sorted(maps.Keys(s.values)) {
			m.expectValue(t, name, id, s)
		}
	}
}

func (m *machine) expectValue(t *rapid.T, name, id string, s *model) {
	code, out := m.call(t, "GetSecretValue", map[string]any{"SecretId": name, "VersionId": id})
	switch {
	case s.deleted && code == "InvalidRequestException":
	case s.deleted || code != "" || out["SecretString"] != s.values[id]:
		t.Fatalf("version %s of %s: %q, want %q", id, name, code, s.values[id])
	}
}

// TestTheServiceDoesWhatTheModelDoes makes calls at random, and compares every
// answer and all that can be read afterwards with the model.
func TestTheServiceDoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		defer m.service.Close()
		t.Repeat(m.actions())
	})
}
