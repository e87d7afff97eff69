package deploy_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/rekey-go/rekey"
	"github.com/rekey-go/rekey/internal/deploy"
	"github.com/rekey-go/rekey/internal/deploy/deploytest"
)

const module = "github.com/rekey-go/rekey"

func ExampleReadTemplate() {
	template, err := deploy.ReadTemplate("template.yaml", []byte(`
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: functions/hello/bootstrap}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	packaged, err := template.Packaged(map[string]string{"functions/hello/bootstrap": "s3://artifacts/hello.zip"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(string(packaged))
	// Output:
	// Resources:
	//   Hello:
	//     Type: AWS::Serverless::Function
	//     Properties: {CodeUri: 's3://artifacts/hello.zip'}
}

func ownTemplate(t *testing.T) *deploy.Template {
	t.Helper()
	template, err := deploy.ReadTemplate("template.yaml", rekey.Template)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestThePackagedTemplateHasNoAliases(t *testing.T) {
	t.Parallel()
	template := ownTemplate(t)
	places := map[string]string{}
	for _, uri := range template.CodeURIs() {
		places[uri] = "s3://artifacts/" + filepath.Base(filepath.Dir(uri)) + ".zip"
	}
	body, err := template.Packaged(places)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(body), "CodeUri: functions/") || strings.Contains(string(body), "ContentUri: dist/") {
		t.Error("a function or layer has its code in a local folder")
	}
	var root yaml.Node
	if err := yaml.Unmarshal(body, &root); err != nil {
		t.Fatal(err)
	}
	if at := alias(&root); at != nil {
		t.Errorf("line %d has an anchor or alias, which CloudFormation does not take", at.Line)
	}
	if _, err := ownTemplate(t).Packaged(nil); err == nil {
		t.Error("a template was packaged whose functions have no package")
	}
}

// alias finds a node that is one, or has a name for others to stand for it.
func alias(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode || node.Anchor != "" {
		return node
	}
	for _, part := range node.Content {
		if at := alias(part); at != nil {
			return at
		}
	}
	return nil
}

func TestRetainedHasWhatIsTakenOverAlone(t *testing.T) {
	t.Parallel()
	body, err := ownTemplate(t).Retained([]string{"DatabaseCredentials"})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Resources map[string]struct {
			Properties map[string]any `yaml:"Properties"`
		} `yaml:"Resources"`
		Outputs any `yaml:"Outputs"`
	}
	if err := yaml.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Resources) != 1 || got.Outputs != nil {
		t.Errorf("it has %d resources and the outputs %v, want one and none", len(got.Resources), got.Outputs)
	}
	properties := got.Resources["DatabaseCredentials"].Properties
	if _, ok := properties["KmsKeyId"]; ok || properties["Name"] == nil {
		t.Errorf("the properties are %v, want those that need no other resource", properties)
	}
	if body, err = ownTemplate(t).Retained([]string{"DatabaseCredentials", "Key"}); err != nil || !strings.Contains(string(body), "KmsKeyId: !GetAtt Key.Arn") {
		t.Errorf("with its key, the secret has no KmsKeyId: %v", err)
	}
}

func TestHeldAreTheSecretsByTheirNames(t *testing.T) {
	t.Parallel()
	held, err := ownTemplate(t).Held(deploy.Setting{Parameters: map[string]string{"Stage": "prod"}, Region: "eu-west-1", Account: "123456789012", Stack: "rekey-prod"})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, h := range held {
		names[h.ID] = h.Name
	}
	for id, want := range map[string]string{"DatabaseCredentials": "prod-database-credentials", "ExternalApiKeys": "prod-external-api-keys", "Key": ""} {
		if got, ok := names[id]; !ok || got != want {
			t.Errorf("%s is held as %q, %v; want %q", id, got, ok, want)
		}
	}
}

func TestImportsTakeTheKeyWhereThereIsOne(t *testing.T) {
	t.Parallel()
	held := []deploy.Held{{ID: "Key", Type: "AWS::KMS::Key"}}
	secret := func(id, key string) deploy.Leftover {
		return deploy.Leftover{Held: deploy.Held{ID: id, Type: "AWS::SecretsManager::Secret"}, ARN: "arn:" + id, KeyID: key}
	}
	tests := map[string]struct {
		left []deploy.Leftover
		want string // the key
	}{
		"one key":                 {[]deploy.Leftover{secret("A", "arn:aws:kms:r:1:key/k1"), secret("B", "k1")}, "k1"},
		"none":                    {[]deploy.Leftover{secret("A", "")}, ""},
		"two, which do not agree": {[]deploy.Leftover{secret("A", "k1"), secret("B", "k2")}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := deploy.Imports(tt.left, held)
			if got["Key"].Value != tt.want || got["A"].Value != "arn:A" {
				t.Errorf("Imports = %+v, want the key %q and the secret", got, tt.want)
			}
		})
	}
}

func TestDangerousChangesLoseWhatIsHeld(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change deploy.Change
		want   bool
	}{
		"a secret that is replaced":  {deploy.Change{Action: "Modify", Type: "AWS::SecretsManager::Secret", Replaces: true}, true},
		"a secret that is changed":   {deploy.Change{Action: "Modify", Type: "AWS::SecretsManager::Secret"}, false},
		"a table that is removed":    {deploy.Change{Action: "Remove", Type: "AWS::DynamoDB::Table"}, true},
		"a key that is let go":       {deploy.Change{Action: "Remove", Type: "AWS::KMS::Key", Kept: true}, false},
		"a function that is removed": {deploy.Change{Action: "Remove", Type: "AWS::Lambda::Function"}, false},
	}
	for name, tt := range tests {
		if got := tt.change.Dangerous(); got != tt.want {
			t.Errorf("%s: Dangerous() = %v", name, got)
		}
	}
}

func TestThePackageIsTheProgramAndNothingElse(t *testing.T) {
	t.Parallel()
	p := deploy.Package{CodeURI: "functions/x/bootstrap", Program: []byte("#!/bin/sh\n")}
	first, err := p.Zip()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := p.Zip(); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same program gave two files, %v", err)
	}
	archive, err := zip.NewReader(bytes.NewReader(first), int64(len(first)))
	if err != nil || len(archive.File) != 1 {
		t.Fatalf("the package has %d files, %v", len(archive.File), err)
	}
	file := archive.File[0]
	content, err := file.Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(content); file.Name != "bootstrap" || file.Mode() != 0o755 || string(got) != "#!/bin/sh\n" {
		t.Errorf("the package has %s %v %q", file.Name, file.Mode(), got)
	}
}

func TestTheSourceIsLookedForUpwards(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := deploy.FindSource(below, module); !errors.Is(err, deploy.ErrNoSource) {
		t.Errorf("FindSource of an empty folder: %v, want ErrNoSource", err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+module+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if from, err := deploy.FindSource(below, module); err != nil || from.Root != root {
		t.Errorf("FindSource = %+v, %v; want %s", from, err, root)
	}
}

// maxZip is what AWS's copying and unpacking of a package is to stay within, in
// bytes.
const maxZip = 6_000_000

// TestThePackagesAreSmall builds the functions as a deployment does, and tells
// the sizes.
func TestThePackagesAreSmall(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED: building all functions for arm64 takes a minute")
	}
	from, err := deploy.FindSource(must(os.Getwd()), module)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := deploy.Build(t.Context(), from, ownTemplate(t).CodeURIs())
	if err != nil {
		t.Fatal(err)
	}
	var sizes []string
	for _, p := range packages {
		archive, err := p.Zip()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, fmt.Sprintf("%-40s %9d bytes, %9d unpacked", p.CodeURI, len(archive), len(p.Program)))
		if len(archive) > maxZip {
			t.Errorf("%s has %d bytes, more than %d", p.CodeURI, len(archive), maxZip)
		}
	}
	t.Log("\n" + strings.Join(sizes, "\n"))
	if diff := cmp.Diff(11, len(packages)); diff != "" {
		t.Errorf("functions and the agent (-want +got):\n%s", diff)
	}
}

// TestAPackageIsNamedByAllThatIsInIt has one program in the place of a function,
// of another, and of an extension: the functions share a package, which the layer
// cannot.
func TestAPackageIsNamedByAllThatIsInIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, file := range []string{"functions/a/bootstrap/bootstrap", "functions/b/bootstrap/bootstrap", "layers/c/extensions/c"} {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("a program"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := deploy.Build(t.Context(), deploy.Source{Artifacts: dir}, []string{"functions/a/bootstrap", "functions/b/bootstrap", "dist/layers/c"})
	if err != nil {
		t.Fatal(err)
	}
	if p[0].Hash != p[1].Hash || p[0].Hash == p[2].Hash {
		t.Errorf("the packages are named %s, %s and %s", p[0].Hash, p[1].Hash, p[2].Hash)
	}
}

func must(dir string, err error) string {
	if err != nil {
		panic(err)
	}
	return dir
}

// TestOnlyWhatIsMadeNeedsAPackage has the conditions of the template leave out
// functions and the layer.
func TestOnlyWhatIsMadeNeedsAPackage(t *testing.T) {
	t.Parallel()
	sample := []string{"functions/charge/bootstrap", "functions/login/bootstrap", "functions/protected/bootstrap"}
	const agent = "dist/layers/rekey-agent"
	tests := map[string]struct {
		parameters map[string]string
		out        []string // what is not needed
	}{
		"by default the layer is left out": {nil, []string{agent}},
		"with the layer, all are needed":   {map[string]string{"AgentLayer": "true"}, nil},
		"without the sample application":   {map[string]string{"SampleApplication": "false"}, append([]string{agent}, sample...)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template := ownTemplate(t)
			needed, err := template.NeededCodeURIs(deploy.Setting{Parameters: tt.parameters})
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, uri := range template.CodeURIs() {
				if !slices.Contains(needed, uri) {
					out = append(out, uri)
				}
			}
			slices.Sort(out)
			if diff := cmp.Diff(tt.out, out); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
		})
	}
}

// TestParametersThatTheStackHasCount is about those that a deployment is not
// given: conditions and rules go by them, too.
func TestParametersThatTheStackHasCount(t *testing.T) {
	t.Parallel()
	template, err := deploy.ReadTemplate("t.yaml", []byte(`
Parameters:
  Kept: {Type: String, Default: a}
  Hidden: {Type: String, Default: b, NoEcho: true}
  Asked: {Type: String, NoEcho: true}
Resources: {Queue: {Type: AWS::SQS::Queue}}
`))
	if err != nil {
		t.Fatal(err)
	}
	there := &types.Stack{}
	for _, name := range []string{"Kept", "Hidden", "Asked", "Gone"} {
		there.Parameters = append(there.Parameters, types.Parameter{ParameterKey: &name, ParameterValue: new("****")})
	}
	for stack, want := range map[*types.Stack]map[string]string{there: {"Kept": "****", "Asked": "****"}, nil: {}} {
		got, err := template.Kept(stack)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("parameters (-want +got):\n%s", diff)
		}
	}
}

// TestArtifactsAreLookedAtFirst has programs that Lambda could not run.
func TestArtifactsAreLookedAtFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for file, machine := range map[string]elf.Machine{"right": elf.EM_AARCH64, "intel": elf.EM_X86_64, "script": 0, "text": 0} {
		path := filepath.Join(dir, "functions", file, "bootstrap", "bootstrap")
		program := []byte("some text\n")
		switch {
		case machine != 0:
			var err error
			if program, err = deploytest.Program(machine, "example.com/"+file); err != nil {
				t.Fatal(err)
			}
		case file == "script":
			program = []byte("#!/bin/sh\n")
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, program, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct{ uri, want string }{
		"a program for arm64":          {"functions/right/bootstrap", ""},
		"a script":                     {"functions/script/bootstrap", ""},
		"one for another machine":      {"functions/intel/bootstrap", "functions/intel/bootstrap/bootstrap is for X86_64, not for arm64"},
		"no program":                   {"functions/text/bootstrap", "functions/text/bootstrap/bootstrap is no program for Linux"},
		"nothing":                      {"functions/none/bootstrap", "functions/none/bootstrap/bootstrap is missing"},
		"the layer, which has no file": {"dist/layers/rekey-agent", "layers/rekey-agent/extensions/rekey-agent is missing"},
	}
	for name, tt := range tests {
		err := deploy.Source{Artifacts: dir}.Check([]string{tt.uri})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (!errors.Is(err, deploy.ErrArtifacts) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	here := deploy.Source{Artifacts: dir, Here: true}
	if err := here.Check([]string{"functions/right/bootstrap"}); err != nil {
		t.Errorf("for this machine: %v", err)
	}
	if err := here.Check([]string{"functions/intel/bootstrap"}); (err == nil) != (runtime.GOARCH == "amd64") {
		t.Errorf("for a system on this machine, a program of X86_64: %v", err)
	}
}
