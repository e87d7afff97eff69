package cost_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/rekey-go/rekey/internal/cost"
)

func ExampleEstimate() {
	bill, err := cost.Estimate(cost.Usage{Secrets: 3}, cost.Prices())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.2f\n", bill.BaseUSD)
	// Output: 1.20
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		usage               cost.Usage
		base, polling, push float64
	}{
		"nothing costs nothing":     {},
		"three secrets":             {usage: cost.Usage{Secrets: 3}, base: 1.20},
		"a replica is a secret":     {usage: cost.Usage{Secrets: 3, Replicas: 2}, base: 2.00},
		"ten thousand calls":        {usage: cost.Usage{Calls: 10_000}, base: 0.05},
		"calls are billed singly":   {usage: cost.Usage{Calls: 1}, base: 0.000005},
		"without environments none": {usage: cost.Usage{Secrets: 1, Rotations: 1}, base: 0.40},
		"one environment that reads one secret": {
			// 259,200 reads in 30 days; for push as many checks and lease
			// renewals, and 8,640 reads.
			usage:   cost.Usage{Environments: 1, Each: 1, Interval: 10 * time.Second, TTL: 5 * time.Minute},
			polling: 259_200 * 5e-6, push: 259_200*0.125e-6 + 259_200*0.625e-6 + 8_640*5e-6,
		},
		"a process polls a queue, and each rotation is read by who has the secret": {
			usage: cost.Usage{
				Secrets: 2, Environments: 4, Processes: 1, Each: 1, Rotations: 10,
				Interval: time.Hour, TTL: 24 * time.Hour,
			},
			base: 0.80, polling: 4 * 720 * 5e-6,
			push: 4*720*0.125e-6 + 4*720*0.625e-6 + 4*30*5e-6 + 20*5e-6 + 20*1e-6 + 129_600*0.4e-6,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bill, err := cost.Estimate(tt.usage, cost.Prices())
			if err != nil {
				t.Fatal(err)
			}
			for what, pair := range map[string][2]float64{
				"base": {bill.BaseUSD, tt.base}, "polling": {bill.PollingUSD, tt.polling}, "push": {bill.PushUSD, tt.push},
			} {
				if math.Abs(pair[0]-pair[1]) > 1e-9 {
					t.Errorf("%s: got %.9f USD, want %.9f", what, pair[0], pair[1])
				}
			}
		})
	}
}

func TestEstimateRefusesCountsWithoutSense(t *testing.T) {
	t.Parallel()
	for name, usage := range map[string]cost.Usage{
		"fewer than no secrets":              {Secrets: -1},
		"calls that are no number":           {Calls: math.NaN()},
		"no interval":                        {Environments: 1, TTL: time.Minute},
		"more processes than there is of it": {Environments: 1, Processes: 2, Interval: 1, TTL: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if bill, err := cost.Estimate(usage, cost.Prices()); err == nil {
				t.Errorf("Estimate(%+v) = %+v, want an error", usage, bill)
			}
		})
	}
}
