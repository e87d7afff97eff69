package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rekey-go/rekey/audit"
)

// number writes a number with a comma between thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return number(n) + " " + noun
}

func orNo(n int, noun string) string {
	if n == 0 {
		return "no " + noun + "s"
	}
	return count(n, noun)
}

// short is the beginning of a version's id, which is enough to tell it apart.
func short(version string) string {
	version = clean(version)
	if len(version) > 8 {
		return version[:8]
	}
	return version
}

// shortPrincipal is a principal without what its account has in common with
// all others: "role dev-login" for arn:aws:iam::111122223333:role/dev-login.
func shortPrincipal(id string) string {
	id = clean(id)
	parts := strings.SplitN(id, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return id
	}
	kind, name, ok := strings.Cut(parts[5], "/")
	if !ok {
		return parts[5] + " of " + parts[4]
	}
	if kind == "role" || kind == "user" {
		name = name[strings.LastIndexByte(name, '/')+1:] // without the path
	}
	return kind + " " + name
}

// principal is an access's principal with what is special about it.
func principal(a audit.Access) string {
	name := shortPrincipal(a.Principal)
	words := slices.Clone(a.Labels)
	for _, flag := range notable(a.Flags) {
		if !slices.Contains(words, flag) {
			words = append(words, flag)
		}
	}
	if len(words) > 0 {
		name += " (" + strings.Join(words, ", ") + ")"
	}
	return name
}

// finder is the principal of a finding, with what it is known as.
func finder(f audit.Finding) string {
	name := shortPrincipal(f.Principal)
	if len(f.Labels) > 0 {
		name += " (" + strings.Join(f.Labels, ", ") + ")"
	}
	return name
}

// notable are the flags that somebody should look at; the others say what is as
// it should be.
func notable(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(flag string) bool {
		return slices.Contains([]string{"mfa", "temporary-key", "imdsv2", "endpoint"}, flag)
	})
}

// holder is who a laggard is: a principal, or the consumer of a lease.
func holder(l audit.Laggard) string {
	if l.Principal == "" {
		return "consumer " + clean(l.Consumer)
	}
	return shortPrincipal(l.Principal)
}

// lastVersion is the version that a principal read last, where it is known.
func lastVersion(a audit.Access) string {
	if len(a.Versions) == 0 {
		return ""
	}
	return a.Versions[len(a.Versions)-1].VersionID
}

// from tells where calls came from: the first address, and how many more.
func from(a audit.Access) string {
	if len(a.IPs) == 0 {
		return ""
	}
	if len(a.IPs) == 1 {
		return clean(a.IPs[0])
	}
	return fmt.Sprintf("%s +%s", clean(a.IPs[0]), number(len(a.IPs)-1+a.More.IPs))
}

// took is how long a rotation took.
func took(r audit.Rotation) string {
	switch d := r.Duration(); {
	case r.Started.IsZero() || r.Ended.IsZero():
		return "-"
	case d < time.Second:
		return "<1s" // the trail tells time in seconds
	default:
		return d.Round(time.Second).String()
	}
}

// where is where a rotation failed.
func where(r audit.Rotation) string {
	if r.Status != audit.Failed && r.Status != audit.Abandoned {
		return ""
	}
	if r.Step != "" {
		return "in " + clean(r.Step)
	}
	return clean(r.Message)
}

func provenOf(list []audit.Laggard) []audit.Laggard {
	var out []audit.Laggard
	for _, l := range list {
		if l.Proven {
			out = append(out, l)
		}
	}
	return out
}
