package cost

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// month is what AWS bills as one.
const month = 30 * 24 * time.Hour

// A Usage says what there is to be paid for. Zero counts cost nothing.
type Usage struct {
	// Secrets and Replicas of them in other Regions.
	Secrets  int `json:"secrets"`
	Replicas int `json:"replicas"`
	// Calls of Secrets Manager in a month.
	Calls float64 `json:"calls"`

	// Environments are the consumers' processes and warm function
	// environments, Processes those among them that listen to a queue.
	Environments int `json:"environments"`
	Processes    int `json:"processes"`
	// Each is how many secrets an environment reads.
	Each int `json:"secretsEach"`
	// Rotations in a month, of all secrets.
	Rotations float64 `json:"rotations"`
	// Interval is for how long an old version may be used after a rotation,
	// and TTL how long Rekey's client keeps a value of which it hears nothing.
	Interval time.Duration `json:"-"`
	TTL      time.Duration `json:"-"`
}

// A Line is one item of a bill.
type Line struct {
	What string `json:"what"`
	// Count in a month, in units of the price.
	Count float64 `json:"count"`
	USD   float64 `json:"usd"`
}

// A Bill is what a month costs in US dollars.
type Bill struct {
	// Base is what is paid however consumers hear of a rotation: the secrets,
	// and the calls that were counted.
	Base    []Line  `json:"base"`
	BaseUSD float64 `json:"baseUsd"`
	// Polling and Push are two ways to tell the consumers. Without
	// environments they are empty.
	Polling    []Line  `json:"polling"`
	PollingUSD float64 `json:"pollingUsd"`
	Push       []Line  `json:"push"`
	PushUSD    float64 `json:"pushUsd"`
}

// Estimate is the bill of a month. The error says which count makes no sense.
func Estimate(u Usage, p PriceList) (Bill, error) {
	if err := u.check(); err != nil {
		return Bill{}, err
	}
	b := Bill{Base: []Line{
		line("secrets and replicas", float64(u.Secrets+u.Replicas), p.Secret),
		line("calls of Secrets Manager", u.Calls, p.Call),
	}, Polling: []Line{}, Push: []Line{}}
	if u.Environments > 0 {
		b.Polling, b.Push = u.polling(p), u.push(p)
	}
	b.BaseUSD, b.PollingUSD, b.PushUSD = sum(b.Base), sum(b.Polling), sum(b.Push)
	return b, nil
}

func (u Usage) check() error {
	for name, n := range map[string]float64{
		"secrets": float64(u.Secrets), "replicas": float64(u.Replicas), "calls": u.Calls, "rotations": u.Rotations,
		"environments": float64(u.Environments), "processes": float64(u.Processes), "secrets each": float64(u.Each),
	} {
		if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("the number of %s cannot be %v", name, n)
		}
	}
	switch {
	case u.Environments > 0 && (u.Interval <= 0 || u.TTL <= 0):
		return fmt.Errorf("intervals are longer than nothing, not %s and %s", u.Interval, u.TTL)
	case u.Processes > u.Environments:
		return fmt.Errorf("of %d environments %d cannot be long-running processes", u.Environments, u.Processes)
	}
	return nil
}

// polling reads each secret in each environment, all the time.
func (u Usage) polling(p PriceList) []Line {
	reads := u.inEach() * every(u.Interval)
	return []Line{line(fmt.Sprintf("reads of each secret every %s", pace(u.Interval)), reads, p.Call)}
}

// push asks one bulletin for all secrets, and Secrets Manager rarely.
func (u Usage) push(p PriceList) []Line {
	const (
		units      = 1 // of a strongly consistent read of an item of up to 4 KB
		eventsEach = 2 // rotated and retired; AWS's own events are free
		longPoll   = 20 * time.Second
	)
	checks := float64(u.Environments) * every(u.Interval)
	fetched := 0.0 // after rotations, each of which is of one secret
	if u.Secrets > 0 {
		fetched = u.Rotations * u.inEach() / float64(u.Secrets)
	}
	return []Line{
		line(fmt.Sprintf("checks of the bulletin every %s", pace(u.Interval)), checks*units, p.BulletinRead),
		line("leases renewed with each check", u.inEach()*every(u.Interval), p.BulletinWrite),
		line(fmt.Sprintf("reads of each secret every %s", pace(u.TTL)), u.inEach()*every(u.TTL), p.Call),
		line("reads after rotations", fetched, p.Call),
		line("events of rotations", u.Rotations*eventsEach, p.Event),
		line("polls of the processes' queues", float64(u.Processes)*every(longPoll), p.QueueRequest),
	}
}

// inEach is the number of secrets in memory, over all environments.
func (u Usage) inEach() float64 { return float64(u.Environments * u.Each) }

// every is how often a month something happens.
func every(interval time.Duration) float64 { return float64(month) / float64(interval) }

// pace writes an interval without the zeros at its end: 5m in place of 5m0s.
func pace(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if before, ok := strings.CutSuffix(text, zero); ok && before != "" && strings.ContainsAny(before[len(before)-1:], "hm") {
			text = before
		}
	}
	return text
}

func line(what string, count float64, p Price) Line {
	return Line{What: what, Count: count, USD: rounded(count * p.each())}
}

func sum(lines []Line) (usd float64) {
	for _, l := range lines {
		usd += l.USD
	}
	return rounded(usd)
}

// rounded leaves out what binary fractions add: a billionth of a dollar.
func rounded(usd float64) float64 { return math.Round(usd*1e9) / 1e9 }
