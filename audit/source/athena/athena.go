package athena

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/aws-sdk-go-v2/service/athena/types"

	"github.com/rekey-go/rekey/audit"
)

// A Table is a table of a trail's log files.
type Table struct {
	// Database and Name are those in the data catalog. If empty, they are
	// default and rekey_cloudtrail.
	Database, Name string
	// Location is the folder above the accounts: s3://bucket/AWSLogs, or
	// s3://bucket/prefix/AWSLogs/o-organisation.
	Location string
	// Accounts and Regions are those that the trail writes logs of.
	Accounts, Regions []string
	// Since is the first day that there are logs of. If zero, it is the first
	// of 2020.
	Since time.Time
}

const dayLayout = "2006/01/02"

func (t Table) withDefaults() Table {
	if t.Database == "" {
		t.Database = "default"
	}
	if t.Name == "" {
		t.Name = "rekey_cloudtrail"
	}
	if t.Since.IsZero() {
		t.Since = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	t.Location = strings.TrimSuffix(t.Location, "/")
	return t
}

// literal is a text as SQL writes it.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// DDL is the statement that makes the table, whose columns are those of AWS's
// guide.
func (t Table) DDL() string {
	t = t.withDefaults()
	return "CREATE EXTERNAL TABLE IF NOT EXISTS `" + t.Database + "`.`" + t.Name + "` (" + `
  eventversion STRING,
  useridentity STRUCT<
    type: STRING, principalid: STRING, arn: STRING, accountid: STRING, invokedby: STRING, accesskeyid: STRING, username: STRING,
    sessioncontext: STRUCT<
      attributes: STRUCT<mfaauthenticated: STRING, creationdate: STRING>,
      sessionissuer: STRUCT<type: STRING, principalid: STRING, arn: STRING, accountid: STRING, username: STRING>,
      ec2roledelivery: STRING>>,
  eventtime STRING,
  eventsource STRING,
  eventname STRING,
  awsregion STRING,
  sourceipaddress STRING,
  useragent STRING,
  errorcode STRING,
  errormessage STRING,
  requestparameters STRING,
  responseelements STRING,
  additionaleventdata STRING,
  requestid STRING,
  eventid STRING,
  eventtype STRING,
  recipientaccountid STRING,
  serviceeventdetails STRING,
  sharedeventid STRING,
  vpcendpointid STRING,
  addendum STRUCT<reason: STRING, updatedfields: STRING, originaluid: STRING, originaleventid: STRING>,
  sessioncredentialfromconsole STRING
)
PARTITIONED BY (account STRING, region STRING, day STRING)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION ` + literal(t.Location+"/") + `
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.account.type' = 'enum',
  'projection.account.values' = ` + literal(strings.Join(t.Accounts, ",")) + `,
  'projection.region.type' = 'enum',
  'projection.region.values' = ` + literal(strings.Join(t.Regions, ",")) + `,
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy/MM/dd',
  'projection.day.interval' = '1',
  'projection.day.interval.unit' = 'DAYS',
  'projection.day.range' = ` + literal(t.Since.UTC().Format(dayLayout)+",NOW") + `,
  'storage.location.template' = ` + literal(t.Location+"/${account}/CloudTrail/${region}/${day}") + `
)`
}

// A column is one of the query's, and where its value stands in a record. What
// is JSON in the table stands there as what it says.
type column struct {
	expression, member string
	isJSON             bool
}

var columns = [...]column{
	{"eventid", "eventID", false},
	{"eventtime", "eventTime", false},
	{"eventsource", "eventSource", false},
	{"eventname", "eventName", false},
	{"eventtype", "eventType", false},
	{"awsregion", "awsRegion", false},
	{"sourceipaddress", "sourceIPAddress", false},
	{"useragent", "userAgent", false},
	{"errorcode", "errorCode", false},
	{"errormessage", "errorMessage", false},
	{"requestid", "requestID", false},
	{"recipientaccountid", "recipientAccountId", false},
	{"sharedeventid", "sharedEventID", false},
	{"vpcendpointid", "vpcEndpointId", false},
	{"sessioncredentialfromconsole", "sessionCredentialFromConsole", false},
	{"requestparameters", "requestParameters", true},
	{"responseelements", "responseElements", true},
	{"additionaleventdata", "additionalEventData", true},
	{"serviceeventdetails", "serviceEventDetails", true},
	{"addendum.reason", "addendum.reason", false},
	{"addendum.originaleventid", "addendum.originalEventID", false},
	{"useridentity.type", "userIdentity.type", false},
	{"useridentity.principalid", "userIdentity.principalId", false},
	{"useridentity.arn", "userIdentity.arn", false},
	{"useridentity.accountid", "userIdentity.accountId", false},
	{"useridentity.accesskeyid", "userIdentity.accessKeyId", false},
	{"useridentity.username", "userIdentity.userName", false},
	{"useridentity.invokedby", "userIdentity.invokedBy", false},
	{"useridentity.sessioncontext.sessionissuer.arn", "userIdentity.sessionContext.sessionIssuer.arn", false},
	{"useridentity.sessioncontext.sessionissuer.accountid", "userIdentity.sessionContext.sessionIssuer.accountId", false},
	{"useridentity.sessioncontext.ec2roledelivery", "userIdentity.sessionContext.ec2RoleDelivery", false},
	{"useridentity.sessioncontext.attributes.mfaauthenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated", false},
}

// Query is the query for the records of Secrets Manager, of KMS on its behalf,
// and of changes of KMS keys between two times. If zero, they do not bound it.
// A file may hold records of the day before.
func (t Table) Query(from, to time.Time) string {
	t = t.withDefaults()
	var b strings.Builder
	b.WriteString("SELECT\n")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, "  %s AS c%d", c.expression, i)
	}
	fmt.Fprintf(&b, "\nFROM %q.%q\n", t.Database, t.Name)
	b.WriteString(`WHERE (eventsource = 'secretsmanager.amazonaws.com'
  OR eventsource = 'kms.amazonaws.com' AND requestparameters LIKE '%SecretARN%'
  OR eventsource = 'kms.amazonaws.com' AND eventname IN ('DisableKey', 'EnableKey', 'ScheduleKeyDeletion', 'CancelKeyDeletion'))`)
	if !from.IsZero() {
		b.WriteString("\n  AND day >= " + literal(from.UTC().Format(dayLayout)) + " AND eventtime >= " + literal(from.UTC().Format(time.RFC3339)))
	}
	if !to.IsZero() {
		b.WriteString("\n  AND day <= " + literal(to.UTC().Add(24*time.Hour).Format(dayLayout)) + " AND eventtime <= " + literal(to.UTC().Format(time.RFC3339)))
	}
	return b.String()
}

// A Client is what [Records] needs of the SDK's client.
type Client interface {
	athena.GetQueryResultsAPIClient
	StartQueryExecution(ctx context.Context, in *athena.StartQueryExecutionInput, optFns ...func(*athena.Options)) (*athena.StartQueryExecutionOutput, error)
	GetQueryExecution(ctx context.Context, in *athena.GetQueryExecutionInput, optFns ...func(*athena.Options)) (*athena.GetQueryExecutionOutput, error)
}

// Options configure [Records].
type Options struct {
	// From and To bound the time of the events. If zero, they do not.
	From, To time.Time
	// WorkGroup is the work group. If empty, it is Athena's own, primary.
	WorkGroup string
	// Output is the folder for results, s3://bucket/prefix. If empty, it is
	// that of the work group.
	Output string
	// Poll is the time between two looks at a query that runs. If zero, it is
	// a second.
	Poll time.Duration
}

// Rows is a source of records from a table.
type Rows struct {
	client Client
	table  Table
	opts   Options
}

// Records returns the records of Secrets Manager from a table, which must be
// there: see [Table.DDL].
func Records(client Client, table Table, optFns ...func(*Options)) *Rows {
	r := &Rows{client: client, table: table, opts: Options{WorkGroup: "primary", Poll: time.Second}}
	for _, fn := range optFns {
		fn(&r.opts)
	}
	return r
}

// Records runs the query and yields its rows as records.
func (r *Rows) Records(ctx context.Context) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		id, err := r.run(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		first := true
		for pages := athena.NewGetQueryResultsPaginator(r.client, &athena.GetQueryResultsInput{QueryExecutionId: &id}); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, fmt.Errorf("reading the results of query %s: %w", id, err))
				return
			}
			rows := page.ResultSet.Rows
			if first && len(rows) > 0 {
				rows, first = rows[1:], false // the names of the columns
			}
			for _, row := range rows {
				if !yield(recordOf(row)) {
					return
				}
			}
		}
	}
}

// run starts the query and waits for its end.
func (r *Rows) run(ctx context.Context) (id string, err error) {
	in := &athena.StartQueryExecutionInput{QueryString: new(r.table.Query(r.opts.From, r.opts.To)), WorkGroup: &r.opts.WorkGroup}
	if r.opts.Output != "" {
		in.ResultConfiguration = &types.ResultConfiguration{OutputLocation: &r.opts.Output}
	}
	started, err := r.client.StartQueryExecution(ctx, in)
	if err != nil {
		return "", fmt.Errorf("starting the query: %w", err)
	}
	id = *started.QueryExecutionId
	for {
		out, err := r.client.GetQueryExecution(ctx, &athena.GetQueryExecutionInput{QueryExecutionId: &id})
		if err != nil {
			return "", fmt.Errorf("waiting for query %s: %w", id, err)
		}
		switch status := out.QueryExecution.Status; status.State {
		case types.QueryExecutionStateSucceeded:
			return id, nil
		case types.QueryExecutionStateFailed, types.QueryExecutionStateCancelled:
			reason := "no reason was given"
			if status.StateChangeReason != nil {
				reason = *status.StateChangeReason
			}
			return "", fmt.Errorf("query %s has %s: %s", id, strings.ToLower(string(status.State)), reason)
		}
		select {
		case <-time.After(r.opts.Poll):
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for query %s: %w", id, ctx.Err())
		}
	}
}

// errColumns means that a row is none of the query's.
var errColumns = errors.New("a row has other columns than were asked for")

// recordOf makes a row the record that it was made of.
func recordOf(row types.Row) (json.RawMessage, error) {
	if len(row.Data) != len(columns) {
		return nil, errColumns
	}
	record := make(map[string]any)
	for i, c := range columns {
		text := row.Data[i].VarCharValue
		if text == nil || *text == "" {
			continue
		}
		into, member := record, c.member
		for head, rest, nested := strings.Cut(member, "."); nested; head, rest, nested = strings.Cut(rest, ".") {
			inner, ok := into[head].(map[string]any)
			if !ok {
				inner = make(map[string]any)
				into[head] = inner
			}
			into, member = inner, rest
		}
		if c.isJSON && json.Valid([]byte(*text)) {
			into[member] = json.RawMessage(*text)
		} else {
			into[member] = *text
		}
	}
	return json.Marshal(record)
}

var _ audit.Source = (*Rows)(nil)
