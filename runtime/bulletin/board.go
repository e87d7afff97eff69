package bulletin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type (
	item    = map[string]types.AttributeValue
	text    = types.AttributeValueMemberS
	number  = types.AttributeValueMemberN
	object  = types.AttributeValueMemberM
	boolean = types.AttributeValueMemberBOOL
)

const boardKey = "board"

func key(pk, sk string) item {
	return item{"pk": &text{Value: pk}, "sk": &text{Value: sk}}
}

// Read returns the board. The read is strongly consistent: a consumer whose
// lease has run out relies on it to tell that its value was superseded. A
// board that nobody has written yet is empty, and no error.
func (b *Bulletin) Read(ctx context.Context) (Board, error) {
	out, err := b.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &b.table, Key: key(boardKey, boardKey), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return Board{}, fmt.Errorf("reading the bulletin: %w", err)
	}
	board := Board{Epoch: integer(out.Item["epoch"]), Since: timeOf(out.Item["since"]), Entries: make(map[string]Entry)}
	for arn, v := range members(out.Item["secrets"]) {
		board.Entries[arn] = entryOf(arn, members(v))
	}
	return board, nil
}

// Announce puts an entry on the board and returns the board's new epoch.
// expectedEpoch is the epoch that the caller has read, zero for an empty
// board. If the board has another one by now, nothing is written and the error
// wraps [ErrConflict]; so it does if the board was full and room was made. If e.At
// is zero, it is now.
func (b *Bulletin) Announce(ctx context.Context, e Entry, expectedEpoch int64) (int64, error) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	next := expectedEpoch + 1
	in := &dynamodb.UpdateItemInput{
		TableName:                 &b.table,
		Key:                       key(boardKey, boardKey),
		UpdateExpression:          aws.String("SET #epoch = :next, #secrets.#arn = :entry"),
		ConditionExpression:       aws.String("#epoch = :expected"),
		ExpressionAttributeNames:  map[string]string{"#epoch": "epoch", "#secrets": "secrets", "#arn": e.SecretARN},
		ExpressionAttributeValues: item{":next": integerValue(next), ":expected": integerValue(expectedEpoch), ":entry": e.item()},
	}
	if expectedEpoch == 0 { // no item yet, so no map to put the entry into
		in.UpdateExpression = aws.String("SET #epoch = :next, #secrets = :secrets")
		in.ConditionExpression = aws.String("attribute_not_exists(#epoch)")
		in.ExpressionAttributeNames = map[string]string{"#epoch": "epoch", "#secrets": "secrets"}
		in.ExpressionAttributeValues = item{
			":next":    integerValue(next),
			":secrets": &object{Value: item{e.SecretARN: e.item()}},
		}
	}
	_, err := b.client.UpdateItem(ctx, in)
	if _, conflict := errors.AsType[*types.ConditionalCheckFailedException](err); conflict {
		return 0, fmt.Errorf("announcing %s at epoch %d: %w", e.Name, next, ErrConflict)
	}
	if isFull(err) {
		err = b.makeRoom(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("announcing %s: %w", e.Name, err)
	}
	return next, nil
}

// item is the entry as it is kept. Its names are short because all entries of
// a stage share one item, whose reads are billed by 4 KiB.
func (e Entry) item() *object {
	m := item{"n": &text{Value: e.Name}, "at": integerValue(e.At.UnixMilli())}
	for name, value := range map[string]string{"v": e.VersionID, "p": e.PreviousVersionID, "r": e.Reason} {
		if value != "" {
			m[name] = &text{Value: value}
		}
	}
	if e.Deleted {
		m["d"] = &boolean{Value: true}
	}
	return &object{Value: m}
}

func entryOf(arn string, m item) Entry {
	deleted, _ := m["d"].(*boolean)
	return Entry{
		SecretARN: arn, Name: str(m["n"]), VersionID: str(m["v"]), PreviousVersionID: str(m["p"]),
		Reason: str(m["r"]), Deleted: deleted != nil && deleted.Value, At: timeOf(m["at"]),
	}
}

// The attributes below are read leniently: an item that an older or a newer
// release wrote must not stop a consumer.

func str(v types.AttributeValue) string {
	if s, ok := v.(*text); ok {
		return s.Value
	}
	return ""
}

func integer(v types.AttributeValue) int64 {
	n, ok := v.(*number)
	if !ok {
		return 0
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return 0
	}
	return i
}

func integerValue(i int64) *number { return &number{Value: strconv.FormatInt(i, 10)} }

func members(v types.AttributeValue) item {
	if m, ok := v.(*object); ok {
		return m.Value
	}
	return nil
}

// timeOf reads milliseconds since 1970.
func timeOf(v types.AttributeValue) time.Time {
	if v == nil {
		return time.Time{}
	}
	return time.UnixMilli(integer(v)).UTC()
}
