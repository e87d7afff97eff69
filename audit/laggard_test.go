package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rekey-go/rekey/audit"
)

func TestLaggards(t *testing.T) {
	t.Parallel()
	since := noon.Add(100 * time.Second)
	lag := func(evidence, version string, seconds int) []audit.Laggard {
		class := audit.ReadsOld
		if evidence == audit.NoReadSince {
			class = audit.Silent
		}
		return []audit.Laggard{{
			Principal: roleARN("app"), Class: class, Evidence: evidence, Proven: evidence != audit.NoReadSince,
			VersionID: version, LastRead: noon.Add(time.Duration(seconds) * time.Second), Since: since,
		}}
	}
	tests := map[string]struct {
		after func(l *trailOf)
		want  []audit.Laggard
	}{
		"reads the new version":                     {func(l *trailOf) { l.read(110, "app", v2, nil) }, nil},
		"asks for the new version":                  {func(l *trailOf) { l.read(110, "app", "", m{"versionId": v2}) }, nil},
		"asks for the old version":                  {func(l *trailOf) { l.read(110, "app", "", m{"versionId": v1}) }, lag(audit.AskedForOld, v1, 110)},
		"asks for the previous label":               {func(l *trailOf) { l.read(110, "app", v1, m{"versionStage": "AWSPREVIOUS"}) }, lag(audit.AskedForOld, v1, 110)},
		"is given the old version":                  {func(l *trailOf) { l.read(110, "app", v1, nil) }, lag(audit.GotOld, v1, 110)},
		"is given the old version, then the new":    {func(l *trailOf) { l.read(110, "app", v1, nil); l.read(120, "app", v2, nil) }, nil},
		"reads the new version, then the old":       {func(l *trailOf) { l.read(110, "app", v2, nil); l.read(120, "app", v1, nil) }, lag(audit.GotOld, v1, 120)},
		"reads a version that is not known":         {func(l *trailOf) { l.read(110, "app", "", nil) }, nil},
		"reads the old version, then one not known": {func(l *trailOf) { l.read(110, "app", v1, nil); l.read(150, "app", "", nil) }, lag(audit.GotOld, v1, 110)},
		"does not read again":                       {func(*trailOf) {}, lag(audit.NoReadSince, v1, 0)},
		"is refused": {func(l *trailOf) {
			l.add(110, "app", "GetSecretValue", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": db}})
		}, lag(audit.NoReadSince, v1, 0)},
		"reads the old version in the very second":       {func(l *trailOf) { l.read(100, "app", v1, nil); l.read(110, "app", v2, nil) }, nil},
		"reads the old version in it and never after":    {func(l *trailOf) { l.read(100, "app", v1, nil) }, lag(audit.NoReadSince, v1, 100)},
		"reads the new version in the very second":       {func(l *trailOf) { l.read(100, "app", v2, nil) }, nil},
		"reads a version that is older than the records": {func(l *trailOf) { l.read(110, "app", "", m{"versionId": "version-0"}) }, lag(audit.AskedForOld, "version-0", 110)},
		"tests a version that is not current yet": {func(l *trailOf) {
			l.add(105, "rotator", "PutSecretValue", m{"requestParameters": m{"secretId": db, "clientRequestToken": "version-3", "versionStages": []string{"AWSPENDING"}}})
			l.read(110, "app", v2, nil)
			l.read(120, "app", "", m{"versionId": "version-3"})
		}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l trailOf
			l.promote(-1000, v1)
			l.read(0, "app", v1, nil)
			l.promote(100, v2)
			tt.after(&l)
			s := only(t, report(t, l.records, audit.Options{}))
			if diff := cmp.Diff(tt.want, s.Laggards, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(audit.Laggard{}, "Event")); diff != "" {
				t.Errorf("laggards (-want +got):\n%s", diff)
			}
			if s.Current != v2 || !s.CurrentSince.Equal(since) {
				t.Errorf("current: %s since %v, want %s since %v", s.Current, s.CurrentSince, v2, since)
			}
		})
	}
}

func TestWhoRotatesIsNoLaggard(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.promote(-1000, v1)
	l.add(90, "rotator", "PutSecretValue", m{"requestParameters": m{"secretId": db, "clientRequestToken": v2, "versionStages": []string{"AWSPENDING"}}})
	l.promote(100, v2)
	l.read(110, "rotator", v1, m{"versionStage": "AWSPREVIOUS"})
	s := only(t, report(t, l.records, audit.Options{}))
	if len(s.Laggards) > 0 {
		t.Errorf("laggards: %v", s.Laggards)
	}
	for _, a := range s.Accesses {
		if want := a.Principal == roleARN("rotator"); a.Rotates != want {
			t.Errorf("%s rotates: %t, want %t", a.Principal, a.Rotates, want)
		}
	}
}

func TestTheCallerKnowsTheCurrentVersion(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.promote(0, v1)
	l.promote(100, v2)
	l.promote(200, v1) // rolled back
	l.read(210, "app", v2, nil)
	s := only(t, report(t, l.records, audit.Options{}))
	if s.Current != v1 || len(s.Laggards) != 1 {
		t.Errorf("after a rollback: current %s, laggards %v", s.Current, s.Laggards)
	}
	s = only(t, report(t, l.records, audit.Options{CurrentVersions: map[string]string{db: v2}}))
	if s.Current != v2 || len(s.Laggards) != 0 {
		t.Errorf("with the current version given: current %s, laggards %v", s.Current, s.Laggards)
	}
}
