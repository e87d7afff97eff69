package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/functions/admin"
)

const forbidden = `{"error":"Admin access required"}`

// calls are one of each route that takes a scope.
func calls() map[admin.Scope][][3]string {
	return map[admin.Scope][][3]string{
		admin.ScopeWrite:  {{"POST", "/admin/secrets", store(plain, `"v"`)}},
		admin.ScopeRotate: {{"PUT", "/admin/secrets/rotate", rotateTo(plain, `"v"`)}, {"POST", "/admin/secrets/" + plain + "/cancel", ""}, {"POST", "/admin/secrets/" + plain + "/rollback", ""}},
		admin.ScopeRead:   {{"GET", "/admin/secrets", ""}, {"GET", "/admin/secrets/" + plain, ""}, {"GET", "/admin/secrets/" + plain + "/rotation", ""}},
		admin.ScopeAudit:  {{"GET", "/admin/audit", ""}},
		admin.ScopeDelete: {{"DELETE", "/admin/secrets/" + plain, ""}, {"POST", "/admin/secrets/" + plain + "/restore", ""}},
	}
}

// limited makes a token for some scopes and secrets.
func limited(text string, prefixes []string, scopes ...admin.Scope) admin.Token {
	t := admin.NewToken(text, text)
	t.Scopes, t.Prefixes = append([]admin.Scope{}, scopes...), prefixes
	return t
}

func TestEachRouteTakesItsScopeAndNoOther(t *testing.T) {
	t.Parallel()
	all := tokens{}
	for _, scope := range admin.Scopes() {
		var others []admin.Scope
		for _, other := range admin.Scopes() {
			if other != scope {
				others = append(others, other)
			}
		}
		all = append(all, limited("only "+string(scope), nil, scope), limited("all but "+string(scope), nil, others...))
	}
	s := start(t, func(o *admin.Options) { o.Tokens = all })
	for scope, routes := range calls() {
		for _, c := range routes {
			s.calls.arm(0, nil)
			if got := s.do(t, c[0], c[1], c[2], "Authorization", "Bearer all but "+string(scope)); got.status != http.StatusForbidden || got.body != forbidden {
				t.Errorf("%s %s without %s: %d %s", c[0], c[1], scope, got.status, got.body)
			}
			if made := s.calls.targets(); len(made) > 0 {
				t.Errorf("%s %s without %s asked AWS: %q", c[0], c[1], scope, made)
			}
			if got := s.do(t, c[0], c[1], c[2], "Authorization", "Bearer only "+string(scope)); got.status == http.StatusForbidden {
				t.Errorf("%s %s with %s: %d %s", c[0], c[1], scope, got.status, got.body)
			}
		}
	}
}

func TestPrefixesBoundWhatATokenIsFor(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *admin.Options) {
		o.Tokens = tokens{limited("shop", []string{"provider-"}, admin.Scopes()...), limited("writer", nil, admin.ScopeWrite, admin.ScopeRotate, admin.ScopeDelete)}
	})
	shop := []string{"Authorization", "Bearer shop"}
	for _, routes := range calls() {
		for _, c := range routes {
			if c[1] == "/admin/secrets" && c[0] == "GET" || c[1] == "/admin/audit" {
				continue
			}
			s.calls.arm(0, nil)
			there, missing := strings.ReplaceAll(c[1], plain, signed), strings.ReplaceAll(c[1], plain, "none")
			for path, body := range map[string]string{there: strings.ReplaceAll(c[2], plain, signed), missing: strings.ReplaceAll(c[2], plain, "none")} {
				if got := s.do(t, c[0], path, body, shop...); got.status != http.StatusForbidden || got.body != forbidden {
					t.Errorf("%s %s: %d %s", c[0], path, got.status, got.body)
				}
			}
			if made := s.calls.targets(); len(made) > 0 {
				t.Errorf("%s %s asked AWS: %q", c[0], c[1], made)
			}
			if got := s.do(t, c[0], c[1], c[2], shop...); got.status == http.StatusForbidden {
				t.Errorf("%s %s of its own: %d %s", c[0], c[1], got.status, got.body)
			}
		}
	}
	if _, err := s.operator.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("dev-" + plain)}); err != nil {
		t.Logf("restoring: %v", err)
	}
	var list struct{ Secrets []struct{ Name string } }
	s.must(t, http.StatusOK, "GET", "/admin/secrets", "", shop...).decode(t, &list)
	if len(list.Secrets) != 1 || list.Secrets[0].Name != plain {
		t.Errorf("the list has %v", list.Secrets)
	}
	var report struct{ Secrets []struct{ Name string } }
	s.must(t, http.StatusOK, "GET", "/admin/audit", "", shop...).decode(t, &report)
	for _, x := range report.Secrets {
		if !strings.HasPrefix(x.Name, "provider-") {
			t.Errorf("the audit has %s", x.Name)
		}
	}
	// Who may write, but not everything, may not make themselves who may.
	for _, name := range []string{"admin-tokens", "admin-token"} {
		for _, c := range [][3]string{
			{"POST", "/admin/secrets", store(name, `{"tokens":[]}`)},
			{"PUT", "/admin/secrets/rotate", rotateTo(name, `"the-token-of-a-thief"`)},
			{"DELETE", "/admin/secrets/" + name, ""},
			{"POST", "/admin/secrets/" + name + "/rollback", ""},
		} {
			if got := s.do(t, c[0], c[1], c[2], "Authorization", "Bearer writer"); got.body != forbidden {
				t.Errorf("%s %s of %s: %d %s", c[0], c[1], name, got.status, got.body)
			}
		}
	}
}

func TestWhoIsNobodyGetsOneAnswer(t *testing.T) {
	t.Parallel()
	expired := admin.NewToken("expired", "expired")
	expired.Expires = time.Now().Add(-time.Second)
	live := admin.NewToken("live", "live")
	live.Expires = time.Now().Add(time.Hour)
	s := start(t, func(o *admin.Options) {
		o.Tokens = tokens{expired, live, admin.NewToken("second", "second"), limited("for nothing", nil)}
	})
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Basic bGl2ZQ==", "live", "Bearer wrong", "Bearer expired", "Bearer live2", "Bearer LIVE", "Bearer for nothing",
		"Bearer " + strings.Repeat("x", 60_000), "Bearer " + live.SHA256, "Bearer \xff\xfe", "Bearer a.b.c",
	} {
		for _, path := range []string{"/admin/secrets", "/admin/secrets/" + plain, "/admin/none", "/admin/secrets/" + plain + "/cancel", "/"} {
			if got := s.do(t, "GET", path, "", "Authorization", header); got.status != http.StatusForbidden || got.body != forbidden {
				t.Errorf("%.40q at %s: %d %s", header, path, got.status, got.body)
			}
		}
	}
	for _, header := range []string{"Bearer live", "bearer live", "BEARER second", "Bearer   live "} {
		s.must(t, http.StatusOK, "GET", "/admin/secrets", "", "Authorization", header)
	}
}

// TestAsALambdaFunction calls the function as API Gateway does, with its IAM
// authorizer and without.
func TestAsALambdaFunction(t *testing.T) {
	t.Parallel()
	s := start(t)
	env := map[string]string{
		"REKEY_STAGE": "dev", "REKEY_ADMIN_TOKENS": "dev-admin-tokens", "REKEY_BULLETIN": "dev-rekey-bulletin",
		"REKEY_ADMIN_ACCESS": `{"iam":{"arn:aws:iam::123456789012:role/path/deployer":{"scopes":["secrets:read"],"prefixes":["provider-"]},
			"arn:aws:iam::123456789012:user/ana":{"scopes":["secrets:write"]}}}`,
	}
	held, err := json.Marshal(admin.Tokens{Tokens: []admin.Token{admin.NewToken("one", "token-one")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.operator.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-admin-tokens"), SecretString: aws.String(string(held))}); err != nil {
		t.Fatal(err)
	}
	h, err := admin.New(s.config("operator"), func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	call := func(path, bearer, arn string) events.APIGatewayV2HTTPResponse {
		t.Helper()
		e := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, Headers: map[string]string{}}
		e.RequestContext.HTTP.Method, e.RequestContext.HTTP.SourceIP, e.RequestContext.RequestID = "GET", "192.0.2.7", "gateway-id"
		if bearer != "" {
			e.Headers["authorization"] = "Bearer " + bearer // lower case, as HTTP APIs pass it
		}
		if arn != "" {
			e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
				IAM: &events.APIGatewayV2HTTPRequestContextAuthorizerIAMDescription{UserARN: arn},
			}
		}
		payload, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		out, err := h.Invoke(t.Context(), payload)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var res events.APIGatewayV2HTTPResponse
		if err := json.Unmarshal(out, &res); err != nil {
			t.Fatal(err)
		}
		return res
	}
	const session = "arn:aws:sts::123456789012:assumed-role/deployer/ci"
	tests := map[string]struct {
		path, bearer, arn string
		want              int
	}{
		"a token":                            {"/admin/secrets/" + plain, "token-one", "", 200},
		"a wrong one":                        {"/admin/secrets/" + plain, "token-two", "", 403},
		"nobody":                             {"/admin/secrets/" + plain, "", "", 403},
		"a session of the role":              {"/admin/secrets/" + plain, "", session, 200},
		"beyond its prefixes":                {"/admin/secrets/" + signed, "", session, 403},
		"beyond its scopes":                  {"/admin/audit", "", session, 403},
		"a role whose name begins alike":     {"/admin/secrets/" + plain, "", "arn:aws:sts::123456789012:assumed-role/deployer2/ci", 403},
		"a role of another account":          {"/admin/secrets/" + plain, "", "arn:aws:sts::999999999999:assumed-role/deployer/ci", 403},
		"a user with another scope":          {"/admin/secrets/" + plain, "", "arn:aws:iam::123456789012:user/ana", 403},
		"a wrong token of a session":         {"/admin/secrets/" + plain, "token-two", session, 403},
		"a path that is no URL":              {"/admin/secrets/%zz\x00 ?", "token-one", "", 400},
		"an encoded slash, which is not one": {"/admin/secrets/a%2Fb", "token-one", "", 400},
	}
	for name, tt := range tests {
		res := call(tt.path, tt.bearer, tt.arn)
		if res.StatusCode != tt.want || tt.want == http.StatusForbidden && strings.TrimSpace(res.Body) != forbidden {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, res.Body, tt.want)
		}
		if id := res.Headers["X-Request-Id"]; id != "gateway-id" {
			t.Errorf("%s: request id %q", name, id)
		}
	}
}

func TestAccessThatIsWrongIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{`: "reading who may call", `{"iam":{}}x`: "follows", `{"oauth":{}}`: "unknown field",
		`{"iam":{"deployer":{}}}`: "no ARN",
		`{"iam":{"arn:aws:iam::1:role/a":{"scopes":["secrets:wirte"]}}}`:                           `no scope "secrets:wirte"`,
		`{"oidc":{"issuer":"https://idp.example.com"}}`:                                            "audience is empty",
		`{"oidc":{"issuer":"http://idp.example.com","audience":"rekey"}}`:                          "no https URL",
		`{"oidc":{"audience":"rekey"}}`:                                                            "no https URL",
		`{"oidc":{"issuer":"https://i.example","audience":"a","grants":{"x":{"scopes":["all"]}}}}`: `no scope "all"`,
	} {
		if _, err := admin.ParseAccess(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if _, err := admin.ParseAccess(""); err != nil {
		t.Errorf("no access: %v", err)
	}
}
