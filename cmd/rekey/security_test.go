package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheTestsOfTheThreatsExist holds docs/security.md to what it says is
// shown: each threat names tests, and each test is in the package it is said
// to be in.
func TestTheTestsOfTheThreatsExist(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	threats := regexp.MustCompile(`(?m)^## T\d+: `).Split(string(doc), -1)[1:]
	if len(threats) != 15 {
		t.Errorf("docs/security.md has %d threats, want 15", len(threats))
	}
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
	for _, threat := range threats {
		title, _, _ := strings.Cut(threat, "\n")
		tests := named.FindAllStringSubmatch(threat, -1)
		if len(tests) == 0 {
			t.Errorf("%s: no test shows what is done about it", title)
		}
		for _, m := range tests {
			if !declares(t, filepath.Join("../..", m[1]), m[2]) {
				t.Errorf("%s: there is no %s in %s", title, m[2], m[1])
			}
		}
	}
}

// declares reports whether a test file of a folder has a function of the name.
func declares(t *testing.T, dir, function string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+function+"(") {
			return true
		}
	}
	return false
}

// keyForms are the forms of keys that can be told by their looks.
var keyForms = regexp.MustCompile(strings.Join([]string{
	`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`,
	`\b[rs]k_live_[0-9A-Za-z]{16,}`,
	`\bSG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}\b`,
	`\bgh[oprsu]_[0-9A-Za-z]{36}\b`,
	`\bxox[abprs]-[0-9A-Za-z-]{20,}`,
	`\bAIza[0-9A-Za-z_-]{35}\b`,
	`-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\n)*[0-9A-Za-z+/]{40,}`,
}, "|"))

// TestTheFormsOfKeysAreKnown tries keyForms, so that a repository in which
// nothing is found is one in which nothing is.
func TestTheFormsOfKeysAreKnown(t *testing.T) {
	t.Parallel()
	fill := strings.Repeat("aB3", 20)
	for name, text := range map[string]string{
		"an access key of AWS":         "AK" + "IA" + "J3" + strings.Repeat("Q7", 7),
		"a key of Stripe":              "sk_" + "live_" + fill[:24],
		"a key of SendGrid":            "SG" + "." + fill[:22] + "." + fill[:43],
		"a token of GitHub":            "gh" + "p_" + fill[:36],
		"a token of Slack":             "xo" + "xb-" + fill[:24],
		"a key of Google":              "AI" + "za" + fill[:35],
		"a private key":                "-----BEGIN " + "PRIVATE KEY-----\n" + fill,
		"a private key, within a text": "-----BEGIN " + "EC PRIVATE KEY-----" + `\n` + fill,
	} {
		if !keyForms.MatchString(`x = "` + text + `"`) {
			t.Errorf("%s is not found", name)
		}
	}
}

// TestNoKeyIsInTheRepository looks through every file of the repository for
// what has the form of a key.
func TestNoKeyIsInTheRepository(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Skipf("NOT TESTED: git does not list the repository's files: %v", err)
	}
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join("../..", file))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range keyForms.FindAllIndex(data, -1) {
			if found := string(data[at[0]:at[1]]); !invented(file, found) {
				t.Errorf("%s:%d: something of the form of a key, which begins with %.8s", file, 1+strings.Count(string(data[:at[0]]), "\n"), found)
			}
		}
	}
}

// invented reports whether a key is one that was made up for tests: AWS's
// examples, the thief of docs/contain.md, and the access keys, which are names
// and no secrets, of the generated trail.
func invented(file, key string) bool {
	return strings.HasSuffix(key, "EXAMPLE") || key == "AKIA"+"STOLEN0000000000" ||
		strings.HasPrefix(file, "testdata/cloudtrail/") && (strings.HasPrefix(key, "AKIA") || strings.HasPrefix(key, "ASIA"))
}
