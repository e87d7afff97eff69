package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// cacheStatements are about package runtime/secrets: setting values, and what
// is served from memory.
func cacheStatements() []statement {
	return []statement{
		{"M54", "a program sets a text, and the aws CLI reads it back to the byte", programsSetTexts},
		{"M55", "what a program has set is what it reads next", ownWritesAreRead},
		{"M56", "a value is served from memory for its time, which is five minutes, and no longer", valuesHaveTheirTime},
		{"M57", "a read may have a time of its own", readsHaveTheirOwnTime},
		{"M58", "the time of a read counts for what is in memory already", timesCountForWhatIsThere},
		{"M59", "a read that wants no cache asks Secrets Manager, each time", readsWithoutCache},
		{"M60", "what a read without cache got is what others read next", readsWithoutCacheRefresh},
	}
}

func programsSetTexts(r *run) error {
	s := r.shop()
	const text = "sk_live_\"new\" <key>\n\\ключ 🔑"
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	return errors.Join(
		s.make("m54", `"before"`),
		p.fails(order{Do: "set", Name: "m54", Value: text}, ""),
		s.sh("aws secretsmanager get-secret-value --secret-id dev-m54 --query '[SecretString,VersionStages]' --output json").
			isJSON(marshal([]any{text, []string{"AWSCURRENT"}})),
	)
}

// isJSON checks that commands went well and printed a JSON.
func (o output) isJSON(want string) error {
	if err := o.went(); err != nil {
		return err
	}
	return sameJSON(o.out, want)
}

func ownWritesAreRead(r *run) error {
	s := r.shop()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	errs := []error{
		s.make("m55", `"before"`), s.make("m55-unread", `"before"`),
		p.gets(order{Name: "m55"}, "before"),
		p.fails(order{Do: "set", Name: "m55-unread", Value: "after"}, ""),
		p.gets(order{Name: "m55-unread"}, "after"),
	}
	for i := range 20 {
		own := fmt.Sprint("own ", i)
		errs = append(errs, p.fails(order{Do: "set", Name: "m55", Value: own}, ""), p.gets(order{Name: "m55"}, own))
	}
	return errors.Join(errs...)
}

// A counted is a probe behind a gate, and the secret that it reads.
type counted struct {
	*system
	gate  *gate
	probe *probe
	name  string
}

// counted makes them, and has the secret in memory.
func (r *run) counted(flags ...string) (*counted, error) {
	s := r.shop()
	g, err := s.gate()
	if err != nil {
		return nil, err
	}
	p, err := s.probe(g.URL, flags...)
	if err != nil {
		return nil, err
	}
	c := &counted{s, g, p, "cached-" + r.id}
	return c, errors.Join(s.make(c.name, `"first"`), p.gets(order{Name: c.name}, "first"), equal("the reads of Secrets Manager", g.reads(), 1))
}

// put sets the value past the probe.
func (c *counted) put(value string) error {
	return c.admin("POST", "/admin/secrets", marshal(map[string]string{"secretName": c.name, "secretValue": value})).like(200, "stored")
}

// took checks that orders took so many reads of Secrets Manager.
func (c *counted) took(reads int, orders func() error) error {
	before := c.gate.reads()
	return errors.Join(orders(), equal("the reads of Secrets Manager that it took", c.gate.reads()-before, reads))
}

// valuesHaveTheirTime reads for five seconds while another sets the value again
// and again.
func valuesHaveTheirTime(r *run) error {
	const (
		ttl  = 2 * time.Second
		long = 5 * time.Second
	)
	c, err := r.counted("-ttl", ttl.String())
	if err != nil {
		return err
	}
	began := time.Now()
	once := c.took(0, func() error { return c.probe.gets(order{Name: c.name, Times: 1000}, "first") })
	if took := time.Since(began); took > time.Second {
		once = errors.Join(once, fmt.Errorf("1,000 reads took %v", took))
	}
	replaced := make(map[string]time.Time) // when each value was one no longer
	var puts error
	set := make(chan struct{})
	go func() {
		defer close(set)
		before := "first"
		for i := 0; time.Since(began) < long; i++ {
			value := strconv.Itoa(i)
			puts = errors.Join(puts, c.put(value))
			replaced[before] = time.Now()
			before = value
		}
	}()
	a, err := c.probe.do(order{Do: "get", Name: c.name, For: long})
	<-set
	if err := errors.Join(once, puts, err); err != nil {
		return err
	}
	for _, read := range a.Reads {
		if end, was := replaced[read.Value]; was && read.Last.Sub(end) > ttl {
			return fmt.Errorf("%q was read %v after it had been replaced", read.Value, read.Last.Sub(end))
		}
	}
	return errors.Join(
		equal("whether other values than the first were read", len(a.Reads) > 1, true),
		r.goTool("doc ./runtime/secrets Options.TTL").shows("If zero, it is five minutes"),
		contains("runtime/secrets/options.go", r.file("runtime/secrets/options.go"), "o.TTL = cmp.Or(o.TTL, 5*time.Minute)"),
	)
}

func readsHaveTheirOwnTime(r *run) error {
	c, err := r.counted()
	if err != nil {
		return err
	}
	const own = 3 * time.Second // so long that a machine under load reads within it
	began := time.Now()
	return errors.Join(
		c.took(0, func() error {
			r.wait(500*time.Millisecond - time.Since(began))
			return c.probe.gets(order{Name: c.name, TTL: own}, "first")
		}),
		c.put("second"),
		c.took(1, func() error {
			r.wait(own + 100*time.Millisecond - time.Since(began))
			return c.probe.gets(order{Name: c.name, TTL: own}, "second")
		}),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name}, "second") }),
	)
}

func timesCountForWhatIsThere(r *run) error {
	c, err := r.counted()
	if err != nil {
		return err
	}
	r.wait(2 * time.Second)
	return errors.Join(
		c.put("second"),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name}, "first") }),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name, TTL: time.Minute}, "first") }),
		c.took(1, func() error { return c.probe.gets(order{Name: c.name, TTL: time.Second}, "second") }),
	)
}

func readsWithoutCache(r *run) error {
	c, err := r.counted()
	if err != nil {
		return err
	}
	const calls = 25
	return errors.Join(
		c.took(calls, func() error { return c.probe.gets(order{Name: c.name, NoCache: true, Times: calls}, "first") }),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name, Times: calls}, "first") }),
	)
}

func readsWithoutCacheRefresh(r *run) error {
	c, err := r.counted()
	if err != nil {
		return err
	}
	return errors.Join(
		c.put("second"),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name}, "first") }),
		c.took(1, func() error { return c.probe.gets(order{Name: c.name, NoCache: true}, "second") }),
		c.took(0, func() error { return c.probe.gets(order{Name: c.name}, "second") }),
	)
}
