package bulletin

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"
)

const (
	leasePrefix = "lease#"
	// keep is how long a lease that has run out stays in the table: long
	// enough to be looked at, and far longer than clocks differ.
	keep = time.Hour
	// writers is how many leases are written at once.
	writers = 8
)

// Renew writes leases, new ones and those that are there. All are tried; the
// error is that of one that could not be written.
func (b *Bulletin) Renew(ctx context.Context, leases ...Lease) error {
	var g errgroup.Group // without a context: one refusal does not stop the others
	g.SetLimit(writers)
	for _, l := range leases {
		g.Go(func() error {
			_, err := b.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &b.table, Item: l.item()})
			if err != nil {
				return fmt.Errorf("renewing the lease on %s: %w", l.SecretARN, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// Leases returns all leases on a secret, by consumer. Those that have run out
// are among them for about an hour: whoever decides by them adds a margin for
// the difference between clocks.
func (b *Bulletin) Leases(ctx context.Context, secretARN string) ([]Lease, error) {
	pages := dynamodb.NewQueryPaginator(b.client, &dynamodb.QueryInput{
		TableName:                 &b.table,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :pk"),
		ExpressionAttributeValues: item{":pk": &text{Value: leasePrefix + secretARN}},
	})
	var leases []Lease
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the leases on %s: %w", secretARN, err)
		}
		for _, m := range page.Items {
			leases = append(leases, leaseOf(secretARN, m))
		}
	}
	return leases, nil
}

// Release ends a lease at once, as a process does that shuts down. It succeeds
// if there is none.
func (b *Bulletin) Release(ctx context.Context, secretARN, consumer string) error {
	_, err := b.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &b.table, Key: key(leasePrefix+secretARN, consumer),
	})
	if err != nil {
		return fmt.Errorf("releasing the lease on %s: %w", secretARN, err)
	}
	return nil
}

func leaseOf(secretARN string, m item) Lease {
	return Lease{
		SecretARN: secretARN, Consumer: str(m["sk"]), VersionID: str(m["version"]),
		Since: timeOf(m["since"]), Expires: timeOf(m["until"]),
	}
}

func (l Lease) item() item {
	m := key(leasePrefix+l.SecretARN, l.Consumer)
	m["version"] = &text{Value: l.VersionID}
	m["since"] = integerValue(l.Since.UnixMilli())
	m["until"] = integerValue(l.Expires.UnixMilli())
	m["expires"] = integerValue(l.Expires.Add(keep).Unix()) // the table's TTL attribute
	return m
}
