package admin_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/functions/admin"
)

// refuse answers as AWS does.
func refuse(status int, code string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amzn-Errortype": {code}},
			Body:   io.NopCloser(strings.NewReader(`{"__type":"` + code + `","message":"` + canary + `"}`)),
		}, nil
	}
}

var errCut = errors.New("connection reset by " + canary)

// ways are those in which a call to AWS fails. In the last it has its effect, and
// the answer is lost.
func ways() map[string]func(*http.Request) (*http.Response, error) {
	return map[string]func(*http.Request) (*http.Response, error){
		"no connection":  func(*http.Request) (*http.Response, error) { return nil, errCut },
		"internal error": refuse(http.StatusInternalServerError, "InternalServiceError"),
		"throttled":      refuse(http.StatusBadRequest, "ThrottlingException"),
		"denied":         refuse(http.StatusBadRequest, "AccessDeniedException"),
		"answer lost": func(r *http.Request) (*http.Response, error) {
			res, err := many.RoundTrip(r)
			if err == nil {
				_ = res.Body.Close()
			}
			return nil, errCut
		},
	}
}

// endpoints are the routes with a secret that they can be used on, made ready.
func endpoints() map[string]struct {
	method, path, body string
	ready              func(t *testing.T, s *system)
} {
	has := func(name, value string) func(*testing.T, *system) {
		return func(t *testing.T, s *system) { s.put(t, name, value) }
	}
	return map[string]struct {
		method, path, body string
		ready              func(t *testing.T, s *system)
	}{
		"store":           {"POST", "/admin/secrets", store(plain, `"next"`), has(plain, "first")},
		"create":          {"POST", "/admin/secrets", `{"secretName":"made","secretValue":"v","create":true}`, func(t *testing.T, s *system) { s.remove(t, "made") }},
		"replace":         {"PUT", "/admin/secrets/rotate", rotateTo(plain, `"next"`), has(plain, "first")},
		"rotate":          {"PUT", "/admin/secrets/rotate?wait=25s", `{"secretName":"` + signed + `"}`, has(signed, firstKey)},
		"rotate to":       {"PUT", "/admin/secrets/rotate?wait=25s", rotateTo(signed, secondKey), has(signed, firstKey)},
		"rollback":        {"POST", "/admin/secrets/" + signed + "/rollback?wait=25s", "", func(t *testing.T, s *system) { s.put(t, signed, firstKey); s.put(t, signed, secondKey) }},
		"cancel":          {"POST", "/admin/secrets/" + signed + "/cancel", "", func(t *testing.T, s *system) { s.put(t, signed, firstKey); s.enable(t, signed) }},
		"delete":          {"DELETE", "/admin/secrets/" + plain, "", func(t *testing.T, s *system) { s.restore(t, plain) }},
		"restore":         {"POST", "/admin/secrets/" + plain + "/restore", "", func(t *testing.T, s *system) { s.delete(t, plain) }},
		"list":            {"GET", "/admin/secrets", "", func(_ *testing.T, s *system) { s.api.Forget() }},
		"mended list":     {"GET", "/admin/secrets", "", func(t *testing.T, s *system) { s.must(t, 200, "POST", "/admin/secrets", store(plain, `"v"`)) }},
		"read":            {"GET", "/admin/secrets/" + plain, "", func(t *testing.T, s *system) { s.must(t, 200, "POST", "/admin/secrets", store(plain, `"v"`)) }},
		"rotation status": {"GET", "/admin/secrets/" + signed + "/rotation", "", has(signed, firstKey)},
	}
}

// TestEachCallToAWSMayFail has each call of each route fail in each way. The
// answer is one of the document's, a call that did not happen changes nothing,
// the next call works, and a repeat under the same key does what was asked.
func TestEachCallToAWSMayFail(t *testing.T) {
	t.Parallel()
	for name, e := range endpoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *admin.Options) { o.RotateEvery = time.Nanosecond })
			for way, how := range ways() {
				for n := 1; ; n++ {
					e.ready(t, s)
					before := s.labels(t)
					s.calls.arm(n, how)
					key := []string{"Idempotency-Key", way + "-" + string(rune('a'+n))}
					got := s.do(t, e.method, e.path, e.body, key...)
					made := s.calls.targets()
					s.calls.arm(0, nil)
					if len(made) < n { // there is no such call any more
						break
					}
					at := way + " at " + made[n-1]
					optional := strings.Contains(made[n-1], "CloudTrail") || strings.Contains(made[n-1], "DynamoDB")
					switch {
					case got.status == http.StatusOK && !optional && way != "answer lost" && name != "cancel":
						t.Errorf("%s: answered %d", at, got.status)
					case strings.Contains(got.body, canary):
						t.Errorf("%s: %s", at, got.body)
					case got.status >= 400 && way != "answer lost" && !begun(made[:n-1]):
						if after := s.after(t, way); !slices.Equal(tidied(before, after), after) {
							t.Errorf("%s: %d %s, and the secrets changed:\n%v\n%v", at, got.status, got.body, before, after)
						}
					}
					if again := s.do(t, e.method, e.path, e.body, key...); again.status != http.StatusOK && !done(name, again) {
						t.Errorf("%s: the repeat: %d %s", at, again.status, again.body)
					}
				}
			}
		})
	}
}

// begun reports whether a rotation began among calls that were made, which then
// goes on by itself, whatever is heard of it.
func begun(made []string) bool { return slices.Contains(made, "secretsmanager.RotateSecret") }

// done reports whether an answer says that there is nothing left to do: of what
// has no key, because it is done when it is done.
func done(name string, r result) bool {
	return r.status == http.StatusConflict && slices.Contains([]string{"cancel", "delete", "restore"}, name)
}

// labels tells of all secrets what is to be seen of them, in an order.
func (s *system) labels(t *testing.T) []string {
	t.Helper()
	out, err := s.operator.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range out.SecretList {
		for version, labels := range e.SecretVersionsToStages {
			slices.Sort(labels)
			all = append(all, aws.ToString(e.Name)+" "+version+" "+strings.Join(labels, " "))
		}
		if e.DeletedDate != nil {
			all = append(all, aws.ToString(e.Name)+" is deleted")
		}
		if aws.ToBool(e.RotationEnabled) {
			all = append(all, aws.ToString(e.Name)+" rotates")
		}
	}
	slices.Sort(all)
	return all
}

// after is labels after a call. Where nobody can know whether a rotation began,
// the value stays that was supplied for it, and for no other.
func (s *system) after(t *testing.T, way string) []string {
	t.Helper()
	all := s.labels(t)
	if way != "no connection" {
		return all
	}
	for i, line := range all {
		all[i] = unsupplied(line)
	}
	return slices.DeleteFunc(all, unlabelled)
}

// tidied is what there was before a call, without the labels that the rotation
// before it has taken off meanwhile: it does so when it has ended.
func tidied(before, after []string) []string {
	before = slices.Clone(before)
	for i, line := range before {
		if !slices.Contains(after, line) {
			before[i] = unsupplied(line)
		}
	}
	return slices.DeleteFunc(before, unlabelled)
}

var supplied = regexp.MustCompile(` ?REKEY_SUPPLIED_FOR_[0-9a-f]{64}$`)

func unsupplied(line string) string { return supplied.ReplaceAllString(line, "") }

// unlabelled reports whether a line of labels is of a version without any.
func unlabelled(line string) bool {
	fields := strings.Fields(line)
	return len(fields) == 2 && fields[1] != "rotates"
}

func (s *system) put(t testing.TB, name, value string) {
	t.Helper()
	if _, err := s.operator.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("dev-" + name), SecretString: &value}); err != nil {
		t.Fatal(err)
	}
}

// remove deletes a secret for good. One that there is not is gone already.
func (s *system) remove(t testing.TB, name string) {
	t.Helper()
	_, _ = s.operator.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("dev-" + name), ForceDeleteWithoutRecovery: aws.Bool(true)})
}

func (s *system) delete(t testing.TB, name string) {
	t.Helper()
	if s.describe(t, name).DeletedDate != nil {
		return
	}
	if _, err := s.operator.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("dev-" + name)}); err != nil {
		t.Fatal(err)
	}
}

func (s *system) restore(t testing.TB, name string) {
	t.Helper()
	if _, err := s.operator.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: aws.String("dev-" + name)}); err != nil {
		t.Fatal(err)
	}
}

// enable turns a secret's rotation on, by a rotation that is waited for.
func (s *system) enable(t testing.TB, name string) {
	t.Helper()
	if aws.ToBool(s.describe(t, name).RotationEnabled) {
		return
	}
	s.must(t, http.StatusOK, "PUT", "/admin/secrets/rotate?wait=25s", `{"secretName":"`+name+`"}`)
}
