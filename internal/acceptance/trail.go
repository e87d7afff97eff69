package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// trailStatements are about the records of CloudTrail, and the reports over them.
func trailStatements() []statement {
	return []statement{
		{"M71", "each read, batch, write, rotation and refusal is one record, with who, what, when and from where", accessesAreRecorded},
		{"M99", "the audit of a known trail says exactly what is in it", auditIsExact},
		{"M103", "the audit has the same figures for people and for programs", auditsAgree},
	}
}

// A record is one of CloudTrail's.
type record struct {
	EventVersion, EventID, EventTime, EventSource, EventName string
	SourceIPAddress, UserAgent, ErrorCode, AwsRegion         string
	UserIdentity                                             struct{ Type, ARN string }
	RequestParameters                                        map[string]any
}

// records are those of a call of Secrets Manager by a principal, the first first.
func (s *system) records(name, principal string) (own []record, err error) {
	o := s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=` + name +
		` --query 'reverse(Events[].CloudTrailEvent)' --output json`)
	var texts []string
	if err := errors.Join(o.went(), unmarshal(o.out, &texts)); err != nil {
		return nil, err
	}
	for _, text := range texts {
		var one record
		if err := unmarshal(text, &one); err != nil {
			return nil, err
		}
		if strings.HasSuffix(one.UserIdentity.ARN, principal) && one.UserAgent == "the-acceptance" {
			own = append(own, one)
		}
	}
	return own, nil
}

// accessesAreRecorded makes the calls under a user agent of its own.
func accessesAreRecorded(r *run) error {
	s := r.up("--no-database")
	const as = " -A the-acceptance --data-binary @- -H 'Content-Type: application/x-amz-json-1.1' -H 'X-Amz-Target: secretsmanager."
	call := func(name, body, credentials string) answer {
		return s.pipe(body, `curl "$SM" --aws-sigv4 aws:amz:us-east-1:secretsmanager `+credentials+as+name+"'").answer()
	}
	const operator = "--user operator:operator"
	began := time.Now().Add(-2 * time.Second)
	value, rotation := newID(), newID()
	errs := []error{
		s.store("external-api-keys", keysValue), s.store("jwt-configuration", jwtValue),
		s.call("GET", "/protected", "").like(200, "granted"),
		call("PutSecretValue", `{"SecretId":"dev-external-api-keys","ClientRequestToken":"`+value+`","SecretString":"{}"}`, operator).like(200, value),
		call("GetSecretValue", `{"SecretId":"dev-external-api-keys","VersionId":"`+value+`"}`, operator).like(200, value),
		call("BatchGetSecretValue", `{"SecretIdList":["dev-external-api-keys"]}`, operator).like(200, value),
		call("RotateSecret", `{"SecretId":"dev-jwt-configuration","ClientRequestToken":"`+rotation+`"}`, operator).like(200, rotation),
	}
	keys, err := s.credentials("protected")
	errs = append(errs, err, call("GetSecretValue", `{"SecretId":"dev-jwt-configuration"}`, keys).like(400, "AccessDeniedException"))
	for _, want := range []struct{ name, principal, secret, version, refusal string }{
		{"PutSecretValue", ":user/operator", "dev-external-api-keys", value, ""},
		{"GetSecretValue", ":user/operator", "dev-external-api-keys", value, ""},
		{"BatchGetSecretValue", ":user/operator", "[dev-external-api-keys]", "", ""},
		{"RotateSecret", ":user/operator", "dev-jwt-configuration", rotation, ""},
		{"GetSecretValue", "/dev-protected", "", "", "AccessDenied"}, // with no parameters, as on AWS
	} {
		errs = append(errs, s.recorded(want.name, want.principal, want.secret, want.version, want.refusal, began))
	}
	decrypted := s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=Decrypt --query 'Events[].CloudTrailEvent' --output text`)
	return errors.Join(append(errs, decrypted.shows(`"SecretVersionId":"`+value+`"`))...)
}

// recorded checks that a principal made one successful call, or a refused one,
// and its record. A batch has a record of its own, and one for each secret that
// it read.
func (s *system) recorded(name, principal, secret, version, refusal string, began time.Time) error {
	all, err := s.records(name, principal)
	if err != nil {
		return err
	}
	what := name + " of " + principal
	if name == "GetSecretValue" && refusal == "" && len(all) == 2 {
		all = all[:1] // the second is of the batch
	}
	if len(all) != 1 {
		return fmt.Errorf("%s has %d records", what, len(all))
	}
	one := all[0]
	at, err := time.Parse(time.RFC3339, one.EventTime)
	if err == nil && (at.Before(began.Truncate(time.Second)) || at.After(time.Now())) {
		err = fmt.Errorf("%s is recorded for %v", what, at)
	}
	id, token := one.RequestParameters["secretId"], one.RequestParameters["clientRequestToken"]
	if id == nil {
		id = one.RequestParameters["secretIdList"]
	}
	if token == nil {
		token = one.RequestParameters["versionId"]
	}
	return errors.Join(err,
		equal("the source of "+what, one.EventSource, "secretsmanager.amazonaws.com"),
		equal("the region and address of "+what, one.AwsRegion+" "+one.SourceIPAddress, "us-east-1 127.0.0.1"),
		equal("the version of the record of "+what, strings.HasPrefix(one.EventVersion, "1.") && len(one.EventID) == 36, true),
		equal("the secret of "+what, orNothing(id), secret), equal("the version of "+what, orNothing(token), version),
		equal("the refusal of "+what, one.ErrorCode, refusal),
	)
}

// orNothing is a value as text, and "" where there is none.
func orNothing(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// audit runs the audit of the trail in testdata, of which one record is no JSON:
// the report says so, and so does the exit code.
func (r *run) audit(flags string) output {
	o := r.shell("", "cd "+r.bench.root+" && rekey audit testdata/cloudtrail "+flags)
	if o.fault == nil && (o.code != 2 || !strings.Contains(o.err, "the report is not of all records")) {
		o.fault = fmt.Errorf("rekey audit ended with %d: %s", o.code, o.err)
	}
	o.code = 0
	return o
}

// An auditReport is what the audit prints as JSON, as far as it is looked at here.
type auditReport struct {
	Coverage map[string]any
	Secrets  []struct {
		Name                  string
		Reads, Writes, Denied int
		Laggards              []map[string]any
		Accesses              []struct {
			Principal             string
			Reads, Writes, Denied int
		}
	}
	Findings []map[string]any
}

// auditIsExact compares the reports with those in testdata, and counts the
// reads in the files by itself.
func auditIsExact(r *run) error {
	o := r.audit("--json")
	var got, want map[string]any
	var counts auditReport
	if err := errors.Join(o.went(), unmarshal(o.out, &got), unmarshal(o.out, &counts), unmarshal(r.file("testdata/cloudtrail/report.json"), &want)); err != nil {
		return err
	}
	got["generated"], want["generated"] = nil, nil
	errs := []error{sameJSON(marshal(got), marshal(want)), r.audit("").prints(strings.TrimSpace(r.file("testdata/cloudtrail/report.txt")))}
	reads, err := r.countReads("testdata/cloudtrail")
	sum := 0
	for _, s := range counts.Secrets {
		sum += s.Reads
	}
	return errors.Join(append(errs, err, equal("the reads", sum, reads))...)
}

// countReads counts the successful reads in log files, each event once, without
// those that a later record corrects, and the one whose time is none.
func (r *run) countReads(dir string) (int, error) {
	type logged struct {
		EventID, SharedEventID, EventName, EventSource, ErrorCode, EventTime string
		Addendum                                                             struct{ OriginalEventID string }
		RequestParameters                                                    map[string]any
	}
	all, replaced := make(map[string]logged), make(map[string]bool)
	err := filepath.WalkDir(filepath.Join(r.bench.root, dir, "AWSLogs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		var file struct{ Records []logged }
		if err := unmarshal(read(path), &file); err != nil {
			return err
		}
		for _, one := range file.Records {
			id := one.EventID
			if one.SharedEventID != "" {
				id = one.SharedEventID
			}
			all[id] = one
			replaced[one.Addendum.OriginalEventID] = true
		}
		return nil
	})
	n := 0
	for id, one := range all {
		if one.EventName == "GetSecretValue" && one.EventSource == "secretsmanager.amazonaws.com" && one.ErrorCode == "" && !replaced[id] && one.EventTime != "yesterday" {
			n++
		}
	}
	return n, err
}

var (
	headline   = regexp.MustCompile(`(?m)^(\d+) events, (\d+) secrets, (\d+) reads, (\d+) laggards$`)
	accessLine = regexp.MustCompile(`(?m)^  (?:role|root|user) .*?  +(\d+) +(\d+) +(\d+)  20\d\d-`)
)

// auditsAgree takes the figures out of the report for people.
func auditsAgree(r *run) error {
	table, inJSON, csv := r.audit("--format table"), r.audit("--format json"), r.audit("--format csv --table accesses")
	var want auditReport
	if err := errors.Join(table.went(), inJSON.went(), csv.went(), unmarshal(inJSON.out, &want)); err != nil {
		return err
	}
	reads, laggards, accesses := 0, 0, 0
	var lines []string
	for _, s := range want.Secrets {
		reads, laggards, accesses = reads+s.Reads, laggards+len(s.Laggards), accesses+len(s.Accesses)
		for _, a := range s.Accesses {
			lines = append(lines, fmt.Sprint(a.Reads, a.Writes, a.Denied))
		}
	}
	var shown []string
	bySecret, _, _ := strings.Cut(table.out, "\nPrincipals\n")
	for _, m := range accessLine.FindAllStringSubmatch(bySecret, -1) {
		shown = append(shown, strings.Join(m[1:], " "))
	}
	head := headline.FindStringSubmatch(table.out)
	if head == nil {
		return fmt.Errorf("the report has no headline: %s", table.out)
	}
	return errors.Join(
		equal("the headline", strings.Join(head[1:4], " "), fmt.Sprintf("%v %d %d", want.Coverage["events"], len(want.Secrets), reads)),
		equal("reads, writes and refusals of each principal", strings.Join(shown, ", "), strings.Join(lines, ", ")),
		equal("the lines of CSV", strings.Count(csv.out, "\n")-1, accesses),
		equal("whether there are accesses, laggards and findings", accesses > 5 && laggards > 1 && len(want.Findings) > 5, true),
		r.audit("--format md").shows(fmt.Sprintf("%v events", want.Coverage["events"])), r.audit("--format html").shows("<!DOCTYPE html>"),
	)
}
