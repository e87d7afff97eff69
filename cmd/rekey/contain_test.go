package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smtypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/contain"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/providers"
	"github.com/rekey-go/rekey/internal/stack"
)

const (
	stolenKey  = "AKIASTOLEN0000000000"
	stolenSign = "a-signing-key-that-is-stolen"
)

// A theft is a running system of which one principal has read three secrets: a
// database login, a provider's API key and a signing key.
type theft struct {
	*stack.Stack
	mail    *httptest.Server
	apiKey  string // what was stolen
	dir     string // the incident's
	command []string
}

// steal starts the system and has the secrets stolen. The strategy is that of the
// database login.
func steal(t *testing.T, strategy string) *theft {
	t.Helper()
	pgtest.Need(t)
	account := providers.NewSendGrid()
	x := &theft{mail: httptest.NewServer(account), dir: filepath.Join(t.TempDir(), "incident")}
	t.Cleanup(x.mail.Close)
	s, err := stack.Start(t.Context(), stack.Options{
		Template: rekey.Template, TemplateFile: "template.yaml", Logs: t.Output(), Command: commandFor,
		Parameters: map[string]string{
			"CheckInterval": "500ms", "Lease": "5s", "ApiKeyProviders": "sendgrid", "SendGridUrl": x.mail.URL, // the grace periods are those of production
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	x.Stack = s
	_, admin := account.Add("admin", "api_keys.create", "api_keys.delete", "api_keys.read", "mail.send")
	_, x.apiKey = account.Add("shop", "mail.send")
	for name, value := range map[string]any{
		"database-credentials": map[string]any{"host": s.Database.Host, "username": stack.SampleUser, "password": stack.SamplePassword, "database": "app"},
		"external-api-keys":    map[string]string{"sendgrid": x.apiKey},
		"jwt-configuration":    map[string]string{"signing_key": stolenSign, "issuer": "myapp.com"},
		"provider-admin":       map[string]string{"sendgrid": admin},
	} {
		text, err := json.Marshal(map[string]any{"secretName": name, "secretValue": value})
		if err != nil {
			t.Fatal(err)
		}
		if got := fetch(t, s, http.MethodPost, "/admin/secrets", string(text)); !strings.HasPrefix(got, "200 ") {
			t.Fatalf("storing %s: %s", name, got)
		}
	}
	cfg := s.Config()
	_, err = secretsmanager.NewFromConfig(cfg).TagResource(t.Context(), &secretsmanager.TagResourceInput{
		SecretId: aws.String("dev-database-credentials"), Tags: []smtypes.Tag{{Key: aws.String("rekey:strategy"), Value: &strategy}},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials = credentials.NewStaticCredentialsProvider(stolenKey, stolenKey, "")
	thief := secretsmanager.NewFromConfig(cfg)
	if _, err := thief.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("dev-database-credentials")}); err != nil {
		t.Fatal(err)
	}
	out, err := thief.BatchGetSecretValue(t.Context(), &secretsmanager.BatchGetSecretValueInput{SecretIdList: []string{"dev-external-api-keys", "dev-jwt-configuration"}})
	if err != nil || len(out.SecretValues) != 2 {
		t.Fatalf("the batch has %v, %v", out, err)
	}
	x.command = []string{"rekey", "contain", "--principal", stolenKey, "--since", "1h", "--run", "--evidence", x.dir, "--timeout", "10m"}
	return x
}

// run is the command as a process of its own.
func (x *theft) run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), self)
	cmd.Args = args
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+x.Engine.Endpoint())
	return cmd
}

// login logs in to the sample application, which does so at the database.
func (x *theft) login(body string) error {
	res, err := http.Post(x.Engine.APIURL()+"/auth/login", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a login is answered %s", res.Status)
	}
	return nil
}

// wantRefused checks that nothing that was stolen works any more.
func (x *theft) wantRefused(t *testing.T) {
	t.Helper()
	conn, err := x.Database.Login(t.Context(), stack.SampleUser, stack.SamplePassword, "app")
	if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "28P01" {
		t.Errorf("PostgreSQL answers the stolen password with %v, want that it is refused", err)
	}
	if err == nil {
		conn.Close(t.Context())
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.mail.URL+"/v3/scopes", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+x.apiKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("the provider answers the stolen key with %s, want 401", res.Status)
	}
	eventually(t, x.Stack, "/auth/verify", hmacToken(t, stolenSign), "401 ")
}

// wantEvidence checks that the evidence is whole, has all kinds of records and
// nothing that was stolen.
func (x *theft) wantEvidence(t *testing.T) {
	t.Helper()
	pack, err := contain.ReadEvidence(x.dir, filepath.Join(x.dir, contain.PublicKeyFile))
	if err != nil || !pack.Closed {
		t.Fatalf("the evidence: closed %v, %v", pack.Closed, err)
	}
	kinds := map[string]int{}
	for _, r := range pack.Records {
		kinds[r.Kind]++
		for _, value := range []string{stack.SamplePassword, x.apiKey, stolenSign} {
			if strings.Contains(string(r.Body), value) {
				t.Errorf("a record %q holds a value", r.Kind)
			}
		}
	}
	for kind, want := range map[string]int{"begun": 1, "read": 3, "rotated": 3, "announced": 3, "retired": 3, "refused": 2, "let go": 1, "closed": 1} {
		if kinds[kind] != want {
			t.Errorf("%d records %q, want %d", kinds[kind], kind, want)
		}
	}
	if out, err := x.run(t, "rekey", "contain", "--verify-evidence", x.dir).CombinedOutput(); err != nil || !strings.Contains(string(out), "as they were signed") {
		t.Errorf("--verify-evidence: %v\n%s", err, out)
	}
}

// rotations counts the rotations of the trail.
func (x *theft) rotations(t *testing.T) int {
	t.Helper()
	out, err := cloudtrail.NewFromConfig(x.Config()).LookupEvents(t.Context(), &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("RotationSucceeded")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Events)
}

// TestWhatAStolenKeyReadIsRefusedWithinAMinute contains a theft while logins go
// on, of which none fails: the consumers take the new login over when they are
// told, or when the server refuses the old one. The time is the best of a few
// thefts: the machine may have other things to do.
func TestWhatAStolenKeyReadIsRefusedWithinAMinute(t *testing.T) {
	t.Parallel()
	for tries := 3; ; tries-- {
		refused, out := containUnderLoad(t)
		switch {
		case refused <= time.Minute:
			return
		case tries == 1:
			t.Fatalf("it took %v, want a minute at most\n%s", refused, out)
		}
	}
}

// containUnderLoad returns after what time all that was stolen is refused, and
// what the command said.
func containUnderLoad(t *testing.T) (refused time.Duration, said []byte) {
	t.Helper()
	x := steal(t, "single-user")
	loading, stop := context.WithCancel(t.Context())
	var sent, failed atomic.Int64
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		body := fmt.Sprintf(`{"email":%q,"password":%q}`, stack.SampleEmail, stack.SampleEmailPassword)
		for loading.Err() == nil {
			sent.Add(1)
			if err := x.login(body); err != nil {
				failed.Add(1)
				t.Error(err)
			}
		}
	}()
	began := time.Now()
	out, err := x.run(t, x.command...).CombinedOutput()
	took := time.Since(began)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	x.wantRefused(t)
	refused = time.Since(began)
	stop()
	<-loaded
	t.Logf("contain --run ended after %v; all is refused after %v; %d logins, %d failed\n%s", took, refused, sent.Load(), failed.Load(), out)
	x.wantEvidence(t)
	if out, err := x.run(t, x.command...).CombinedOutput(); err == nil || !strings.Contains(string(out), "contained and its evidence closed") {
		t.Errorf("the same command again: %v\n%s", err, out)
	}
	return refused, out
}

// TestAKilledContainmentIsTakenUpAgain kills the command each time that it has
// done one thing more.
func TestAKilledContainmentIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	x := steal(t, "alternating-users")
	const most = 30
	for kills := range most {
		cmd := x.run(t, x.command...)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "s ") && !strings.HasPrefix(lines.Text(), "rekey: ") {
				_ = cmd.Process.Kill() // SIGKILL
			}
		}
		err = cmd.Wait()
		if err == nil || strings.Contains(said.String(), "contained and its evidence closed") { // killed when all was done
			t.Logf("done after %d kills", kills)
			break
		}
		if cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("after %d kills: %v\n%s", kills, err, said.String())
		}
		if kills == most-1 {
			t.Fatalf("not done after %d kills\n%s", most, said.String())
		}
	}
	x.wantRefused(t)
	x.wantEvidence(t)
	if got := x.rotations(t); got != 3 {
		t.Errorf("%d rotations, want one of each secret", got)
	}
}
