package audit

import (
	"cmp"
	"slices"
	"time"
)

// rotations lists a secret's rotations in the order of their first event, and
// counts their failures by step.
func (c *collector) rotations(s *subject) ([]Rotation, map[string]int) {
	l := &rotationList{list: []Rotation{}, byVersion: make(map[string]int), running: -1, askedFor: make(map[string]string)}
	steps := make(map[string]int)
	for _, f := range s.facts {
		switch {
		case f.action == "RotateSecret" && f.ok():
			l.ask(f)
		case f.kind != kindRotation:
		case f.action == "RotationStarted":
			l.start(f, c.eventID(f))
		case f.action == "RotationSucceeded":
			l.end(f, Succeeded, c.eventID(f))
		case f.action == "RotationFailed":
			r := l.end(f, Failed, c.eventID(f))
			steps[r.Step]++
		case f.action == "RotationAbandoned":
			l.end(f, Abandoned, c.eventID(f))
		}
	}
	if len(steps) == 0 {
		steps = nil
	}
	return slices.Clone(l.list), steps
}

// A rotationList puts the events of rotations together.
type rotationList struct {
	list      []Rotation
	byVersion map[string]int // :: version -> place of its latest rotation
	running   int            // place of the latest one that runs, or -1
	askedFor  map[string]string
	asked     *fact // the latest RotateSecret
}

// requestedWithin is how long before its start a rotation was asked for at
// most, where nothing but time connects the two.
const requestedWithin = 10 * time.Second

func (l *rotationList) ask(f *fact) {
	l.asked = f
	if f.rare.token != "" {
		l.askedFor[f.rare.token] = f.who.id
	}
}

// requester is the principal that asked for a rotation.
func (l *rotationList) requester(started *fact) string {
	if who := l.askedFor[started.version()]; who != "" && started.version() != "" {
		return who
	}
	if l.asked == nil || started.at().Sub(l.asked.at()) > requestedWithin {
		return ""
	}
	if l.asked.rare.token == "" || started.version() == "" {
		return l.asked.who.id
	}
	return ""
}

// of returns the place of the rotation that an event of a version belongs to:
// the latest one of that version, or the latest one that is running where one
// of the two has no version. It returns -1 if there is none.
func (l *rotationList) of(version string) int {
	if i, ok := l.byVersion[version]; ok && version != "" {
		return i
	}
	if i := l.running; i >= 0 && l.list[i].Status == Running && (version == "" || l.list[i].VersionID == "") {
		return i
	}
	return -1
}

func (l *rotationList) add(r Rotation) int {
	l.list = append(l.list, r)
	return len(l.list) - 1
}

func (l *rotationList) start(f *fact, event string) {
	i := l.of(f.version())
	if i < 0 || f.version() == "" {
		i = l.add(Rotation{Started: f.at(), Status: Running, VersionID: f.version(), RequestedBy: l.requester(f)})
	} // else the same rotation, tried again
	l.running = i
	l.note(i, f.version(), event)
}

// end notes how a rotation ended. One that failed may succeed when it is tried
// again; its failure stays to be seen.
func (l *rotationList) end(f *fact, status, event string) *Rotation {
	i := l.of(f.version())
	if i < 0 {
		i = l.add(Rotation{})
	}
	r := &l.list[i]
	r.Ended, r.Status = f.at(), status
	r.VersionID = cmp.Or(r.VersionID, f.version())
	if status == Failed {
		r.Failures++
		r.Step, r.Function = "", ""
	}
	if f.message() != "" {
		r.Message = f.message()
		if m := failure.FindStringSubmatch(r.Message); m != nil {
			r.Function, r.Step = m[1], m[2]
		}
	}
	l.note(i, f.version(), event)
	return r
}

func (l *rotationList) note(i int, version, event string) {
	r := &l.list[i]
	r.Events = latestTen(append(r.Events, event))
	if version != "" {
		l.byVersion[version] = i
	}
}

// defaultWindow is the recovery window where the call named none.
const defaultWindow = 30 * 24 * time.Hour

// deletions lists a secret's deletions.
func (c *collector) deletions(s *subject) []Deletion {
	var out []Deletion
	var who set
	settle := func() {
		if len(out) > 0 {
			d := &out[len(out)-1]
			d.Principals, d.MorePrincipals = who.some()
		}
	}
	for _, f := range s.facts {
		switch {
		case f.action == "DeleteSecret" && f.ok():
			settle()
			who = set{}
			out = append(out, c.newDeletion(f))
		case len(out) == 0 || !out[len(out)-1].Restored.IsZero():
		case f.action == "RestoreSecret" && f.ok():
			out[len(out)-1].Restored = f.at()
		case f.kind == kindRead && f.who.asked:
			d := &out[len(out)-1]
			d.Attempts++
			if f.denied {
				d.Refused++
			}
			who.add(f.who.id)
			d.Events = append(d.Events[:1], latestTen(append(d.Events[1:], c.eventID(f)))...)
		}
	}
	settle()
	return out
}

func (c *collector) newDeletion(f *fact) Deletion {
	d := Deletion{Scheduled: f.at(), By: f.who.id, Forced: f.rare.forced, Due: f.rare.due, Events: []string{c.eventID(f)}}
	if d.Due.IsZero() {
		d.Due = f.at()
		if !d.Forced {
			d.Due = f.at().Add(cmp.Or(f.rare.window, defaultWindow))
		}
	}
	return d
}

// latestTen forgets all but the last ten of a list.
func latestTen(list []string) []string {
	if n := len(list); n > listed {
		return append(list[:0], list[n-listed:]...)
	}
	return list
}
