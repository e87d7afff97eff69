package dbrotator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/polltest"
	"github.com/rekey-go/rekey/runtime/bulletin"
	"github.com/rekey-go/rekey/runtime/secrets"
	"github.com/rekey-go/rekey/runtime/secretspgx"
)

const (
	outageRotations = 50 // of each strategy
	outageTTL       = 2 * time.Second
	outageConsumers = 4
	outageTries     = 5 // of each call of Secrets Manager
)

// outOfOrder is a bulletin that cannot be reached.
type outOfOrder struct{ asked atomic.Int64 }

var errOutage = errors.New("dial tcp: i/o timeout")

func (b *outOfOrder) Read(context.Context) (bulletin.Board, error) {
	b.asked.Add(1)
	return bulletin.Board{}, errOutage
}
func (*outOfOrder) Renew(context.Context, ...bulletin.Lease) error { return errOutage }
func (*outOfOrder) Release(context.Context, string, string) error  { return errOutage }

// faulty stands before Secrets Manager: of every twelve calls three are
// throttled, one gets no answer, and one is told of an internal error. The last
// try that the SDK makes of a call is served: where calls cross, all five of one
// could fall on faults, and what no retry carries is not what is tested.
type faulty struct {
	next   http.Handler
	calls  atomic.Int64
	faults atomic.Int64
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := func(status int, code string) {
		f.faults.Add(1)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"__type":%q,"Message":"a fault"}`, code)
	}
	call := f.calls.Add(1)
	if strings.HasPrefix(r.Header.Get("Amz-Sdk-Request"), fmt.Sprintf("attempt=%d;", outageTries)) {
		f.next.ServeHTTP(w, r)
		return
	}
	switch call % 12 {
	case 0, 4, 8:
		fault(http.StatusBadRequest, "ThrottlingException")
	case 5:
		f.faults.Add(1)
		panic(http.ErrAbortHandler)
	case 10:
		fault(http.StatusInternalServerError, "InternalServiceError")
	default:
		f.next.ServeHTTP(w, r)
	}
}

// Consumers whose bulletin is out of order, who hear of no event, and whose
// Secrets Manager throttles, go through a hundred rotations without one request
// that fails: the overlap, the TTL and the ladder carry them.
func TestNoRequestFailsWhileAllNewsIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it rotates a hundred times")
	}
	t.Parallel()
	for _, strategy := range []string{"alternating-users", "single-user"} {
		t.Run(strategy, func(t *testing.T) { outage(t, strategy) })
	}
}

func outage(t *testing.T, strategy string) {
	b := newBench(t, nil)
	pgtest.Exec(t, b.db, "postgres", `CREATE ROLE app LOGIN PASSWORD 'first'`)
	arn := b.create(t, "dev-database-credentials", `{"host":"127.0.0.1","username":"app","password":"first"}`, map[string]string{"rekey:strategy": strategy})
	target, err := url.Parse(*b.Client.Options().BaseEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	faults := &faulty{next: httputil.NewSingleHostReverseProxy(target)}
	front := httptest.NewUnstartedServer(faults)
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.Start()
	t.Cleanup(front.Close)

	board := new(outOfOrder)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var requests requests
	for i := range outageConsumers {
		pool := outagePool(t, b, secretsmanager.NewFromConfig(awsConfig(front.URL), quickRetries), board, i)
		all.Go(func() {
			for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
				requests.send(context.WithoutCancel(ctx), i, pool)
			}
		})
	}
	for range outageRotations {
		b.rotate(t, arn) // the event reaches this test and nobody else
		requests.await(t, time.Now())
	}
	stop()
	all.Wait()
	slices.Sort(requests.took)
	n := len(requests.took)
	if requests.failed > 0 || n < 100 {
		t.Errorf("%d of %d requests failed, first: %v", requests.failed, n, requests.first)
	}
	if board.asked.Load() == 0 || faults.faults.Load() == 0 {
		t.Errorf("the board was asked %d times, and there were %d faults", board.asked.Load(), faults.faults.Load())
	}
	t.Logf("%d rotations, %d requests, %d failed; p50 %v, p99 %v, max %v; %d faults in %d calls, %d logins refused", outageRotations, n, requests.failed,
		requests.took[n/2], requests.took[n*99/100], requests.took[n-1], faults.faults.Load(), faults.calls.Load(),
		strings.Count(b.db.Log(), "password authentication failed"))
}

// quickRetries are the SDK's own, with shorter pauses.
func quickRetries(o *secretsmanager.Options) {
	o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = outageTries, 50*time.Millisecond })
}

// outagePool is a consumer: a client with all news lost, and a new login for each
// request.
func outagePool(t *testing.T, b *bench, api secrets.SecretsManager, board secrets.Bulletin, i int) *secretspgx.Pool {
	t.Helper()
	client := secrets.New(api, func(o *secrets.Options) {
		o.Stage, o.TTL, o.Consumer = "dev", outageTTL, fmt.Sprintf("consumer-%d", i)
		o.Bulletin, o.CheckInterval, o.Lease = board, time.Second, 3*time.Second
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	})
	pool, err := secretspgx.NewPool(client, "database-credentials", secretspgx.FromEnv(b.getenv), func(o *secretspgx.Options) {
		o.Configure = func(cfg *pgxpool.Config) { cfg.AfterRelease = func(*pgx.Conn) bool { return false } }
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// requests are what the consumers sent.
type requests struct {
	mu     sync.Mutex
	took   []time.Duration
	failed int
	first  error
	served [outageConsumers]time.Time // the beginning of the last that each consumer was answered
}

// await waits until every consumer was answered that asked after a time. A login
// with three tries, and a machine that is busy, may take longer than a rotation:
// the next begins when nobody is two behind for that reason alone. AWS advises to
// leave ten minutes between them.
func (r *requests) await(t *testing.T, after time.Time) {
	t.Helper()
	polltest.Until(t, "every consumer is answered again", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return !slices.ContainsFunc(r.served[:], func(at time.Time) bool { return at.Before(after) })
	})
}

func (r *requests) send(ctx context.Context, consumer int, pool *secretspgx.Pool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	began := time.Now()
	var one int
	err := pool.QueryRow(ctx, "SELECT 1").Scan(&one)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, time.Since(began))
	if err == nil {
		r.served[consumer] = began
		return
	}
	r.failed++
	if r.first == nil {
		r.first = err
	}
}
