package audit

import (
	"cmp"
	"slices"
	"strings"
)

// principals adds up what each principal did.
func (b *builder) principals() []Principal {
	rows := make(map[string]*principalBuilder)
	for _, f := range b.facts {
		if !f.isCall() || len(b.opts.Secrets) > 0 && (f.secret == nil || !f.secret.wanted) {
			continue
		}
		row, ok := rows[f.who.id]
		if !ok {
			row = &principalBuilder{
				Principal: Principal{ID: f.who.id, Type: f.who.kind, Account: f.who.account, First: f.at},
				touched:   make(map[*subject]touch),
				used:      make(map[*subject]actions),
			}
			rows[f.who.id] = row
		}
		row.add(f, b.label(f))
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

// touch says how a principal got on with a secret.
type touch uint8

const (
	touchTried touch = 1 << iota
	touchRead
)

// A principalBuilder adds up what one principal did.
type principalBuilder struct {
	Principal
	flags   flags
	labels  set
	touched map[*subject]touch
	// used are the actions that succeeded by secret, and under nil those that
	// are not about one.
	used map[*subject]actions
}

func (p *principalBuilder) add(f *fact, label string) {
	p.Last = f.at
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
		p.touched[f.secret] |= touchTried
		if f.ok() {
			p.touched[f.secret] |= touchRead
		}
	}
	if f.ok() {
		p.use(f)
	}
}

func (p *principalBuilder) done(b *builder) Principal {
	for _, t := range p.touched {
		if t&touchRead != 0 {
			p.Secrets++
		} else {
			p.Tried++
		}
	}
	p.Labels = sortedSet(p.labels)
	p.Flags = p.flags.names()
	if isARN(p.ID) && p.Type != "Root" {
		p.Policy = b.policy(p.used)
	}
	return p.Principal
}
