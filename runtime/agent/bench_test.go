package agent_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// BenchmarkReads measures reads of a cached secret of 1 KB over connections
// that are kept, client and server on the same machine. One client is Go's
// own; the other does no more than a client has to, and leaves more of the
// machine to the agent. Each reads as fast as it can, which shows the rate; and
// 20,000 times a second, which shows what a read takes at that rate.
func BenchmarkReads(b *testing.B) {
	const connections = 8
	f := start(b)
	f.put(b, `{"stripe":"`+strings.Repeat("k", 1000)+`"}`)
	base := serve(b, agent.New(secrets.New(f), token, quiet))
	target := base + "/secretsmanager/get?secretId=dev-keys"
	read(b, target)
	for name, pace := range map[string]time.Duration{"rate=most": 0, "rate=20000": connections * time.Second / 20_000} {
		b.Run("client=net-http/"+name, func(b *testing.B) {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
			defer client.CloseIdleConnections()
			measure(b, connections, pace, func() func() error {
				return func() error { return readBy(client, target) }
			})
		})
		b.Run("client=bare/"+name, func(b *testing.B) {
			measure(b, connections, pace, func() func() error { return bareReader(b, base) })
		})
	}
}

// measure shares b.N reads among workers, each with one read in each pace, and
// reports their rate and the time within which 99 of 100 were answered.
func measure(b *testing.B, workers int, pace time.Duration, reader func() func() error) {
	b.Helper()
	took := make([][]time.Duration, workers)
	left := atomic.Int64{}
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range workers {
		next := reader()
		all.Go(func() {
			due := time.Now().Add(pace * time.Duration(i) / time.Duration(workers))
			for left.Add(-1) >= 0 {
				time.Sleep(time.Until(due))
				due = due.Add(pace)
				began := time.Now()
				if err := next(); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(began))
			}
		})
	}
	all.Wait()
	b.StopTimer()
	times := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "reads/s")
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
}

func readBy(client *http.Client, target string) error {
	req, err := http.NewRequest(http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("X-Aws-Parameters-Secrets-Token", token)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// bareReader sends the same request again and again, and reads the answers.
func bareReader(b *testing.B, base string) func() error {
	b.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	request := []byte("GET /secretsmanager/get?secretId=dev-keys HTTP/1.1\r\nHost: localhost:2773\r\nX-Aws-Parameters-Secrets-Token: " + token + "\r\n\r\n")
	return func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return err
	}
}
