package audit

import (
	"cmp"
	"slices"
	"time"
)

// A promotion is a version becoming current.
type promotion struct {
	version string
	at      time.Time // zero: before the records begin
	by      string
}

// firstRead is what shows a promotion where no call does.
const firstRead = "first read"

// A history is which version of a secret was current when, and who carries
// out its rotations.
type history struct {
	subject    *subject
	promotions []promotion // in the order of time
	encrypted  map[string]bool
	rotators   map[string]bool
	current    string
	since      time.Time
	// told is whether somebody who knows told the current version.
	told bool
}

// newHistory reads a secret's history from its facts. The current version is
// given where the caller knows it, or the secret's state tells it.
func newHistory(s *subject, current string) *history {
	h := &history{subject: s, rotators: make(map[string]bool), encrypted: make(map[string]bool)}
	for _, f := range s.facts {
		if f.kind == kindEncrypt {
			h.encrypted[f.version()] = true
		}
	}
	tokens := rotationTokens(s)
	for _, f := range s.facts {
		if f.ok() {
			h.note(f, tokens)
		}
	}
	h.infer()
	if n := len(h.promotions); n > 0 {
		h.current = h.promotions[n-1].version
	}
	known := cmp.Or(current, s.state.labelled("AWSCURRENT"))
	h.current, h.told = cmp.Or(known, h.current), known != ""
	for _, p := range h.promotions {
		if p.version == h.current {
			h.since = p.at
		}
	}
	return h
}

// rotationTokens lists the versions that rotations were to make current.
func rotationTokens(s *subject) map[string]bool {
	tokens := make(map[string]bool)
	for _, f := range s.facts {
		switch {
		case f.kind == kindRotation && f.version() != "":
			tokens[f.version()] = true
		case f.action == "RotateSecret" && f.rare != nil && f.rare.token != "":
			tokens[f.rare.token] = true
		}
	}
	return tokens
}

// note takes from a fact which version it made current.
func (h *history) note(f *fact, tokens map[string]bool) {
	switch f.action {
	case "PutSecretValue":
		version := cmp.Or(f.rare.madeResult, f.rare.token)
		switch {
		case tokens[version]:
			h.rotators[f.who.id] = true
		case slices.Contains(f.rare.stages, "AWSPENDING"):
			h.rotators[f.who.id] = true
		case len(f.rare.stages) == 0 || slices.Contains(f.rare.stages, "AWSCURRENT"):
			h.promote(version, f)
		}
	case "CreateSecret", "UpdateSecret":
		// Their token is sent with or without a value; KMS was used only where
		// there was one.
		version := cmp.Or(f.rare.madeResult, f.rare.token)
		if f.rare.madeResult != "" || h.encrypted[version] {
			h.promote(version, f)
		}
	case "UpdateSecretVersionStage":
		if f.stage == "AWSCURRENT" {
			h.promote(f.rare.moved, f)
			if tokens[f.rare.moved] {
				h.rotators[f.who.id] = true
			}
		}
	case "RotationSucceeded":
		h.promote(f.version(), f)
	}
}

// promote adds a promotion, unless the version is the latest one already.
func (h *history) promote(version string, f *fact) {
	if version == "" {
		return
	}
	if n := len(h.promotions); n > 0 && h.promotions[n-1].version == version {
		return
	}
	h.promotions = append(h.promotions, promotion{version: version, at: f.at(), by: f.action})
}

// infer adds the versions that plain reads got and no record shows to have
// become current: a read that asks for no version gets the current one.
func (h *history) infer() {
	known := make(map[string]bool)
	for _, p := range h.promotions {
		known[p.version] = true
	}
	var first time.Time
	if len(h.promotions) > 0 {
		first = h.promotions[0].at
	}
	seen := 0
	for _, f := range h.subject.facts {
		if !f.isRead() || f.explicit || f.version() == "" || f.stage != "" && f.stage != "AWSCURRENT" {
			continue
		}
		seen++
		if known[f.version()] {
			continue
		}
		known[f.version()] = true
		p := promotion{version: f.version(), at: f.at(), by: firstRead}
		if seen == 1 && (first.IsZero() || f.at().Before(first)) {
			p.at, p.by = time.Time{}, "" // it was current before
		}
		h.promotions = append(h.promotions, p)
	}
	slices.SortStableFunc(h.promotions, func(a, b promotion) int { return a.at.Compare(b.at) })
}
