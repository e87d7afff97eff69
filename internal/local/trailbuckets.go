package local

import (
	"github.com/rekey-go/rekey/internal/local/cloudtrail"
	"github.com/rekey-go/rekey/internal/local/iam"
)

// trailBuckets are the engine's buckets as trails deliver to them. They are made
// after the trail.
type trailBuckets struct{ engine *Engine }

var _ cloudtrail.Buckets = trailBuckets{}

// Has asks the buckets.
func (b trailBuckets) Has(bucket string) bool { return b.engine.Objects.Has(bucket) }

// Put writes an object.
func (b trailBuckets) Put(bucket, key string, content []byte, metadata map[string]string) error {
	return b.engine.Objects.Put(bucket, key, content, metadata)
}

// Permit asks the bucket's policy. CloudTrail gives the bucket's owner full
// control of what it writes, which the policy of AWS's guide asks for.
func (b trailBuckets) Permit(trailARN, action, resourceARN string) error {
	e := b.engine
	context := serviceContext(trailService, trailARN, func(key string) []string {
		if key == "s3:x-amz-acl" {
			return iam.Text("bucket-owner-full-control")
		}
		return nil
	})
	r := judged{iam.Request{Party: iam.Party{Service: trailService}, Action: action, Resource: resourceARN, Context: context}, resourceARN}
	d := iam.Policies{Resource: e.access.parsed.policy(e.Objects.Policy(resourceARN))}.Evaluate(&r.Request)
	e.access.ledger.count(d.Used)
	if d.Verdict != iam.Allow {
		return e.refuse(d, &r)
	}
	return nil
}
