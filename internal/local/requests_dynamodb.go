package local

import (
	"regexp"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// attributes are an item or a key: each value under its type.
type attributes map[string]map[string]any

// itemInput is the part of a request about one item or query.
type itemInput struct {
	TableName, IndexName      string
	Key, Item                 attributes
	KeyConditionExpression    string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues attributes
}

func (a *asked) tables() {
	switch operation := a.call.Operation; operation {
	case "ListTables":
		arn := arnOf("dynamodb", "table/*")
		a.about(a.action, arn, arn, nil)
	case "BatchGetItem", "BatchWriteItem":
		a.batch()
	case "TransactGetItems", "TransactWriteItems":
		var in struct{ TransactItems []map[string]itemInput }
		a.decode(&in)
		for _, item := range in.TransactItems {
			for kind, one := range item {
				a.table("dynamodb:"+strings.TrimSuffix(kind, "Item")+"Item", &one)
			}
		}
	default:
		var in itemInput
		a.decode(&in)
		a.table(a.action, &in)
	}
}

// batch adds a request for each table, about all of its items.
func (a *asked) batch() {
	var reads struct {
		RequestItems map[string]struct{ Keys []attributes }
	}
	var writes struct {
		RequestItems map[string][]struct {
			PutRequest    struct{ Item attributes }
			DeleteRequest struct{ Key attributes }
		}
	}
	all := map[string][]attributes{}
	if a.call.Operation == "BatchGetItem" {
		a.decode(&reads)
		for table, items := range reads.RequestItems {
			all[table] = items.Keys
		}
	} else {
		a.decode(&writes)
		for table, items := range writes.RequestItems {
			for _, item := range items {
				all[table] = append(all[table], item.PutRequest.Item, item.DeleteRequest.Key)
			}
		}
	}
	for table, items := range all {
		arn := tableARN(table)
		a.about(a.action, arn, arn, func(context iam.Context) {
			context.Set("dynamodb:LeadingKeys", a.hashValues(table, items)...)
		})
	}
}

// table adds a request about one table.
func (a *asked) table(action string, in *itemInput) {
	arn := tableARN(in.TableName)
	if in.IndexName != "" { // it has a key of its own
		arn += "/index/" + in.IndexName
		a.about(action, arn, arn, nil)
		return
	}
	a.about(action, arn, arn, func(context iam.Context) {
		context.Set("dynamodb:LeadingKeys", a.hashValues(in.TableName, []attributes{in.Key, in.Item, in.queried()})...)
	})
}

// tableARN is the ARN of a table that is given by its name or ARN.
func tableARN(nameOrARN string) string {
	return arnOf("dynamodb", "table/"+nameOrARN[strings.LastIndexByte(nameOrARN, '/')+1:])
}

// hashValues are the partition keys of items, each once.
func (a *asked) hashValues(table string, items []attributes) []string {
	hash := a.engine.access.hashKeys.get(table[strings.LastIndexByte(table, '/')+1:])
	var keys []string
	for _, item := range items {
		for _, value := range item[hash] {
			if text, ok := value.(string); ok && !slices.Contains(keys, text) {
				keys = append(keys, text)
			}
		}
	}
	return keys
}

// equality is a comparison of an attribute with a value in an expression.
var equality = regexp.MustCompile(`(#?\w[\w.-]*)\s*=\s*(:\w+)`)

// queried are the attributes that a query wants equal to a value.
func (in *itemInput) queried() attributes {
	found := attributes{}
	for _, match := range equality.FindAllStringSubmatch(in.KeyConditionExpression, -1) {
		name := match[1]
		if real, ok := in.ExpressionAttributeNames[name]; ok {
			name = real
		}
		found[name] = in.ExpressionAttributeValues[match[2]]
	}
	return found
}
