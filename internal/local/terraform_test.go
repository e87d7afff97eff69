package local_test

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/local"
)

// TestTerraform runs Terraform itself with its provider for AWS: everything in
// testdata/terraform is made, changed and destroyed, and a plan after each
// finds no changes. It is not run where terraform init does not find the
// provider without a network.
func TestTerraform(t *testing.T) {
	t.Parallel()
	e := start(t, local.Options{})
	tf := newTerraform(t, e)
	for _, round := range []string{"1", "2"} {
		tf.run(t, "apply", "-auto-approve", "-var=round="+round)
		tf.run(t, "plan", "-detailed-exitcode", "-out=plan", "-var=round="+round)
		if got, want := tf.run(t, "output", "-raw", "read"), "tf-kept round 1 1 123456789012"; got != want {
			t.Errorf("in round %s Terraform read %q, want %q", round, got, want)
		}
		tf.lacks(t, valueOf(t, e, "tf-once"))
	}
	if !e.Queues.Has("tf-jobs") || !e.Tables.Has("tf-leases") {
		t.Error("what Terraform made is not there")
	}
	tf.run(t, "destroy", "-auto-approve", "-var=round=2")
	if e.Queues.Has("tf-jobs") || e.Tables.Has("tf-leases") {
		t.Error("what Terraform destroyed is there")
	}
	restored(t, e, "tf-once")
}

// valueOf is the current value of a secret.
func valueOf(t *testing.T, e *local.Engine, name string) string {
	t.Helper()
	out, err := secretsmanager.NewFromConfig(configFor(e)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.SecretString)
}

// restored checks that the deletion of a secret is scheduled, and can be taken
// back.
func restored(t *testing.T, e *local.Engine, name string) {
	t.Helper()
	client := secretsmanager.NewFromConfig(configFor(e))
	about, err := client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &name})
	if err != nil || about.DeletedDate == nil {
		t.Fatalf("%s is %+v, %v; want one that is to be deleted", name, about, err)
	}
	if _, err := client.RestoreSecret(t.Context(), &secretsmanager.RestoreSecretInput{SecretId: &name}); err != nil {
		t.Fatal(err)
	}
	if len(valueOf(t, e, name)) != 32 {
		t.Errorf("the restored %s does not have the value that Terraform gave it", name)
	}
}

// A terraform is a folder with a configuration, for an engine.
type terraform struct {
	dir string
	env []string
}

// newTerraform makes the folder and has the provider found.
func newTerraform(t *testing.T, e *local.Engine) terraform {
	t.Helper()
	if _, err := exec.LookPath("terraform"); err != nil {
		t.Skip("NOT TESTED: there is no terraform")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/terraform")); err != nil {
		t.Fatal(err)
	}
	writeFunction(t, filepath.Join(dir, "function.zip"))
	tf := terraform{dir: dir, env: append(os.Environ(),
		"AWS_ENDPOINT_URL="+e.Endpoint(), "AWS_REGION="+local.Region, "AWS_ACCESS_KEY_ID=terraform", "AWS_SECRET_ACCESS_KEY=terraform",
		"AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_CONFIG_FILE="+filepath.Join(dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(dir, "none"),
		"TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1",
		"HTTPS_PROXY=http://127.0.0.1:9", // nothing is downloaded
	)}
	if out, err := tf.command(t, "init", "-input=false", "-no-color").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: terraform init finds no provider for AWS: %s", out)
	}
	return tf
}

// writeFunction writes a function's deployment package.
func writeFunction(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	archive := zip.NewWriter(file)
	header := &zip.FileHeader{Name: "bootstrap"}
	header.SetMode(0o755)
	w, err := archive.CreateHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("#!/bin/sh\n")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// command is terraform in the folder. It is interrupted, and not killed, if it
// takes too long, so that it ends the provider's process.
func (tf terraform) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "terraform", args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = tf.dir, tf.env, time.Minute
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd
}

// run runs a command that has to end well. A plan that finds changes ends with 2.
func (tf terraform) run(t *testing.T, args ...string) string {
	t.Helper()
	if args[0] != "output" {
		args = append(args, "-input=false")
	}
	cmd := tf.command(t, append(args, "-no-color")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("terraform %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// lacks checks that a value is neither in the state nor in the last plan.
func (tf terraform) lacks(t *testing.T, value string) {
	t.Helper()
	state, err := os.ReadFile(filepath.Join(tf.dir, "terraform.tfstate"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := zip.OpenReader(filepath.Join(tf.dir, "plan"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plan.Close() }() // it was read
	kept := map[string][]byte{"the state": state}
	for _, f := range plan.File {
		file, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if kept["the plan's "+f.Name], err = io.ReadAll(file); err != nil {
			t.Fatal(err)
		}
	}
	if len(kept) < 4 || !bytes.Contains(state, []byte("tf-once")) {
		t.Fatalf("there are %d files to look at", len(kept))
	}
	for name, data := range kept {
		if bytes.Contains(data, []byte(value)) {
			t.Errorf("%s has the value", name)
		}
	}
}
