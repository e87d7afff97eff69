// Package athena has Amazon Athena read a trail's bucket, for months of an
// organisation that one machine should not read: the scan runs beside the
// bucket, and only the records of Secrets Manager come here.
//
// [Table.DDL] is the statement that makes the table, once; its partitions are
// projected, so that nobody has to add one a day. [Table.Query] is the query,
// to be pasted where queries are run by hand. [Records] runs it and is a source
// like the others, so that the report is the same.
//
// It needs athena:StartQueryExecution, GetQueryExecution and GetQueryResults,
// glue:GetTable, s3:GetObject and s3:ListBucket on the trail's bucket, and
// s3:PutObject where the work group keeps results. Athena bills by the bytes
// that it scans, which are those of the days in question.
//
// The protocol is tested against a stand-in. The statements follow AWS's guide
// to CloudTrail in Athena, and have not run on AWS.
package athena
