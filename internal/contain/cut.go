package contain

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// A Measure takes access away from a principal. Rekey does not do it itself: its
// own credentials need not be able to.
type Measure struct {
	// Why says what it does.
	Why string `json:"why"`
	// Command is one of the AWS CLI.
	Command string `json:"command"`
	// Policy is the document that the command attaches, if it attaches one.
	Policy json.RawMessage `json:"policy,omitempty"`
}

// cut are the measures for each identity that the trace found.
func cut(t *audit.Trace, now time.Time) []Measure {
	out := []Measure{}
	done := make(map[string]bool)
	for _, m := range t.Matches {
		key := m.Identity
		if m.By == "access key" {
			key += " " + m.By
		}
		if done[key] {
			continue
		}
		done[key] = true
		_, resource, _ := strings.Cut(m.Identity, ":iam::")
		_, name, _ := strings.Cut(resource, ":")
		kind, path, _ := strings.Cut(name, "/")
		out = append(out, measures(kind, path[strings.LastIndexByte(path, '/')+1:], m, t.Principal, now)...)
	}
	return out
}

// measures are those for one identity.
func measures(kind, name string, m audit.Match, who string, now time.Time) []Measure {
	switch {
	case kind == "role":
		return []Measure{{
			Why: "revoke the sessions that the role has now, as the console's \"Revoke active sessions\" does; sessions that begin later go on, " +
				"so change the role's trust policy if whoever has the credentials can begin one",
			Command: fmt.Sprintf("aws iam put-role-policy --role-name %s --policy-name AWSRevokeOlderSessions --policy-document %s", quote(name), quote(string(revokeSessions(now)))),
			Policy:  revokeSessions(now),
		}}
	case kind == "user":
		var out []Measure
		if m.By == "access key" {
			out = append(out, Measure{
				Why:     "make the access key inactive",
				Command: fmt.Sprintf("aws iam update-access-key --user-name %s --access-key-id %s --status Inactive", quote(name), quote(who)),
			})
		}
		return append(out, Measure{
			Why:     "deny the user everything, by its other keys and its sessions too",
			Command: fmt.Sprintf("aws iam put-user-policy --user-name %s --policy-name RekeyContain --policy-document %s", quote(name), quote(string(denyAll()))),
			Policy:  denyAll(),
		})
	case m.Type == "Root":
		return []Measure{{
			Why:     "no policy binds the root user: change its password and delete its access keys in the console",
			Command: "aws iam get-account-summary --query SummaryMap.AccountAccessKeysPresent",
		}}
	}
	return []Measure{{
		Why:     fmt.Sprintf("%s is neither a role nor a user of IAM: find out what it belongs to", m.Identity),
		Command: "aws sts get-access-key-info --access-key-id " + quote(who),
	}}
}

// A statement is one of an IAM policy.
type statement struct {
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string]string `json:",omitempty"`
}

func policy(s statement) json.RawMessage {
	text, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{s}})
	if err != nil {
		return nil // of texts alone there is no error
	}
	return text
}

func denyAll() json.RawMessage {
	return policy(statement{Effect: "Deny", Action: []string{"*"}, Resource: []string{"*"}})
}

// revokeSessions denies everything to the sessions that began before a time: the
// policy that AWS documents for it.
func revokeSessions(now time.Time) json.RawMessage {
	return policy(statement{
		Effect: "Deny", Action: []string{"*"}, Resource: []string{"*"},
		Condition: map[string]map[string]string{"DateLessThan": {"aws:TokenIssueTime": now.UTC().Format("2006-01-02T15:04:05.000Z")}},
	})
}

// quote quotes a word for a shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
