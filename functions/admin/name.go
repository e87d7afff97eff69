package admin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/stage"
)

// maxName is how long the name of a secret may be, with its stage.
const maxName = 512

var validName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]+$`)

// physicalName puts the stage before a logical name. Member is what the name
// was given as.
func (h *Handler) physicalName(member, name string) (string, *problem) {
	segments := strings.Split(name, "/")
	switch {
	case name == "":
		return "", badRequest("%s is missing", member)
	case len(name)+len(h.stage)+1 > maxName:
		return "", badRequest("%s is longer than %d characters", member, maxName-len(h.stage)-1)
	case !validName.MatchString(name):
		return "", badRequest("%s may have letters, digits and /_+=.@- only", member)
	case slices.ContainsFunc(segments, func(s string) bool { return s == "" || s == "." || s == ".." }):
		return "", badRequest("%s has an empty part, or one that is . or ..", member)
	case name == "rotate" || slices.Contains(reserved(), segments[len(segments)-1]) && len(segments) > 1:
		return "", badRequest("%s ends as a route of this API does", member)
	case stage.Has(h.stage, name):
		p := badRequest("%s has the stage before it already", member)
		p.Hint = fmt.Sprintf("use %q: the stage is added here", stage.Logical(h.stage, name))
		return "", p
	}
	return stage.Physical(h.stage, name), nil
}

// reserved are the last parts of the routes of one secret.
func reserved() []string { return []string{"rotation", "cancel", "rollback", "restore"} }
