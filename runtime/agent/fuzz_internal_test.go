package agent

import (
	"net/url"
	"testing"
)

// FuzzParse gives a request's URL to the parser: what it takes has an id, and
// the two ways of asking name the same secret.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/secretsmanager/get?secretId=dev-keys", "/v1/dev-keys?versionStage=AWSPREVIOUS&refreshNow=1",
		"/secretsmanager/get?secretId=arn%3Aaws%3A&versionId=%zz", "/v1/", "/secretsmanager/get?a=b;c&&=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		u, err := url.ParseRequestURI(uri)
		if err != nil {
			return
		}
		q, err := parse(u)
		switch {
		case err != nil && q.id != "":
			t.Errorf("%q: id %q and error %v", uri, q.id, err)
		case err == nil && q.id == "":
			t.Errorf("%q was taken without an id", uri)
		case err == nil:
			byPath, err := parse(&url.URL{Path: pathPrefix + q.id})
			if err != nil || byPath.id != q.id {
				t.Errorf("%q: by path %q, %v; want %q", uri, byPath.id, err, q.id)
			}
		}
	})
}
