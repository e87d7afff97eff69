package render_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/render"
	"github.com/rekey-go/rekey/internal/browsertest"
)

// A month is the records of an account's month: so many reads, each of another
// pair of a secret and a principal, with the decrypts that tell the versions; a
// rotation of each secret on the second day; and one call in fifty refused.
type month struct{ secrets, principals, reads int }

func (m month) Records(context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		const account = `"awsRegion":"eu-west-1","recipientAccountId":"111122223333"`
		begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		at := func(n, of int) string {
			return begin.Add(time.Duration(30*24*3600*n/of) * time.Second).Format(time.RFC3339)
		}
		for n := range m.reads {
			// Whoever reads next is 997 principals on, and reads the next secret.
			what, who := n%m.secrets, (n*997+n/m.secrets)%m.principals
			arn := fmt.Sprintf("arn:aws:secretsmanager:eu-west-1:111122223333:secret:team-%02d/app-%04d/database-AbC123", what%40, what)
			version := fmt.Sprintf("%08d-0000-4000-8000-00000000000%d", what, min(n/(m.reads/15+1), 1))
			caller := fmt.Sprintf(`"userIdentity":{"type":"AssumedRole","principalId":"AROA%[1]d:i-%[1]d","accountId":"111122223333","accessKeyId":"ASIAEXAMPLE",`+
				`"sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/team-%02[2]d/app-%04[1]d"}}},"eventTime":%[3]q,"userAgent":"aws-sdk-go-v2/1.48.%[2]d"`,
				who, who%40, at(n, m.reads))
			refused := ""
			if n%50 == 49 {
				refused = fmt.Sprintf(`,"errorCode":"AccessDenied","errorMessage":"User is not authorized to perform: secretsmanager:GetSecretValue on resource: %s because no identity-based policy allows it"`, arn)
			}
			records := []string{fmt.Sprintf(`{"eventID":"00000000-0000-4000-8000-%012d","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","sourceIPAddress":"10.0.%d.%d",%s,%s,"requestParameters":{"secretId":%q}%s}`,
				n, who/250, who%250, caller, account, arn, refused)}
			if refused == "" {
				records = append(records, fmt.Sprintf(`{"eventID":"00000000-0000-4000-9000-%012d","eventSource":"kms.amazonaws.com","eventName":"Decrypt",%s,%s,"requestParameters":{"encryptionContext":{"SecretARN":%q,"SecretVersionId":%q}}}`,
					n, caller, account, arn, version))
			}
			if n < m.secrets {
				records = append(records, fmt.Sprintf(`{"eventID":"00000000-0000-4000-a000-%012d","eventSource":"secretsmanager.amazonaws.com","eventName":"RotationSucceeded","eventType":"AwsServiceEvent","eventTime":%q,%s,`+
					`"userIdentity":{"accountId":"111122223333","invokedBy":"secretsmanager.amazonaws.com"},"requestID":"Rotation-%s-%08d-0000-4000-8000-000000000001","additionalEventData":{"SecretId":%q}}`,
					n, at(m.reads/15, m.reads), account, arn, n, arn))
			}
			for _, r := range records {
				if !yield(json.RawMessage(r), nil) {
					return
				}
			}
		}
	}
}

// BenchmarkPage writes the page of a report with 5,000 secrets and 100,000 pairs
// of a secret and a principal, opens it, and filters its longest lists. Each
// figure is the least of all runs, as other work on the machine only adds to it.
// REKEY_PAGE names a file to keep the page in.
func BenchmarkPage(b *testing.B) {
	r, err := audit.Summarize(b.Context(), month{secrets: 5000, principals: 2000, reads: 100_000}, audit.Options{Now: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		b.Fatal(err)
	}
	accesses := 0
	for i := range r.Secrets {
		accesses += len(r.Secrets[i].Accesses)
	}
	b.Logf("%d secrets, %d principals, %d accesses, %d findings", len(r.Secrets), len(r.Principals), accesses, len(r.Findings))
	var page bytes.Buffer
	if err := render.HTML(&page, r); err != nil {
		b.Fatal(err)
	}
	if path := os.Getenv("REKEY_PAGE"); path != "" {
		if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	least := make(map[string]float64)
	took := func(name string, ms float64) {
		if known, ok := least[name]; !ok || ms < known {
			least[name] = ms
		}
	}
	p := show(browsertest.Start(b), b, r)
	for b.Loop() {
		began := time.Now()
		if err := render.HTML(io.Discard, r); err != nil {
			b.Fatal(err)
		}
		took("write-ms", float64(time.Since(began).Milliseconds()))
		p.measure(took)
	}
	for name, ms := range least {
		b.ReportMetric(ms, name)
	}
	b.ReportMetric(float64(page.Len())/(1<<20), "MiB")
}

// measure tells how long the page takes by the browser's clock: until it can be
// used, and from a key to the rows that it finds.
func (s shown) measure(took func(name string, ms float64)) {
	s.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(s.url))
	s.Until(`performance.getEntriesByName("usable").length === 1`)
	took("usable-ms", browsertest.Value[float64](s.Tab, `performance.getEntriesByName("usable")[0].startTime`))
	for view, name := range map[string]string{"#/secrets": "secrets", "#/secrets.accesses": "accesses"} {
		took(name+"-open-ms", s.timed(fmt.Sprintf(`location.hash = %q; await new Promise((done) => addEventListener("hashchange", done, { once: true }))`, view)))
		took(name+"-focus-ms", s.timed(`document.querySelector("#view input").focus()`))
		took(name+"-filter-ms", s.timed(`const search = document.querySelector("#view input"); search.value = "role"; search.dispatchEvent(new Event("input"))`))
		took(name+"-again-ms", s.timed(`const search = document.querySelector("#view input"); search.value = "role 12"; search.dispatchEvent(new Event("input"))`))
		took(name+"-sort-ms", s.timed(`document.querySelector("#view th button").click()`))
	}
}

// timed is how long a script takes, with the layout of what it changes.
func (s shown) timed(script string) float64 {
	s.Script(`(async () => { const began = performance.now(); ` + script + `; document.body.offsetHeight; window.took = performance.now() - began; })()`)
	return browsertest.Value[float64](s.Tab, `window.took`)
}
