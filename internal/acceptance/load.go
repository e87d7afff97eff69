package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// loadStatements are about the sample consumers while secrets rotate, and about
// a machine that has nothing.
func loadStatements() []statement {
	return []statement{
		{"M102", "no login and no charge fails while their secrets are rotated under load", loadIsNotDisturbed},
		{"M104", "a fresh clone runs the demonstration where there is no account, no Docker and no Python", freshCloneRuns},
	}
}

// A load is what clients have sent.
type load struct {
	lock   sync.Mutex
	sent   map[string]int // by path :: guarded by lock
	failed []string       // guarded by lock
}

// send makes requests one after another until the context ends.
func (l *load) send(ctx context.Context, url, path, body, want string) {
	for ctx.Err() == nil {
		failure := post(ctx, url+path, body, want)
		if ctx.Err() != nil {
			return // it was cut off by the end
		}
		l.lock.Lock()
		l.sent[path]++
		if failure != "" {
			l.failed = append(l.failed, path+": "+failure)
		}
		l.lock.Unlock()
	}
}

// further waits until some more requests of each kind have been made.
func (l *load) further(r *run) error {
	const more = 20
	count := func(path string) int {
		l.lock.Lock()
		defer l.lock.Unlock()
		return l.sent[path]
	}
	logins, charges := count("/auth/login")+more, count("/payments/charge")+more
	return r.until(func() error {
		return equal("whether there is a load", count("/auth/login") >= logins && count("/payments/charge") >= charges, true)
	})
}

// post makes one request, and says what is wrong with its answer.
func post(ctx context.Context, url, body, want string) string {
	ctx, cancel := context.WithTimeout(ctx, eventWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = res.Body.Close() }() // it was read
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(answer), want) {
		return fmt.Sprintf("%d %s", res.StatusCode, answer)
	}
	return ""
}

// loadIsNotDisturbed rotates the database's login, the provider's keys and the
// signing keys while four clients log in and charge. The old login is revoked
// meanwhile.
func loadIsNotDisturbed(r *run) error {
	s := r.up("--parameter", "CheckInterval=200ms", "--parameter", "Lease=2s", "--parameter", "Grace=1s")
	if err := s.stock(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(r.ctx)
	defer stop()
	l := &load{sent: make(map[string]int)}
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() { l.send(ctx, s.Ready.API, "/auth/login", aLogin, `"token":"`) })
		clients.Go(func() {
			l.send(ctx, s.Ready.API, "/payments/charge", `{"amount":1.50,"token":"tok_m102","email":"customer@example.com"}`, `"receipt":true`)
		})
	}
	var errs []error
	used := "" // the key of the last charge
	rotate := func(body string) {
		errs = append(errs, s.rotate(body).like(200, "rotated successfully"))
	}
	chargesFollow := func() {
		key, err := s.nextKey("tok_m102", used)
		used, errs = key, append(errs, err)
	}
	chargesFollow()
	for _, key := range []string{"sk_test_2", "sk_test_1"} {
		rotate(`{"secretName":"database-credentials"}`)
		rotate(`{"secretName":"external-api-keys","newValue":{"stripe":"` + key + `"}}`)
		chargesFollow()
		rotate(`{"secretName":"database-credentials"}`)
	}
	rotate(`{"secretName":"jwt-configuration","newValue":` + strings.Replace(jwtValue, "the-first", "the-second", 1) + `}`)
	errs = append(errs, l.further(r)) // consumers go on with the last ones
	stop()
	clients.Wait()
	r.bench.say(r.id, fmt.Sprintf("# sent %v", l.sent))
	return errors.Join(append(errs, equal("the requests that failed", strings.Join(l.failed, "; "), ""))...)
}
