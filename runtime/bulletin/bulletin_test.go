package bulletin_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/clock"
	engine "github.com/rekey-go/rekey/internal/local/dynamodb"
	"github.com/rekey-go/rekey/internal/local/wire"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

const (
	dbARN  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-db-AbCdEf"
	keyARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:dev-keys-GhIjKl"
)

// start returns a bulletin in a table of the embedded engine.
func start(t *testing.T) *bulletin.Bulletin {
	t.Helper()
	c := clock.New()
	s, err := engine.New(engine.Options{Account: "123456789012", Region: "us-east-1", Clock: c})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Provision(engine.Table{Name: "board", HashKey: "pk", RangeKey: "sk", TTLAttribute: "expires"}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wire.NewFront(wire.FrontOptions{Account: "123456789012", Region: "us-east-1", Now: c.Now}, s.Wire()))
	t.Cleanup(server.Close)
	return bulletin.New(dynamodb.New(dynamodb.Options{
		BaseEndpoint: &server.URL, Region: "us-east-1", HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "consumer", SecretAccessKey: "none"}, nil
		}),
	}), "board")
}

func read(t *testing.T, b *bulletin.Bulletin) bulletin.Board {
	t.Helper()
	board, err := b.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return board
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	b := start(t)
	if got := read(t, b); got.Epoch != 0 || len(got.Entries) != 0 {
		t.Errorf("a new board is %+v", got)
	}
	at := time.Date(2026, 11, 24, 12, 0, 0, 123e6, time.UTC)
	rotated := bulletin.Entry{SecretARN: dbARN, Name: "dev-db", VersionID: "v2", PreviousVersionID: "v1", Reason: "rotated", At: at}
	deleted := bulletin.Entry{SecretARN: keyARN, Name: "dev-keys", Deleted: true, At: at}
	for i, e := range []bulletin.Entry{rotated, deleted} {
		epoch, err := b.Announce(t.Context(), e, int64(i))
		if err != nil || epoch != int64(i)+1 {
			t.Fatalf("Announce(%s, %d) = %d, %v", e.Name, i, epoch, err)
		}
	}
	want := bulletin.Board{Epoch: 2, Entries: map[string]bulletin.Entry{dbARN: rotated, keyARN: deleted}}
	if diff := cmp.Diff(want, read(t, b)); diff != "" {
		t.Errorf("the board (-want +got):\n%s", diff)
	}
	for _, expected := range []int64{0, 1, 3} {
		if _, err := b.Announce(t.Context(), rotated, expected); !errors.Is(err, bulletin.ErrConflict) {
			t.Errorf("Announce at epoch %d of 2: %v, want ErrConflict", expected, err)
		}
	}
	if diff := cmp.Diff(want, read(t, b)); diff != "" {
		t.Errorf("after conflicts (-want +got):\n%s", diff)
	}
}

func TestAnnouncementsThatCrossAreAllCounted(t *testing.T) {
	t.Parallel()
	b := start(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				board, err := b.Read(t.Context())
				if err == nil {
					_, err = b.Announce(t.Context(), bulletin.Entry{SecretARN: dbARN, Name: "dev-db"}, board.Epoch)
				}
				if !errors.Is(err, bulletin.ErrConflict) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	all.Wait()
	if got := read(t, b).Epoch; got != 8 {
		t.Errorf("8 announcements made epoch %d", got)
	}
}

// A stage with more secrets than the board has room for loses no change: each is
// on the board, or the board says that it may have missed it.
func TestAFullBoardMakesRoom(t *testing.T) {
	t.Parallel()
	b := start(t)
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	announced := map[string]time.Time{}
	board, full := bulletin.Board{}, 0
	for i := range 1200 {
		e := bulletin.Entry{SecretARN: fmt.Sprintf("%s-%04d-%s", dbARN, i, strings.Repeat("x", 500)), Name: strings.Repeat("n", 500), VersionID: "v", At: at.Add(time.Duration(i) * time.Second)}
		announced[e.SecretARN] = e.At
		epoch, err := b.Announce(t.Context(), e, board.Epoch)
		if errors.Is(err, bulletin.ErrConflict) { // as functions/invalidate does
			full++
			board = read(t, b)
			epoch, err = b.Announce(t.Context(), e, board.Epoch)
		}
		if err != nil {
			t.Fatal(err)
		}
		board.Epoch = epoch
	}
	if board = read(t, b); full < 2 || board.Since.IsZero() || board.Epoch != int64(1200+full) {
		t.Errorf("room was made %d times, the epoch is %d, since %v", full, board.Epoch, board.Since)
	}
	for arn, at := range announced {
		posted, ok := board.Entry(arn)
		if !ok || posted.VersionID == "v" && !posted.At.Equal(at) || posted.VersionID == "" && posted.At.Before(at) {
			t.Errorf("the change at %v is lost: %+v", at, posted)
		}
	}
	if e, ok := board.Entry("of a secret that nobody announced"); !ok || !e.At.Equal(board.Since) {
		t.Errorf("got %+v, %v", e, ok)
	}
}

func TestAnEntryThatFitsNoBoardIsRefused(t *testing.T) {
	t.Parallel()
	b := start(t)
	e := bulletin.Entry{SecretARN: dbARN, Name: strings.Repeat("n", 500<<10)}
	if _, err := b.Announce(t.Context(), e, 0); err == nil || errors.Is(err, bulletin.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestLeases(t *testing.T) {
	t.Parallel()
	b := start(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	lease := func(arn, consumer, version string, expires time.Duration) bulletin.Lease {
		return bulletin.Lease{SecretARN: arn, Consumer: consumer, VersionID: version, Since: now, Expires: now.Add(expires)}
	}
	old := lease(dbARN, "dev-login/1/a", "v1", -time.Minute)
	first, other := lease(dbARN, "dev-login/2/b", "v1", time.Minute), lease(keyARN, "dev-login/2/b", "k1", time.Minute)
	if err := b.Renew(t.Context(), old, first, other); err != nil {
		t.Fatal(err)
	}
	moved := lease(dbARN, "dev-login/2/b", "v2", 2*time.Minute)
	if err := b.Renew(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	got, err := b.Leases(t.Context(), dbARN)
	if diff := cmp.Diff([]bulletin.Lease{old, moved}, got); err != nil || diff != "" {
		t.Errorf("Leases: %v (-want +got):\n%s", err, diff)
	}
	for range 2 { // the second time there is none
		if err := b.Release(t.Context(), dbARN, moved.Consumer); err != nil {
			t.Error(err)
		}
	}
	if got, err := b.Leases(t.Context(), dbARN); err != nil || len(got) != 1 {
		t.Errorf("after Release: %v, %v", got, err)
	}
	if got, err := b.Leases(t.Context(), keyARN); err != nil || len(got) != 1 {
		t.Errorf("the other secret's: %v, %v", got, err)
	}
}
