package admin_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/functions/admin"
)

// TestItsRoleReadsNoValue asks for every secret with the function's rights.
func TestItsRoleReadsNoValue(t *testing.T) {
	t.Parallel()
	s := start(t)
	own := s.engine.CredentialsOf("Admin")
	cfg := s.config("")
	cfg.Credentials = credentials.NewStaticCredentialsProvider(own.AccessKeyID, own.SecretAccessKey, own.SessionToken)
	client := secretsmanager.NewFromConfig(cfg)
	s.must(t, http.StatusOK, "POST", "/admin/secrets", `{"secretName":"made","secretValue":"v","create":true}`)
	names := []string{plain, signed, broken, "database-superuser", "external-api-keys", "admin-token", "made"}
	for _, name := range names {
		s.put(t, name, "v")
		_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-" + name)})
		if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "AccessDeniedException" {
			t.Errorf("%s: got %v, want AccessDeniedException", name, err)
		}
	}
	batch, err := client.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"dev-" + plain}})
	if err == nil && len(batch.SecretValues) > 0 {
		t.Error("a batch reads the value")
	}
}

// TestNoValueComesOut has a canary in every value and in every place where a
// value could be put by mistake, and looks for it in whatever is to be read.
func TestNoValueComesOut(t *testing.T) {
	t.Parallel()
	s := start(t)
	var out strings.Builder
	say := func(method, path, body string, headers ...string) {
		r := s.do(t, method, path, body, headers...)
		out.WriteString(r.body)
		if err := r.header.Write(&out); err != nil {
			t.Fatal(err)
		}
	}
	value := `{"signing_key":"` + canary + `-a-256-bit-secret-key","issuer":"myapp.com"}`
	for _, name := range []string{signed, plain, broken, "none", "admin-token"} {
		say("POST", "/admin/secrets", store(name, value))
		say("POST", "/admin/secrets", store(name, value), "Idempotency-Key", "k")
		say("POST", "/admin/secrets", store(name, `"`+canary+`"`), "Idempotency-Key", "k")
		say("PUT", "/admin/secrets/rotate?wait=500ms", rotateTo(name, strings.Replace(value, "-a-", "-b-", 1)))
		say("PUT", "/admin/secrets/rotate?wait=500ms", `{"secretName":"`+name+`"}`)
		say("GET", "/admin/secrets/"+name, "")
		say("GET", "/admin/secrets/"+name+"/rotation", "")
		say("POST", "/admin/secrets/"+name+"/rollback?wait=500ms", "")
		say("POST", "/admin/secrets/"+name+"/cancel", "")
		say("DELETE", "/admin/secrets/"+name, "")
		say("POST", "/admin/secrets/"+name+"/restore", "")
	}
	say("POST", "/admin/secrets", `{"secretName":"`+plain+`","secretValue":"`+canary)
	say("POST", "/admin/secrets/"+plain+"/cancel", `{"secretValue":"`+canary+`"}`)
	say("POST", "/admin/secrets", store(plain, value), "Authorization", "Bearer "+canary)
	say("GET", "/admin/secrets", "")
	say("GET", "/admin/audit", "")
	events, err := cloudtrail.NewFromConfig(s.config("operator")).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Events {
		out.WriteString(aws.ToString(e.CloudTrailEvent))
	}
	if strings.Contains(out.String(), canary) {
		t.Error("an answer or an event has the canary")
	}
	if strings.Contains(s.log.String(), canary) {
		t.Error("the log has the canary")
	}
	if !strings.Contains(s.value(t, plain, "AWSCURRENT"), canary) {
		t.Error("the canary was not stored, so that nothing was tested")
	}
}

func TestEachCallLeavesOneLine(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *admin.Options) {
		o.Tokens = tokens{admin.NewToken("operator", token), admin.NewToken("evil\n\x1b[31m\u202e", "evil-token")}
	})
	got := s.must(t, http.StatusOK, "POST", "/admin/secrets", store(plain, `"v"`), "User-Agent", "curl/8 \xe2\x80\xae")
	s.must(t, http.StatusForbidden, "GET", "/admin/secrets/"+plain, "", "Authorization", "")
	s.must(t, http.StatusBadRequest, "GET", "/admin/secrets/a%0Ab", "", "Authorization", "Bearer evil-token")
	var lines []map[string]any
	scan := bufio.NewScanner(strings.NewReader(s.log.String()))
	for scan.Scan() {
		var line map[string]any
		if json.Unmarshal(scan.Bytes(), &line) == nil && line["msg"] == "admin call" {
			for _, name := range []string{"time", "level", "msg", "ms"} {
				if line[name] == nil {
					t.Errorf("the line %s has no %s", scan.Text(), name)
				}
				delete(line, name)
			}
			lines = append(lines, line)
		}
	}
	for _, line := range lines[1:] {
		delete(line, "requestId")
		delete(line, "userAgent")
	}
	want := []map[string]any{
		{
			"requestId": got.header.Get("X-Request-Id"), "principal": "token/operator", "action": "secrets.store", "secretName": plain,
			"versionId": got.header.Get("Rekey-Version-Id"), "outcome": "ok", "status": 200.0, "sourceIp": "127.0.0.1", "userAgent": "curl/8 ?",
		},
		{"principal": "", "action": "secrets.read", "secretName": "", "versionId": "", "outcome": "denied", "status": 403.0, "sourceIp": "127.0.0.1"},
		{"principal": "token/evil??[31m?", "action": "secrets.read", "secretName": "", "versionId": "", "outcome": "refused", "status": 400.0, "sourceIp": "127.0.0.1"},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// TestRotationsOfOneSecretAtOnce has many supply a value at once. One wins each
// round, and it is theirs that becomes current.
func TestRotationsOfOneSecretAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *admin.Options) { o.RotateEvery = time.Nanosecond })
	s.put(t, signed, firstKey)
	const callers = 8
	for round := range 2 {
		versions := make([]string, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				mine := strings.Replace(secondKey, "the-second", "round-"+string(rune('a'+round))+"-caller-"+string(rune('a'+i)), 1)
				got := s.do(t, "PUT", "/admin/secrets/rotate?wait=25s", rotateTo(signed, mine))
				var state struct{ Status, VersionID, StatusURL string }
				switch got.status {
				case http.StatusOK, http.StatusAccepted:
					got.decode(t, &state)
					for state.Status == "unfinished" || state.Status == "running" {
						s.do(t, "GET", state.StatusURL+"&wait=25s", "").decode(t, &state)
					}
					if state.Status == "finished" {
						versions[i] = state.VersionID
					}
				case http.StatusConflict:
				default:
					t.Errorf("caller %d: %d %s", i, got.status, got.body)
				}
			})
		}
		wg.Wait()
		won := 0
		for i, version := range versions {
			if version == "" {
				continue
			}
			won++
			out, err := s.operator.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-" + signed), VersionId: &version})
			if err != nil {
				t.Fatal(err)
			}
			var held struct {
				Key string `json:"signing_key"`
			}
			if err := json.Unmarshal([]byte(*out.SecretString), &held); err != nil || !strings.Contains(held.Key, "caller-"+string(rune('a'+i))+"-") {
				t.Errorf("the rotation of caller %d has another's value", i)
			}
		}
		if won == 0 {
			t.Error("nobody rotated")
		}
	}
}

func TestAThousandCallsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.client.Transport = many // the other tests look at what is answered
	var wg sync.WaitGroup
	begin := make(chan struct{})
	var mu sync.Mutex
	statuses := map[int]int{}
	for i := range 1000 {
		wg.Go(func() {
			<-begin
			var got result
			switch i % 4 {
			case 0:
				got = s.do(t, "POST", "/admin/secrets", store(plain, `"`+canary+`"`))
			case 1:
				got = s.do(t, "GET", "/admin/secrets", "")
			case 2:
				got = s.do(t, "GET", "/admin/secrets/"+plain, "")
			default:
				got = s.do(t, "POST", "/admin/secrets", store(plain, `"v"`), "Authorization", "Bearer wrong")
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
			if strings.Contains(got.body, canary) {
				t.Error("an answer has the canary")
			}
		})
	}
	close(begin)
	wg.Wait()
	// A secret keeps a hundred versions; the engine refuses more within a day.
	if statuses[http.StatusOK] < 500 || statuses[http.StatusForbidden] != 250 || statuses[http.StatusInternalServerError] > 0 {
		t.Errorf("statuses %v", statuses)
	}
	s.must(t, http.StatusOK, "GET", "/admin/secrets", "")
}
