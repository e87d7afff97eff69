package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// rotationStatements are about PUT /admin/secrets/rotate, and what comes of it.
func rotationStatements() []statement {
	return []statement{
		{"M61", "there is PUT /admin/secrets/rotate", rotateIsThere},
		{"M62", "the example of a rotation works as it is written", rotationExampleWorks},
		{"M63", "a rotation needs an admin token", rotationNeedsToken},
		{"M66", "POST stores a value, and PUT rotates a secret that there is", putIsForWhatThereIs},
		{"M98", "a consumer serves the new version when the rotation is finished, without waiting for its time", consumersHearOfIt},
		{"M100", "ninety days of schedules, by rate and by cron, make exactly the rotations that they say", schedulesAreKept},
		{"M101", "a rotation on demand takes a new value, or has the secret's own rotation make one", rotationOnDemand},
	}
}

func rotateIsThere(r *run) error {
	s := r.shop()
	return errors.Join(
		s.make("m61", `"before"`),
		s.admin("PUT", "/admin/secrets/rotate", `{"secretName":"m61","newValue":"after"}`).
			like(200, `"message":"Secret 'm61' rotated successfully"`),
		s.sh("rekey get --reveal m61").prints("after"),
		s.call("PATCH", "/admin/secrets/rotate", "{}", asAdmin).like(404, ""),
	)
}

// rotationExample is that of the interface that Rekey grew from.
const rotationExample = `curl -X PUT https://your-api.amazonaws.com/admin/secrets/rotate \
  -H "Authorization: Bearer admin-token" \
  -H "Content-Type: application/json" \
  -d '{
    "secretName": "jwt-configuration",
    "newValue": {
      "signing_key": "new-256-bit-secret-key",
      "issuer": "myapp.com"
    }
  }'`

// A rotating is the answer of a rotation.
type rotating struct{ Message, SecretName, VersionID, Status, StatusURL string }

// rotate has a secret rotate, and returns the answer when the rotation has ended.
func (s *system) rotate(body string) answer {
	a := s.admin("PUT", "/admin/secrets/rotate?wait=25s", body)
	if a.fault != nil || a.status != 202 {
		return a
	}
	var begun rotating
	if err := a.into(&begun); err != nil {
		return answer{fault: err}
	}
	return s.ended(begun)
}

// ended is how a rotation stands when it has ended. One question waits for as long
// as the API lets it.
func (s *system) ended(begun rotating) answer {
	for {
		var now rotating
		a := s.admin("GET", begun.StatusURL+"&wait=25s", "")
		if err := a.into(&now); err != nil || now.Status != "running" {
			return a
		}
	}
}

func rotationExampleWorks(r *run) error {
	s := r.up("--no-database")
	before := s.store("jwt-configuration", jwtValue)
	a := s.sh(strings.Replace(rotationExample, "https://your-api.amazonaws.com", s.Ready.API, 1)).answer()
	var begun, done rotating
	errs := []error{before, a.like(202, `"message":"Secret 'jwt-configuration' rotation started"`), a.has("Content-Type", "application/json"), a.into(&begun)}
	var value struct {
		SigningKey string `json:"signing_key"`
		Issuer     string
	}
	errs = append(errs, s.ended(begun).into(&done))
	text, err := s.current("jwt-configuration")
	if err == nil {
		err = unmarshal(text, &value)
	}
	return errors.Join(append(errs, err,
		equal("the status", done.Status, "finished"), equal("the version", done.VersionID, begun.VersionID),
		equal("the signing key", value.SigningKey, "new-256-bit-secret-key"), equal("the issuer", value.Issuer, "myapp.com"),
	)...)
}

func rotationNeedsToken(r *run) error {
	s := r.shop()
	const body = `{"secretName":"m63","newValue":"after"}`
	errs := []error{s.make("m63", `"before"`)}
	for _, headers := range [][]string{{isJSON}, {isJSON, notAdmin}, {isJSON, "Authorization: Basic " + token}, {isJSON, "Authorization: Bearer " + token + "x"}} {
		a := s.call("PUT", "/admin/secrets/rotate", body, headers...)
		errs = append(errs, a.is(403, forbidden), a.has("Content-Type", "application/json"))
	}
	return errors.Join(append(errs, s.sh("rekey get --reveal m63").prints("before"))...)
}

func putIsForWhatThereIs(r *run) error {
	s := r.shop()
	put := func(name string) answer {
		return s.admin("PUT", "/admin/secrets/rotate", `{"secretName":"`+name+`","newValue":"put"}`)
	}
	absent := put("m66")
	return errors.Join(
		absent.like(404, `"error":"Failed to rotate secret"`), absent.has("Content-Type", "application/problem+json"),
		s.sh("rekey get m66").fails("ResourceNotFoundException"),
		s.make("m66", `"posted"`), s.sh("rekey get --reveal m66").prints("posted"),
		put("m66").like(200, "rotated successfully"), s.sh("rekey get --reveal m66").prints("put"),
		s.admin("POST", "/admin/secrets", `{"secretName":"m66","secretValue":"posted again"}`).like(200, "stored"),
		s.sh("rekey get --reveal m66").prints("posted again"),
	)
}

// consumersHearOfIt has the consumer never look at the bulletin: the event alone
// tells it. By itself it would read the value again after minutes.
func consumersHearOfIt(r *run) error {
	s := r.up("--no-database", "--parameter", "CheckInterval=1h", "--parameter", "Lease=2h")
	var before, rotated struct{ VersionID string }
	heard := s.listen()
	err := errors.Join(
		s.store("external-api-keys", keysValue),
		s.call("GET", "/protected", "").into(&before),
		s.rotate(`{"secretName":"external-api-keys","newValue":{"stripe":"sk_test_2"}}`).into(&rotated),
	)
	serves := s.until(func() error { // which takes less than the five minutes of the value's time
		return s.call("GET", "/protected", "").like(200, `"stale":false,"versionId":"`+rotated.VersionID+`"`)
	})
	events := heard(func(messages string) error { return announced(messages, []string{rotated.VersionID}) })
	return errors.Join(err, serves,
		equal("whether the version is another", before.VersionID != "" && before.VersionID != rotated.VersionID, true),
		events.went(),
	)
}

// schedulesAreKept gives three secrets a schedule each, and moves the clock.
func schedulesAreKept(r *run) error {
	s := r.up("--no-database", "--iam", "off", "--state=") // the role of the function names other secrets
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1).Add(12 * time.Hour)
	end := start.AddDate(0, 0, 90)
	errs := []error{s.sh("rekey clock freeze; rekey clock set " + start.Format(time.RFC3339)).went()}
	for name, rules := range map[string]string{
		"m100-rate": `{"ScheduleExpression":"rate(30 days)"}`,
		"m100-cron": `{"ScheduleExpression":"cron(0 8 1 * ? *)"}`,
		"m100-week": `{"ScheduleExpression":"cron(0 20 ? * FRI *)","Duration":"3h"}`,
	} {
		errs = append(errs, s.make(name, `"before"`), s.aws("secretsmanager", "secretsmanager.RotateSecret",
			`{"SecretId":"dev-`+name+`","RotationLambdaARN":"arn:aws:lambda:us-east-1:123456789012:function:dev-keyrotator",`+
				`"RotateImmediately":false,"ClientRequestToken":"`+newID()+`","RotationRules":`+rules+`}`).answer().like(200, ""))
	}
	moved := s.sh("rekey clock advance 90d")
	rotated := s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=RotationSucceeded --output json \
		--query 'sort_by(Events, &EventTime)[].CloudTrailEvent'`)
	var records []string
	errs = append(errs, moved.shows(end.Format(time.RFC3339)), rotated.went(), unmarshal(rotated.out, &records))
	got := make(map[string][]string)
	for _, text := range records {
		var record struct {
			EventTime           string
			AdditionalEventData struct{ SecretID string }
		}
		errs = append(errs, unmarshal(text, &record))
		_, name, _ := strings.Cut(record.AdditionalEventData.SecretID, ":secret:dev-")
		name = name[:max(len(name)-len("-123456"), 0)]
		got[name] = append(got[name], record.EventTime)
	}
	midnight := start.Truncate(24 * time.Hour)
	var rate, cron, week []time.Time
	for n := range 91 {
		day := midnight.AddDate(0, 0, n)
		if n > 0 && n%30 == 0 {
			rate = append(rate, day)
		}
		if n > 0 && day.Day() == 1 {
			cron = append(cron, day.Add(8*time.Hour))
		}
		if n < 90 && day.Weekday() == time.Friday {
			week = append(week, day.Add(20*time.Hour))
		}
	}
	return errors.Join(append(errs,
		atTimes("rate(30 days)", got["m100-rate"], rate), atTimes("cron(0 8 1 * ? *)", got["m100-cron"], cron),
		atTimes("cron(0 20 ? * FRI *)", got["m100-week"], week),
	)...)
}

// atTimes checks the times of events.
func atTimes(what string, got []string, times []time.Time) error {
	var want []string
	for _, t := range times {
		want = append(want, t.Format(time.RFC3339))
	}
	return equal(what, strings.Join(got, " "), strings.Join(want, " "))
}

// rotationOnDemand looks at the server too: an old password is refused there.
func rotationOnDemand(r *run) error {
	s := r.up("--parameter", "CheckInterval=100ms")
	if err := s.stock(); err != nil {
		return err
	}
	var begun, done, own rotating
	a := s.admin("PUT", "/admin/secrets/rotate", `{"secretName":"database-credentials"}`)
	err := errors.Join(
		a.like(202, `"statusUrl":"/admin/secrets/database-credentials/rotation?versionId=`), a.into(&begun),
		s.ended(begun).into(&done), equal("the status", done.Status, "finished"),
	)
	made, unread := s.password()
	with := s.rotate(`{"secretName":"database-credentials","newValue":{"host":"localhost","username":"test","password":"one-of-my-own"}}`)
	given, unreadAgain := s.password()
	return errors.Join(err, unread, unreadAgain, with.like(200, "rotated successfully"), with.into(&own),
		equal("whether the password that was made is a new one, and long", made != "test123" && len(made) >= 32, true),
		equal("the password that was given", given, "one-of-my-own"),
		s.sh("rekey history database-credentials").shows("succeeded", fmt.Sprintf("%.8s", own.VersionID), fmt.Sprintf("%.8s", begun.VersionID)),
		s.call("POST", "/auth/login", aLogin).like(200, `"token"`),
		s.sh("rekey doctor database-credentials").shows("AWSCURRENT"),
	)
}

// password is the current one of the database's login.
func (s *system) password() (string, error) {
	var value struct{ Password string }
	text, err := s.current("database-credentials")
	if err == nil {
		err = unmarshal(text, &value)
	}
	return value.Password, err
}
