package admin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

const (
	firstKey  = `{"signing_key":"the-first-256-bit-secret-key","issuer":"myapp.com"}`
	secondKey = `{"signing_key":"the-second-256-bit-secret-key","issuer":"myapp.com"}`
)

func store(name, value string) string {
	return `{"secretName":"` + name + `","secretValue":` + value + `}`
}

func rotateTo(name, value string) string {
	return `{"secretName":"` + name + `","newValue":` + value + `}`
}

// The whole life of a secret through the API, as its role lets it.
func TestTheLifeOfASecret(t *testing.T) {
	t.Parallel()
	s := start(t)
	got := s.must(t, http.StatusOK, "POST", "/admin/secrets", store(signed, firstKey))
	if want := `{"message":"Secret 'jwt-configuration' stored successfully"}`; got.body != want {
		t.Errorf("stored: %s, want %s", got.body, want)
	}
	first := got.header.Get("Rekey-Version-Id")

	got = s.must(t, http.StatusOK, "PUT", "/admin/secrets/rotate?wait=25s", rotateTo(signed, secondKey))
	var state struct{ Message, Status, VersionID, StatusURL string }
	got.decode(t, &state)
	if state.Status != "finished" || state.Message != "Secret 'jwt-configuration' rotated successfully" {
		t.Fatalf("rotated: %s", got.body)
	}
	if now := s.value(t, signed, "AWSCURRENT"); !strings.Contains(now, "the-second-256-bit-secret-key") {
		t.Errorf("the current value is not the one that was supplied: %s", now)
	}
	s.must(t, http.StatusOK, "GET", state.StatusURL, "")

	var one struct {
		State     string
		Labels    map[string]struct{ VersionID string }
		Versions  []struct{ VersionID string }
		Timeline  []struct{ Status, VersionID string }
		Consumers *struct{ Current, Old int }
	}
	s.must(t, http.StatusOK, "GET", "/admin/secrets/"+signed, "").decode(t, &one)
	if one.State != "ok" || one.Labels["AWSCURRENT"].VersionID != state.VersionID || one.Labels["AWSPREVIOUS"].VersionID != first {
		t.Errorf("described: %+v", one)
	}
	if len(one.Timeline) != 1 || one.Timeline[0].Status != "succeeded" || one.Timeline[0].VersionID != state.VersionID {
		t.Errorf("timeline: %+v", one.Timeline)
	}
	if one.Consumers == nil {
		t.Error("the consumers are not known")
	}

	got = s.must(t, http.StatusOK, "POST", "/admin/secrets/"+signed+"/rollback?wait=25s", "")
	got.decode(t, &state)
	if now := s.value(t, signed, "AWSCURRENT"); state.Status != "finished" || !strings.Contains(now, "the-first-256-bit-secret-key") {
		t.Errorf("rolled back: %s", got.body)
	}

	s.must(t, http.StatusOK, "DELETE", "/admin/secrets/"+signed, "")
	got = s.must(t, http.StatusConflict, "POST", "/admin/secrets", store(signed, firstKey))
	if !strings.Contains(got.body, "restore") {
		t.Errorf("a deleted secret has no hint: %s", got.body)
	}
	s.must(t, http.StatusOK, "POST", "/admin/secrets/"+signed+"/restore", "")
	s.must(t, http.StatusOK, "POST", "/admin/secrets", store(signed, firstKey))
	s.must(t, http.StatusOK, "GET", "/admin/audit", "")
	s.must(t, http.StatusOK, "GET", "/admin/openapi.json", "")
}

func TestTheList(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must(t, http.StatusOK, "POST", "/admin/secrets", store(signed, firstKey))
	type list struct {
		Secrets []struct{ Name, State, Description string }
		Total   int
		States  map[string]int
		Next    string
		Notes   []string
	}
	var all list
	s.must(t, http.StatusOK, "GET", "/admin/secrets", "").decode(t, &all)
	var names []string
	for _, x := range all.Secrets {
		names = append(names, x.Name+" "+x.State)
	}
	want := []string{
		"admin-token empty", "admin-tokens empty", "database-credentials empty", "database-superuser empty", "external-api-keys empty",
		"jwt-configuration ok", "provider-admin empty",
	}
	if diff := cmp.Diff(want, names); diff != "" || all.Notes != nil {
		t.Errorf("list (-want +got):\n%s\nnotes %q", diff, all.Notes)
	}
	var pages []string
	for cursor := ""; ; {
		var p list
		s.must(t, http.StatusOK, "GET", "/admin/secrets?limit=3&cursor="+cursor, "").decode(t, &p)
		for _, x := range p.Secrets {
			pages = append(pages, x.Name+" "+x.State)
		}
		if p.Total != len(want) || len(p.Secrets) > 3 {
			t.Errorf("a page of %d, total %d", len(p.Secrets), p.Total)
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	var some list
	s.must(t, http.StatusOK, "GET", "/admin/secrets?prefix=admin-&state=empty", "").decode(t, &some)
	if some.Total != 2 {
		t.Errorf("%d secrets begin with admin-, want 2", some.Total)
	}
}

// What the API changes is in the list at once, and the rest of it is not asked
// for again.
func TestTheListKeepsUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	version := func(name string) string {
		var list struct {
			Secrets []struct {
				Name, State string
				Labels      map[string]struct{ VersionID string }
			}
		}
		s.must(t, http.StatusOK, "GET", "/admin/secrets", "").decode(t, &list)
		for _, x := range list.Secrets {
			if x.Name == name {
				return x.State + " " + x.Labels["AWSCURRENT"].VersionID
			}
		}
		return ""
	}
	began := time.Now()
	if got := version(plain); got != "empty " {
		t.Fatalf("%s is %q at first", plain, got)
	}
	s.calls.arm(0, nil)
	stored := s.must(t, http.StatusOK, "POST", "/admin/secrets", store(plain, `"v"`)).header.Get("Rekey-Version-Id")
	if got := version(plain); got != "ok "+stored {
		t.Errorf("%s is %q after %s was stored", plain, got, stored)
	}
	made := s.must(t, http.StatusOK, "POST", "/admin/secrets", `{"secretName":"new","secretValue":"v","create":true}`).header.Get("Rekey-Version-Id")
	if got := version("new"); got != "ok "+made {
		t.Errorf("the new secret is %q after %s was stored", got, made)
	}
	s.must(t, http.StatusOK, "DELETE", "/admin/secrets/new", "")
	if got := version("new"); !strings.HasPrefix(got, "deleted ") {
		t.Errorf("the secret that was deleted is %q", got)
	}
	if asked := s.calls.targets(); time.Since(began) < 5*time.Second && slices.Contains(asked, "secretsmanager.ListSecrets") {
		t.Errorf("all secrets were asked for again: %q", asked)
	}
}

func TestConsumersAndWhatFailedAreTold(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.put(t, broken, `{"host":"localhost","username":"app","password":"x"}`)
	about := s.describe(t, broken)
	board := bulletin.New(dynamodb.NewFromConfig(s.config("operator")), "dev-rekey-bulletin")
	now := time.Now()
	for version := range about.VersionIdsToStages {
		err := board.Renew(t.Context(),
			bulletin.Lease{SecretARN: *about.ARN, Consumer: "shop", VersionID: version, Since: now, Expires: now.Add(time.Hour)},
			bulletin.Lease{SecretARN: *about.ARN, Consumer: "billing", VersionID: "an-old-version", Since: now, Expires: now.Add(time.Hour)},
			bulletin.Lease{SecretARN: *about.ARN, Consumer: "gone", VersionID: "an-old-version", Since: now, Expires: now.Add(-time.Second)})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.must(t, http.StatusAccepted, "PUT", "/admin/secrets/rotate?wait=1500ms", `{"secretName":"`+broken+`"}`)
	type secret struct {
		State       string
		LastFailure *struct{ Step, Next, Message string }
		Consumers   struct {
			Current, Old int
			Holders      []struct{ Consumer string }
		}
	}
	var one secret
	polltest.Until(t, "a failure is told", func() bool {
		s.must(t, http.StatusOK, "GET", "/admin/secrets/"+broken, "").decode(t, &one)
		return one.LastFailure != nil
	})
	if one.State != "failed" || one.LastFailure.Step != "createSecret" || !strings.Contains(one.LastFailure.Next, "rekey plan "+broken) {
		t.Errorf("the failure: %+v %+v", one, one.LastFailure)
	}
	if one.Consumers.Current != 1 || one.Consumers.Old != 1 || len(one.Consumers.Holders) != 2 {
		t.Errorf("consumers: %+v", one.Consumers)
	}
	var list struct{ Secrets []secret }
	s.must(t, http.StatusOK, "GET", "/admin/secrets?state=failed", "").decode(t, &list)
	if len(list.Secrets) != 1 || list.Secrets[0].Consumers.Current != 1 || list.Secrets[0].Consumers.Old != 1 || list.Secrets[0].LastFailure == nil {
		t.Errorf("the list: %+v", list)
	}
	var state struct {
		Status  string
		Failure *struct{ Tries int }
	}
	s.must(t, http.StatusOK, "GET", "/admin/secrets/"+broken+"/rotation", "").decode(t, &state)
	if state.Status != "running" || state.Failure == nil || state.Failure.Tries != 1 {
		t.Errorf("the rotation, which is tried again in an hour: %+v %+v", state, state.Failure)
	}
	if got := s.must(t, http.StatusConflict, "POST", "/admin/secrets/"+broken+"/rollback", ""); got.body == "" {
		t.Error("no answer")
	}
	s.must(t, http.StatusOK, "POST", "/admin/secrets/"+broken+"/cancel", "")
	s.must(t, http.StatusOK, "GET", "/admin/secrets/"+broken+"/rotation", "").decode(t, &state)
	if state.Status != "failed" {
		t.Errorf("the rotation that was cancelled is %s", state.Status)
	}
}
