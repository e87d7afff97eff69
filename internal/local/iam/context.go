package iam

import "strings"

// A Context holds the condition keys of a request with their values. Keys have
// no case; [Context.Set] takes care of that.
type Context map[string][]string

// Set gives a key its values. Without values the request does not have the key.
func (c Context) Set(key string, values ...string) {
	if len(values) > 0 {
		c[strings.ToLower(key)] = values
	}
}

// SetText gives a key one value, unless that is empty.
func (c Context) SetText(key, value string) {
	if value != "" {
		c.Set(key, value)
	}
}

// get returns the values of a key in lower case.
func (c Context) get(key string) []string { return c[key] }
