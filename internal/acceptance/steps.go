package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// stepStatements are about the rotation function as Secrets Manager calls it.
func stepStatements() []statement {
	return []statement{
		{"M95", "the rotation function makes each of the four steps, and only that", stepsChangeOver},
		{"M96", "a rotation that is killed between any two calls, and repeated, ends like one that is not", killedRotationsEndAlike},
		{"M97", "a rotation that is disabled, unknown, overtaken or done already is refused by name, or left alone", strayStepsAreRefused},
	}
}

// rotationSteps are the four steps of a rotation.
var rotationSteps = []string{"createSecret", "setSecret", "testSecret", "finishSecret"}

// A databaseLogin is a secret with the login of a database's user, and with a rotation
// whose steps the check makes: the role of the system's own function may not
// read the secret, so that it does nothing.
type databaseLogin struct {
	*system
	function *function
	name     string // of the secret and the user
	host     string
	port     string
}

var errNoPostgres = errors.New("rekey up tells of no PostgreSQL")

var postgresAt = regexp.MustCompile(`(?m)^PostgreSQL +(\S+):(\d+) `)

// databaseLogin makes a user and the secret. The function reaches AWS at an endpoint,
// and the database at a port; "" is its own.
func (s *system) databaseLogin(name, endpoint, through string) (*databaseLogin, error) {
	if s.err != nil {
		return nil, s.err
	}
	if endpoint == "" {
		endpoint = s.Ready.AWS
	}
	at := postgresAt.FindStringSubmatch(s.said())
	if at == nil {
		return nil, errNoPostgres
	}
	l := &databaseLogin{system: s, name: name, host: at[1], port: at[2]}
	if through == "" {
		through = l.port
	}
	f, err := s.function("dbrotator", endpoint)
	if err != nil {
		return nil, err
	}
	l.function = f
	value := fmt.Sprintf(`{"engine":"postgres","host":"127.0.0.1","port":%s,"username":%q,"password":"the-first-one","dbname":"app"}`, through, name)
	return l, errors.Join(
		l.asSuperuser("CREATE ROLE "+name+" LOGIN PASSWORD 'the-first-one'"),
		s.aws("secretsmanager", "secretsmanager.CreateSecret", marshal(map[string]any{
			"Name": l.secret(), "SecretString": value, "ClientRequestToken": newID(),
		})).answer().like(200, ""),
		s.letRotate("dbrotator", name),
	)
}

// letRotate lets Secrets Manager invoke a rotation function for a secret that is
// of no stage.
func (s *system) letRotate(function, name string) error {
	return s.pipe(`{"StatementId":"`+name+`","Action":"lambda:InvokeFunction","Principal":"secretsmanager.amazonaws.com"}`,
		`curl "$SM/2015-03-31/functions/dev-`+function+`/policy" --aws-sigv4 aws:amz:us-east-1:lambda --user operator:operator --data-binary @-`).
		answer().like(201, name)
}

// secret is the name of the login's secret. It is of no stage, so that the
// template's function, which Secrets Manager calls too, may not touch it: the
// check's own makes the steps.
func (l *databaseLogin) secret() string { return "none-" + l.name }

// psql runs commands for which the database is the system's.
func (l *databaseLogin) psql(input, commands string, env ...string) output {
	if _, err := exec.LookPath("psql"); err != nil {
		return output{fault: fmt.Errorf("needs psql, which %w", errNoTool)}
	}
	return l.shell(input, commands, append(env, "PGHOST="+l.host, "PGPORT="+l.port, "PGDATABASE=app", "PGSSLMODE=require")...)
}

// asSuperuser runs a statement as the user that may all.
func (l *databaseLogin) asSuperuser(statement string) error {
	var su struct{ Username, Password string }
	value, err := l.current("database-superuser")
	if err == nil {
		err = unmarshal(value, &su)
	}
	if err != nil {
		return err
	}
	return l.psql(statement, "psql -XAtq -v ON_ERROR_STOP=1", "PGUSER="+su.Username, "PGPASSWORD="+su.Password).went()
}

// begin starts a rotation and returns its version, which has no value.
func (l *databaseLogin) begin() (version string, err error) {
	o := l.aws("secretsmanager", "secretsmanager.RotateSecret", marshal(map[string]any{
		"SecretId": l.secret(), "RotationLambdaARN": "arn:aws:lambda:us-east-1:123456789012:function:dev-dbrotator",
		"ClientRequestToken": newID(),
	}))
	var begun struct{ VersionID string }
	err = errors.Join(o.answer().like(200, ""), o.answer().into(&begun))
	return begun.VersionID, err
}

// step has the function make a step.
func (l *databaseLogin) step(step, version string) error {
	answer, err := l.function.invoke(marshal(map[string]string{
		"Step": step, "SecretId": l.secret(), "ClientRequestToken": version, "RotationToken": newID(),
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return equal("the answer of "+step, answer, "null")
}

// currentVersion is the id of the version that is current.
func (l *databaseLogin) currentVersion() (string, error) {
	var got struct{ VersionID string }
	err := l.aws("secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"`+l.secret()+`"}`).answer().into(&got)
	return got.VersionID, err
}

// stands are the versions with AWSCURRENT, AWSPENDING and AWSPREVIOUS, and which
// of them the server accepts: what there is to see of where a rotation is.
// Versions are told by names such as "old".
func (l *databaseLogin) stands(names map[string]string) (string, error) {
	var passwords, all []string
	values := l.sh(`for label in AWSCURRENT AWSPENDING AWSPREVIOUS; do
		echo '{"SecretId":"` + l.secret() + `","VersionStage":"'$label'"}' | command curl -sS "$SM" --aws-sigv4 aws:amz:us-east-1:secretsmanager \
			--user operator:operator -H 'X-Amz-Target: secretsmanager.GetSecretValue' -H 'Content-Type: application/x-amz-json-1.1' --data-binary @- && echo
	done`)
	if err := values.went(); err != nil {
		return "", err
	}
	for line := range strings.Lines(values.text()) {
		var got struct{ VersionID, SecretString string }
		var value struct{ Password string }
		if strings.Contains(line, "ResourceNotFoundException") {
			all, passwords = append(all, "none"), append(passwords, "")
			continue
		}
		if err := errors.Join(unmarshal(line, &got), unmarshal(got.SecretString, &value)); err != nil {
			return "", err
		}
		all, passwords = append(all, cmp.Or(names[got.VersionID], got.VersionID)), append(passwords, value.Password)
	}
	accepted, err := l.accepts(passwords)
	if err == nil {
		err = equal("the number of labels", len(all), 3)
	}
	for i, word := range accepted {
		all[i] = strings.TrimSpace(all[i] + " " + word)
	}
	return strings.Join(all, ", "), err
}

// accepts says of passwords whether the server lets the user in with them; of
// none it says nothing.
func (l *databaseLogin) accepts(passwords []string) ([]string, error) {
	o := l.psql(strings.Join(passwords, "\n")+"\n", `while read -r PGPASSWORD; do
		export PGPASSWORD
		if [ -z "$PGPASSWORD" ]; then echo; elif said=$(psql -XAtqc "SELECT 1" </dev/null 2>&1); then echo accepted
		elif [[ $said == *"password authentication failed"* ]]; then echo refused; else echo "$said"; fi
	done`, "PGUSER="+l.name)
	return strings.Split(strings.TrimSuffix(o.out, "\n"), "\n"), o.went()
}

// stand checks where a rotation is.
func (l *databaseLogin) stand(names map[string]string, want string) error {
	got, err := l.stands(names)
	return errors.Join(err, equal("what stands", got, want))
}

// stepsChangeOver looks after each step at labels and server.
func stepsChangeOver(r *run) error {
	l, err := r.shop().databaseLogin("m95", "", "")
	if err != nil {
		return err
	}
	old, err := l.currentVersion()
	fresh, unbegun := l.begin()
	if err := errors.Join(err, unbegun); err != nil {
		return err
	}
	names := map[string]string{old: "old", fresh: "new"}
	errs := []error{l.stand(names, "old accepted, none, none")}
	for i, want := range []string{
		"old accepted, new refused, none",
		"old refused, new accepted, none",
		"old refused, new accepted, none",
		"new accepted, new accepted, old refused",
	} {
		for range 2 { // Secrets Manager may repeat a step
			errs = append(errs, l.step(rotationSteps[i], fresh), l.stand(names, want))
		}
	}
	return errors.Join(errs...)
}

// newID makes an id of a version.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
