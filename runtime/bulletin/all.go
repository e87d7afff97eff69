package bulletin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// AllLeases returns the leases on all secrets, by the secret's ARN, as
// [Bulletin.Leases] does for one. It reads the whole table, a page of 1 MiB at
// a time, which some thousand leases fill, and may miss what was written in the
// second before: it is for a view of everything, not for a decision. It needs
// dynamodb:Scan, and a client that can, as a *[dynamodb.Client].
func (b *Bulletin) AllLeases(ctx context.Context) (map[string][]Lease, error) {
	client, ok := b.client.(dynamodb.ScanAPIClient)
	if !ok {
		return nil, fmt.Errorf("reading all leases: the client has no Scan: %w", errors.ErrUnsupported)
	}
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{
		TableName:                 &b.table,
		FilterExpression:          aws.String("begins_with(pk, :lease)"),
		ExpressionAttributeValues: item{":lease": &text{Value: leasePrefix}},
	})
	all := make(map[string][]Lease)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading all leases: %w", err)
		}
		for _, m := range page.Items {
			l := leaseOf(strings.TrimPrefix(str(m["pk"]), leasePrefix), m)
			all[l.SecretARN] = append(all[l.SecretARN], l)
		}
	}
	return all, nil
}
