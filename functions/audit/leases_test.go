package audit_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	trailapi "github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	report "github.com/rekey-go/rekey/audit"
	"github.com/rekey-go/rekey/audit/source"
	"github.com/rekey-go/rekey/runtime/bulletin"
)

// A pipeline is a secret with consumers that keep their promises: each reads
// the value as itself, and says in a lease which version it holds.
type pipeline struct {
	*engine
	board  *bulletin.Bulletin
	secret string
}

const leaseTime = time.Minute

func newPipeline(t *testing.T) *pipeline {
	t.Helper()
	return on(t, start(t))
}

// on makes a pipeline on an engine.
func on(t *testing.T, e *engine) *pipeline {
	t.Helper()
	p := &pipeline{engine: e}
	client := dynamodb.NewFromConfig(p.as("ops"))
	_, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("bulletin"), BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash}, {AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange}},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.board = bulletin.New(client, "bulletin")
	made, err := secretsmanager.NewFromConfig(p.as("ops")).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("dev-db"), SecretString: aws.String("canary-1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.secret = *made.ARN
	return p
}

// rotate makes a new version current.
func (p *pipeline) rotate(t *testing.T) {
	t.Helper()
	p.advance(t, 10*time.Second)
	_, err := secretsmanager.NewFromConfig(p.as("ops")).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{
		SecretId: &p.secret, SecretString: aws.String("canary-2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.advance(t, 10*time.Second)
}

// fetch lets consumers read the current version, and lease it.
func (p *pipeline) fetch(t *testing.T, consumers ...string) {
	t.Helper()
	for _, name := range consumers {
		out, err := secretsmanager.NewFromConfig(p.as(name)).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: &p.secret})
		if err != nil {
			t.Fatal(err)
		}
		p.lease(t, name, *out.VersionId)
	}
}

func (p *pipeline) lease(t *testing.T, consumer, version string) {
	t.Helper()
	now := p.clock.Now()
	err := p.board.Renew(t.Context(), bulletin.Lease{SecretARN: p.secret, Consumer: consumer, VersionID: version, Since: now, Expires: now.Add(leaseTime)})
	if err != nil {
		t.Fatal(err)
	}
}

// report reads the leases, the inventory and the trail, in this order.
func (p *pipeline) report(t *testing.T) (*report.Secret, []bulletin.Lease) {
	t.Helper()
	leases, err := p.board.Leases(t.Context(), p.secret)
	if err != nil {
		t.Fatal(err)
	}
	opts := report.Options{Now: p.clock.Now()}
	for _, l := range leases {
		opts.Leases = append(opts.Leases, report.Lease(l))
	}
	unpaced := func(o *source.InventoryOptions) { o.PerSecond = -1 }
	if opts.Inventory, err = source.Inventory(t.Context(), secretsmanager.NewFromConfig(p.as("audit")), unpaced); err != nil {
		t.Fatal(err)
	}
	trail := source.Lookup(trailapi.NewFromConfig(p.as("audit")), func(o *source.LookupOptions) { o.PerSecond = -1 })
	r, err := report.Summarize(t.Context(), trail, opts)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Secrets) != 1 {
		t.Fatalf("%d secrets, want 1", len(r.Secrets))
	}
	return &r.Secrets[0], leases
}

// TestLaggardsAndAdoptionMatchTheLeases looks at a rotation at each of its
// stages: the laggards by lease are the consumers whose live lease is not on
// the current version, and as many principals hold a version by the trail as
// have leased it.
func TestLaggardsAndAdoptionMatchTheLeases(t *testing.T) {
	t.Parallel()
	p := newPipeline(t)
	stages := []struct {
		name string
		do   func()
		want []string // the laggards by lease
	}{
		{"before", func() { p.fetch(t, "a", "b", "c") }, nil},
		{"rotated, and nobody has moved", func() { p.rotate(t) }, []string{"a", "b", "c"}},
		{"one has moved", func() { p.fetch(t, "a") }, []string{"b", "c"}},
		{"one was frozen, one holds on", func() {
			leases, err := p.board.Leases(t.Context(), p.secret)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(leases, func(l bulletin.Lease) bool { return l.Consumer == "c" })
			p.advance(t, leaseTime)
			p.lease(t, "c", leases[i].VersionID)
		}, []string{"c"}},
		{"all have moved", func() { p.fetch(t, "b", "c") }, nil},
		{"rotated again", func() { p.rotate(t) }, []string{"b", "c"}},
		{"and all are fresh again", func() { p.fetch(t, "a", "b", "c") }, nil},
	}
	for _, stage := range stages {
		stage.do()
		s, leases := p.report(t)
		var got, byLeases []string
		for _, l := range s.Laggards {
			if l.Class == report.HoldsOld {
				got = append(got, l.Consumer)
			}
		}
		held := make(map[string]int)
		for _, l := range leases {
			held[l.VersionID]++
			if l.VersionID != s.Current && l.Expires.After(p.clock.Now()) {
				byLeases = append(byLeases, l.Consumer)
			}
		}
		slices.Sort(byLeases)
		if diff := cmp.Diff(byLeases, got); diff != "" {
			t.Errorf("%s: laggards (-leases +report):\n%s", stage.name, diff)
		}
		if diff := cmp.Diff(stage.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: laggards (-want +report):\n%s", stage.name, diff)
		}
		adopted := make(map[string]int)
		for _, v := range s.Versions {
			adopted[v.VersionID] = v.Holders
		}
		maps.DeleteFunc(adopted, func(_ string, n int) bool { return n == 0 })
		if diff := cmp.Diff(held, adopted); diff != "" {
			t.Errorf("%s: holders (-leases +report):\n%s", stage.name, diff)
		}
	}
}
