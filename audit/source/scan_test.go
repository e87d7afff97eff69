package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// ids scans a stream and returns the event ids of the records in it, and what
// was wrong with it.
func ids(r io.Reader) ([]string, error) {
	s := newScanner(r)
	var found []string
	var wrong error
	for {
		raw, err := s.next()
		if errors.Is(err, io.EOF) {
			return found, wrong
		}
		if _, ok := errors.AsType[*damage](err); ok {
			wrong = errors.Join(wrong, err)
			continue
		}
		if err != nil {
			return found, errors.Join(wrong, err)
		}
		var rec struct{ EventID string }
		if err := json.Unmarshal(raw, &rec); err != nil {
			return found, fmt.Errorf("%s: %w", raw, err)
		}
		found = append(found, rec.EventID)
	}
}

const (
	read  = `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser"},"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventID":"read"}`
	key   = `{"userIdentity":{"type":"AssumedRole","invokedBy":"secretsmanager.amazonaws.com"},"eventSource":"kms.amazonaws.com","eventID":"key","sourceIPAddress":"secretsmanager.amazonaws.com"}`
	other = `{"eventSource":"s3.amazonaws.com","eventID":"other","resources":[{"ARN":"a"},{"ARN":"b"}]}`
	// last has the source at its end, with braces and quotes in texts before.
	last = `{"eventID":"last","requestParameters":{"p":"{\"a\\\\\":[","q":["}",{"r":"\\"}]},"eventSource":"secretsmanager.amazonaws.com"}`
	// policy mentions the service in a text, and in a list, before its source.
	policy  = `{"eventID":"policy","requestParameters":{"resourcePolicy":"{\"Service\":\"secretsmanager.amazonaws.com\"}","s":["secretsmanager.amazonaws.com"]},"eventSource":"secretsmanager.amazonaws.com"}`
	disable = `{"eventSource":"kms.amazonaws.com","eventName":"DisableKey","eventID":"disable"}`
	remove  = `{"eventName" : "ScheduleKeyDeletion","eventID":"remove","eventSource":"kms.amazonaws.com","userIdentity":{"accessKeyId":"AKIA"}}`
	host    = `{"eventID":"host","eventSource":"s3.amazonaws.com","tlsDetails":{"clientProvidedHostHeader":"vpce-1.secretsmanager.amazonaws.com"}}`
)

func TestScannerFindsTheRecords(t *testing.T) {
	t.Parallel()
	indent := func(text string) string {
		var buf bytes.Buffer
		if err := json.Indent(&buf, []byte(text), "", "    "); err != nil {
			t.Fatal(err)
		}
		return buf.String()
	}
	event := func(record string) string {
		text, err := json.Marshal(record)
		if err != nil {
			t.Fatal(err)
		}
		return `{"EventId":"e","EventSource":"secretsmanager.amazonaws.com","CloudTrailEvent":` + string(text) + `}`
	}
	tests := map[string]struct {
		text string
		want []string
	}{
		"a log file":                   {`{"Records":[` + strings.Join([]string{other, read, host, key, last, policy}, ",") + `]}`, []string{"read", "key", "last", "policy"}},
		"a log file made to be read":   {indent(`{"Records":[` + strings.Join([]string{read, other, key, last, policy}, ",") + `]}`), []string{"read", "key", "last", "policy"}},
		"a bare list":                  {`[` + other + `,` + read + `]`, []string{"read"}},
		"a record per line":            {read + "\n" + other + "\r\n" + last + "\n", []string{"read", "last"}},
		"an answer of LookupEvents":    {indent(`{"Events":[` + event(read) + `,` + event(policy) + `,` + event(last) + `],"NextToken":"t"}`), []string{"read", "policy", "last"}},
		"the envelope of an event":     {`{"source":"aws.secretsmanager","detail":` + read + `}`, []string{"read"}},
		"a record that is the service": {`{"eventID":"x","eventSource":["secretsmanager.amazonaws.com"]}`, nil},
		"no record":                    {`{"a":"x secretsmanager.amazonaws.com","b":"secretsmanager.amazonaws.com"}`, nil},
		"nothing":                      {``, nil},
		"an empty log file":            {`{"Records":[]}`, nil},
		"changes of KMS keys":          {`{"Records":[` + disable + `,` + strings.ReplaceAll(disable, "DisableKey", "EnableKeyRotation") + `,` + remove + `]}`, []string{"disable", "remove"}},
		"a list of lists":              {`[[` + other + `,` + read + `],[` + key + `]]`, []string{"read", "key"}},
		"brackets in texts":            {`{"Records":[{"eventSource":"s3.amazonaws.com","x,":":[x","y":",[{\"","a":[1,[2]]},` + read + `]}`, []string{"read"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"at once": strings.NewReader(tt.text), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.text)),
			} {
				got, err := ids(r)
				if err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}

func TestScannerAcrossWindows(t *testing.T) {
	t.Parallel()
	// Records of many sizes, so that windows end at all places in them.
	var buf bytes.Buffer
	var want []string
	random := rand.New(rand.NewPCG(1, 2))
	buf.WriteString(`{"Records":[`)
	for i := range 12_000 {
		if i > 0 {
			buf.WriteByte(',')
		}
		source := "s3.amazonaws.com"
		if i%7 == 0 {
			source = "secretsmanager.amazonaws.com"
			want = append(want, fmt.Sprint(i))
		}
		fmt.Fprintf(&buf, `{"eventID":"%d","pad":"%s","eventSource":%q,"tail":"%s"}`, i,
			strings.Repeat(`x\"`, random.IntN(300)), source, strings.Repeat("y", random.IntN(300)))
	}
	buf.WriteString(`]}`)
	if buf.Len() < 3*windowSize {
		t.Fatalf("%d bytes are not enough windows", buf.Len())
	}
	got, err := ids(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
}

func TestScannerLargeRecords(t *testing.T) {
	t.Parallel()
	record := func(size int) string {
		return `{"eventID":"large","pad":"` + strings.Repeat("x", size) + `","eventSource":"secretsmanager.amazonaws.com"}`
	}
	filler := strings.Repeat(other+",", 20_000) // nearly a window
	for name, tt := range map[string]struct {
		text string
		want []string
		err  error
	}{
		"as large as allowed":         {`[` + filler + record(maxRecord-200) + `]`, []string{"large"}, nil},
		"larger than a window":        {`[` + filler + record(windowSize) + `]`, nil, errTooLarge},
		"cut off before its name":     {`[` + read + `,` + read[:100], []string{"read"}, io.ErrUnexpectedEOF},
		"cut off":                     {`[` + read + `,` + read[:len(read)-1], []string{"read"}, errCutOff},
		"too large, then a sound one": {`[` + record(windowSize) + `,` + read + `]`, []string{"read"}, errTooLarge},
		"too large after its name":    {`[` + read[:len(read)-1] + `,"pad":"` + strings.Repeat("x", 2*windowSize) + `"},` + key + `]`, []string{"key"}, errTooLarge},
		"of something else":           {`[` + filler + strings.ReplaceAll(record(windowSize), "secretsmanager", "s3") + `,` + read + `]`, []string{"read"}, nil},
		"a stream that breaks off":    {`[` + read + `,`, []string{"read"}, iotest.ErrTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r io.Reader = strings.NewReader(tt.text)
			if errors.Is(tt.err, iotest.ErrTimeout) {
				r = io.MultiReader(r, iotest.ErrReader(iotest.ErrTimeout))
			}
			got, err := ids(r)
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScannerGoesOnAfterBrokenJSON(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want []string
		err  error
	}{
		"a record that ends in a text":            {`{"Records":[` + read[:len(read)-3] + `,` + key + `,` + last + `]}`, []string{"key", "last"}, errBroken},
		"a record that ends in a name":            {`{"Records":[` + read[:40] + `,` + key + `]}`, []string{"key"}, nil},
		"a record that ends in an object":         {`{"Records":[` + read[:len(read)-1] + `,"resources":[{` + `,` + key + `]}`, []string{"key"}, errBroken},
		"a record that begins in a text":          {`{"Records":[` + read[60:] + `,` + key + `]}`, []string{"key"}, nil},
		"two halves":                              {`{"Records":[` + strings.TrimSuffix(other, "}") + `,` + read[strings.Index(read, `"eventSource"`):] + `,` + last + `]}`, []string{"last"}, errBroken},
		"a line that is cut off":                  {read[:len(read)-2] + "\n" + key + "\n", []string{"key"}, errBroken},
		"brackets of two kinds":                   {`[` + read[:len(read)-1] + `],` + key + `]`, []string{"key"}, errBroken},
		"a member without a value":                {`[` + read[:len(read)-1] + `,"a":},` + key + `]`, []string{"key"}, errBroken},
		"a word that is none of JSON's":           {`[` + read[:len(read)-1] + `,"a":nil},` + key + `]`, []string{"key"}, errBroken},
		"objects in objects without an end":       {`[` + read[:len(read)-1] + strings.Repeat(`,"a":{"b":1`, 300) + `,` + key + `]`, []string{"key"}, errBroken},
		"bytes of something else between records": {read + "\x00\xff\x1f\x8b" + key, []string{"read", "key"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ids(strings.NewReader(tt.text))
			if !errors.Is(err, tt.err) || tt.err == nil && err != nil {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

// What a caller writes into a call is no record of its own.
func TestScannerIsNotDeceived(t *testing.T) {
	t.Parallel()
	const forged = `{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventID":"forged"}`
	text, err := json.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		parameters string
		want       string
	}{
		"in a map of tags":        {`{"tags":` + forged + `}`, "outer"},
		"in a text":               {`{"description":` + string(text) + `}`, "outer"},
		"in a text of its name":   {`{"CloudTrailEvent":` + string(text) + `}`, "outer"},
		"in a detail":             {`{"detail":{"detail":` + forged + `}}`, "outer"},
		"as the parameters":       {forged, "outer"},
		"in a list":               {`{"l":[` + forged + `]}`, "outer"},
		"after others in a list":  {`{"l":[{"eventSource":"s3.amazonaws.com"},["]"],"]}],", ` + forged + `,{"a":1}]}`, "outer"},
		"in a list in a list":     {`{"l":[1,[],[` + forged + `],2]}`, "outer"},
		"in a list of lists":      {`[[[` + forged + `]]]`, "outer"},
		"in a list behind texts":  {`{"x,":":[x","y":",[{\"","l":[` + forged + `,"]"]}`, "outer"},
		"in a list of Records":    {`{"a":{"Records":[` + forged + `]}}`, "outer"},
		"in a log file in a list": {`{"a":[{"Records":[` + forged + `]}]}`, "outer"},
		"in a text in a list":     {`{"l":[{"CloudTrailEvent":` + string(text) + `}]}`, "outer"},
		"deep in a list":          {`{"l":[` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `,` + forged + `]}`, "outer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outer := `{"eventSource":"lambda.amazonaws.com","requestParameters":` + tt.parameters + `,"eventID":"outer"}`
			for _, text := range []string{
				`{"Records":[` + outer + `]}`, outer + "\n" + outer, `{"Records" : [ ` + strings.ReplaceAll(outer, `":`, `" : `) + `]}`,
				`{"Records":[` + strings.Repeat(other+",", 20_000) + outer + `]}`, `[` + other + `,` + outer + `,` + read + `]`,
			} {
				got, err := ids(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				if !contains(got, "outer") || contains(got, "forged") {
					t.Errorf("found %q in %.2000s", got, text)
				}
			}
		})
	}
}

func TestScannerReadsEscapes(t *testing.T) {
	t.Parallel()
	escape := strings.NewReplacer("secretsmanager.amazonaws.com", `s\u0065cretsmanager\u002Eamazonaws.com`, "eventSource", `\u0065ventSourc\u0065`).Replace
	text := `{"Records":[` + escape(read) + `,{"eventSource":"s3.amazonaws.com","a":"\u003c\u0061\\u0062\"","eventID":"s3"},` + escape(last) + `,` + escape(policy) + `]}`
	for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
		got, err := ids(r)
		if diff := cmp.Diff([]string{"read", "last", "policy"}, got); diff != "" || err != nil {
			t.Errorf("%s (-want +got):\n%s%v", name, diff, err)
		}
	}
}

// FuzzScanner checks the scanner against a decoder on what is valid JSON, and
// that it ends on what is not.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{read, key, other, last, policy, host, `{"a":"\\\"secretsmanager.amazonaws.com\\\""}`} {
		f.Add([]byte(seed), []byte(last))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		text := []byte(`{"Records":[` + string(a) + `,` + string(b) + `]}`)
		s := newScanner(bytes.NewReader(text))
		var got []string
		for {
			raw, err := s.next()
			if err != nil {
				break
			}
			if json.Valid(text) && !json.Valid(raw) {
				t.Fatalf("not a record: %s", raw)
			}
			got = append(got, string(raw))
		}
		var log struct{ Records []json.RawMessage }
		if json.Unmarshal(text, &log) != nil || len(log.Records) != 2 {
			return
		}
		for _, raw := range log.Records {
			var rec map[string]json.RawMessage
			if json.Unmarshal(raw, &rec) != nil || string(rec["eventSource"]) != `"`+service+`"` || bytes.Count(raw, []byte("eventSource")) != 1 ||
				bytes.Contains(raw, []byte(`"Records"`)) || bytes.Contains(raw, []byte(`"Event`)) || bytes.Contains(raw, []byte(`"CloudTrailEvent"`)) {
				continue
			}
			if !contains(got, string(raw)) {
				t.Fatalf("missed %s", raw)
			}
		}
	})
}

// FuzzParameters checks that nothing that a caller writes is taken for a record,
// and that the record after theirs is found.
func FuzzParameters(f *testing.F) {
	for _, seed := range []string{`[` + read + `]`, `{"a":[[],"]",` + read + `],":[":",["}`, `{"l":[{"Records":[` + read + `]}]}`, `[{"CloudTrailEvent":"{\"eventSource\":\"secretsmanager.amazonaws.com\"}"}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, parameters []byte) {
		if !json.Valid(parameters) {
			return
		}
		outer := `{"eventSource":"lambda.amazonaws.com","requestParameters":` + string(parameters) + `,"eventID":"outer"}`
		s := newScanner(strings.NewReader(`{"Records":[` + outer + `,` + read + `]}`))
		for {
			raw, err := s.next()
			if errors.Is(err, errBroken) { // deeper than 64
				return
			}
			if err != nil {
				t.Fatalf("%v before the record after %s", err, outer)
			}
			if string(raw) == read {
				return
			}
			if string(raw) != outer {
				t.Fatalf("found %s in %s", raw, outer)
			}
		}
	})
}

func contains(list []string, text string) bool {
	return slices.Contains(list, text)
}
