package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// documentStatements are about what is written down.
func documentStatements() []statement {
	return []statement{
		{"M65", "the four routes are documented, and the admin's are marked", routesAreDocumented},
		{"M68", "no file of the repository has the form of a key", noKeysInTheRepository},
		{"M90", "the first steps show the rotation, the schedule and the audit", firstStepsShowAll},
		{"M91", "runtime, values and security are documented, and no link leads nowhere", linksLeadSomewhere},
	}
}

func routesAreDocumented(r *run) error {
	var errs []error
	readme := r.file("README.md")
	for _, row := range []string{
		"| `POST /admin/secrets` | admin: ", "| `PUT /admin/secrets/rotate` | admin: ", "| `POST /auth/login` | sample: ", "| `POST /payments/charge` | sample: ",
	} {
		errs = append(errs, contains("README.md", readme, row))
	}
	var api struct {
		OpenAPI string
		Paths   struct {
			Store  struct{ Post operation } `json:"/admin/secrets"`
			Rotate struct{ Put operation }  `json:"/admin/secrets/rotate"`
		}
	}
	errs = append(errs, r.shop().call("GET", "/admin/openapi.json", "").into(&api))
	errs = append(errs,
		equal("POST /admin/secrets", fmt.Sprint(api.Paths.Store.Post), "{[admin] [map[bearer:[secrets:write]] map[signature:[secrets:write]]]}"),
		equal("PUT /admin/secrets/rotate", fmt.Sprint(api.Paths.Rotate.Put), "{[admin] [map[bearer:[secrets:rotate]] map[signature:[secrets:rotate]]]}"),
	)
	return errors.Join(append(errs, equal("the form of the document", api.OpenAPI, "3.1.0"))...)
}

// An operation is one of OpenAPI's.
type operation struct {
	Tags     []string
	Security []map[string][]string
}

// keyForms are the forms of keys that can be told by their looks.
var keyForms = regexp.MustCompile(`\bA[KS]IA[0-9A-Z]{16}\b|\b[rs]k_live_[0-9A-Za-z]{20,}|\bSG\.[\w-]{22}\.[\w-]{43}\b|\bgh[oprsu]_[0-9A-Za-z]{36}\b|` +
	`\bxox[abprs]-[\w-]{20,}|\bAIza[\w-]{35}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\n)*[0-9A-Za-z+/]{40,}`)

// noKeysInTheRepository knows keys of AWS's documents, and of trails in
// testdata, by their looks too: an access key's id is no secret.
func noKeysInTheRepository(r *run) error {
	files := r.shell("", "cd "+r.bench.root+" && git ls-files")
	if err := files.went(); err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(files.out) {
		path := strings.TrimSuffix(line, "\n")
		data, err := os.ReadFile(filepath.Join(r.bench.root, path)) //nolint:gosec // a file of the repository.
		if errors.Is(err, os.ErrNotExist) {
			continue // it is removed, and that is not committed
		}
		if err != nil {
			return err
		}
		n++
		for _, key := range keyForms.FindAllString(string(data), -1) {
			example := strings.HasSuffix(key, "EXAMPLE") || strings.Contains(key, "STOLEN") || strings.HasPrefix(path, "testdata/cloudtrail/")
			if !example {
				return fmt.Errorf("%s has something of the form of a key, which begins with %.8s", path, key)
			}
		}
	}
	return equal("whether there are files, and the forms are known", n > 300 && keyForms.MatchString("sk_"+"live_"+strings.Repeat("aB3", 8)), true)
}

// firstStepsShowAll runs the steps too.
func firstStepsShowAll(r *run) error {
	first := r.file("docs/getting-started.md")
	steps := []string{"rekey rotate database-credentials --wait", "rekey audit", "rekey clock advance 90d", "rekey list"}
	errs := []error{
		contains("README.md", r.file("README.md"), "go run ./cmd/rekey rotate database-credentials --wait\n", "go run ./cmd/rekey audit\n", "(docs/getting-started.md)"),
	}
	for _, step := range steps {
		errs = append(errs, contains("docs/getting-started.md", first, "\ngo run ./cmd/"+step+"\n"))
	}
	s := r.up("--state=")
	return errors.Join(append(errs,
		s.store("database-credentials", databaseValue),
		s.sh(strings.Join(steps, "\n")).shows("database-credentials rotated in ", "Secrets audit", "database-credentials"),
		s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=RotationSucceeded --query 'length(Events[?contains(CloudTrailEvent, `+"`database-credentials`"+`)])'`).
			prints("3"), // by the schedule: that by hand is older than the ninety days of the event history
	)...)
}

var (
	aLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	aHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInID  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

func linksLeadSomewhere(r *run) error {
	documents, err := filepath.Glob(filepath.Join(r.bench.root, "docs", "*.md"))
	if err != nil {
		return err
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		documents = append(documents, filepath.Join(r.bench.root, name))
	}
	var errs []error
	links := 0
	for _, document := range documents {
		for _, m := range aLink.FindAllStringSubmatch(read(document), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			errs = append(errs, leadsSomewhere(document, m[1]))
		}
	}
	return errors.Join(append(errs,
		equal("whether there are links", links > 40, true),
		contains("docs/runtime.md", r.file("docs/runtime.md"), "# Reading secrets", "client.Get("),
		contains("docs/values.md", r.file("docs/values.md"), "# Setting values", "CloudFormation", "Terraform"),
		contains("docs/security.md", r.file("docs/security.md"), "# Security", "## What holds"),
	)...)
}

// leadsSomewhere checks a link within the repository, to a file and a heading.
func leadsSomewhere(document, link string) error {
	path, heading, _ := strings.Cut(link, "#")
	target := document
	if path != "" {
		target = filepath.Join(filepath.Dir(document), filepath.FromSlash(path))
	}
	if _, err := os.Stat(target); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(document), err)
	}
	if heading == "" {
		return nil
	}
	for _, m := range aHeading.FindAllStringSubmatch(read(target), -1) {
		if strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == heading {
			return nil
		}
	}
	return fmt.Errorf("%s: there is no heading #%s in %s", filepath.Base(document), heading, filepath.Base(target))
}
