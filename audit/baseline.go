package audit

import "time"

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
