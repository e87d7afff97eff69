package local

import (
	"os"
	"testing"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// BenchmarkAuthorize is what each call pays: finding out what it asks for, with
// all condition keys, and judging it by the policies of the template's roles.
func BenchmarkAuthorize(b *testing.B) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		b.Fatal(err)
	}
	e, err := Start(b.Context(), Options{
		Template: text, TemplateFile: "template.yaml",
		Command: func(string) ([]string, error) { return []string{"/bin/true"}, nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close(b.Context()) }()
	caller := e.keys.Lookup(e.CredentialsOf("Login").AccessKeyID)
	for name, c := range map[string]wire.Call{
		"GetSecretValue": {Service: "secretsmanager", Operation: "GetSecretValue", Input: []byte(`{"SecretId":"dev-database-credentials"}`)},
		"PutItem":        {Service: "dynamodb", Operation: "PutItem", Input: []byte(`{"TableName":"dev-rekey-bulletin","Item":{"pk":{"S":"lease#x"},"sk":{"S":"y"}}}`)},
	} {
		c.Caller, c.Region, c.SourceIP, c.Time = caller, Region, "127.0.0.1", e.clock.Now()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := e.authorize(&c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
