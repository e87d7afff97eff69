package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/rekey-go/rekey/audit"
)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func TestAdoptionFollowsEachPrincipal(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.promote(0, v1)
	l.read(10, "a", v1, nil)
	l.read(20, "b", v1, nil)
	l.promote(100, v2)
	l.read(110, "b", v2, nil)
	l.read(120, "b", v1, nil) // and back
	l.read(130, "b", v2, nil) // and there again: no second adoption
	l.read(140, "c", v2, nil)
	l.read(150, "a", "", nil) // of a version that is not known
	s := only(t, report(t, l.records, audit.Options{}))
	want := []audit.Version{
		{
			VersionID: v1, Since: at(0), Until: at(100), By: "UpdateSecretVersionStage",
			Reads: 3, FirstRead: at(10), LastRead: at(120), Readers: 2, Holders: 1,
			Adoption: []audit.Adoption{{At: at(10), Principal: roleARN("a"), On: 1, Of: 1}, {At: at(20), Principal: roleARN("b"), On: 2, Of: 2}},
		},
		{
			VersionID: v2, Since: at(100), By: "UpdateSecretVersionStage",
			Reads: 3, FirstRead: at(110), LastRead: at(140), Readers: 2, Holders: 2,
			Adoption: []audit.Adoption{{At: at(110), Principal: roleARN("b"), From: v1, On: 1, Of: 2}, {At: at(140), Principal: roleARN("c"), On: 2, Of: 3}},
		},
	}
	if diff := cmp.Diff(want, s.Versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestLeasesAreLaggardsOfTheirOwn(t *testing.T) {
	t.Parallel()
	now := noon.Add(time.Hour)
	lease := func(version string, left time.Duration) audit.Lease {
		return audit.Lease{SecretARN: db, Consumer: "app/1", VersionID: version, Expires: now.Add(left)}
	}
	current := func(versions map[string][]string) []audit.State {
		return []audit.State{{ARN: db, Name: "db", Versions: versions}}
	}
	tests := map[string]struct {
		opts audit.Options
		want []audit.Laggard
	}{
		"on the current version": {audit.Options{Leases: []audit.Lease{lease(v2, time.Minute)}}, nil},
		"on the old version": {audit.Options{Leases: []audit.Lease{lease(v1, time.Minute)}}, []audit.Laggard{{
			Consumer: "app/1", Class: audit.HoldsOld, Evidence: audit.LeaseOnOld, Proven: true, VersionID: v1, Since: at(100), Expires: now.Add(time.Minute),
		}}},
		"on the old version, and run out":                   {audit.Options{Leases: []audit.Lease{lease(v1, 0)}}, nil},
		"on a version that the records do not know":         {audit.Options{Leases: []audit.Lease{lease("version-3", time.Minute)}}, nil},
		"on one that Secrets Manager says is not current":   {audit.Options{Leases: []audit.Lease{lease("version-0", time.Minute)}, Inventory: current(map[string][]string{v2: {"AWSCURRENT"}})}, []audit.Laggard{{Consumer: "app/1", Class: audit.HoldsOld, Evidence: audit.LeaseOnOld, Proven: true, VersionID: "version-0", Since: at(100), Expires: now.Add(time.Minute)}}},
		"on the pending version":                            {audit.Options{Leases: []audit.Lease{lease("version-3", time.Minute)}, Inventory: current(map[string][]string{v2: {"AWSCURRENT"}, "version-3": {"AWSPENDING"}})}, nil},
		"on one that Secrets Manager says is current again": {audit.Options{Leases: []audit.Lease{lease(v1, time.Minute)}, Inventory: current(map[string][]string{v1: {"AWSCURRENT"}})}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l trailOf
			l.promote(0, v1)
			l.promote(100, v2)
			tt.opts.Now = now
			s := only(t, report(t, l.records, tt.opts))
			if diff := cmp.Diff(tt.want, s.Laggards, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("laggards (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRotationsCountTheirFailures(t *testing.T) {
	t.Parallel()
	var l trailOf
	event := func(seconds int, name, version, message string) {
		members := m{"eventType": "AwsServiceEvent", "additionalEventData": m{"SecretId": db}, "requestID": "Rotation-" + db + "-" + version}
		if message != "" {
			members["errorMessage"] = message
		}
		l.add(seconds, "", name, members)
	}
	const lambda = "arn:aws:lambda:eu-west-1:111122223333:function:rot"
	event(0, "RotationStarted", v1, "")
	event(10, "RotationFailed", v1, "Error when executing lambda "+lambda+" during createSecret step")
	event(20, "RotationStarted", v1, "")
	event(30, "RotationFailed", v1, "Error when executing lambda "+lambda+" during createSecret step")
	event(40, "RotationFailed", v1, "Pending secret version was not found")
	event(50, "RotationSucceeded", v1, "")
	event(60, "RotationSucceeded", v2, "")
	s := only(t, report(t, l.records, audit.Options{}))
	want := []audit.Rotation{
		{Started: at(0), Ended: at(50), Status: audit.Succeeded, VersionID: v1, Failures: 3, Message: "Pending secret version was not found"},
		{Ended: at(60), Status: audit.Succeeded, VersionID: v2},
	}
	if diff := cmp.Diff(want, s.Rotations, cmpopts.IgnoreFields(audit.Rotation{}, "Events")); diff != "" {
		t.Errorf("rotations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"createSecret": 2, "": 1}, s.Steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if d := s.Rotations[0].Duration(); d != 50*time.Second {
		t.Errorf("took %v, want 50s", d)
	}
}

func TestABaselineMakesTheNewStandOut(t *testing.T) {
	t.Parallel()
	read := func(l *trailOf, role, ip, agent string) {
		l.add(len(l.records), role, "GetSecretValue", m{"requestParameters": m{"secretId": db}, "sourceIPAddress": ip, "userAgent": agent})
	}
	var before trailOf
	read(&before, "app", "203.0.113.7", "aws-sdk-go-v2/1.47.8 os/linux")
	read(&before, "app", "2001:db8:1:2::7", "aws-sdk-go-v2/1.47.9 os/linux")
	first := report(t, before.records, audit.Options{})
	if len(first.FirstSeen) > 0 {
		t.Errorf("without a baseline, first seen: %v", first.FirstSeen)
	}
	var kept bytes.Buffer
	if err := first.Baseline.Write(&kept); err != nil {
		t.Fatal(err)
	}
	baseline, err := audit.ReadBaseline(bytes.NewReader(kept.Bytes()))
	if err != nil {
		t.Fatal(err)
	}

	var l trailOf
	read(&l, "app", "203.0.113.200", "aws-sdk-go-v2/2.0.0 os/linux")                                                  // all of it is known
	read(&l, "app", "2001:db8:1:9999::1", "aws-sdk-go-v2/1.47.9")                                                     // the same /48
	read(&l, "app", "198.51.100.1", "python-requests/2.31")                                                           // from elsewhere, by something else
	read(&l, "thief", "198.51.100.2", "python-requests/2.32")                                                         // the network is known by now
	l.add(1, "app", "GetSecretValue", m{"requestParameters": m{"secretId": "other"}, "sourceIPAddress": "192.0.2.1"}) // nothing is known of it
	r := report(t, l.records, audit.Options{Baseline: baseline})
	want := []audit.FirstSeen{
		{Kind: audit.NewNetwork, Value: "198.51.100.0/24", Principal: roleARN("app")},
		{Kind: audit.NewAgent, Value: "python-requests", Principal: roleARN("app")},
		{Kind: audit.NewPrincipal, Value: roleARN("thief"), Principal: roleARN("thief")},
	}
	if diff := cmp.Diff(want, r.FirstSeen, cmpopts.IgnoreFields(audit.FirstSeen{}, "At", "Secret", "SecretARN", "Event")); diff != "" {
		t.Errorf("first seen (-want +got):\n%s", diff)
	}
	if again := report(t, l.records, audit.Options{Baseline: r.Baseline}); len(again.FirstSeen) > 0 {
		t.Errorf("by the next baseline, first seen: %v", again.FirstSeen)
	}
	if late := report(t, l.records, audit.Options{Baseline: baseline, Now: noon.AddDate(2, 0, 0)}); len(late.FirstSeen) < 5 {
		t.Errorf("after two years, first seen: %v, want all", late.FirstSeen)
	}
	for _, text := range []string{"", "[]", `{"version":2}`} {
		if _, err := audit.ReadBaseline(strings.NewReader(text)); !errors.Is(err, audit.ErrBaseline) {
			t.Errorf("ReadBaseline(%q): %v", text, err)
		}
	}
}

func TestControls(t *testing.T) {
	t.Parallel()
	now := noon.Add(time.Hour)
	days := func(n int) time.Time { return now.AddDate(0, 0, n) }
	good := audit.State{
		ARN: db, Name: "db", Created: days(-400), Accessed: days(-1), Rotated: days(-10), Next: days(20), Rotation: true, EveryDays: 30,
		Tags: map[string]string{"team": "orders"},
	}
	tests := map[string]struct {
		change func(s *audit.State, o *audit.Options)
		want   string // the controls that are not passed
	}{
		"all is well":                   {func(*audit.State, *audit.Options) {}, ""},
		"rotation is off":               {func(s *audit.State, _ *audit.Options) { s.Rotation = false }, "1 FAILED 2 NOT_AVAILABLE"},
		"rotation is too rare":          {func(_ *audit.State, o *audit.Options) { o.MaxInterval = 29 * 24 * time.Hour }, "1 FAILED"},
		"rotation is often enough":      {func(_ *audit.State, o *audit.Options) { o.MaxInterval = 30 * 24 * time.Hour }, ""},
		"a rotation was missed":         {func(s *audit.State, _ *audit.Options) { s.Next = days(-2) }, "2 FAILED"},
		"it has never rotated":          {func(s *audit.State, _ *audit.Options) { s.Rotated = time.Time{} }, "4 FAILED"},
		"it is new and has not rotated": {func(s *audit.State, _ *audit.Options) { s.Rotated, s.Created = time.Time{}, days(-5) }, ""},
		"it is not used":                {func(s *audit.State, _ *audit.Options) { s.Accessed = days(-91) }, "3 FAILED"},
		"it was used on the last day":   {func(s *audit.State, _ *audit.Options) { s.Accessed = days(-90) }, ""},
		"it has not rotated for long":   {func(s *audit.State, _ *audit.Options) { s.Rotated = days(-91) }, "4 FAILED"},
		"for long is longer":            {func(s *audit.State, o *audit.Options) { s.Rotated, o.RotatedWithin = days(-91), 100*24*time.Hour }, ""},
		"it has no tag":                 {func(s *audit.State, _ *audit.Options) { s.Tags = nil }, "5 FAILED"},
		"it has none but AWS's":         {func(s *audit.State, _ *audit.Options) { s.Tags = map[string]string{"aws:x": ""} }, "5 FAILED"},
		"it lacks a tag":                {func(_ *audit.State, o *audit.Options) { o.RequiredTags = []string{"team", "owner"} }, "5 FAILED"},
		"it is a replica":               {func(s *audit.State, _ *audit.Options) { s.Primary, s.Rotation = "us-east-1", false }, "1 NOT_AVAILABLE 2 NOT_AVAILABLE 4 NOT_AVAILABLE"},
		"it has replicas":               {func(s *audit.State, _ *audit.Options) { s.Primary = region }, ""},
		"it is about to be deleted":     {func(s *audit.State, _ *audit.Options) { s.Deleted = now }, "1 NOT_AVAILABLE 2 NOT_AVAILABLE 3 NOT_AVAILABLE 4 NOT_AVAILABLE 5 NOT_AVAILABLE"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, opts := good, audit.Options{Now: now}
			tt.change(&s, &opts)
			opts.Inventory = []audit.State{s}
			var got []string
			for _, c := range only(t, report(t, audit.Records{}, opts)).Controls {
				if c.Status != audit.Passed {
					got = append(got, strings.TrimPrefix(c.ID, "SecretsManager."), c.Status)
				}
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("not passed: %q, want %q", text, tt.want)
			}
		})
	}
}

func TestAPolicyAllowsWhatWasUsed(t *testing.T) {
	t.Parallel()
	const other = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:other-XyZ789"
	var l trailOf
	for _, call := range []struct{ action, secret string }{
		{"GetSecretValue", db},
		{"GetSecretValue", db[:len(db)-7]},
		{"DescribeSecret", db},
		{"GetSecretValue", other},
		{"GetSecretValue", "by-name"},
		{"ListSecrets", ""},
	} {
		l.add(0, "app", call.action, m{"requestParameters": m{"secretId": call.secret}})
	}
	l.add(0, "app", "BatchGetSecretValue", m{"requestParameters": m{"secretIdList": []string{other, "by-name"}}})
	l.add(0, "app", "DeleteSecret", m{"errorCode": "AccessDenied", "requestParameters": m{"secretId": db}})
	r := report(t, l.records, audit.Options{Inventory: []audit.State{{ARN: db, Name: "db", Key: kmsKey}}})
	want := `{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"],
      "Resource": ["*"]
    },
    {
      "Effect": "Allow",
      "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
      "Resource": ["` + db + `"]
    },
    {
      "Effect": "Allow",
      "Action": ["secretsmanager:GetSecretValue"],
      "Resource": ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:by-name-??????", "` + other + `"]
    },
    {
      "Effect": "Allow",
      "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
      "Resource": ["` + kmsKey + `"],
      "Condition": {"StringEquals": {"kms:ViaService": "secretsmanager.eu-west-1.amazonaws.com"}}
    }
  ]
}`
	var flat bytes.Buffer
	if err := json.Compact(&flat, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if len(r.Principals) != 1 {
		t.Fatalf("%d principals, want 1", len(r.Principals))
	}
	p := r.Principals[0]
	if diff := cmp.Diff(flat.String(), string(p.Policy)); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	if p.Secrets != 3 || p.Reads != 4 || p.Batches != 1 || p.Lists != 1 || p.Denied != 1 {
		t.Errorf("principal: %+v", p)
	}
}

func TestListsAreBoundedAndCountTheRest(t *testing.T) {
	t.Parallel()
	var l trailOf
	hostile := "evil\x1b[31m<script>\u202e "
	for i := range 25 {
		l.add(i, "app", "GetSecretValue", m{"requestParameters": m{"secretId": db}, "sourceIPAddress": fmt.Sprint("10.0.0.", i), "userAgent": fmt.Sprint(hostile, i)})
	}
	a := only(t, report(t, l.records, audit.Options{})).Accesses[0]
	if len(a.IPs) != 10 || a.More.IPs != 15 || len(a.UserAgents) != 10 || a.More.UserAgents != 15 || a.More.Regions != 0 {
		t.Errorf("%d addresses and %d more, %d user agents and %d more, want 10 and 15 of both", len(a.IPs), a.More.IPs, len(a.UserAgents), a.More.UserAgents)
	}
	if want := hostile + "0"; a.UserAgents[0] != want {
		t.Errorf("user agent %q, want %q as the record has it", a.UserAgents[0], want)
	}
}

func TestWhoActsIsToldInFull(t *testing.T) {
	t.Parallel()
	var l trailOf
	l.add(0, "app", "GetSecretValue", identity(m{
		"accessKeyId": "ASIA1", "principalId": "AROA:ana@example.com", "onBehalfOf": m{"userId": "user-1", "identityStoreArn": "arn:store"},
		"sessionContext": m{"sourceIdentity": "ana", "attributes": m{"mfaAuthenticated": "true"}, "sessionIssuer": m{"arn": roleARN("app")}},
	}))
	a := only(t, report(t, l.records, audit.Options{})).Accesses[0]
	want := audit.Access{
		Principal: roleARN("app"), Type: "AssumedRole", Sessions: []string{"ana@example.com"}, SourceIdentities: []string{"ana"},
		OnBehalfOf: []string{"user-1"}, Flags: []string{"mfa", "temporary-key"},
	}
	if diff := cmp.Diff(want, audit.Access{
		Principal: a.Principal, Type: a.Type, Sessions: a.Sessions, SourceIdentities: a.SourceIdentities, OnBehalfOf: a.OnBehalfOf, Flags: a.Flags,
	}); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
}
