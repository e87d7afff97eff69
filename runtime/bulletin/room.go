package bulletin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// isFull reports whether DynamoDB refused a board that is larger than an item
// may be: 400 KB, by the Developer Guide, "Quotas in Amazon DynamoDB".
func isFull(err error) bool {
	refused, ok := errors.AsType[smithy.APIError](err)
	return ok && refused.ErrorCode() == "ValidationException" && strings.Contains(refused.ErrorMessage(), "size")
}

// keepShare is the part of the entries, the newest, that stay on a full board.
const keepShare = 4

// makeRoom drops the oldest entries. Its error is [ErrConflict] where all went
// well: the board has another epoch now, so that the announcement begins anew.
func (b *Bulletin) makeRoom(ctx context.Context) error {
	board, err := b.Read(ctx)
	if err != nil {
		return err
	}
	entries := make([]Entry, 0, len(board.Entries))
	for _, e := range board.Entries {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return b.At.Compare(a.At) })
	kept, dropped := entries[:len(entries)/keepShare], entries[len(entries)/keepShare:]
	if len(dropped) == 0 {
		return errors.New("the entry alone is larger than the board may be")
	}
	since := dropped[0].At
	if board.Since.After(since) {
		since = board.Since
	}
	secrets := item{}
	for _, e := range kept {
		secrets[e.SecretARN] = e.item()
	}
	_, err = b.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &b.table, Key: key(boardKey, boardKey),
		UpdateExpression:         aws.String("SET #epoch = :next, #since = :since, #secrets = :secrets"),
		ConditionExpression:      aws.String("#epoch = :expected"),
		ExpressionAttributeNames: map[string]string{"#epoch": "epoch", "#since": "since", "#secrets": "secrets"},
		ExpressionAttributeValues: item{
			":next": integerValue(board.Epoch + 1), ":expected": integerValue(board.Epoch),
			":since": integerValue(since.UnixMilli()), ":secrets": &object{Value: secrets},
		},
	})
	if _, conflict := errors.AsType[*types.ConditionalCheckFailedException](err); err == nil || conflict {
		return fmt.Errorf("room was made on the full board: %w", ErrConflict)
	}
	return fmt.Errorf("making room on the full board: %w", err)
}
