package audit

import (
	"fmt"
	"time"
)

const (
	// bulkWithin is the time in which a principal's secrets are counted.
	bulkWithin = 5 * time.Minute
	// manyRegions is in how many Regions a principal reads within that time
	// before it is reported.
	manyRegions = 3
	// listedWithin is how long after a list the reads count as its fruit, and
	// listedSecrets how many different secrets they must be.
	listedWithin  = 15 * time.Minute
	listedSecrets = 5
)

// attempts groups the calls for values and for lists that one principal made,
// the refused ones as well, in the order of time. Where secrets were asked for,
// it is the principals that touched one of them.
func (b *builder) attempts() map[string][]*fact {
	byWho := make(map[string][]*fact)
	touched := make(map[string]bool)
	for f := range b.asked() {
		if f.kind != kindRead && f.kind != kindBatch && f.action != "ListSecrets" {
			continue
		}
		byWho[f.who.id] = append(byWho[f.who.id], f)
		if f.secret != nil && f.secret.wanted {
			touched[f.who.id] = true
		}
	}
	for who := range byWho {
		if len(b.opts.Secrets) > 0 && !touched[who] {
			delete(byWho, who)
		}
	}
	return byWho
}

// bulk finds the principals that went through many secrets, by several signs.
func (b *builder) bulk() []Finding {
	var out []Finding
	byWho := b.attempts()
	for _, who := range sortedKeys(byWho) {
		facts := byWho[who]
		out = append(out, b.bulkReads(who, facts)...)
		out = append(out, b.regions(who, facts)...)
		out = append(out, b.listThenGet(who, facts)...)
		out = append(out, b.catchAlls(who, facts)...)
	}
	return out
}

// bulkReads finds who read many secrets in a short time.
func (b *builder) bulkReads(who string, facts []*fact) []Finding {
	limit := b.opts.bulkSecrets()
	if limit < 0 {
		return nil
	}
	most, window := fullest(facts, bulkWithin, func(f *fact) *subject {
		if f.kind != kindRead || f.failed {
			return nil
		}
		return f.secret
	})
	if most < max(limit, 1) {
		return nil
	}
	return []Finding{b.finding(Finding{
		Severity: High, Kind: KindBulkRead, Principal: who,
		Text: fmt.Sprintf("asked for %d different secrets within five minutes", most),
		Next: containCommand(who, window),
	}, window)}
}

// regions finds who read in many Regions in a short time.
func (b *builder) regions(who string, facts []*fact) []Finding {
	most, window := fullest(facts, bulkWithin, func(f *fact) string {
		if f.action == "ListSecrets" {
			return ""
		}
		return f.region
	})
	if most < manyRegions {
		return nil
	}
	return []Finding{b.finding(Finding{
		Severity: Medium, Kind: KindManyRegions, Principal: who,
		Text: fmt.Sprintf("asked for secrets in %d Regions within five minutes", most),
		Next: b.lookupCommand(who, window),
	}, window)}
}

// listThenGet finds who listed the secrets and then read what was listed.
func (b *builder) listThenGet(who string, facts []*fact) []Finding {
	most, list, reads := fullestAfterList(facts)
	if most < listedSecrets {
		return nil
	}
	shown := append([]*fact{list}, reads...)
	return []Finding{b.finding(Finding{
		Severity: Medium, Kind: KindListThenGet, Principal: who,
		Text: fmt.Sprintf("listed the secrets and asked for %d of them within a quarter of an hour", most),
		Next: b.lookupCommand(who, shown),
	}, shown)}
}

// fullestAfterList returns the list after which most different secrets were
// asked for, and the reads that followed it.
func fullestAfterList(facts []*fact) (most int, list *fact, following []*fact) {
	var lists, reads []*fact
	for _, f := range facts {
		switch {
		case f.action == "ListSecrets" && f.ok():
			lists = append(lists, f)
		case f.kind == kindRead && f.secret != nil && !f.failed:
			reads = append(reads, f)
		}
	}
	in := make(map[*subject]int)
	begin, end := 0, 0
	for _, l := range lists {
		for ; end < len(reads) && !reads[end].at().After(l.at().Add(listedWithin)); end++ {
			in[reads[end].secret]++
		}
		for ; begin < end && reads[begin].at().Before(l.at()); begin++ {
			if in[reads[begin].secret]--; in[reads[begin].secret] == 0 {
				delete(in, reads[begin].secret)
			}
		}
		if len(in) > most {
			most, list, following = len(in), l, reads[begin:end]
		}
	}
	return most, list, following
}

// catchAlls finds batches whose filter leaves something out rather than naming
// what is wanted: it fetches everything.
func (b *builder) catchAlls(who string, facts []*fact) []Finding {
	var batches []*fact
	for _, f := range facts {
		if f.kind == kindBatch && f.rare != nil && f.rare.catchAll {
			batches = append(batches, f)
		}
	}
	if len(batches) == 0 {
		return nil
	}
	return []Finding{b.finding(Finding{
		Severity: High, Kind: KindBatchCatchAll, Principal: who,
		Text: "fetched a batch by a filter that excludes, which is all secrets but few: " + times(len(batches)),
		Next: containCommand(who, batches),
	}, batches)}
}

// fullest slides a window over facts in the order of time, and returns the one
// that has the most different keys, the first of them where there are several.
// Facts whose key is zero do not count.
func fullest[K comparable](facts []*fact, within time.Duration, key func(*fact) K) (most int, window []*fact) {
	var none K
	var counted []*fact
	for _, f := range facts {
		if key(f) != none {
			counted = append(counted, f)
		}
	}
	in := make(map[K]int)
	start := 0
	for i, f := range counted {
		in[key(f)]++
		for counted[start].at().Add(within).Before(f.at()) {
			k := key(counted[start])
			if in[k]--; in[k] == 0 {
				delete(in, k)
			}
			start++
		}
		if len(in) > most {
			most, window = len(in), counted[start:i+1]
		}
	}
	return most, window
}

// endpoints finds who reads a secret without a VPC endpoint where others use
// one. Services and the console have none.
func (b *builder) endpoints(s *subject) []Finding {
	used := false
	without := make(map[string][]*fact)
	for _, f := range s.facts {
		switch {
		case !f.isRead():
		case f.who.flags&flagEndpoint != 0:
			used = true
		case f.who.flags&flagConsole == 0 && networkOf(f.ip) != f.ip:
			if f.who.asked {
				without[f.who.id] = append(without[f.who.id], f)
			}
		}
	}
	var out []Finding
	if !used {
		return nil
	}
	for _, who := range sortedKeys(without) {
		out = append(out, b.finding(Finding{
			Severity: Low, Kind: KindNoEndpoint, Secret: s.name, SecretARN: s.arn, Principal: who,
			Text: "read without the VPC endpoint that others use, " + times(len(without[who])),
			Next: describeCommand(s),
		}, without[who]))
	}
	return out
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
