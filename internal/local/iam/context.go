package iam

import (
	"maps"
	"slices"
	"strings"
)

// A Context looks the condition keys of a request up. It is asked for a key in
// lower case, as keys have no case, and gives its values; of a key that the
// request does not have there are none. A request asks it for the keys alone
// that a statement names. A nil one has no key.
type Context func(key string) []string

// Get returns the values of a key in lower case.
func (c Context) Get(key string) []string {
	if c == nil {
		return nil
	}
	return c(key)
}

// Text is what a [Context] gives for a key with one value: none where the
// value is empty.
func Text(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// Member is what a [Context] gives for a key that ends in a name, such as that
// of a tag. The name is in lower case, as the key is, and those of the members
// in any.
func Member(members map[string]string, name string) []string {
	for key, value := range members {
		if strings.ToLower(key) == name {
			return []string{value}
		}
	}
	return nil
}

// Names is what a [Context] gives for a key whose values are the names of
// members.
func Names(members map[string]string) []string { return slices.Collect(maps.Keys(members)) }
