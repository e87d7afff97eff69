package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// destroyStatements are about deploying, and taking away again.
func destroyStatements() []statement {
	return []statement{
		{"M81", "a clean folder has a system after one command, and a deployed stage after another, in time", deployedByTwoCommands},
		{"M88", "destroy removes functions, API and secrets", destroyRemoves},
		{"M89", "deleted secrets come back for seven days, by restore and by a deployment, and are gone after them", secretsComeBack},
	}
}

// deployedByTwoCommands has functions that are built already, so that the time
// is that of the deployment and not of the compiler. It is the best of a few: the
// machine may have other things to do.
func deployedByTwoCommands(r *run) error {
	const most = 30 * time.Second
	var s *system
	var deployed error
	for try := range 3 {
		began := time.Now()
		s = r.upIn(fmt.Sprint("up", try), "--no-database")
		deployed = errors.Join(r.deployable(), s.sh(deployTest).shows("rekey-test is CREATE_COMPLETE"))
		took := time.Since(began)
		r.bench.say(r.id, fmt.Sprintf("# deployed after %v", took))
		if took <= most || deployed != nil {
			break
		}
		deployed = fmt.Errorf("it took %v", took)
	}
	return errors.Join(deployed,
		s.call("GET", "/protected", "").is(503, `{"error":"Secret not configured"}`),
		s.sh("rekey list --stage test").shows("database-credentials", "external-api-keys", "jwt-configuration"),
		contains("README.md", r.file("README.md"), "\ngo run ./cmd/rekey up --admin-token admin-token\n", "$ go run ./cmd/rekey deploy --stage prod "),
	)
}

var quoted = regexp.MustCompile(`"(?:[^"]*/)?([a-z-]+)"`)

// everything lists what there is of a stage.
func (s *system) everything(stage string) (string, error) {
	all := []output{
		s.sh(`curl "$SM/2015-03-31/functions/" --aws-sigv4 aws:amz:us-east-1:lambda --user operator:operator`),
		s.aws("sqs", "AmazonSQS.ListQueues", "{}"), s.aws("dynamodb", "DynamoDB_20120810.ListTables", "{}"),
		s.aws("events", "AWSEvents.ListEventBuses", "{}"), s.aws("secretsmanager", "secretsmanager.ListSecrets", "{}"),
	}
	var errs []error
	own := make(map[string]bool)
	for _, o := range all {
		errs = append(errs, o.answer().like(200, ""))
		for _, m := range quoted.FindAllStringSubmatch(o.out, -1) {
			if strings.HasPrefix(m[1], stage+"-") {
				own[m[1]] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(own)), " "), errors.Join(errs...)
}

func destroyRemoves(r *run) error {
	s := r.up("--no-database")
	deployed := s.deployWithKeys()
	api := s.sh(`aws cloudformation describe-stacks --stack-name rekey-test --query "Stacks[0].Outputs[?OutputKey=='ApiUrl'].OutputValue" --output text`).text()
	before, unread := s.everything("test")
	answers := s.sh("curl " + api + "/protected").answer()
	destroyed := s.sh("rekey destroy --stage test --yes")
	after, unreadAgain := s.everything("test")
	gone := s.sh("curl " + api + "/protected")
	other, unreadOther := s.everything("dev")
	return errors.Join(deployed, unread, unreadAgain, unreadOther,
		contains("what there was", before, "test-protected", "test-dbrotator", "test-rekey-retire", "test-rekey-bulletin", "test-rekey ", "test-database-credentials"),
		answers.like(200, "granted"),
		destroyed.shows("rekey-test is removed", "test-external-api-keys is deleted on "),
		equal("what is left", after, ""),
		s.sh("aws cloudformation describe-stacks --stack-name rekey-test").fails("does not exist"),
		equal("whether the API is gone", gone.code != 0 || gone.answer().status == 404, true),
		contains("what there is of the other stage", other, "dev-protected", "dev-external-api-keys"),
	)
}

// deployWithKeys deploys the stage test and stores a value in it.
func (s *system) deployWithKeys() error {
	return errors.Join(s.deployable(), s.sh(deployTest).went(), s.pipe(keysValue, "rekey put --stage test external-api-keys").went())
}

// secretsComeBack destroys the stage twice: the first time a deployment restores
// its secrets, the second time the aws CLI restores one of them.
func secretsComeBack(r *run) error {
	s := r.up("--no-database", "--state=")
	const (
		advance   = "rekey clock advance "
		deletedOn = `aws secretsmanager describe-secret --secret-id test-external-api-keys --query DeletedDate --output text`
		value     = "rekey get --stage test --reveal external-api-keys"
		destroy   = "rekey destroy --stage test --yes"
	)
	errs := []error{s.deployWithKeys(), s.sh("rekey clock freeze").went(), s.sh(destroy).went(), s.inSevenDays(deletedOn)}
	errs = append(errs,
		s.sh(advance+"6d").went(),
		s.sh(value).fails("marked for deletion"),
		s.sh(deployTest).went(),
		s.sh(value).prints(keysValue), s.sh(deletedOn).prints("None"),
		s.sh(destroy).went(), s.inSevenDays(deletedOn),
		s.sh(advance+"6d").went(),
		s.sh("aws secretsmanager restore-secret --secret-id test-external-api-keys").went(),
		s.sh(value).prints(keysValue),
		s.sh(advance+"2d").went(), // the eighth day
		s.sh(value).prints(keysValue),
		s.sh("aws secretsmanager describe-secret --secret-id test-jwt-configuration").fails("ResourceNotFoundException"),
		s.sh("aws secretsmanager restore-secret --secret-id test-jwt-configuration").fails("ResourceNotFoundException"),
	)
	return errors.Join(errs...)
}

// inSevenDays checks a date that a command prints, by the clock of the system.
func (s *system) inSevenDays(command string) error {
	o, clock := s.sh(command), s.sh("rekey clock")
	text, _, _ := strings.Cut(clock.text(), " ")
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return err
	}
	var seconds float64
	if _, err := fmt.Sscanf(o.text(), "%g", &seconds); err != nil {
		return fmt.Errorf("the date %q: %w", o.text(), err)
	}
	if off := time.Unix(int64(seconds), 0).Sub(now.AddDate(0, 0, 7)); off.Abs() > time.Minute {
		return fmt.Errorf("it is deleted %v off the seventh day", off)
	}
	return o.went()
}
