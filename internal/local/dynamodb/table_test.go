package dynamodb_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/rekey-go/rekey/internal/local/dynamodb"
	"github.com/rekey-go/rekey/internal/local/store"
)

func TestATableFromMakingToDeleting(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	create := &sdk.CreateTableInput{
		TableName: new("mine"), BillingMode: types.BillingModePayPerRequest, Tags: []types.Tag{{Key: new("a"), Value: new("b")}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: new("id"), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: new("id"), AttributeType: types.ScalarAttributeTypeS}},
	}
	if _, err := e.CreateTable(t.Context(), create); err != nil {
		t.Fatal(err)
	}
	_, err := e.CreateTable(t.Context(), create)
	if _, ok := errors.AsType[*types.ResourceInUseException](err); !ok {
		t.Errorf("second create: %v, want ResourceInUseException", err)
	}
	waiter := sdk.NewTableExistsWaiter(e.Client)
	out, err := waiter.WaitForOutput(t.Context(), &sdk.DescribeTableInput{TableName: new("mine")}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	arn := "arn:aws:dynamodb:us-east-1:123456789012:table/mine"
	if *out.Table.TableArn != arn || out.Table.TableStatus != types.TableStatusActive || !out.Table.CreationDateTime.Equal(e.clock.Now().Truncate(time.Millisecond)) {
		t.Errorf("described as %s, %s, made %s", *out.Table.TableArn, out.Table.TableStatus, out.Table.CreationDateTime)
	}
	tags, err := e.ListTagsOfResource(t.Context(), &sdk.ListTagsOfResourceInput{ResourceArn: &arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "b" {
		t.Errorf("tags: %v, error %v", tags, err)
	}
	for _, limit := range []int32{0, 101} {
		if _, err := e.ListTables(t.Context(), &sdk.ListTablesInput{Limit: &limit}); err == nil || !strings.Contains(err.Error(), "at 'limit' failed to satisfy constraint") {
			t.Errorf("a page of %d tables: %v, want a refusal", limit, err)
		}
	}
	list, err := e.ListTables(t.Context(), &sdk.ListTablesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{table, "mine"}, list.TableNames); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	if _, err := e.DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: new("mine")}); err != nil {
		t.Fatal(err)
	}
	_, err = e.GetItem(t.Context(), &sdk.GetItemInput{TableName: new("mine"), Key: item{"id": text("x")}})
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); !ok {
		t.Errorf("get from a deleted table: %v, want ResourceNotFoundException", err)
	}
}

func TestItemsAreRemovedWhenTheyExpire(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	now := e.clock.Now()
	at := func(d time.Duration) item { return item{"expires": digits(strconv.FormatInt(now.Add(d).Unix(), 10))} }
	e.put(t, with(key("lease", "late"), at(2*time.Hour)))
	e.put(t, with(key("lease", "soon"), at(time.Minute)))
	e.put(t, with(key("lease", "renewed"), at(time.Minute)))
	e.put(t, with(key("lease", "renewed"), at(3*time.Hour)))
	e.put(t, with(key("lease", "never"), item{}))
	e.put(t, with(key("lease", "text"), item{"expires": text("0")}))
	e.put(t, with(key("lease", "ancient"), at(-6*365*24*time.Hour))) // AWS takes it for a mistake
	left := func() []string {
		out, err := e.Scan(t.Context(), &sdk.ScanInput{TableName: new(table)})
		if err != nil {
			t.Fatal(err)
		}
		return names(out.Items)
	}
	for _, step := range []struct {
		pass time.Duration
		want []string
	}{
		{0, []string{"ancient", "late", "never", "renewed", "soon", "text"}},
		{time.Minute, []string{"ancient", "late", "never", "renewed", "text"}},
		{2 * time.Hour, []string{"ancient", "never", "renewed", "text"}},
		{time.Hour, []string{"ancient", "never", "text"}},
	} {
		if err := e.clock.Advance(t.Context(), step.pass); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, left()); diff != "" {
			t.Errorf("after %v more (-want +got):\n%s", step.pass, diff)
		}
	}
}

func TestTimeToLiveIsTurnedOffAndOn(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	set := func(attribute string, enabled bool) error {
		_, err := e.UpdateTimeToLive(t.Context(), &sdk.UpdateTimeToLiveInput{
			TableName: new(table), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &enabled},
		})
		return err
	}
	status := func() types.TimeToLiveStatus {
		out, err := e.DescribeTimeToLive(t.Context(), &sdk.DescribeTimeToLiveInput{TableName: new(table)})
		if err != nil {
			t.Fatal(err)
		}
		return out.TimeToLiveDescription.TimeToLiveStatus
	}
	wantInvalid(t, set("expires", true), "TimeToLive is already enabled")
	if err := set("expires", false); err != nil || status() != types.TimeToLiveStatusDisabled {
		t.Fatalf("turning it off: %v, status %s", err, status())
	}
	e.put(t, with(key("a", "b"), item{"until": digits(strconv.FormatInt(e.clock.Now().Unix(), 10))}))
	if err := set("until", true); err != nil || status() != types.TimeToLiveStatusEnabled {
		t.Fatalf("turning it on: %v, status %s", err, status())
	}
	if err := e.clock.Advance(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	if got := e.get(t, key("a", "b")); got != nil {
		t.Errorf("an item that had expired before: got %v", got)
	}
}

func TestTablesAndItemsSurviveARestart(t *testing.T) {
	t.Parallel()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	e := start(t, kept)
	want := with(key("a", "b"), item{
		"n": digits("1.5"), "m": dict(item{"l": list(set("x"), raw("\xff"))}), "epoch": num(2),
		"expires": digits(strconv.FormatInt(e.clock.Now().Add(time.Hour).Unix(), 10)),
	})
	e.put(t, want)
	e.put(t, key("gone", "b"))
	if _, err := e.DeleteItem(t.Context(), &sdk.DeleteItemInput{TableName: new(table), Key: key("gone", "b")}); err != nil {
		t.Fatal(err)
	}
	e = start(t, kept)
	if diff := cmp.Diff(want, e.get(t, key("a", "b")), same); diff != "" {
		t.Errorf("item after the restart (-want +got):\n%s", diff)
	}
	if got := e.get(t, key("gone", "b")); got != nil {
		t.Errorf("deleted item after the restart: got %v", got)
	}
	if err := e.clock.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := start(t, kept).get(t, key("a", "b")); got != nil {
		t.Errorf("expired item after another restart: got %v", got)
	}
}

func TestProvisionRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	e := start(t, nil)
	if _, err := e.service.Provision(dynamodb.Table{Name: table, HashKey: "id"}); err == nil {
		t.Error("a table with other keys was accepted")
	}
	e.put(t, key("a", "b"))
	if _, err := e.service.Provision(dynamodb.Table{Name: table, HashKey: "pk", RangeKey: "sk"}); err != nil {
		t.Fatal(err)
	}
	if e.get(t, key("a", "b")) == nil {
		t.Error("the items are gone")
	}
}
