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

// counted makes them, and has the secret in memory. A read waits long for a value
// whose time has passed, before it is served that value as stale.
func (r *run) counted(flags ...string) (*counted, error) {
	s := r.shop()
	g, err := s.gate()
	if err != nil {
		return nil, err
	}
	p, err := s.probe(g.URL, append(flags, "-patience", eventWait.String())...)
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

// youngFor is the part of a value's time in which it is surely served from memory:
// later it may be read again beside the reads.
func youngFor(ttl time.Duration) time.Duration { return ttl * 7 / 10 }

// inTime reads the value, and checks that orders which follow take no read of
// Secrets Manager. Where they took longer than the value's time, that shows
// nothing, and it is done again.
func (c *counted) inTime(ttl time.Duration, orders func() error) error {
	for {
		began := time.Now()
		err := c.probe.gets(order{Name: c.name, NoCache: true}, "first")
		if err == nil {
			err = c.took(0, orders)
		}
		if err == nil || time.Since(began) < youngFor(ttl) || c.ctx.Err() != nil {
			return err
		}
	}
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
	err = c.inTime(ttl, func() error { return c.probe.gets(order{Name: c.name, Times: 1000}, "first") })
	if err != nil {
		return err
	}
	replaced, stop := c.putAgainAndAgain()
	var all []probed
	values := 0
	for tries := 10; err == nil && values < 2 && tries > 0; tries-- { // one, where the machine stood
		var a probed
		a, err = c.probe.do(order{Do: "get", Name: c.name, For: long})
		all, values = append(all, a), len(a.Reads)
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	for _, a := range all {
		for _, read := range a.Reads {
			// A read that began within the time may have been held up since.
			if end, was := replaced[read.Value]; was && read.Last.Sub(end) > ttl+a.Longest {
				return fmt.Errorf("%q was read %v after it had been replaced, and nothing took longer than %v", read.Value, read.Last.Sub(end), a.Longest)
			}
		}
	}
	return errors.Join(
		equal("whether another value was read in the end", values > 1, true),
		r.goTool("doc ./runtime/secrets Options.TTL").shows("If zero, it is five minutes"),
		contains("runtime/secrets/options.go", r.file("runtime/secrets/options.go"), "o.TTL = cmp.Or(o.TTL, 5*time.Minute)"),
	)
}

// putAgainAndAgain sets other values until it is stopped, and tells then when each
// value was one no longer.
func (c *counted) putAgainAndAgain() (replaced map[string]time.Time, stop func() error) {
	replaced = make(map[string]time.Time)
	over, ended := make(chan struct{}), make(chan error)
	go func() {
		before := "first"
		for i := 0; !isClosed(over); i++ {
			value := strconv.Itoa(i)
			if err := c.put(value); err != nil {
				ended <- err
				return
			}
			replaced[before] = time.Now()
			before = value
			c.wait(50 * time.Millisecond) // others call the API too
		}
		ended <- nil
	}()
	return replaced, func() error {
		close(over)
		return <-ended
	}
}

func readsHaveTheirOwnTime(r *run) error {
	c, err := r.counted()
	if err != nil {
		return err
	}
	const own = 3 * time.Second
	return errors.Join(
		c.inTime(own, func() error {
			r.wait(500 * time.Millisecond)
			return c.probe.gets(order{Name: c.name, TTL: own}, "first")
		}),
		c.put("second"),
		c.took(1, func() error {
			r.wait(own)
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
