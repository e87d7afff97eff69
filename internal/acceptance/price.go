package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// priceStatements are about what it costs.
func priceStatements() []statement {
	return []statement{
		{"M78", "a secret costs $0.40 a month", secretsCost},
		{"M79", "10,000 calls cost $0.05, and calls are counted in the trail", callsCost},
		{"M80", "three secrets cost $1.20 a month", threeSecretsCost},
	}
}

// A bill is what rekey cost prints as JSON.
type bill struct {
	Calls   float64
	BaseUSD float64
	Base    []struct{ USD float64 }
}

// bill asks for one.
func (r *run) bill(flags string) (b bill, err error) {
	o := r.shell("", "rekey cost --json "+flags)
	return b, errors.Join(o.went(), unmarshal(o.out, &b))
}

func secretsCost(r *run) error {
	var errs []error
	for _, n := range []int{0, 1, 2, 10, 1000} {
		b, err := r.bill(fmt.Sprintf("--calls 0 --secrets %d", n))
		errs = append(errs, err, sameMoney(b.BaseUSD, 0.40*float64(n)))
	}
	return errors.Join(append(errs, r.shell("", "rekey cost --secrets 1 --calls 0").shows("total         0.40\n"))...)
}

// sameMoney checks an amount to the hundredth of a cent.
func sameMoney(got, want float64) error {
	if math.Abs(got-want) > 0.0001 {
		return fmt.Errorf("it costs %v, want %v", got, want)
	}
	return nil
}

// callsCost counts the calls in the trail with the aws CLI too.
func callsCost(r *run) error {
	s := r.up("--no-database")
	errs := []error{s.store("external-api-keys", keysValue), s.sh("rekey status external-api-keys; rekey get external-api-keys").went()}
	for _, n := range []int{0, 1, 10_000, 25_000, 3_000_000} {
		b, err := r.bill(fmt.Sprintf("--secrets 0 --calls %d", n))
		errs = append(errs, err, sameMoney(b.BaseUSD, 0.05*float64(n)/10_000))
	}
	counted, calls, err := s.countedCalls()
	var b bill
	month := float64(calls) * 30
	return errors.Join(append(errs, err, counted.went(), unmarshal(counted.out, &b),
		contains("the message", counted.err, fmt.Sprintf("%d calls in 24h0m0s of the trail", calls)),
		equal("whether there are calls", calls > 5, true),
		equal("the calls of a month", b.Calls, month), sameMoney(b.BaseUSD, 0.05*month/10_000),
	)...)
}

// countedCalls has rekey cost count the calls in the trail, at a moment at which no
// function makes any that an event has brought about.
func (s *system) countedCalls() (counted output, calls int, err error) {
	inTrail := func() (int, error) {
		o := s.sh(`aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventSource,AttributeValue=secretsmanager.amazonaws.com \
			--query 'length(Events[?contains(CloudTrailEvent, ` + "`\\\"AwsApiCall\\\"`" + `)])'`)
		n, err := strconv.Atoi(o.text())
		return n, errors.Join(o.went(), err)
	}
	err = s.until(func() error {
		before, err := inTrail()
		counted = s.sh("rekey cost --secrets 0 --since 24h --json")
		after, unread := inTrail()
		calls = after
		return errors.Join(err, unread, equal("whether calls are still made", before != after, false))
	})
	return counted, calls, err
}

func threeSecretsCost(r *run) error {
	o := r.shell("", "rekey cost --secrets 3 --calls 0")
	fields := strings.Fields(o.out)
	return errors.Join(o.went(),
		contains("rekey cost", strings.Join(fields, " "), "secrets and replicas 3 1.20 calls of Secrets Manager 0 0.00 total 1.20 "),
		contains("docs/getting-started.md", r.file("docs/getting-started.md"), "Three secrets are $1.20 a month."),
	)
}
