package audit

import "time"

// joinWithin is how far the times of a read and of its decrypt may lie apart.
const joinWithin = 2 * time.Second

// joinVersions tells the reads of a secret which version they got, from the
// decrypts that KMS did for the same principal.
func joinVersions(s *subject) {
	type group struct{ reads, decrypts []*fact }
	groups := make(map[string]*group) // :: principal
	for _, f := range s.facts {
		if f.kind != kindRead && f.kind != kindDecrypt || !f.ok() {
			continue
		}
		g, ok := groups[f.who.id]
		if !ok {
			g = &group{}
			groups[f.who.id] = g
		}
		if f.kind == kindRead {
			g.reads = append(g.reads, f)
		} else {
			g.decrypts = append(g.decrypts, f)
		}
	}
	for _, g := range groups {
		join(g.reads, g.decrypts)
	}
}

// join pairs reads with decrypts, each with one at most. The reads that say
// their version take theirs first, so that it is not taken for another's.
func join(reads, decrypts []*fact) {
	if len(decrypts) == 0 {
		return
	}
	var explicit, plain []*fact
	for _, f := range reads {
		if f.explicit {
			explicit = append(explicit, f)
		} else {
			plain = append(plain, f)
		}
	}
	if len(explicit) > 0 {
		decrypts = pair(explicit, decrypts, func(f *fact) string { return f.version() }, func(_, _ *fact) {})
	}
	pair(plain, decrypts, func(*fact) string { return "" }, func(read, decrypt *fact) { read.used = decrypt.used })
}

// pair gives each read the nearest decrypt that is left of those that match,
// and returns the decrypts that nobody took. It goes by whole seconds, as the
// records do: first the pairs of the same second, then those a second apart.
// So it takes the same time for each however many there are.
func pair(reads, decrypts []*fact, match func(*fact) string, found func(read, decrypt *fact)) (left []*fact) {
	type slot struct {
		second int64
		match  string
	}
	free := make(map[slot][]*fact, len(decrypts))
	for _, d := range decrypts {
		k := slot{d.at().Unix(), match(d)}
		free[k] = append(free[k], d)
	}
	taken := make(map[*fact]bool)
	for _, apart := range []int64{0, 1, -1, 2, -2} {
		var open []*fact
		for _, read := range reads {
			k := slot{read.at().Unix() + apart, match(read)}
			list := free[k]
			if len(list) == 0 || list[0].at().Sub(read.at()).Abs() > joinWithin {
				open = append(open, read)
				continue
			}
			found(read, list[0])
			taken[list[0]] = true
			free[k] = list[1:]
		}
		reads = open
	}
	for _, d := range decrypts {
		if !taken[d] {
			left = append(left, d)
		}
	}
	return left
}
