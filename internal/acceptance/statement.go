package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A statement is something that is to be true of Rekey.
type statement struct {
	id    string // M01 to M106
	title string
	// holds returns nil if it is true, else what was seen instead.
	holds func(*run) error
}

// last is the number of the last statement.
const last = 106

// statements returns all of them, in their order.
func statements() []statement {
	all := slices.Concat(
		definitionStatements(), storeStatements(), loginStatements(), deployStatements(), chargeStatements(),
		runtimeStatements(),
		cacheStatements(), stepStatements(), rotationStatements(), tokenStatements(),
		outsideStatements(), priceStatements(), faultStatements(), trailStatements(), accessStatements(),
		destroyStatements(), cardStatements(), documentStatements(), loadStatements(),
	)
	slices.SortFunc(all, func(a, b statement) int { return cmp.Compare(number(a.id), number(b.id)) })
	return all
}

var idPattern = regexp.MustCompile(`^M([0-9]{2,3})$`)

// number returns the number of an id; 0 for what is none.
func number(id string) int {
	n := 0
	if m := idPattern.FindStringSubmatch(id); m != nil {
		n, _ = strconv.Atoi(m[1]) // digits
	}
	if n > last {
		return 0
	}
	return n
}

// choose takes the statements that arguments such as M39 and M40-M49 name; all
// where there are none.
func choose(all []statement, args []string) ([]statement, error) {
	if len(args) == 0 {
		return all, nil
	}
	wanted := make([]bool, len(all))
	for _, arg := range args {
		first, end, isRange := strings.Cut(arg, "-")
		if !isRange {
			end = first
		}
		if number(first) == 0 || number(end) < number(first) {
			return nil, fmt.Errorf("%q is not among M01 to M%d; write M39 or M40-M49", arg, last)
		}
		for n := number(first); n <= number(end); n++ {
			wanted[n-1] = true
		}
	}
	var chosen []statement
	for i, s := range all {
		if wanted[i] {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}
