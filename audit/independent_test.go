package audit_test

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
)

// The independent count does the report's sums again by other means: it decodes
// whole files into maps, holds all of them, and knows nothing of scanners,
// facts or resolvers. Where both agree, both would have to be wrong in the same
// way.

// folders names folders with CloudTrail logs to count as well, separated as in
// PATH. Real ones are best.
const folders = "REKEY_CLOUDTRAIL"

func TestAnIndependentCountAgrees(t *testing.T) {
	t.Parallel()
	list := filepath.SplitList(os.Getenv(folders))
	if len(list) == 0 {
		t.Run("real logs", func(t *testing.T) { t.Skipf("NOT COUNTED: set %s to folders with real logs", folders) })
	}
	for _, folder := range append(list, trail) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			t.Parallel()
			records := recordsIn(t, folder)
			if len(records) == 0 {
				t.Fatalf("no record in %s", folder)
			}
			want := countAll(records)
			report, err := audit.Summarize(t.Context(), source.Files([]string{folder}), audit.Options{BulkSecrets: -1})
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, countsOf(report)); diff != "" {
				t.Errorf("counts (-independent +report):\n%s", diff)
			}
			t.Logf("%d records, of which %d distinct events: %d counts agree", len(records), want["events"], len(want))
		})
	}
}

// counts are named sums.
type counts map[string]int

// countsOf takes the sums from a report. Secrets of the same name are one here.
func countsOf(r *audit.Report) counts {
	c := counts{"events": r.Coverage.Events}
	add := func(n int, parts ...string) {
		if n > 0 {
			c[strings.Join(parts, " | ")] += n
		}
	}
	for _, s := range r.Secrets {
		place := s.Account + "/" + s.Region + "/" + s.Name
		for _, a := range s.Accesses {
			add(a.Reads, "read", place, a.Principal)
			add(a.Writes, "write", place, a.Principal)
			add(a.Denied, "denied", place, a.Principal)
			add(a.Errors, "error", place, a.Principal)
			add(a.Describes, "describe", place, a.Principal)
			add(a.Batches, "batch", place, a.Principal)
			for _, v := range a.Versions {
				add(v.Reads, "version", place, a.Principal, v.VersionID)
				add(v.Explicit, "explicit", place, a.Principal, v.VersionID)
			}
		}
	}
	for _, p := range r.Principals {
		add(p.Reads, "principal reads", p.ID)
		add(p.Denied, "principal denied", p.ID)
		add(p.Batches, "principal batches", p.ID)
		add(p.Lists, "principal lists", p.ID)
	}
	return c
}

// An object is a record, or a part of one.
type object map[string]any

// get walks down a path of members, and returns the text at its end.
func (o object) get(path ...string) string {
	var at any = map[string]any(o)
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return ""
		}
		at = nil
		for k, v := range m {
			if strings.EqualFold(k, name) {
				at = v
			}
		}
	}
	text, _ := at.(string)
	return text
}

// recordsIn finds all records in the files of a folder, however deep they lie.
func recordsIn(t *testing.T, folder string) (out []object) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, ".json") || strings.HasSuffix(path, "report.json") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return err
			}
		}
		for dec := json.NewDecoder(r); ; {
			var v any
			if err := dec.Decode(&v); err != nil {
				return nil // what follows is no JSON, and the report leaves it out as well
			}
			out = append(out, recordsOf(v)...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func recordsOf(v any) (out []object) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			out = append(out, recordsOf(one)...)
		}
	case map[string]any:
		if o := object(v); o.get("eventSource") != "" && o.get("eventName") != "" {
			return []object{o}
		}
		for _, one := range v {
			out = append(out, recordsOf(one)...)
		}
	}
	return out
}

// countAll makes all sums of all records.
func countAll(records []object) counts {
	c := counts{}
	events := distinctEvents(records)
	c["events"] = len(events)
	var reads []object
	for _, r := range events {
		if r.get("eventSource") == "kms.amazonaws.com" || strings.HasPrefix(r.get("requestID"), "Rotation-") || r.get("eventType") == "AwsServiceEvent" {
			continue
		}
		who, name, outcome := whoOf(r), r.get("eventName"), outcomeOf(r)
		switch {
		case outcome == "denied":
			c["principal denied | "+who]++
		case outcome == "" && name == "GetSecretValue":
			c["principal reads | "+who]++
		case outcome == "" && name == "BatchGetSecretValue":
			c["principal batches | "+who]++
		case outcome == "" && name == "ListSecrets":
			c["principal lists | "+who]++
		}
		for _, place := range placesOf(r) {
			c[strings.Join([]string{cmp.Or(outcome, whatOf(name)), place, who}, " | ")]++
		}
		if name == "GetSecretValue" && outcome == "" && len(placesOf(r)) > 0 {
			reads = append(reads, r)
		}
	}
	countVersions(c, reads, events)
	return c
}

func whatOf(name string) string {
	switch name {
	case "GetSecretValue":
		return "read"
	case "BatchGetSecretValue":
		return "batch"
	case "DescribeSecret", "ListSecrets", "ListSecretVersionIds", "GetResourcePolicy", "GetRandomPassword", "ValidateResourcePolicy":
		return "describe"
	}
	return "write"
}

func outcomeOf(r object) string {
	switch code := r.get("errorCode"); {
	case code == "":
		return ""
	case strings.Contains(code, "AccessDenied"), strings.Contains(code, "Unauthorized"):
		return "denied"
	}
	return "error"
}

func whoOf(r object) string {
	id := func(path ...string) string { return r.get(append([]string{"userIdentity"}, path...)...) }
	switch who := cmp.Or(id("sessionContext", "sessionIssuer", "arn"), id("arn")); {
	case id("type") == "Root":
		return cmp.Or(id("arn"), "root:"+id("accountId"))
	case who != "":
		return who
	case id("invokedBy") != "" && (id("type") == "" || id("type") == "AWSService"):
		return "service:" + id("invokedBy")
	case id("type") != "" || id("accountId") != "":
		return strings.Trim(cmp.Or(id("type"), "Unknown")+":"+cmp.Or(id("onBehalfOf", "userId"), id("userName"), id("accountId"), id("principalId")), ":")
	}
	return "unknown"
}

// distinctEvents leaves out what was delivered again, the second account's side
// of a shared event, what was corrected, and what is not about secrets.
func distinctEvents(records []object) []object {
	byID := make(map[string]object)
	corrected := make(map[string]bool)
	for i, r := range records {
		secrets := r.get("eventSource") == "secretsmanager.amazonaws.com" ||
			r.get("eventSource") == "kms.amazonaws.com" && r.get("requestParameters", "encryptionContext", "SecretARN") != ""
		if _, err := timeOf(r); !secrets || err != nil {
			continue
		}
		byID[cmp.Or(r.get("eventID"), fmt.Sprint("no id ", i))] = r
		if original := r.get("addendum", "originalEventID"); original != "" {
			corrected[original] = true
		}
	}
	shared := make(map[string]object)
	var out []object
	for id, r := range byID {
		switch {
		case corrected[id]:
		case r.get("sharedEventID") == "":
			out = append(out, r)
		case shared[r.get("sharedEventID")] == nil || r.get("userIdentity", "accountId") == r.get("recipientAccountId"):
			shared[r.get("sharedEventID")] = r
		}
	}
	for _, r := range shared {
		out = append(out, r)
	}
	return out
}

func timeOf(r object) (time.Time, error) {
	text := r.get("eventTime")
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Parse("2006-01-02 15:04:05.999999999", text)
}

var (
	randomEnd = regexp.MustCompile(`-[0-9A-Za-z]{6}$`)
	refused   = regexp.MustCompile(`on resource: (\S+)`)
)

// placesOf are the accounts, Regions and names of the secrets of a record.
func placesOf(r object) (out []string) {
	var refs []string
	for _, path := range [][]string{
		{"requestParameters", "encryptionContext", "SecretARN"},
		{"requestParameters", "secretId"},
		{"additionalEventData", "ARN"},
		{"additionalEventData", "SecretId"},
		{"responseElements", "arn"},
		{"requestParameters", "name"},
	} {
		if ref := r.get(path...); ref != "" {
			refs = []string{ref}
			break
		}
	}
	if m := refused.FindStringSubmatch(r.get("errorMessage")); m != nil && len(refs) == 0 && m[1] != "*" {
		refs = []string{m[1]}
	}
	if params, ok := r["requestParameters"].(map[string]any); ok {
		if list, ok := params["secretIdList"].([]any); ok {
			refs = nil
			for _, one := range list {
				ref, _ := one.(string)
				refs = append(refs, ref)
			}
		}
	}
	for _, ref := range refs {
		account, region, name := cmp.Or(r.get("recipientAccountId"), r.get("userIdentity", "accountId")), r.get("awsRegion"), ref
		if parts := strings.SplitN(ref, ":", 7); parts[0] == "arn" && len(parts) == 7 {
			account, region, name = parts[4], parts[3], randomEnd.ReplaceAllString(parts[6], "")
		}
		if place := account + "/" + region + "/" + name; !slices.Contains(out, place) {
			out = append(out, place)
		}
	}
	return out
}

// countVersions gives reads their versions: those asked for first, then all
// pairs with a decrypt, the nearest first.
func countVersions(c counts, reads, events []object) {
	used := make(map[string]bool) // :: event id of a decrypt or a read
	version := make(map[string]string)
	explicit := func(r object) string { return r.get("requestParameters", "versionId") }
	type match struct {
		read, decrypt object
		apart         time.Duration
	}
	var matches []match
	for _, read := range reads {
		for _, d := range events {
			if d.get("eventName") != "Decrypt" || outcomeOf(d) != "" || whoOf(d) != whoOf(read) || placesOf(d)[0] != placesOf(read)[0] {
				continue
			}
			a, _ := timeOf(read)
			b, _ := timeOf(d)
			if apart := a.Sub(b).Abs(); apart <= 2*time.Second {
				matches = append(matches, match{read, d, apart})
			}
		}
	}
	slices.SortFunc(matches, func(a, b match) int { return cmp.Compare(a.apart, b.apart) })
	for _, first := range []bool{true, false} {
		for _, m := range matches {
			asked, got := explicit(m.read), m.decrypt.get("requestParameters", "encryptionContext", "SecretVersionId")
			if (asked != "") != first || first && asked != got || used[m.read.get("eventID")] || used[m.decrypt.get("eventID")] {
				continue
			}
			used[m.read.get("eventID")], used[m.decrypt.get("eventID")] = true, true
			version[m.read.get("eventID")] = got
		}
	}
	for _, r := range reads {
		key := placesOf(r)[0] + " | " + whoOf(r) + " | "
		if asked := explicit(r); asked != "" {
			c["version | "+key+asked]++
			c["explicit | "+key+asked]++
			continue
		}
		c["version | "+key+version[r.get("eventID")]]++
	}
}
