package local

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rekey-go/rekey/internal/local/iam"
)

// attributes are an item or a key: each value under its type. A value is read
// where a condition asks for it.
type attributes map[string]json.RawMessage

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
		a.about(a.action, arn, arn, a.leadingKeys(table, func() []attributes { return items }))
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
	a.about(action, arn, arn, a.leadingKeys(in.TableName, func() []attributes { return []attributes{in.Key, in.Item, in.queried()} }))
}

// leadingKeys has the condition key of the items that a request is about. They
// are looked for once, however many statements ask.
func (a *asked) leadingKeys(table string, items func() []attributes) iam.Context {
	found := sync.OnceValue(func() []string { return a.hashValues(table, items()) })
	return func(key string) []string {
		if key != "dynamodb:leadingkeys" {
			return nil
		}
		return found()
	}
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
		raw, ok := item[hash]
		if !ok {
			continue
		}
		var value struct{ S, N, B string } // one of them is the key
		_ = json.Unmarshal(raw, &value)    // what is none, the service refuses
		if text := cmp.Or(value.S, value.N, value.B); text != "" && !slices.Contains(keys, text) {
			keys = append(keys, text)
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
