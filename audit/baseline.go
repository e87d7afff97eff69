package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"time"
)

const (
	baselineVersion = 1
	// remembered is how long something counts as known that is not seen again.
	remembered = 365 * 24 * time.Hour
	// mostSeen is how much is remembered of a secret and kind: one that has more
	// is used from everywhere, and nothing stands out.
	mostSeen = 10_000
)

// A Baseline is what was seen of each secret so far: who used it, from which
// networks and with which programs. It is the state that makes something new
// stand out. Its JSON form is what is kept between reports.
type Baseline struct {
	// Version is the version of the form, 1.
	Version int `json:"version"`
	// Updated is when the report that it comes from was made.
	Updated time.Time `json:"updated"`
	// Secrets are by ARN, and by "account/region/name" where that is not known.
	Secrets map[string]*Seen `json:"secrets"`
}

// Seen is what was seen of one secret. The members are by what was seen, and
// tell the day on which it was seen last, as 2026-03-02.
type Seen struct {
	Principals map[string]string `json:"principals,omitempty"`
	Networks   map[string]string `json:"networks,omitempty"`
	Agents     map[string]string `json:"agents,omitempty"`
}

// ErrBaseline means that a baseline cannot be read: start anew without it.
var ErrBaseline = errors.New("not a baseline of this program's version")

// ReadBaseline reads a baseline in its JSON form. The error wraps [ErrBaseline]
// if it is none, or of another version.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	var b Baseline
	if err := json.NewDecoder(r).Decode(&b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBaseline, err)
	}
	if b.Version != baselineVersion {
		return nil, fmt.Errorf("%w: it has version %d, want %d", ErrBaseline, b.Version, baselineVersion)
	}
	return &b, nil
}

// Write writes the baseline in its JSON form.
func (b *Baseline) Write(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(b); err != nil {
		return fmt.Errorf("writing the baseline: %w", err)
	}
	return nil
}

// next is a copy to add to, without what was not seen for a long time.
func (b *Baseline) next(now time.Time) *Baseline {
	out := &Baseline{Version: baselineVersion, Updated: now.UTC(), Secrets: make(map[string]*Seen)}
	if b == nil {
		return out
	}
	oldest := now.Add(-remembered).UTC().Format(time.DateOnly)
	for key, s := range b.Secrets {
		kept := &Seen{}
		for _, kind := range []string{NewPrincipal, NewNetwork, NewAgent} {
			m := maps.Clone(s.of(kind))
			maps.DeleteFunc(m, func(_, day string) bool { return day < oldest })
			kept.set(kind, m)
		}
		out.Secrets[key] = kept
	}
	return out
}

func (s *Seen) of(kind string) map[string]string {
	switch {
	case s == nil:
		return nil
	case kind == NewPrincipal:
		return s.Principals
	case kind == NewNetwork:
		return s.Networks
	}
	return s.Agents
}

func (s *Seen) set(kind string, m map[string]string) {
	switch kind {
	case NewPrincipal:
		s.Principals = m
	case NewNetwork:
		s.Networks = m
	default:
		s.Agents = m
	}
}

// add notes that something was seen on a day, and reports whether it is new.
func (s *Seen) add(kind, value, date string) (isNew bool) {
	m := s.of(kind)
	last, known := m[value]
	if !known && len(m) >= mostSeen {
		return false
	}
	if m == nil {
		m = make(map[string]string)
		s.set(kind, m)
	}
	m[value] = max(last, date)
	return !known
}

// A calendar writes the dates of times. Where they come in their order, all of a
// day share one text.
type calendar struct {
	midnight time.Time
	text     string
}

func (c *calendar) date(at time.Time) string {
	if midnight := at.UTC().Truncate(day); c.text == "" || !midnight.Equal(c.midnight) {
		c.midnight, c.text = midnight, midnight.Format(time.DateOnly)
	}
	return c.text
}

// compare finds what is new by the baseline that was given, and makes the next
// one. What is seen of a secret that the baseline does not know is learnt and
// not reported: all of it would be new.
func (b *builder) compare() ([]FirstSeen, *Baseline) {
	next := b.opts.Baseline.next(b.opts.Now)
	known := make(map[string]bool, len(next.Secrets))
	for key := range next.Secrets {
		known[key] = true
	}
	out := []FirstSeen{}
	var days calendar
	for f := range b.facts.all() {
		s := f.secret
		if s == nil || f.kind != kindRead || !f.ok() && !f.denied {
			continue
		}
		key, date := s.key(), days.date(f.at())
		seen := next.Secrets[key]
		if seen == nil {
			seen = &Seen{}
			next.Secrets[key] = seen
		}
		for _, one := range []struct{ kind, value string }{
			{NewPrincipal, f.who.id}, {NewNetwork, b.network(f.ip)}, {NewAgent, b.family(f.agent)},
		} {
			if one.value != "" && seen.add(one.kind, one.value, date) && known[key] && s.wanted && f.who.asked {
				out = append(out, FirstSeen{
					At: f.at(), Secret: s.name, SecretARN: s.arn, Kind: one.kind, Value: one.value,
					Principal: f.who.id, Event: b.eventID(f),
				})
			}
		}
	}
	return out, next
}

// network is an address's /24, or /48 of IPv6, and anything else itself: a
// service's name.
func (b *builder) network(ip string) string {
	if known, ok := b.networks[ip]; ok {
		return known
	}
	network := networkOf(ip)
	b.networks[ip] = network
	return network
}

func networkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	bits := 24
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		bits = 48
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}
