package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// A subject is a secret while the report is made.
type subject struct {
	arn, name, account, region string
	// from is since when it had its name: its making, or what shows it first.
	from   time.Time
	number int     // in the order of the secrets, from one on
	facts  []*fact // while its part is made: see bySecret
	state  *State
	leases []Lease
	decoy  bool
	wanted bool
}

// key names a secret among all others.
func (s *subject) key() string {
	if s.arn != "" {
		return s.arn
	}
	return s.account + "/" + s.region + "/" + s.name
}

// position is the secret's number; zero for none.
func (s *subject) position() int {
	if s == nil {
		return 0
	}
	return s.number
}

// parseARN takes a secret's ARN apart. The name has the random end that
// Secrets Manager gives it.
func parseARN(text string) (region, account string, ok bool) {
	// arn:aws:secretsmanager:us-east-1:111122223333:secret:name-AbCdEf
	parts := strings.SplitN(text, ":", 7)
	if len(parts) < 7 || parts[0] != "arn" || parts[2] != "secretsmanager" || parts[5] != "secret" {
		return "", "", false
	}
	return parts[3], parts[4], true
}

// resource is the part of a secret's ARN after "secret:".
func resource(arn string) string {
	return arn[strings.LastIndexByte(arn, ':')+1:]
}

// trimSuffix takes the six random characters and their hyphen off.
func trimSuffix(resource string) (name string, ok bool) {
	i := len(resource) - 7
	if i < 1 || resource[i] != '-' {
		return resource, false
	}
	for _, c := range []byte(resource[i+1:]) {
		if ('0' > c || c > '9') && ('a' > c || c > 'z') && ('A' > c || c > 'Z') {
			return resource, false
		}
	}
	return resource[:i], true
}

// place is where a name means one secret at a time.
type place struct{ account, region, name string }

// A resolver knows which names and ARNs are the same secret.
type resolver struct {
	*collector
	byARN  map[string]*subject
	byName map[place][]*subject // those with an ARN
	named  map[place]*subject   // known by the name only
}

// resolve gives each fact its secret.
func (c *collector) resolve() []*subject {
	r := &resolver{
		collector: c,
		byARN:     make(map[string]*subject),
		byName:    make(map[place][]*subject),
		named:     make(map[place]*subject),
	}
	for i := range c.opts.Inventory {
		r.learnState(&c.opts.Inventory[i])
	}
	for f := range c.facts.all() {
		r.learn(f)
	}
	r.guess()
	for _, same := range r.byName {
		slices.SortFunc(same, func(a, b *subject) int { return cmp.Or(a.from.Compare(b.from), strings.Compare(a.arn, b.arn)) })
	}
	c.acts = newPool[act]() // of acts that know their secret
	for f := range c.facts.all() {
		s := r.find(f.at(), f.act)
		if f.rare != nil {
			f.secret = s // it is this fact's alone
		} else {
			about := *f.act
			about.secret = s
			f.act = c.act(about)
		}
		if f.kind == kindBatch && f.rare != nil {
			f.rare.secrets = r.listed(f)
		}
	}
	for _, l := range c.opts.Leases {
		if s := r.know(l.SecretARN, "", time.Time{}); s != nil {
			s.leases = append(s.leases, l)
		}
	}
	return r.subjects()
}

// learnState takes over what Secrets Manager says of a secret.
func (r *resolver) learnState(state *State) {
	if s := r.know(state.ARN, state.Name, state.Created); s != nil {
		s.state = state
	}
}

// guess takes the ARNs that no record vouches for: one is whole if it ends like
// one, and is not another one's beginning. The longest come first, so that the
// others find what they begin.
func (r *resolver) guess() {
	first := make(map[string]*fact)
	for f := range r.facts.all() {
		refs := []string{f.ref()}
		if f.kind == kindBatch && f.rare != nil {
			refs = f.rare.list
		}
		for _, ref := range refs {
			if _, known := r.byARN[ref]; known || !isARN(ref) || first[ref] != nil {
				continue
			}
			if _, ok := trimSuffix(resource(ref)); ok {
				first[ref] = f
			}
		}
	}
	refs := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		return cmp.Or(-cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
	for _, ref := range refs {
		if r.longer(ref) == nil {
			r.know(ref, "", first[ref].alive())
		}
	}
}

// listed are the secrets that a batch names, but for the one that it is about.
func (r *resolver) listed(batch *fact) []*subject {
	var out []*subject
	for i := range batch.rare.list {
		one := *batch.act
		one.named = &batch.rare.list[i]
		if s := r.find(batch.at(), &one); s != nil && s != batch.secret && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// alive is a time at which the secret was there: an ARN is named after its end
// as well, by calls that fail and by what Secrets Manager does by itself.
func (f *fact) alive() time.Time {
	if !f.ok() || f.kind == kindRotation || f.action == "DeleteSecret" {
		return time.Time{}
	}
	return f.at()
}

// learn takes from a fact which ARNs there are, and what their names are. The
// facts come in the order of time.
func (r *resolver) learn(f *fact) {
	if f.kind == kindDecrypt || f.kind == kindEncrypt {
		r.know(f.ref(), "", f.alive()) // KMS is always told the whole ARN
		return
	}
	if f.rare != nil && f.rare.arn != "" && f.kind != kindBatch {
		r.know(f.rare.arn, f.rare.name, f.alive())
	}
}

// know returns the secret of a whole ARN, which had its name at a time.
func (r *resolver) know(arn, name string, at time.Time) *subject {
	if s, ok := r.byARN[arn]; ok {
		return s
	}
	region, account, ok := parseARN(arn)
	if !ok {
		return nil
	}
	if name == "" || isARN(name) {
		name, _ = trimSuffix(resource(arn))
	}
	s := &subject{arn: arn, name: name, account: account, region: region, from: at}
	r.byARN[arn] = s
	of := place{account, region, name}
	r.byName[of] = append(r.byName[of], s)
	return s
}

// longer returns the known secret whose ARN is this one and a random end.
func (r *resolver) longer(arn string) *subject {
	region, account, ok := parseARN(arn)
	if !ok {
		return nil
	}
	same := r.byName[place{account, region, resource(arn)}]
	if len(same) == 0 {
		return nil
	}
	return same[0]
}

// find returns the secret of an act at a time, or nil if it names none.
func (r *resolver) find(at time.Time, a *act) *subject {
	if a.ref() == "" {
		return nil
	}
	if s, ok := r.byARN[a.ref()]; ok {
		return s
	}
	of := place{a.account, a.region, a.ref()}
	if region, account, ok := parseARN(a.ref()); ok {
		of = place{account, region, resource(a.ref())} // without its random end
	}
	if s := latest(r.byName[of], at); s != nil {
		return s
	}
	s, ok := r.named[of]
	if !ok {
		s = &subject{name: of.name, account: of.account, region: of.region}
		r.named[of] = s
	}
	return s
}

// latest returns the secret that had the name at a time: one that is deleted
// and made again has a new ARN. They are in the order of their making.
func latest(same []*subject, at time.Time) *subject {
	after, _ := slices.BinarySearchFunc(same, at, func(s *subject, at time.Time) int {
		if s.from.After(at) {
			return 1
		}
		return -1
	})
	switch {
	case len(same) == 0:
		return nil
	case after == 0: // named before anything shows it, as a call that failed may
		return same[0]
	}
	return same[after-1]
}

// subjects lists all secrets in a stable order.
func (r *resolver) subjects() []*subject {
	var all []*subject
	for _, s := range r.byARN {
		all = append(all, s)
	}
	for _, s := range r.named {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *subject) int {
		return slices.Compare([]string{a.name, a.account, a.region, a.arn}, []string{b.name, b.account, b.region, b.arn})
	})
	for i, s := range all {
		s.number = i + 1
	}
	return all
}
