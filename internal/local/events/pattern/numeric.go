package pattern

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

const (
	// million is the unit of comparison: numbers are compared to six decimals.
	million  = 1_000_000
	decimals = 6
	// limit is the largest number that is compared by value, in millionths.
	limit = 5_000_000_000 * million
)

// A comparable is a number in millionths, which is how AWS compares numbers.
// One that is too large or has too many decimals is not valid.
type comparable struct {
	millionths int64
	valid      bool
	fine       bool // it has too many decimals
}

// comparableOf reads a JSON number.
func comparableOf(s string) comparable {
	digits, power := split(s)
	negative := strings.HasPrefix(digits, "-")
	digits = strings.TrimLeft(strings.TrimPrefix(digits, "-"), "0")
	trimmed := strings.TrimRight(digits, "0")
	power += len(digits) - len(trimmed) + decimals
	switch {
	case trimmed == "":
		return comparable{valid: true}
	case power < 0:
		return comparable{fine: true}
	case power+len(trimmed) > len("5000000000000000"):
		return comparable{}
	}
	n, err := strconv.ParseInt(trimmed+strings.Repeat("0", power), 10, 64)
	if err != nil || n > limit {
		return comparable{}
	}
	if negative {
		n = -n
	}
	return comparable{millionths: n, valid: true}
}

// split takes a JSON number apart: its value is digits times ten to the power.
// A power beyond all reason is cut off.
func split(s string) (digits string, power int) {
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		const most = 1_000_000_000
		n, _ := strconv.ParseInt(s[i+1:], 10, 64) // out of range: the nearest that is not
		power = int(min(max(n, -most), most))
		s = s[:i]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + fraction, power - len(fraction)
}

// refusal says why a number cannot be compared.
func (c comparable) refusal() error {
	if c.fine {
		return invalidf("Only values upto %d decimals are supported", decimals)
	}
	return invalidf("Value must be between -5.0E9 and 5.0E9, inclusive")
}

// An interval is a range of numbers, in millionths, with both its bounds.
type interval struct{ low, high int64 }

// numeric reads a comparison: ["=", 5], [">", 0] or [">=", 0, "<", 5].
func (r *reader) numeric() (test, error) {
	token, err := r.next()
	if err != nil {
		return nil, err
	}
	if token != json.Delim('[') {
		return nil, invalidf("Value of numeric must be an array.")
	}
	within, err := r.interval()
	return func(v *value) bool {
		n := v.number.millionths
		return v.number.valid && n >= within.low && n <= within.high
	}, err
}

func (r *reader) interval() (interval, error) {
	all := interval{-limit, limit}
	token, err := r.next()
	if err != nil {
		return all, err
	}
	operator, ok := token.(string)
	if !ok {
		return all, invalidf("Invalid member in numeric match: %s", plain(token))
	}
	switch operator {
	case "=", "<", "<=":
		return r.bound(operator)
	case ">", ">=":
		return r.limits(operator)
	default:
		return all, invalidf("Unrecognized numeric range operator: %s", operator)
	}
}

// bound reads the number of an operator that nothing may follow.
func (r *reader) bound(operator string) (interval, error) {
	name := operator
	if operator == "=" {
		name = "equals"
	}
	n, err := r.number(name)
	if err != nil {
		return interval{}, err
	}
	token, err := r.next()
	switch {
	case err != nil:
		return interval{}, err
	case token != json.Delim(']'):
		return interval{}, invalidf(tooMany)
	case operator == "=":
		return interval{n, n}, nil
	default:
		return between(-limit, n, false, operator == "<")
	}
}

// limits reads a lower bound and the upper one that may follow.
func (r *reader) limits(operator string) (interval, error) {
	low, err := r.number(operator)
	if err != nil {
		return interval{}, err
	}
	open := operator == ">"
	token, err := r.next()
	if err != nil {
		return interval{}, err
	}
	if token == json.Delim(']') {
		return between(low, limit, open, false)
	}
	operator, ok := token.(string)
	switch {
	case !ok:
		return interval{}, invalidf("Bad value in numeric range: %s", plain(token))
	case operator != "<" && operator != "<=":
		return interval{}, invalidf("Bad numeric range operator: %s", operator)
	}
	high, err := r.number(operator)
	if err != nil {
		return interval{}, err
	}
	if token, err = r.next(); err == nil && token != json.Delim(']') {
		err = invalidf("Too many terms in numeric range expression")
	}
	if err != nil {
		return interval{}, err
	}
	return between(low, high, open, operator == "<")
}

// between is the range from low to high, without a bound that is open.
func between(low, high int64, lowOpen, highOpen bool) (interval, error) {
	if low >= high {
		return interval{}, invalidf("Bottom must be less than top")
	}
	if lowOpen {
		low++
	}
	if highOpen {
		high--
	}
	return interval{low, high}, nil
}

// number reads the number that follows an operator, in millionths.
func (r *reader) number(name string) (int64, error) {
	token, err := r.next()
	if err != nil {
		return 0, err
	}
	literal, ok := token.(json.Number)
	if !ok {
		return 0, invalidf("Value of %s must be numeric", name)
	}
	n := comparableOf(literal.String())
	if !n.valid {
		return 0, n.refusal()
	}
	return n.millionths, nil
}

// plain is how AWS quotes a token that is no string.
func plain(token json.Token) string {
	if token == nil {
		return "null"
	}
	return fmt.Sprint(token)
}
