package athena_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/audit/source/athena"
	"github.com/rekey-go/rekey/internal/corpus"
)

func ExampleTable_Query() {
	table := athena.Table{Location: "s3://trail/AWSLogs", Accounts: []string{"111122223333"}, Regions: []string{"eu-west-1"}}
	_, where, _ := strings.Cut(table.Query(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Time{}), "\nFROM ")
	fmt.Println(where)
	// Output:
	// "default"."rekey_cloudtrail"
	// WHERE (eventsource = 'secretsmanager.amazonaws.com'
	//   OR eventsource = 'kms.amazonaws.com' AND requestparameters LIKE '%SecretARN%'
	//   OR eventsource = 'kms.amazonaws.com' AND eventname IN ('DisableKey', 'EnableKey', 'ScheduleKeyDeletion', 'CancelKeyDeletion'))
	//   AND day >= '2026/03/01' AND eventtime >= '2026-03-01T00:00:00Z'
}

// A standIn answers as Athena does, with rows that are made of records as its
// CloudTrail table has them: what a record has is text, objects included.
type standIn struct {
	t      *testing.T
	rows   []any
	states []string // those that a query goes through
	query  string
	calls  []string
}

// value is the text of a member, whose path is an expression of the query:
// names in small letters.
func value(record map[string]any, path string) any {
	head, rest, nested := strings.Cut(path, ".")
	for name, v := range record {
		if strings.ToLower(name) != head || v == nil {
			continue
		}
		if inner, ok := v.(map[string]any); nested && ok {
			return value(inner, rest)
		}
		if text, ok := v.(string); ok {
			return text
		}
		text, _ := json.Marshal(v)
		return string(text)
	}
	return nil
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonAthena.")
	s.calls = append(s.calls, operation)
	var in map[string]any
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		s.t.Error(err)
	}
	out := map[string]any{}
	switch operation {
	case "StartQueryExecution":
		s.query, _ = in["QueryString"].(string)
		out["QueryExecutionId"] = "q-1"
	case "GetQueryExecution":
		out["QueryExecution"] = map[string]any{"QueryExecutionId": "q-1", "Status": map[string]any{"State": s.states[0], "StateChangeReason": "because"}}
		if len(s.states) > 1 {
			s.states = s.states[1:]
		}
	case "GetQueryResults":
		from, _ := strconv.Atoi(fmt.Sprint(in["NextToken"]))
		to := min(from+1000, len(s.rows))
		if out["ResultSet"] = map[string]any{"Rows": s.rows[from:to]}; to < len(s.rows) {
			out["NextToken"] = strconv.Itoa(to)
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(out)
}

// client returns a client of the stand-in.
func (s *standIn) client() *sdk.Client {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	return sdk.New(sdk.Options{
		Region: "eu-west-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
}

// load makes rows of the records of a folder, with the columns of a query.
func (s *standIn) load(dir, query string) {
	s.t.Helper()
	var paths []string
	selected, _, _ := strings.Cut(strings.TrimPrefix(query, "SELECT\n"), "\nFROM ")
	for line := range strings.SplitSeq(selected, ",\n") {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " AS ")
		paths = append(paths, path)
	}
	row := func(of func(path string) any) {
		var data []any
		for _, path := range paths {
			cell := map[string]any{}
			if v := of(path); v != nil {
				cell["VarCharValue"] = v
			}
			data = append(data, cell)
		}
		s.rows = append(s.rows, map[string]any{"Data": data})
	}
	row(func(path string) any { return path })
	for raw, err := range source.Files([]string{dir}).Records(s.t.Context()) {
		var record map[string]any
		if err != nil || json.Unmarshal(raw, &record) != nil {
			s.t.Fatal(err, string(raw))
		}
		row(func(path string) any { return value(record, path) })
	}
}

func TestTheReportOfRowsIsThatOfTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := corpus.Write(dir, corpus.Options{Bytes: 6 << 20, FileBytes: 64 << 10, Secrets: 60, Principals: 20, Share: 300}); err != nil {
		t.Fatal(err)
	}
	opts := audit.Options{Now: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)}
	want, err := audit.Summarize(t.Context(), source.Files([]string{dir}), opts)
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{t: t, states: []string{"QUEUED", "RUNNING", "SUCCEEDED"}}
	table := athena.Table{Location: "s3://trail/AWSLogs"}
	s.load(dir, table.Query(time.Time{}, time.Time{}))
	if len(s.rows) < 1001 {
		t.Fatalf("%d rows are one page", len(s.rows))
	}
	got, err := audit.Summarize(t.Context(), athena.Records(s.client(), table, func(o *athena.Options) { o.Poll = time.Millisecond }), opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text(t, want), text(t, got)); diff != "" {
		t.Errorf("reports (-files +rows):\n%.3000s", diff)
	}
	if s.query != table.Query(time.Time{}, time.Time{}) {
		t.Errorf("query: %s", s.query)
	}
}

func text(t *testing.T, r *audit.Report) string {
	t.Helper()
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAQueryThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"FAILED", "CANCELLED"} {
		s := &standIn{t: t, states: []string{state}}
		_, err := audit.Summarize(t.Context(), athena.Records(s.client(), athena.Table{}), audit.Options{})
		if err == nil || !strings.Contains(err.Error(), strings.ToLower(state)+": because") {
			t.Errorf("%s: %v", state, err)
		}
	}
}

func TestDDL(t *testing.T) {
	t.Parallel()
	got := athena.Table{
		Database: "audit", Name: "trail", Location: "s3://it's/AWSLogs/o-exampleorg1/", Accounts: []string{"111122223333", "222233334444"},
		Regions: []string{"eu-west-1", "us-east-1"}, Since: time.Date(2025, 7, 1, 0, 0, 0, 0, time.UTC),
	}.DDL()
	path := filepath.Join("testdata", "table.sql")
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
