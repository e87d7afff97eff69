package main

import (
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

// A login is a secret with the login of a database's user, and with a rotation
// whose steps the check makes: the role of the system's own function may not
// read the secret, so that it does nothing.
type login struct {
	*system
	function *function
	name     string // of the secret and the user
	host     string
	port     string
}

var postgresAt = regexp.MustCompile(`(?m)^PostgreSQL +(\S+):(\d+) `)

// login makes a user and the secret. The function reaches AWS at an endpoint,
// and the database at a port; "" is its own.
func (s *system) login(name, endpoint, through string) (*login, error) {
	if s.err != nil {
		return nil, s.err
	}
	if endpoint == "" {
		endpoint = s.Ready.AWS
	}
	at := postgresAt.FindStringSubmatch(s.said())
	if at == nil {
		return nil, errors.New("rekey up tells of no PostgreSQL")
	}
	l := &login{system: s, name: name, host: at[1], port: at[2]}
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
		s.make(name, value),
	)
}

// psql runs a statement as a user, whose password no list of processes shows.
func (l *login) psql(user, password, statement string) output {
	if _, err := exec.LookPath("psql"); err != nil {
		return output{fault: fmt.Errorf("needs psql, which %w", errNoTool)}
	}
	return l.shell(statement, "psql -XAtq -v ON_ERROR_STOP=1", "PGHOST="+l.host, "PGPORT="+l.port, "PGDATABASE=app", "PGSSLMODE=require",
		"PGUSER="+user, "PGPASSWORD="+password)
}

// asSuperuser runs a statement as the user that may all.
func (l *login) asSuperuser(statement string) error {
	var su struct{ Username, Password string }
	value, err := l.current("database-superuser")
	if err == nil {
		err = unmarshal(value, &su)
	}
	if err != nil {
		return err
	}
	return l.psql(su.Username, su.Password, statement).went()
}

// begin starts a rotation and returns its version, which has no value.
func (l *login) begin() (version string, err error) {
	o := l.aws("secretsmanager", "secretsmanager.RotateSecret", marshal(map[string]any{
		"SecretId": "dev-" + l.name, "RotationLambdaARN": "arn:aws:lambda:us-east-1:123456789012:function:dev-dbrotator",
		"ClientRequestToken": newID(),
	}))
	var begun struct{ VersionID string }
	err = errors.Join(o.answer().like(200, ""), o.answer().into(&begun))
	return begun.VersionID, err
}

// step has the function make a step.
func (l *login) step(step, version string) error {
	answer, err := l.function.invoke(marshal(map[string]string{
		"Step": step, "SecretId": "dev-" + l.name, "ClientRequestToken": version, "RotationToken": newID(),
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return equal("the answer of "+step, answer, "null")
}

// A version of a secret, as it can be read; none has no id.
type version struct{ id, password string }

// labelled reads the version with a label.
func (l *login) labelled(label string) (version, error) {
	a := l.aws("secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"dev-`+l.name+`","VersionStage":"`+label+`"}`).answer()
	if a.status == 400 && strings.Contains(a.body, "ResourceNotFoundException") {
		return version{}, nil
	}
	var got struct{ VersionID, SecretString string }
	var value struct{ Password string }
	err := errors.Join(a.like(200, ""), a.into(&got))
	if err == nil {
		err = unmarshal(got.SecretString, &value)
	}
	return version{got.VersionID, value.Password}, err
}

// accepts reports whether the server lets the user in with the password of a
// version.
func (l *login) accepts(v version) (bool, error) {
	o := l.psql(l.name, v.password, "SELECT 1")
	if o.fault == nil && o.code == 2 && strings.Contains(o.err, "password authentication failed") {
		return false, nil
	}
	return true, o.prints("1")
}

// stands are the labels of a secret, and which of their versions the server
// accepts: what there is to see of where a rotation is. Versions are told by
// names such as "old".
func (l *login) stands(names map[string]string) (string, error) {
	var all []string
	for _, label := range []string{"AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"} {
		v, err := l.labelled(label)
		if err != nil {
			return "", err
		}
		if v.id == "" {
			all = append(all, label+" none")
			continue
		}
		accepted, err := l.accepts(v)
		if err != nil {
			return "", err
		}
		name := names[v.id]
		if name == "" {
			name = v.id
		}
		word := "refused"
		if accepted {
			word = "accepted"
		}
		all = append(all, label+" "+name+" "+word)
	}
	return strings.Join(all, ", "), nil
}

// stand checks where a rotation is.
func (l *login) stand(names map[string]string, want string) error {
	got, err := l.stands(names)
	return errors.Join(err, equal("what stands", got, want))
}

// stepsChangeOver looks after each step at labels and server.
func stepsChangeOver(r *run) error {
	l, err := r.shop().login("m95", "", "")
	if err != nil {
		return err
	}
	old, err := l.labelled("AWSCURRENT")
	fresh, unbegun := l.begin()
	if err := errors.Join(err, unbegun); err != nil {
		return err
	}
	names := map[string]string{old.id: "old", fresh: "new"}
	errs := []error{l.stand(names, "AWSCURRENT old accepted, AWSPENDING none, AWSPREVIOUS none")}
	for i, want := range []string{
		"AWSCURRENT old accepted, AWSPENDING new refused, AWSPREVIOUS none",
		"AWSCURRENT old refused, AWSPENDING new accepted, AWSPREVIOUS none",
		"AWSCURRENT old refused, AWSPENDING new accepted, AWSPREVIOUS none",
		"AWSCURRENT new accepted, AWSPENDING new accepted, AWSPREVIOUS old refused",
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
