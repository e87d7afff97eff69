// Package bulletin tells every consumer which versions are current, and tells
// the pipeline which versions consumers still hold.
//
// It is one DynamoDB table with two kinds of items:
//
//	pk           sk        what it is
//	board        board     the [Board]: one item per stage, with an epoch and
//	                       one entry per secret that changed
//	lease#ARN    consumer  a [Lease]: one consumer environment's claim to hold
//	                       one version of one secret
//
// # The board
//
// A consumer reads the board at most every few seconds, one read for all of
// its secrets, and fetches what is newer than what it holds. The epoch grows
// by one with each announcement, so a consumer that has seen an epoch has seen
// all before it. [Bulletin.Announce] names the epoch that its caller has read
// and fails with [ErrConflict] if another announcement came in between; the
// caller then reads the truth again. So the board never goes back to an older
// version because two announcements crossed.
//
// An item has at most 400 KB, which is about 1,700 entries. When it is full, three
// quarters of the entries are dropped, the oldest, and the board says until when
// they were: [Board.Since]. A consumer whose value is older than that, and is not
// on the board, reads it again. Values are read again every few minutes anyway, so
// that concerns those that were frozen, or the change of a thousand secrets at
// once.
//
// # Leases
//
// A lease is a promise in both directions. While it runs, its consumer may
// serve the version from memory; once it has run out, the consumer reads the
// board before it serves that value again. Nobody can use a superseded version
// any more when no live lease names it: that is when it is safe to revoke.
//
// The table holds names, version ids and times, never a value. Consumers need
// dynamodb:GetItem on the board, and dynamodb:PutItem and dynamodb:DeleteItem
// on items whose key begins with "lease#" (condition dynamodb:LeadingKeys).
package bulletin

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// ErrConflict means that the board moved on since it was read: read it, and
// the truth, again.
var ErrConflict = errors.New("the bulletin has a newer epoch")

// DynamoDB is what a [Bulletin] asks of Amazon DynamoDB. A *[dynamodb.Client]
// is one.
type DynamoDB interface {
	GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
	Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// An Entry is what the board says of one secret.
type Entry struct {
	// SecretARN is the full ARN, Name the physical name.
	SecretARN, Name string
	// VersionID is the version that carries AWSCURRENT; empty for a deleted
	// secret.
	VersionID string
	// PreviousVersionID is the version that it superseded, where known.
	PreviousVersionID string
	// Reason says why it changed, such as "rotated" or "compromised".
	Reason string
	// Deleted says that the secret is scheduled for deletion, and must not be
	// served any more.
	Deleted bool
	// At is when it was announced, to the millisecond.
	At time.Time
}

// A Board is the announcements as of one epoch.
type Board struct {
	// Epoch is the number of announcements; zero for a board that nobody has
	// written yet.
	Epoch int64
	// Entries are by ARN. A secret that never changed has none; see [Board.Entry].
	Entries map[string]Entry
	// Since is the time of the newest entry that was dropped to make room; zero
	// where none was.
	Since time.Time
}

// Entry is what the board says of a secret. Where it has no entry for it, but
// dropped some, it may have changed until Since: then the entry is of that time
// and names no version, so that who holds a value from before reads it again.
func (b Board) Entry(arn string) (Entry, bool) {
	if e, ok := b.Entries[arn]; ok || b.Since.IsZero() {
		return e, ok
	}
	return Entry{SecretARN: arn, At: b.Since}, true
}

// A Lease is one consumer environment's claim to hold a version.
type Lease struct {
	SecretARN string
	// Consumer names the environment, unique among all that live.
	Consumer  string
	VersionID string
	// Since is from when the consumer holds that version.
	Since time.Time
	// Expires is until when it may serve it without asking, by wall clock.
	Expires time.Time
}

// A Bulletin is the board and the leases of one stage. It is safe for
// concurrent use.
type Bulletin struct {
	client DynamoDB
	table  string
}

// New returns the bulletin in a table. It makes no call.
func New(client DynamoDB, table string) *Bulletin {
	return &Bulletin{client: client, table: table}
}
