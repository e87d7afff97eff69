package admin_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rekey-go/rekey/functions/admin"
)

const canary = "canary-5f0c1e"

func TestBodiesAreReadStrictly(t *testing.T) {
	t.Parallel()
	s := start(t)
	big := strings.Repeat("x", 64<<10)
	tests := map[string]struct {
		body   string
		status int
		detail string
	}{
		"nothing":                              {"", 400, "secretName is missing"},
		"spaces":                               {" \n\t", 400, "secretName is missing"},
		"an empty object":                      {"{}", 400, "secretName is missing"},
		"null":                                 {"null", 400, "not a JSON object"},
		"a list":                               {`["` + canary + `"]`, 400, "not a JSON object"},
		"a text":                               {`"` + canary + `"`, 400, "not a JSON object"},
		"cut off":                              {`{"secretName":"` + plain + `","secretValue":"` + canary, 400, "not a JSON object"},
		"something after it":                   {store(plain, `"v"`) + ` {"` + canary + `":1}`, 400, "not a JSON object"},
		"two objects":                          {store(plain, `"v"`) + store(plain, `"`+canary+`"`), 400, "not a JSON object"},
		"a byte order mark":                    {"\ufeff" + store(plain, `"v"`), 400, "not a JSON object"},
		"bytes that are no text":               {`{"secretName":"` + plain + `","secretValue":"` + canary + "\xff\"}", 400, "not UTF-8"},
		"an unknown member":                    {`{"secretName":"` + plain + `","secretValue":"v","` + canary + `":1}`, 400, "a member that this route does not know; it knows secretName secretValue create clientRequestToken"},
		"a member in other letters":            {`{"SecretName":"` + plain + `","secretValue":"v"}`, 400, "does not know"},
		"another route's member":               {rotateTo(plain, `"`+canary+`"`), 400, "does not know"},
		"a member twice":                       {`{"secretName":"` + plain + `","secretValue":"` + canary + `","secretValue":"v"}`, 400, "secretValue stands twice"},
		"a member of the value twice":          {store(plain, `{"a":[{"`+canary+`":1,"`+canary+`":2}]}`), 400, "an object in secretValue has a member twice"},
		"the same member in two objects":       {store(plain, `{"a":{"x":1},"b":{"x":1}}`), 200, ""},
		"a name that is a number":              {`{"secretName":7,"secretValue":"v"}`, 400, "secretName is not a text"},
		"a name that is an object":             {`{"secretName":{"` + canary + `":1},"secretValue":"v"}`, 400, "secretName is not a text"},
		"a name that is null":                  {`{"secretName":null,"secretValue":"v"}`, 400, "secretName is not a text"},
		"create that is a text":                {`{"secretName":"` + plain + `","secretValue":"v","create":"true"}`, 400, "create is neither true nor false"},
		"create that is null":                  {`{"secretName":"` + plain + `","secretValue":"v","create":null}`, 400, "create is neither true nor false"},
		"no value":                             {`{"secretName":"` + plain + `"}`, 400, "secretValue is missing"},
		"null as a value":                      {store(plain, "null"), 400, "secretValue is missing"},
		"an empty text as a value":             {store(plain, `""`), 400, "secretValue is empty"},
		"half of a surrogate pair":             {store(plain, `"`+canary+`\ud800"`), 400, "half of a surrogate pair"},
		"the character for what is none":       {store(plain, `"\ufffd`+"\ufffd"+`"`), 200, ""},
		"the largest value":                    {store(plain, `"`+big+`"`), 200, ""},
		"a value too large":                    {store(plain, `"`+big+`x"`), 413, "secretValue is larger than 65536 bytes"},
		"an object too large":                  {store(plain, `{"a":"`+big+`"}`), 413, "secretValue is larger than 65536 bytes"},
		"a body too large":                     {store(plain, `"`+big+big+`"`), 413, "the body is larger than 131072 bytes"},
		"deep":                                 {store(plain, strings.Repeat("[", 9000)+strings.Repeat("]", 9000)), 200, ""},
		"deeper than the decoder goes":         {store(plain, strings.Repeat("[", 20000)+strings.Repeat("]", 20000)), 400, "not a JSON object"},
		"an idempotency key that is too long":  {`{"secretName":"` + plain + `","secretValue":"v","clientRequestToken":"` + strings.Repeat("k", 256) + `"}`, 400, "idempotency key"},
		"an idempotency key with a line break": {`{"secretName":"` + plain + `","secretValue":"v","clientRequestToken":"a\nb"}`, 400, "idempotency key"},
		"a number, which is stored as JSON":    {store(plain, `1234567890123456789012.50`), 200, ""},
		"a list, which is stored as JSON":      {store(plain, `[1, "a", null]`), 200, ""},
		"a value with what a shell would obey": {store(plain, `"$(id)\n\u0000\u001b[31m"`), 200, ""},
	}
	for name, tt := range tests {
		got := s.do(t, "POST", "/admin/secrets", tt.body)
		if got.status != tt.status || strings.Contains(got.body, canary) {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, tt.status)
		}
		if tt.status == http.StatusOK {
			continue
		}
		var p struct {
			Status                          int
			Title, Detail, Error, RequestID string
		}
		got.decode(t, &p)
		if p.Status != tt.status || !strings.Contains(p.Detail, tt.detail) || p.Error != "Failed to store secret" || p.RequestID != got.header.Get("X-Request-Id") || p.Title == "" {
			t.Errorf("%s: %s, want the detail %q", name, got.body, tt.detail)
		}
		if got.header.Get("Content-Type") != "application/problem+json" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", name, got.header)
		}
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log has the canary")
	}
}

func TestValuesAreStoredAsTheyAre(t *testing.T) {
	t.Parallel()
	s := start(t)
	for given, want := range map[string]string{
		`"text"`: "text", `"ü \"q\" \n \u2028 \ud83d\ude00"`: "ü \"q\" \n \u2028 😀", `{ "a" : [1, 2.50, true, null] }`: `{"a":[1,2.50,true,null]}`,
		`[]`: "[]", `{}`: "{}", `true`: "true", `0`: "0", `"{\"a\":1}"`: `{"a":1}`, `{"k":"\u00fc"}`: `{"k":"\u00fc"}`,
	} {
		s.must(t, http.StatusOK, "POST", "/admin/secrets", store(plain, given))
		if got := s.value(t, plain, "AWSCURRENT"); got != want {
			t.Errorf("%s was stored as %q, want %q", given, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := start(t)
	tests := map[string]struct {
		name   string
		status int
		text   string
	}{
		"a path":                     {"shop/orders/db", 200, ""},
		"all characters":             {"aZ09_+=.@-/x", 200, ""},
		"a dot in a part":            {"a.b/..c", 200, ""},
		"traversal":                  {"../prod-database", 400, "has an empty part"},
		"traversal inside":           {"a/../b", 400, "has an empty part"},
		"a dot":                      {"./a", 400, "has an empty part"},
		"a slash in front":           {"/a", 400, "has an empty part"},
		"two slashes":                {"a//b", 400, "has an empty part"},
		"a slash at the end":         {"a/", 400, "has an empty part"},
		"a backslash":                {`..\\a`, 400, "letters, digits"},
		"a space":                    {"a b", 400, "letters, digits"},
		"letters of other alphabets": {"dаta", 400, "letters, digits"}, // a Cyrillic a
		"a right-to-left override":   {"a\u202eb", 400, "letters, digits"},
		"a zero byte":                {`a\u0000b`, 400, "letters, digits"},
		"a line break":               {`a\nb`, 400, "letters, digits"},
		"an ARN":                     {"arn:aws:secretsmanager:us-east-1:123456789012:secret:prod-x", 400, "letters, digits"},
		"a star":                     {"*", 400, "letters, digits"},
		"the stage before it":        {"dev-database-credentials", 400, `use \"database-credentials\"`},
		"the end of a route":         {"shop/rotation", 400, "ends as a route"},
		"a route":                    {"rotate", 400, "ends as a route"},
		"too long":                   {strings.Repeat("a", 509), 400, "longer than 508"},
		"the longest":                {strings.Repeat("a", 508), 200, ""},
		"another stage's":            {"prod-database", 200, ""}, // is dev-prod-database
	}
	for name, tt := range tests {
		got := s.do(t, "POST", "/admin/secrets", `{"secretName":"`+tt.name+`","secretValue":"v","create":true}`)
		if got.status != tt.status || !strings.Contains(got.body, tt.text) {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, tt.status, tt.text)
		}
		if tt.status == http.StatusOK && len(tt.name) < 100 {
			s.must(t, http.StatusOK, "GET", "/admin/secrets/"+tt.name, "")
			s.must(t, http.StatusOK, "GET", "/admin/secrets/"+tt.name+"/rotation", "")
		}
	}
	for path, want := range map[string]int{
		"/admin/secrets/../secrets": 400, "/admin/secrets/%2e%2e/x": 400, "/admin/secrets/a%20b": 400, "/admin/secrets/%00": 400, "/admin/secrets//": 400,
		"/admin/secrets/": 404, "/admin/secrets/a/b/": 400, "/admin/secrets/dev-" + plain: 400, "/admin/secrets/none": 404, "/admin/secrets/none/rotation": 404,
		"/admin/secrets?limit=0": 400, "/admin/secrets?limit=x": 400, "/admin/secrets?limit=5001": 400, "/admin/secrets?cursor=*": 400,
		"/admin/secrets/" + plain + "/rotation?wait=x": 400, "/admin/secrets/" + plain + "/rotation?wait=-1s": 400, "/admin/secrets/" + plain + "/rotation?versionId=none": 404,
		"/admin/audit?since=x": 400, "/admin/audit?since=-1h": 400, "/admin/audit?since=9000h": 400, "/admin/none": 404, "/admin/assets/none.js": 404, "/admin/secrets/rotate": 405,
	} {
		if got := s.do(t, "GET", path, ""); got.status != want || !strings.Contains(got.header.Get("Content-Type"), "json") {
			t.Errorf("GET %s: %d %s, want %d", path, got.status, got.body, want)
		}
	}
	if got := s.do(t, "PATCH", "/admin/secrets/"+plain, ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "DELETE, GET" {
		t.Errorf("PATCH: %d, Allow %q", got.status, got.header.Get("Allow"))
	}
}

func TestRepeatsUnderAKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := []string{"Idempotency-Key", "deploy-7"}
	first := s.must(t, http.StatusOK, "POST", "/admin/secrets", store(signed, firstKey), key...)
	again := s.must(t, http.StatusOK, "POST", "/admin/secrets", store(signed, firstKey), key...)
	inBody := s.must(t, http.StatusOK, "POST", "/admin/secrets", `{"secretName":"`+signed+`","secretValue":`+firstKey+`,"clientRequestToken":"deploy-7"}`)
	id := first.header.Get("Rekey-Version-Id")
	if again.body != first.body || again.header.Get("Rekey-Version-Id") != id || inBody.header.Get("Rekey-Version-Id") != id {
		t.Errorf("repeats: %v, %v, %v", first, again, inBody)
	}
	if got := s.must(t, http.StatusConflict, "POST", "/admin/secrets", store(signed, secondKey), key...); !strings.Contains(got.body, "another value") {
		t.Errorf("another value: %s", got.body)
	}
	s.must(t, http.StatusBadRequest, "POST", "/admin/secrets", `{"secretName":"`+signed+`","secretValue":1,"clientRequestToken":"other"}`, key...)
	// The key of another secret is another key.
	s.must(t, http.StatusOK, "POST", "/admin/secrets", store(plain, `"v"`), key...)

	rotated := s.must(t, http.StatusOK, "PUT", "/admin/secrets/rotate?wait=25s", rotateTo(signed, secondKey), key...)
	repeated := s.must(t, http.StatusOK, "PUT", "/admin/secrets/rotate?wait=25s", rotateTo(signed, secondKey), key...)
	var a, b struct{ VersionID string }
	rotated.decode(t, &a)
	repeated.decode(t, &b)
	if a.VersionID == id || a.VersionID != b.VersionID || s.describe(t, signed).VersionIdsToStages[a.VersionID] == nil {
		t.Errorf("rotations: %s, %s", rotated.body, repeated.body)
	}
	s.must(t, http.StatusConflict, "PUT", "/admin/secrets/rotate", rotateTo(signed, firstKey), key...)
	for range 2 {
		s.must(t, http.StatusOK, "POST", "/admin/secrets/"+signed+"/rollback?wait=25s", "", key...)
		if now := s.value(t, signed, "AWSCURRENT"); !strings.Contains(now, "the-first-256-bit-secret-key") {
			t.Error("the first value is not current after the rollback")
		}
	}
	for version, labels := range s.describe(t, signed).VersionIdsToStages {
		if strings.Contains(strings.Join(labels, " "), "REKEY_SUPPLIED") {
			t.Errorf("version %s still has %v", version, labels)
		}
	}
}

func TestCallsAndRotationsAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *admin.Options) {
		o.CallsPerSecond = 1
		o.Tokens = tokens{admin.NewToken("operator", token), admin.NewToken("busy", "busy")}
	})
	limited, began := 0, time.Now()
	for i := range 20 {
		got := s.do(t, "GET", "/admin/secrets?limit=1", "", "Authorization", "Bearer busy")
		switch {
		case got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "1":
			limited++
		case got.status != http.StatusOK:
			t.Errorf("call %d: %d, Retry-After %q", i, got.status, got.header.Get("Retry-After"))
		}
	}
	if allowed := 2 + int(time.Since(began)/time.Second); limited < 20-allowed {
		t.Errorf("%d of 20 calls were refused, with 2 at once and 1 a second, which makes %d", limited, allowed)
	}
	s.must(t, http.StatusOK, "GET", "/admin/secrets?limit=1", "") // another caller
	s = start(t)
	began = time.Now()
	for i := range 5 {
		if got := s.do(t, "PUT", "/admin/secrets/rotate", rotateTo(plain, `"v"`)); got.status != http.StatusOK {
			t.Errorf("rotation %d: %d %s", i, got.status, got.body)
		}
	}
	got := s.do(t, "PUT", "/admin/secrets/rotate", rotateTo(plain, `"v"`))
	passed := time.Since(began)
	if passed >= time.Minute && got.status == http.StatusOK {
		return // the minute of the first is over
	}
	wait, err := strconv.Atoi(got.header.Get("Retry-After"))
	if least := int((time.Minute - passed) / time.Second); err != nil || wait < least || wait > 60 || got.status != http.StatusTooManyRequests {
		t.Errorf("rotation 5: %d, Retry-After %q, want between %d and 60", got.status, got.header.Get("Retry-After"), least)
	}
}

func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		store(plain, `"v"`), store(plain, `{"a":{"b":[1,{"c":2}]}}`), `{}`, ``, `{"secretName":"x","secretName":"y"}`, `[`, `{"secretValue":"\ud800"}`,
		`{"create":true,"clientRequestToken":"k"}`, "{\"secretName\":\"\xff\"}", `{"secretName":1e400}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		name, value, p := admin.DecodeStore(body)
		if p != "" {
			if len(body) > 3 && !json.Valid(body) && strings.Contains(p, string(body)) {
				t.Errorf("the problem %q quotes the body", p)
			}
			return
		}
		// What is taken is what every JSON reader makes of it.
		var want struct {
			SecretName  string          `json:"secretName"`
			SecretValue json.RawMessage `json:"secretValue"`
		}
		if len(strings.TrimSpace(string(body))) > 0 {
			if err := json.Unmarshal(body, &want); err != nil {
				t.Fatalf("%q was taken: %v", body, err)
			}
		}
		if name != want.SecretName || string(value) != string(want.SecretValue) {
			t.Errorf("%q: got %q and %q, want %q and %q", body, name, value, want.SecretName, want.SecretValue)
		}
	})
}
