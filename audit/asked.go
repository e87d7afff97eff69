package audit

import (
	"iter"
	"slices"
)

// This file has what narrows a report to one principal, see
// [Options.Principal]. All records are read and resolved all the same: which
// secret a name means, and which version was current when, others show too.

// asked are the facts of the principals that the report is of, in the order of
// time.
func (c *collector) asked() iter.Seq[*fact] {
	return func(yield func(*fact) bool) {
		for f := range c.facts.all() {
			if f.who.asked && !yield(f) {
				return
			}
		}
	}
}

// isAsked reports whether there is something to tell of a secret.
func (b *builder) isAsked(s *subject) bool {
	if b.opts.Principal == "" {
		return len(s.facts) > 0 || s.state != nil
	}
	return slices.ContainsFunc(s.facts, func(f *fact) bool { return f.isCall() && f.who.asked })
}

// reads are the reads of a secret by the principals that the report is of.
func (s *subject) reads() iter.Seq[*fact] {
	return func(yield func(*fact) bool) {
		for _, f := range s.facts {
			if f.isRead() && f.who.asked && !yield(f) {
				return
			}
		}
	}
}

// askedIDs are the principals that the report is of, where it is not of all.
func (c *collector) askedIDs() map[string]bool {
	ids := make(map[string]bool)
	if c.opts.Principal == "" {
		return ids
	}
	for f := range c.asked() {
		ids[f.who.id] = true
	}
	return ids
}

// askedFindings leaves out what is found of secrets and of others. Who read
// after a deletion was chosen before: it may be several.
func (c *collector) askedFindings(list []Finding, ids map[string]bool) []Finding {
	if c.opts.Principal == "" {
		return list
	}
	return slices.DeleteFunc(list, func(f Finding) bool { return !ids[f.Principal] && f.Kind != KindReadAfterDeletion })
}
