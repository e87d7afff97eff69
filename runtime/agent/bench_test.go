package agent_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/runtime/agent"
	"github.com/rekey-go/rekey/runtime/secrets"
)

// BenchmarkReads measures reads of a cached secret of 1 KB over connections
// that are kept. The agent is a process of its own, as it is where it serves;
// beside it stands an HTTP server of Go's that answers the same to everybody,
// which is what HTTP alone costs. The client does no more than a client has to:
// it reads as fast as it can, which shows the rate; and 20,000 times a second,
// which shows what a read takes at that rate. Reported are
//
//	reads/s
//	p50-µs, p99-µs  from the request to the end of the answer
//	server-µs/read  the server's processor time
func BenchmarkReads(b *testing.B) {
	const connections = 8
	for _, server := range []string{"agent", "net-http"} {
		s := startServer(b, server)
		for name, pace := range map[string]time.Duration{"most": 0, "20000": connections * time.Second / 20_000} {
			b.Run("server="+server+"/rate="+name, func(b *testing.B) {
				readers := make([]func() error, connections)
				for i := range readers {
					readers[i] = s.reader(b)
				}
				before := s.used(b)
				measure(b, pace, readers)
				b.ReportMetric(float64((s.used(b)-before).Nanoseconds())/1000/float64(b.N), "server-µs/read")
			})
		}
	}
}

// serverVariable has the test binary be a server of the benchmark.
const serverVariable = "REKEY_BENCHMARK_SERVER"

// TestMain runs the tests, or a server of the benchmark.
func TestMain(m *testing.M) {
	if server := os.Getenv(serverVariable); server != "" {
		if err := beServer(server); err != nil {
			panic(err)
		}
		return
	}
	os.Exit(m.Run())
}

// beServer serves until its input ends. It says where, and then for each line of
// its input how much processor time it has used, in nanoseconds.
func beServer(which string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		if which == "agent" {
			_ = agent.New(secrets.New(oneSecret{}), token).Serve(context.Background(), l)
			return
		}
		_ = http.Serve(l, sameToAll(strings.Repeat("k", len(secretText())+230)))
	}()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		fmt.Println(u.Utime.Nano() + u.Stime.Nano())
	}
	return nil
}

// secretText is the value that is read.
func secretText() string { return `{"stripe":"` + strings.Repeat("k", 1000) + `"}` }

// oneSecret is Secrets Manager with one secret, whatever it is asked for.
type oneSecret struct{ secrets.SecretsManager }

// GetSecretValue answers with it.
func (oneSecret) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	return &secretsmanager.GetSecretValueOutput{
		ARN: aws.String("arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-keys-abcdef"), Name: in.SecretId,
		SecretString: aws.String(secretText()), VersionId: aws.String("6e9c8b0a-1f2d-4c3b-8a7e-5d4f3c2b1a09"), VersionStages: []string{"AWSCURRENT"}, CreatedDate: aws.Time(time.Now()),
	}, nil
}

// sameToAll answers everything with one text.
type sameToAll string

// ServeHTTP answers.
func (s sameToAll) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"application/json"}
	_, _ = io.WriteString(w, string(s))
}

// A server is a process that serves.
type server struct {
	addr   string
	stdin  io.Writer
	stdout *bufio.Reader
}

func startServer(b *testing.B, which string) *server {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append([]string{"GOGC=400"}, os.Environ()...) // as `rekey agent` has it; a GOGC of the caller's counts
	cmd.Env, cmd.Stderr = append(cmd.Env, serverVariable+"="+which), os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
	s := &server{stdin: stdin, stdout: bufio.NewReader(stdout)}
	s.addr = s.line(b)
	return s
}

func (s *server) line(b *testing.B) string {
	b.Helper()
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// used is the processor time that the server has used until now.
func (s *server) used(b *testing.B) time.Duration {
	b.Helper()
	if _, err := io.WriteString(s.stdin, "\n"); err != nil {
		b.Fatal(err)
	}
	n, err := strconv.ParseInt(s.line(b), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(n)
}

// reader sends the same request again and again on one connection, and reads
// the answers, which are all as long as the first.
func (s *server) reader(b *testing.B) func() error {
	b.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	request := []byte("GET /secretsmanager/get?secretId=dev-keys HTTP/1.1\r\nHost: localhost:2773\r\nX-Aws-Parameters-Secrets-Token: " + token + "\r\n\r\n")
	if _, err := conn.Write(request); err != nil {
		b.Fatal(err)
	}
	all := bufio.NewReader(conn)
	first, err := http.ReadResponse(all, nil)
	if err != nil {
		b.Fatal(err)
	}
	var head strings.Builder
	_ = first.Header.Write(&head)
	_, _ = io.Copy(io.Discard, first.Body)
	answer := make([]byte, len("HTTP/1.1 200 OK\r\n")+head.Len()+len("\r\n")+int(first.ContentLength))
	return func() error {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, answer); err != nil {
			return err
		}
		if status := string(answer[:15]); status != "HTTP/1.1 200 OK" {
			return fmt.Errorf("the answer begins with %q", status)
		}
		return nil
	}
}

// measure shares b.N reads among readers, each with one read in each pace, and
// reports their rate and the times within which half of them, and 99 of 100,
// were answered.
func measure(b *testing.B, pace time.Duration, readers []func() error) {
	b.Helper()
	took := make([][]time.Duration, len(readers))
	for i := range took {
		took[i] = make([]time.Duration, 0, b.N) // so that nothing is allocated meanwhile
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for i, next := range readers {
		all.Go(func() {
			due := time.Now().Add(pace * time.Duration(i) / time.Duration(len(readers)))
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
