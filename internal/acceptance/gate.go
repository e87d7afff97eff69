package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// A gate stands before the AWS endpoint of a system. It counts the calls that
// pass, and may be closed, as if AWS was away.
type gate struct {
	*httptest.Server
	before func(http.ResponseWriter, *http.Request) bool // lets a call pass; nil is all
	lock   sync.Mutex
	calls  map[string]int // that passed, by name such as GetSecretValue :: guarded by lock
	status int            // answered in place of AWS where it is not 0 :: guarded by lock
}

// gate opens one.
func (s *system) gate() (*gate, error) {
	if s.err != nil {
		return nil, s.err
	}
	to, err := url.Parse(s.Ready.AWS)
	if err != nil {
		return nil, err
	}
	g := &gate{calls: make(map[string]int)}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(to)
		p.Out.Host = p.In.Host // which is signed
	}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.before != nil && !g.before(w, r) {
			return
		}
		if status := g.pass(r); status != 0 {
			w.Header().Set("X-Amzn-Requestid", "none")
			w.WriteHeader(status)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	s.ends = append(s.ends, g.Close)
	return g, nil
}

// pass counts a call, or returns the status with which it ends here.
func (g *gate) pass(r *http.Request) (status int) {
	g.lock.Lock()
	defer g.lock.Unlock()
	if g.status == 0 {
		g.calls[callName(r)]++
	}
	return g.status
}

// callName is what AWS calls a call.
func callName(r *http.Request) string {
	target := r.Header.Get("X-Amz-Target")
	return target[strings.LastIndexByte(target, '.')+1:]
}

// answer has every call answered with a status; 0 has them pass.
func (g *gate) answer(status int) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.status = status
}

// reads is how many reads of a value have passed.
func (g *gate) reads() int {
	g.lock.Lock()
	defer g.lock.Unlock()
	return g.calls["GetSecretValue"] + g.calls["BatchGetSecretValue"]
}
