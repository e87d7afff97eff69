package secretsmanager

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func text(s string) *value { return &value{text: &s} }

// snapshot is a state in a form that can be compared: version id and value to
// labels.
func snapshot(v versions) map[string][]string {
	all := make(map[string][]string)
	for _, ver := range v.all {
		id := ver.id
		key := id + " is empty"
		if ver.value != nil {
			key = id + " = " + *ver.value.text
		}
		all[key] = v.labelsOf(id)
	}
	return all
}

// call is one operation of the state machine with random arguments.
type call struct {
	name string
	do   func(v versions, now time.Time) (versions, error)
}

func drawCall(t *rapid.T) call {
	id := rapid.SampledFrom([]string{"v1", "v2", "v3", "v4", "v5"})
	label := rapid.SampledFrom([]string{labelCurrent, labelPrevious, labelPending, "REKEY_SUPPLIED", "X"})
	maybe := rapid.SampledFrom([]string{"", "v1", "v2", "v3", "v4", "v5", "v9"})
	switch rapid.IntRange(0, 5).Draw(t, "operation") {
	case 0, 1:
		version, val := id.Draw(t, "id"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "value")
		labels := rapid.SliceOfNDistinct(label, 1, 3, rapid.ID).Draw(t, "labels")
		return call{fmt.Sprintf("put %s=%s %v", version, val, labels), func(v versions, now time.Time) (versions, error) {
			return v.put(now, version, text(val), "", labels...)
		}}
	case 2:
		l, from, to := label.Draw(t, "label"), maybe.Draw(t, "from"), maybe.Draw(t, "to")
		right := rapid.Bool().Draw(t, "from where it is")
		return call{fmt.Sprintf("move %s from %q (or right: %v) to %q", l, from, right, to), func(v versions, now time.Time) (versions, error) {
			if right {
				return v.move(now, l, v.labels[l], to)
			}
			return v.move(now, l, from, to)
		}}
	case 3:
		version := id.Draw(t, "id")
		return call{"begin " + version, func(v versions, now time.Time) (versions, error) {
			return v.begin(now, version, nil, "")
		}}
	case 4:
		version := id.Draw(t, "id")
		return call{"end AWSPENDING of " + version, func(v versions, _ time.Time) (versions, error) {
			return v.endPending(version), nil
		}}
	default:
		version := id.Draw(t, "id")
		return call{"discard " + version, func(v versions, _ time.Time) (versions, error) {
			return v.discard(version), nil
		}}
	}
}

// TestVersionsKeepTheirPromises calls the state machine at random and holds
// every state against what its type promises.
func TestVersionsKeepTheirPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var v versions
		now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			c := drawCall(t)
			now = now.Add(time.Minute)
			before := snapshot(v)
			next, err := c.do(v, now)
			if diff := cmp.Diff(before, snapshot(v)); diff != "" {
				t.Fatalf("%s changed the state that it was called on:\n%s", c.name, diff)
			}
			if err != nil {
				if diff := cmp.Diff(before, snapshot(next)); diff != "" {
					t.Fatalf("%s was refused (%v) and returns another state:\n%s", c.name, err, diff)
				}
				continue
			}
			checkPromises(t, c.name, v, next)
			v = next
		}
	})
}

func checkPromises(t *rapid.T, name string, before, next versions) {
	for label, id := range next.labels {
		if next.get(id) == nil {
			t.Fatalf("%s: %s is on %s, which is not there", name, label, id)
		}
	}
	for _, ver := range next.all {
		id := ver.id
		if ver.value == nil && len(next.labelsOf(id)) == 0 {
			t.Fatalf("%s: %s has neither a value nor a label", name, id)
		}
	}
	was, is := before.labels[labelCurrent], next.labels[labelCurrent]
	switch {
	case was != "" && is == "":
		t.Fatalf("%s: AWSCURRENT was lost", name)
	case is != "" && next.get(is).value == nil:
		t.Fatalf("%s: the version that is AWSCURRENT has no value", name)
	case was != "" && is != was && next.labels[labelPrevious] != was:
		t.Fatalf("%s: AWSCURRENT left %s, and AWSPREVIOUS is on %q", name, was, next.labels[labelPrevious])
	}
	for _, ver := range before.all {
		id := ver.id
		if after := next.get(id); ver.value != nil && after != nil && !after.value.equal(ver.value) {
			t.Fatalf("%s: the value of %s changed", name, id)
		}
	}
}

// TestVersionsKeepTheirLimits puts more versions than a secret may have, under
// more labels than there may be, over minutes or days.
func TestVersionsKeepTheirLimits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var v versions
		now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		pause := rapid.SampledFrom([]time.Duration{time.Minute, time.Hour, 25 * time.Hour})
		for i := range rapid.IntRange(100, 160).Draw(t, "puts") {
			now = now.Add(pause.Draw(t, "pause"))
			var labels []string
			for range rapid.IntRange(0, 3).Draw(t, "labels") {
				labels = append(labels, fmt.Sprintf("L%d", rapid.IntRange(0, 150).Draw(t, "label")))
			}
			next, err := v.put(now, fmt.Sprintf("v%03d", i), text("x"), "", labels...)
			if err != nil {
				if diff := cmp.Diff(snapshot(v), snapshot(next)); !errors.Is(err, errTooMany) || diff != "" {
					t.Fatalf("put %d: %v, and what changed:\n%s", i, err, diff)
				}
				continue
			}
			checkLimits(t, next, now)
			v = next
		}
	})
}

func checkLimits(t *rapid.T, v versions, now time.Time) {
	labels := make(map[string]int)
	for label, id := range v.labels {
		if labels[id]++; labels[id] > maxLabels {
			t.Fatalf("%s has %d labels, one is %s", id, labels[id], label)
		}
	}
	idle := 0
	for _, ver := range v.all {
		if labels[ver.id] == 0 && now.Sub(ver.created) >= youngFor {
			idle++
		}
	}
	if len(labels) > maxVersions {
		t.Fatalf("%d versions have labels", len(labels))
	}
	if len(v.all) > maxVersions && idle > 0 {
		t.Fatalf("%d versions, %d of which have no label and are a day old", len(v.all), idle)
	}
}

func TestVersionsArePruned(t *testing.T) {
	t.Parallel()
	var v versions
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	put := func(i int, labels ...string) error {
		next, err := v.put(now, fmt.Sprintf("v%03d", i), text("x"), "", labels...)
		v = next
		return err
	}
	for i := range 150 { // within an hour and a half
		now = now.Add(30 * time.Second)
		if err := put(i, labelCurrent); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(v.all); got != 150 {
		t.Errorf("%d versions, want 150: none of a day's is removed", got)
	}
	now = now.Add(25 * time.Hour)
	if err := put(150, "X"); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, ver := range v.all {
		ids = append(ids, ver.id)
	}
	if len(ids) != maxVersions || ids[0] != "v051" {
		t.Errorf("%d versions from %s on, want the last 100, from v051 on", len(ids), ids[0])
	}
	for _, label := range []string{labelCurrent, labelPrevious, "X"} {
		if v.at(label) == nil {
			t.Errorf("the version with %s was removed", label)
		}
	}
}

func TestLabelledVersionsAndLabelsAreLimited(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	var labels []string
	for i := range maxLabels {
		labels = append(labels, fmt.Sprintf("L%d", i))
	}
	if _, err := (versions{}).put(now, "v1", text("x"), "", labels...); !errors.Is(err, errTooMany) {
		t.Errorf("21 labels on one version: %v, want %v", err, errTooMany)
	}
	var v versions
	for i := range maxVersions {
		now = now.Add(48 * time.Hour)
		next, err := v.put(now, fmt.Sprintf("v%d", i), text("x"), "", fmt.Sprintf("L%d", i))
		if err != nil {
			t.Fatal(err)
		}
		v = next
	}
	if _, err := v.put(now, "more", text("x"), "", "more"); !errors.Is(err, errTooMany) {
		t.Errorf("the 101st labelled version: %v, want %v", err, errTooMany)
	}
}

func TestValuesAreNotPrinted(t *testing.T) {
	t.Parallel()
	for _, v := range []*value{text("hunter2"), {binary: new([]byte("hunter2"))}} {
		ver := &version{id: "v1", value: v}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%s of a value prints %q", verb, got)
			}
			if got := fmt.Sprintf(verb, ver); containsValue(got) {
				t.Errorf("%s of a version prints %q", verb, got)
			}
		}
	}
}

func containsValue(printed string) bool {
	return slices.ContainsFunc([]string{"hunter2", "68756e74657232", "104 117 110"}, func(form string) bool {
		return strings.Contains(printed, form)
	})
}
