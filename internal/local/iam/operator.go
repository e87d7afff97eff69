package iam

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A matcher compares a value of a request with one of a policy.
type matcher func(got string, c Context) bool

// An operator makes matchers of a kind of condition.
type operator struct {
	// compile reads a value of a policy.
	compile func(value string, variables bool) (matcher, error)
	// negated operators hold where nothing matches.
	negated bool
}

// operators are those of IAM but for Null, which looks at no value.
//
//nolint:gochecknoglobals // a constant table.
var operators = map[string]operator{
	"StringEquals":              {compile: text(func(p glob, got string) bool { return p.text == got })},
	"StringNotEquals":           {compile: text(func(p glob, got string) bool { return p.text == got }), negated: true},
	"StringEqualsIgnoreCase":    {compile: text(func(p glob, got string) bool { return strings.EqualFold(p.text, got) })},
	"StringNotEqualsIgnoreCase": {compile: text(func(p glob, got string) bool { return strings.EqualFold(p.text, got) }), negated: true},
	"StringLike":                {compile: text(glob.match)},
	"StringNotLike":             {compile: text(glob.match), negated: true},
	"ArnEquals":                 {compile: text(arnLike)},
	"ArnLike":                   {compile: text(arnLike)},
	"ArnNotEquals":              {compile: text(arnLike), negated: true},
	"ArnNotLike":                {compile: text(arnLike), negated: true},
	"NumericEquals":             {compile: number(func(got, want float64) bool { return got == want })},
	"NumericNotEquals":          {compile: number(func(got, want float64) bool { return got == want }), negated: true},
	"NumericLessThan":           {compile: number(func(got, want float64) bool { return got < want })},
	"NumericLessThanEquals":     {compile: number(func(got, want float64) bool { return got <= want })},
	"NumericGreaterThan":        {compile: number(func(got, want float64) bool { return got > want })},
	"NumericGreaterThanEquals":  {compile: number(func(got, want float64) bool { return got >= want })},
	"DateEquals":                {compile: date(time.Time.Equal)},
	"DateNotEquals":             {compile: date(time.Time.Equal), negated: true},
	"DateLessThan":              {compile: date(time.Time.Before)},
	"DateLessThanEquals":        {compile: date(func(got, want time.Time) bool { return !got.After(want) })},
	"DateGreaterThan":           {compile: date(time.Time.After)},
	"DateGreaterThanEquals":     {compile: date(func(got, want time.Time) bool { return !got.Before(want) })},
	"Bool":                      {compile: boolean},
	"BinaryEquals":              {compile: binary},
	"IpAddress":                 {compile: address},
	"NotIpAddress":              {compile: address, negated: true},
}

// text makes the compiler of an operator that knows policy variables.
func text(match func(p glob, got string) bool) func(string, bool) (matcher, error) {
	return func(value string, variables bool) (matcher, error) {
		p, err := compilePattern(value, variables)
		if err != nil {
			return nil, err
		}
		if len(p.variables) == 0 {
			return func(got string, _ Context) bool { return match(p.glob, got) }, nil
		}
		return func(got string, c Context) bool {
			g, ok := p.expand(c)
			return ok && match(g, got)
		}, nil
	}
}

// typed makes the compiler of an operator that compares values of a type. A
// value of a request that is not of the type matches nothing.
func typed[T any](what string, parse func(string) (T, error), match func(got, want T) bool) func(string, bool) (matcher, error) {
	return func(value string, _ bool) (matcher, error) {
		want, err := parse(value)
		if err != nil {
			return nil, fmt.Errorf("%q is no %s", value, what)
		}
		return func(got string, _ Context) bool {
			parsed, err := parse(got)
			return err == nil && match(parsed, want)
		}, nil
	}
}

func number(match func(got, want float64) bool) func(string, bool) (matcher, error) {
	return typed("number", func(value string) (float64, error) {
		n, err := strconv.ParseFloat(value, 64)
		if err == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
			err = strconv.ErrRange
		}
		return n, err
	}, match)
}

func date(match func(got, want time.Time) bool) func(string, bool) (matcher, error) {
	return typed("date such as 2026-01-31T00:00:00Z or number of seconds since 1970", parseDate, match)
}

// dateLayouts are the forms of ISO 8601 that IAM names.
//
//nolint:gochecknoglobals // a constant table.
var dateLayouts = []string{time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02"}

func parseDate(value string) (time.Time, error) {
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	var parsed time.Time
	var err error
	for _, layout := range dateLayouts {
		if parsed, err = time.Parse(layout, value); err == nil {
			break
		}
	}
	return parsed, err
}

func boolean(value string, _ bool) (matcher, error) {
	if !strings.EqualFold(value, "true") && !strings.EqualFold(value, "false") {
		return nil, fmt.Errorf("%q is neither true nor false", value)
	}
	return func(got string, _ Context) bool { return strings.EqualFold(got, value) }, nil
}

func binary(value string, _ bool) (matcher, error) {
	if _, err := base64.StdEncoding.DecodeString(value); err != nil {
		return nil, fmt.Errorf("%q is not in base 64", value)
	}
	return func(got string, _ Context) bool { return got == value }, nil
}

func address(value string, _ bool) (matcher, error) {
	network, err := netip.ParsePrefix(value)
	if err != nil {
		var one netip.Addr
		if one, err = netip.ParseAddr(value); err != nil || one.Zone() != "" {
			return nil, fmt.Errorf("%q is no address or network such as 10.0.0.0/8", value)
		}
		network = netip.PrefixFrom(one, one.BitLen())
	}
	return func(got string, _ Context) bool {
		addr, err := netip.ParseAddr(got)
		return err == nil && network.Contains(addr.Unmap())
	}, nil
}
