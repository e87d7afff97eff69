package agent

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/runtime/secrets"
)

// Options configure an [Agent].
type Options struct {
	// MaxConnections is how many connections are served at once; requests on
	// others are answered 429. If zero, it is 800, as of AWS's agent.
	MaxConnections int
	// CheckFirst is for how long a request waits for a look at the bulletin
	// that is due. If zero, requests do not wait: something else looks, such
	// as [secrets.Client.Run]. A Lambda environment that was frozen needs it.
	CheckFirst time.Duration
	// AnyHost takes requests whatever their Host, for a listener that other
	// machines reach.
	AnyHost bool
	// Logger is told of refusals and failures. If nil, it is [slog.Default].
	Logger *slog.Logger
}

// defaultConnections is AWS's max_conn.
const defaultConnections = 800

// An Agent is the HTTP handler. It is safe for concurrent use.
type Agent struct {
	client *secrets.Client
	token  []byte
	opts   Options
	log    *slog.Logger

	answers  answers
	open     atomic.Int64 // connections
	requests atomic.Int64
	refused  atomic.Int64
}

// New returns an agent that reads from a client, for those who bear a token.
// The token must not be empty.
func New(client *secrets.Client, token string, optFns ...func(*Options)) *Agent {
	var opts Options
	for _, fn := range optFns {
		fn(&opts)
	}
	if opts.MaxConnections == 0 {
		opts.MaxConnections = defaultConnections
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	return &Agent{client: client, token: []byte(token), opts: opts, log: opts.Logger}
}

// NamesAsGiven is an option for the client: no stage is put before the names,
// because AWS's agent puts none.
func NamesAsGiven(o *secrets.Options) { o.Stage = "" }

// ServeHTTP answers one request.
func (a *Agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.requests.Add(1)
	if refusal := a.refuse(r); refusal != nil {
		a.refused.Add(1)
		a.log.WarnContext(r.Context(), "refused a request", "status", refusal.status, "reason", refusal.body, "path", pathOf(r))
		refusal.write(w)
		return
	}
	switch {
	case r.URL.Path == pingPath:
		text(http.StatusOK, "healthy").write(w)
	case r.URL.Path == "/stats":
		a.stats().write(w)
	case r.URL.Path == queryPath, strings.HasPrefix(r.URL.Path, pathPrefix):
		a.get(w, r)
	default:
		text(http.StatusNotFound, "Not found").write(w)
	}
}

const (
	pingPath   = "/ping"
	queryPath  = "/secretsmanager/get"
	pathPrefix = "/v1/"
	// extraConnections are for health checks when all others are taken.
	extraConnections = 2
)

// The headers that may bear the token, in the form in which net/http keeps
// them.
const (
	tokenHeader = "X-Aws-Parameters-Secrets-Token"
	vaultHeader = "X-Vault-Token"
	forwarded   = "X-Forwarded-For"
)

// refuse returns the answer to a request that may not be served, or nil. The
// order, the codes and the texts are those of AWS's agent; Host is checked
// here only.
func (a *Agent) refuse(r *http.Request) *reply {
	ping := r.URL.Path == pingPath
	limit := int64(a.opts.MaxConnections)
	if ping {
		limit += extraConnections
	}
	switch {
	case a.open.Load() > limit:
		return text(http.StatusTooManyRequests, "Connection limit exceeded")
	case !a.opts.AnyHost && !isLoopback(r.Host):
		return text(http.StatusForbidden, "Bad Host")
	case !ping && r.Header[forwarded] != nil:
		return text(http.StatusBadRequest, "Forwarded")
	case !ping && !a.bearsToken(r.Header):
		return text(http.StatusForbidden, "Bad Token")
	case r.Method != http.MethodGet:
		return text(http.StatusMethodNotAllowed, "Not allowed")
	default:
		return nil
	}
}

// bearsToken compares in a time that depends on the token's length only.
func (a *Agent) bearsToken(h http.Header) bool {
	for _, name := range [...]string{tokenHeader, vaultHeader} {
		for _, token := range h[name] {
			if len(a.token) > 0 && subtle.ConstantTimeCompare([]byte(token), a.token) == 1 {
				return true
			}
		}
	}
	return false
}

// isLoopback reports whether a Host, with or without a port, is this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// pathOf is what a log may say of a request: its path, without the query.
func pathOf(r *http.Request) string {
	const long = 128
	return r.URL.Path[:min(len(r.URL.Path), long)]
}

// get answers a request for a secret.
func (a *Agent) get(w http.ResponseWriter, r *http.Request) {
	s, err := a.answers.slot(r.RequestURI, r.URL)
	if err != nil {
		text(http.StatusBadRequest, err.Error()).write(w)
		return
	}
	a.look(r.Context())
	secret, err := a.client.Get(r.Context(), s.id, s.options...)
	if err != nil {
		s.last.Store(nil) // a value that may not be read any more is not kept either
		if r.Context().Err() == nil {
			a.log.WarnContext(r.Context(), "a secret cannot be read", "secret", s.id, "error", err)
		}
		failed(err).write(w)
		return
	}
	s.reply(secret).write(w)
}

// look waits for a look at the bulletin that is due, for a moment.
func (a *Agent) look(ctx context.Context) {
	if a.opts.CheckFirst <= 0 || !a.client.Due() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.opts.CheckFirst)
	defer cancel()
	a.client.Check(ctx)
}

// slots bounds how many different requests are remembered.
const slots = 1000

// answers are what was answered last to each request.
type answers struct {
	mu    sync.RWMutex
	slots map[string]*slot // :: request URI -> slot
}

// A slot is a request, and its last answer.
type slot struct {
	query

	last atomic.Pointer[answer]
}

// An answer is a secret as it is sent, made once for each version.
type answer struct {
	of *secrets.Secret
	*reply
}

// slot returns that of a request, which it parses if it is new.
func (a *answers) slot(uri string, from *url.URL) (*slot, error) {
	a.mu.RLock()
	s := a.slots[uri]
	a.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	q, err := parse(from)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.slots[uri]; s != nil {
		return s, nil
	}
	if a.slots == nil || len(a.slots) >= slots {
		a.slots = make(map[string]*slot) // whoever is asked for again comes back
	}
	s = &slot{query: q}
	a.slots[uri] = s
	return s, nil
}

// reply returns the answer with a secret.
func (s *slot) reply(secret *secrets.Secret) *reply {
	if last := s.last.Load(); last != nil && last.of == secret {
		return last.reply
	}
	made := encode(secret)
	s.last.Store(&answer{of: secret, reply: made})
	return made
}

// Stats count what an agent did since it was made.
type Stats struct {
	// Requests are all, Refused those that were not served: a wrong token, a
	// forwarded request, too many connections.
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"`
	// Secrets are the client's.
	Secrets secrets.Stats `json:"secrets"`
}

// Stats returns the counts, which GET /stats shows as JSON.
func (a *Agent) Stats() Stats {
	return Stats{Requests: a.requests.Load(), Refused: a.refused.Load(), Secrets: a.client.Stats()}
}

func (a *Agent) stats() *reply { return object(http.StatusOK, a.Stats()) }
