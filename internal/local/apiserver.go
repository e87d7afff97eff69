package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/rekey-go/rekey/internal/local/httpapi"
	"github.com/rekey-go/rekey/internal/local/store"
)

// An apiServer is the HTTP API of a deployment, on a port of its own.
type apiServer struct {
	listener net.Listener
	server   *http.Server
	routes   atomic.Pointer[http.Handler]
}

// newAPIServer takes a port; requests wait until it serves.
func newAPIServer(ctx context.Context, port int) (*apiServer, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", loopback(port))
	if err != nil {
		return nil, fmt.Errorf("taking the port of the HTTP API: %w", err)
	}
	a := &apiServer{listener: listener}
	a.server = newServer(a)
	return a, nil
}

// apiTable has the ports of the stacks' HTTP APIs, by the stacks' prefixes.
const apiTable = "apis"

// keptAPIServer takes the port that the stack's API had before a restart, if it
// is free, and else another, which is kept.
func (e *deployment) keptAPIServer(ctx context.Context) (*apiServer, error) {
	table, port := e.store.Table(apiTable), 0
	err := store.Each(table, func(prefix string, kept int) error {
		if prefix == e.prefix {
			port = kept
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if port != 0 {
		if a, err := newAPIServer(ctx, port); err == nil {
			return a, nil
		}
	}
	a, err := newAPIServer(ctx, 0)
	if err != nil {
		return nil, err
	}
	if addr, ok := a.listener.Addr().(*net.TCPAddr); ok {
		err = table.Put(e.prefix, addr.Port)
	}
	return a, err
}

// ServeHTTP answers by the routes of the moment.
func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := a.routes.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// route sets the routes.
func (a *apiServer) route(e *Engine, owned []ownedRoute) {
	routes := make([]httpapi.Route, 0, len(owned))
	for _, r := range owned {
		routes = append(routes, r.Route)
	}
	h := httpapi.New(httpapi.Options{
		Account: Account, Region: Region, Clock: e.clock, Invoke: e.Lambda.Invoke, Logger: e.opts.Logger,
	}, routes...)
	a.routes.Store(&h)
}

// serve answers until the server ends.
func (a *apiServer) serve() { _ = a.server.Serve(a.listener) } // it ends with ErrServerClosed

func (a *apiServer) url() string { return "http://" + a.listener.Addr().String() }

// closeAPI takes the routes away, and the port unless it is that of [Start].
func (e *deployment) closeAPI() error {
	if e.api == e.Engine.api {
		e.api.route(e.Engine, nil)
		return nil
	}
	return e.api.close(context.Background())
}

// close ends it, open requests too.
func (a *apiServer) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	var errs []error
	if err := a.server.Shutdown(ctx); err != nil {
		errs = append(errs, a.server.Close())
	}
	_ = a.listener.Close() // a server that served has closed it
	return errors.Join(errs...)
}
