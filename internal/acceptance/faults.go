package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// faultStatements are about the examples of a first test, and about secrets that
// are not there and services that fail.
func faultStatements() []statement {
	return []statement{
		{"M82", "the first test after a deployment, storing a login, works as it is written", firstTestWorks},
		{"M83", "the second test after a deployment, logging in, works as it is written", secondTestWorks},
		{"M84", "a secret that is missing, or empty, is told by its error, and the program lives on", missingIsTold},
		{"M85", "a failure of the service is an error, and no missing secret", failuresAreTold},
		{"M86", "without the service, and without a value, the answer is 500 and the words for it", degradedGracefully},
		{"M87", "without the service the last known value is served, says that it is stale, and not for ever", lastKnownIsServed},
	}
}

// The examples of the interface that Rekey grew from.
const (
	firstTest = `curl -X POST https://your-api-url/admin/secrets \
  -H "Authorization: Bearer admin-secret-token" \
  -H "Content-Type: application/json" \
  -d '{
    "secretName": "database-credentials",
    "secretValue": {
      "host": "localhost",
      "username": "test",
      "password": "test123"
    }
  }'`
	secondTest = `curl -X POST https://your-api-url/auth/login \
  -H "Content-Type: application/json" \
  -d '{
    "email": "test@example.com",
    "password": "password123"
  }'`
)

// example runs an example with the address of the API in the place of its own.
func (s *system) example(command string) answer {
	return s.sh(strings.Replace(command, "https://your-api-url", s.Ready.API, 1)).answer()
}

func firstTestWorks(r *run) error {
	s := r.up("--no-database", "--admin-token", "admin-secret-token")
	a := s.example(firstTest)
	value, err := s.current("database-credentials")
	return errors.Join(a.is(200, `{"message":"Secret 'database-credentials' stored successfully"}`), err, sameJSON(value, databaseValue))
}

func secondTestWorks(r *run) error {
	s := r.up("--admin-token", "admin-secret-token")
	if err := s.example(firstTest).like(200, "stored successfully"); err != nil {
		return err
	}
	var in struct {
		Token string
		User  struct{ ID, Email string }
	}
	a := s.example(secondTest)
	return errors.Join(a.like(200, `"token":"`), a.into(&in),
		equal("the user", in.User.Email, "test@example.com"), equal("whether there is a token", len(in.Token) > 50, true),
	)
}

func missingIsTold(r *run) error {
	s := r.empty()
	p, err := s.probe(s.Ready.AWS)
	if err != nil {
		return err
	}
	var errs []error
	for range 2 {
		for _, do := range []string{"get", "string", "json"} {
			errs = append(errs,
				p.fails(order{Do: do, Name: "m84-there-is-none"}, "not found"),
				p.fails(order{Do: do, Name: "external-api-keys"}, "no value"),
			)
		}
	}
	return errors.Join(errs...)
}

func failuresAreTold(r *run) error {
	s := r.shop()
	g, err := s.gate()
	if err != nil {
		return err
	}
	p, err := s.probe(g.URL)
	if err != nil {
		return err
	}
	errs := []error{s.make("m85-denied", `"a value"`), s.deny("m85-denied", "GetSecretValue"), p.fails(order{Do: "get", Name: "m85-denied"}, "denied")}
	for i, status := range []int{500, 503, 400, 404} {
		name := fmt.Sprintf("m85-%d", i) // another each time: errors are remembered for a moment
		g.answer(status)
		a, err := p.do(order{Do: "get", Name: name})
		g.answer(0)
		errs = append(errs, err, equal(fmt.Sprintf("whether an answer of %d is a failure, and none of a secret that is missing", status),
			a.Error == "unavailable" || a.Error == "other", true))
	}
	g.Close()
	return errors.Join(append(errs, p.fails(order{Do: "get", Name: "m85-closed"}, "unavailable"))...)
}

// degradedGracefully runs the function where AWS is away.
func degradedGracefully(r *run) error {
	s := r.shop()
	g, err := s.gate()
	if err != nil {
		return err
	}
	f, err := s.function("protected", g.URL)
	if err != nil {
		return err
	}
	const words = `{"error":"Service temporarily unavailable"}`
	g.answer(503)
	down := f.protected().is(500, words)
	g.answer(0)
	return errors.Join(down,
		r.until(func() error { return f.protected().like(200, "Access granted") }),
		lacks("what the function said", read(f.log()), "panic"),
	)
}

// lastKnownIsServed waits for a time and a half: the value's time, and how long
// it may be served beyond that.
func lastKnownIsServed(r *run) error {
	const stale = 5 * time.Second
	c, err := r.counted("-ttl", "300ms", "-max-stale", stale.String())
	if err != nil {
		return err
	}
	defer c.gate.answer(0)
	errs := []error{c.staleWithin(stale)}
	r.wait(stale + 300*time.Millisecond)
	errs = append(errs, c.probe.fails(order{Do: "get", Name: c.name}, "unavailable"))
	c.gate.answer(0)
	errs = append(errs, r.until(func() error { return c.probe.gets(order{Name: c.name}, "first") }))
	a, err := c.probe.do(order{Do: "get", Name: c.name})
	return errors.Join(append(errs, err, equal("whether the value is stale", a.Stale, false))...)
}

// staleWithin has the service fail, and checks that a value whose time is over is
// served as stale. Where the machine takes longer than it may be served, that
// shows nothing, and it is done again.
func (c *counted) staleWithin(most time.Duration) error {
	for {
		c.gate.answer(0)
		began := time.Now()
		fresh := c.probe.gets(order{Name: c.name, NoCache: true}, "first")
		c.gate.answer(503)
		c.wait(600 * time.Millisecond)
		a, err := c.probe.do(order{Do: "get", Name: c.name})
		if err == nil && a.Error != "" {
			err = fmt.Errorf("the value is not served: %s", a.Says)
		}
		if err == nil {
			err = errors.Join(sameJSON(string(a.Value), `"first"`), equal("whether the value is stale", a.Stale, true))
		}
		if err = errors.Join(fresh, err); err == nil || time.Since(began) < most || c.ctx.Err() != nil {
			return err
		}
	}
}
