package audit

import (
	"cmp"
	"slices"
	"strings"
)

// denials groups the refused calls.
func (b *builder) denials() []Denied {
	type key struct {
		secret            *subject
		principal, action string
	}
	groups := make(map[key]*Denied)
	for f := range b.asked() {
		if !f.denied || !f.isCall() || len(b.opts.Secrets) > 0 && (f.secret == nil || !f.secret.wanted) {
			continue
		}
		k := key{f.secret, f.who.id, f.action}
		d, ok := groups[k]
		if !ok {
			d = &Denied{Principal: k.principal, Action: k.action, First: f.at()}
			if f.secret != nil {
				d.Secret, d.SecretARN = f.secret.name, f.secret.arn
			}
			groups[k] = d
		}
		d.Count++
		d.Last, d.Message = f.at(), f.message()
		d.Events = latestTen(append(d.Events, b.eventID(f)))
	}
	out := make([]Denied, 0, len(groups))
	for _, d := range groups {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b Denied) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Secret, b.Secret), strings.Compare(a.SecretARN, b.SecretARN),
			strings.Compare(a.Principal, b.Principal), strings.Compare(a.Action, b.Action))
	})
	return out
}
