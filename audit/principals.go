package audit

import (
	"cmp"
	"slices"
	"strings"
)

// principals adds up what each principal did.
func (b *builder) principals() []Principal {
	rows := make(map[string]*principalBuilder)
	for f := range b.asked() {
		if !f.isCall() || len(b.opts.Secrets) > 0 && (f.secret == nil || !f.secret.wanted) {
			continue
		}
		row, ok := rows[f.who.id]
		if !ok {
			row = &principalBuilder{
				Principal: Principal{ID: f.who.id, Type: f.who.kind, Account: f.who.account, First: f.at()},
				used:      make(map[*subject]use),
			}
			rows[f.who.id] = row
		}
		row.add(f, b.label(f), b.bits)
	}
	out := make([]Principal, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.done(b))
	}
	slices.SortFunc(out, func(a, b Principal) int {
		return cmp.Or(-cmp.Compare(a.Secrets, b.Secrets), -cmp.Compare(a.Reads, b.Reads), strings.Compare(a.ID, b.ID))
	})
	return out
}

// A use is what a principal did with a secret.
type use struct {
	tried, read bool
	did         actions
}

// A principalBuilder adds up what one principal did.
type principalBuilder struct {
	Principal
	flags  flags
	labels set
	// used are the secrets that it touched, and under nil what is not about one.
	used map[*subject]use
}

func (p *principalBuilder) add(f *fact, label string, bits map[string]actions) {
	p.Last = f.at()
	p.flags |= f.who.flags
	if f.isCrossAccount() {
		p.flags |= flagCrossAccount
	}
	p.labels.add(label)
	switch {
	case f.denied:
		p.Denied++
	case f.failed:
		p.Errors++
	case f.kind == kindRead:
		p.Reads++
	case f.kind == kindBatch:
		p.Batches++
	case f.action == "ListSecrets":
		p.Lists++
	case f.kind == kindOther:
		p.Writes++
	}
	if f.kind == kindRead && f.secret != nil {
		u := p.used[f.secret]
		u.tried, u.read = true, u.read || f.ok()
		p.used[f.secret] = u
	}
	if f.ok() {
		p.note(f, bits)
	}
}

func (p *principalBuilder) done(b *builder) Principal {
	for _, u := range p.used {
		switch {
		case u.read:
			p.Secrets++
		case u.tried:
			p.Tried++
		}
	}
	p.Labels = p.labels.sorted()
	p.Flags = p.flags.names()
	if isARN(p.ID) && p.Type != "Root" {
		p.Policy = b.policy(p.used)
	}
	return p.Principal
}
