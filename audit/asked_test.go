package audit_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/audit"
)

// shared is a trail of two roles and an operator that use one secret, and one of
// them another as well.
func shared() *trailOf {
	l := &trailOf{}
	l.promote(0, v1)
	l.read(10, "app", v1, nil)
	l.read(20, "worker", v1, m{"secretId": "db"}) // whose ARN only the others tell
	l.promote(100, v2)
	l.read(110, "app", v2, nil)
	l.read(120, "worker", v1, m{"secretId": "db"})
	l.read(130, "app", "", m{"secretId": "mail"})
	l.add(140, "app", "PutResourcePolicy", m{"requestParameters": m{"secretId": db}})
	return l
}

func TestAReportOfOnePrincipalIsItsPartOfTheWhole(t *testing.T) {
	t.Parallel()
	whole := report(t, shared().records, audit.Options{})
	for _, who := range []string{roleARN("app"), roleARN("worker"), roleARN("operator")} {
		got := report(t, shared().records, audit.Options{Principal: who})
		var want []audit.Access
		for _, s := range whole.Secrets {
			for _, a := range s.Accesses {
				if a.Principal == who {
					want = append(want, a)
				}
			}
		}
		var have []audit.Access
		for _, s := range got.Secrets {
			have = append(have, s.Accesses...)
		}
		if diff := cmp.Diff(want, have); diff != "" || len(have) == 0 {
			t.Errorf("%s: accesses (-want +got):\n%s", who, diff)
		}
		of := func(p audit.Principal) bool { return p.ID != who }
		if diff := cmp.Diff(slices.DeleteFunc(slices.Clone(whole.Principals), of), got.Principals); diff != "" {
			t.Errorf("%s: principals (-want +got):\n%s", who, diff)
		}
		changes := slices.DeleteFunc(slices.Clone(whole.Changes), func(c audit.Change) bool { return c.Principal != who })
		if diff := cmp.Diff(changes, got.Changes); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", who, diff)
		}
		findings := slices.DeleteFunc(slices.Clone(whole.Findings), func(f audit.Finding) bool { return f.Principal != who })
		if diff := cmp.Diff(findings, got.Findings); diff != "" {
			t.Errorf("%s: findings (-want +got):\n%s", who, diff)
		}
	}
	worker := report(t, shared().records, audit.Options{Principal: roleARN("worker")})
	if s := worker.Secrets; len(s) != 1 || s[0].ARN != db || s[0].Current != v2 || s[0].Reads != 2 || len(s[0].Laggards) != 1 {
		t.Errorf("the report of worker has %+v; want one secret, by the ARN that others tell, with 2 reads and a laggard", s)
	}
}

func TestAReportIsOfASessionOrAnAccessKey(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]string{
		"an access key":           "ASIATHIEF",
		"a session":               "i-0abc",
		"the session's ARN":       thiefSession,
		"the session's principal": "AROATHIEF:i-0abc",
	} {
		r := report(t, theft(), audit.Options{Principal: who})
		if p := r.Principals; len(p) != 1 || p[0].ID != thiefRole || p[0].Reads != 3 || p[0].Denied != 1 || p[0].Batches != 1 {
			t.Errorf("by %s: %+v; want 3 reads, 1 refused, 1 batch of %s", name, p, thiefRole)
		}
	}
	if r := report(t, theft(), audit.Options{Principal: "nobody"}); len(r.Secrets)+len(r.Principals)+len(r.Findings) > 0 || r.Coverage.Events == 0 {
		t.Errorf("the report of nobody has %+v", r)
	}
}

func TestARootUserWithoutAnARNIsFoundByTheNameThatReportsHave(t *testing.T) {
	t.Parallel()
	l := &trailOf{}
	l.add(0, "app", "GetSecretValue", m{"userIdentity": m{"type": "Root", "accountId": account}, "requestParameters": m{"secretId": "db"}})
	trace, err := audit.Follow(t.Context(), l.records, "root:"+account, audit.Options{})
	if err != nil || len(trace.Secrets) != 1 {
		t.Errorf("%+v, %v; want the secret that root read", trace, err)
	}
}
