package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// terraformWorks makes the calls of Terraform's provider for AWS, which is what
// the statement asks for, and then, where it is on the machine, has Terraform
// itself run what docs/values.md says of it.
func terraformWorks(r *run) error {
	if err := terraformsCallsWork(r); err != nil {
		return err
	}
	s := r.up("--no-database")
	tf, err := newTerraform(s)
	switch {
	case errors.Is(err, errNoTool):
		r.bench.say(r.id, "# NOT TESTED: Terraform itself: "+err.Error())
		return nil
	case err != nil:
		return err
	}
	return tf.story()
}

// terraformsCallsWork makes the calls in the provider's order, and repeats one,
// as it does where it got no answer.
func terraformsCallsWork(r *run) error {
	s := r.shop()
	call := func(name, body string) answer { return s.aws("secretsmanager", "secretsmanager."+name, body).answer() }
	const (
		first = `{"SecretId":"dev-m76","ClientRequestToken":"terraform-20310101000000000000000001","SecretString":"by Terraform"}`
		other = `{"SecretId":"dev-m76","ClientRequestToken":"terraform-20310101000000000000000001","SecretString":"another"}`
	)
	read := func(value string) error {
		return errors.Join(
			call("DescribeSecret", `{"SecretId":"dev-m76"}`).like(200, `"Description":"By Terraform"`),
			call("GetResourcePolicy", `{"SecretId":"dev-m76"}`).like(200, `"Name":"dev-m76"`),
			call("GetSecretValue", `{"SecretId":"dev-m76","VersionId":"terraform-20310101000000000000000001"}`).like(200, `"SecretString":"`+value+`"`),
		)
	}
	create := call("CreateSecret", `{"Name":"dev-m76","Description":"By Terraform","ClientRequestToken":"terraform-20310101000000000000000000","ForceOverwriteReplicaSecret":false}`)
	return errors.Join(
		create.like(200, `"Name":"dev-m76"`),
		call("PutSecretValue", first).like(200, `"VersionId":"terraform-20310101000000000000000001"`),
		call("PutSecretValue", first).like(200, `"VersionId":"terraform-20310101000000000000000001"`), // repeated
		call("PutSecretValue", other).like(400, "ResourceExistsException"),
		read("by Terraform"),
		s.sh("rekey get --reveal m76").prints("by Terraform"),
		s.admin("PUT", "/admin/secrets/rotate", `{"secretName":"m76","newValue":"rotated"}`).like(200, "rotated"),
		read("by Terraform"), // no drift
		s.sh("rekey get --reveal m76").prints("rotated"),
	)
}

// A terraform is Terraform with the configuration of docs/values.md, in a
// folder of the check.
type terraform struct {
	*system
	folder                           string
	provider, secret, first, removed string   // the blocks of the document
	values                           []string // that the secret has had
}

var hclBlock = regexp.MustCompile("(?ms)^```hcl\n(.*?)^```")

// newTerraform reads the document and has the provider found.
func newTerraform(s *system) (*terraform, error) {
	if _, err := exec.LookPath("terraform"); err != nil {
		return nil, fmt.Errorf("needs terraform, which %w", errNoTool)
	}
	blocks := hclBlock.FindAllStringSubmatch(s.file("docs/values.md"), -1)
	if len(blocks) != 4 {
		return nil, fmt.Errorf("docs/values.md has %d blocks for Terraform, want 4", len(blocks))
	}
	tf := &terraform{system: s, folder: s.run.dir, secret: blocks[0][1], first: blocks[1][1], removed: blocks[2][1]}
	tf.provider = strings.ReplaceAll(blocks[3][1], "http://127.0.0.1:4566", s.Ready.AWS)
	if err := tf.configure(tf.provider); err != nil {
		return nil, err
	}
	if o := tf.terraform("init"); o.went() != nil {
		return nil, fmt.Errorf("needs a provider for AWS that terraform init finds without a network, which %w", errNoTool)
	}
	return tf, nil
}

// configure writes the configuration.
func (tf *terraform) configure(blocks ...string) error {
	return os.WriteFile(filepath.Join(tf.folder, "main.tf"), []byte(strings.Join(blocks, "\n")), 0o600)
}

// terraform runs a command with the settings of whoever runs the check, which
// say where providers are, and without a network.
func (tf *terraform) terraform(arguments string) output {
	env := append([]string{"HOME=" + os.Getenv("HOME"), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1"}, offline...)
	for _, setting := range os.Environ() {
		if strings.HasPrefix(setting, "TF_") || strings.HasPrefix(setting, "XDG_") {
			env = append(env, setting)
		}
	}
	command, rest, _ := strings.Cut(arguments, " ")
	return tf.shell("", "terraform "+command+" -no-color -input=false "+rest, env...)
}

const (
	apply     = "apply -auto-approve"
	noChanges = "No changes. Your infrastructure matches the configuration."
	nothing   = "Resources: 0 added, 0 changed, 0 destroyed."
)

// story makes the secret, has its value change in every way, and destroys it.
func (tf *terraform) story() error {
	steps := []func() error{
		func() error { return tf.configure(tf.provider, tf.secret, tf.first) },
		func() error { return tf.terraform(apply).shows("Resources: 3 added") },
		tf.note,
		func() error { return tf.sh("rekey rotate webhook --wait").went() },
		tf.note,
		func() error { return tf.pipe("a value by hand", "rekey put webhook").went() },
		tf.unchanged,
		func() error { return tf.terraform(apply).shows(noChanges, nothing) },
		func() error { return tf.configure(tf.provider, tf.secret, tf.removed) },
		func() error { return tf.terraform(apply).shows(nothing) },
		func() error { return tf.terraform("destroy -auto-approve").shows("Resources: 2 destroyed.") },
		tf.comesBack,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("step %d with Terraform: %w", i+1, err)
		}
	}
	return nil
}

// note remembers the value that the secret has.
func (tf *terraform) note() error {
	value := tf.sh("rekey get --reveal webhook")
	tf.values = append(tf.values, value.text())
	return errors.Join(value.went(), equal("whether there is a value", len(value.text()) > 10, true))
}

// unchanged checks that Terraform sees no change, and that no value that the
// secret has had is in what it keeps.
func (tf *terraform) unchanged() error {
	if err := errors.Join(tf.note(), tf.terraform("plan -detailed-exitcode -out=plan").shows(noChanges)); err != nil {
		return err
	}
	state := read(filepath.Join(tf.folder, "terraform.tfstate"))
	plan, err := unzipped(filepath.Join(tf.folder, "plan"))
	return errors.Join(err,
		contains("the state", state, "aws_secretsmanager_secret_rotation"), contains("the plan", plan, "aws_secretsmanager_secret_rotation"),
		lacks("the state", state, tf.values...), lacks("the plan", plan, tf.values...),
	)
}

// unzipped is all that an archive has.
func unzipped(path string) (string, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = archive.Close() }() // it was read
	var all strings.Builder
	for _, f := range archive.File {
		file, err := f.Open()
		if err != nil {
			return "", err
		}
		if _, err := io.Copy(&all, file); err != nil { //nolint:gosec // a file of the check's own
			return "", err
		}
	}
	return all.String(), nil
}

// comesBack restores the destroyed secret, and has Terraform take it over again.
func (tf *terraform) comesBack() error {
	call := func(name string) answer {
		return tf.aws("secretsmanager", "secretsmanager."+name, `{"SecretId":"dev-webhook"}`).answer()
	}
	var secret struct{ ARN string }
	if err := errors.Join(call("DescribeSecret").like(200, `"DeletedDate":`), call("RestoreSecret").into(&secret)); err != nil {
		return err
	}
	return errors.Join(
		tf.sh("rekey get --reveal webhook").prints("a value by hand"),
		tf.configure(tf.provider, tf.secret),
		tf.terraform("import aws_secretsmanager_secret.webhook "+secret.ARN).shows("Import successful!"),
	)
}
