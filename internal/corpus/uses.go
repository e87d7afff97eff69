package corpus

import (
	"fmt"
	"maps"
	"strings"
)

// denied is a call that was refused, whose secret stands in the message alone.
func (c *call) denied(u use) {
	r := c.record(u, "GetSecretValue")
	id := []string{u.secret.name, u.secret.arn}[c.world.rand.IntN(2)]
	r["errorCode"] = []string{"AccessDenied", "AccessDeniedException"}[c.world.rand.IntN(2)]
	r["errorMessage"] = fmt.Sprintf("User: %s is not authorized to perform: secretsmanager:GetSecretValue on resource: %s because no identity-based policy allows the secretsmanager:GetSecretValue action", u.principal.arn, id)
	c.put(r)
	c.counts(u).Denied++
}

// batch is a batch of three secrets with the reads that CloudTrail writes
// beside it.
func (c *call) batch(u use) {
	list, seen := []string{}, make(map[int]bool)
	for step := range 3 {
		n := u.secret.number + step*c.world.streams()
		if n >= c.world.opts.Secrets || seen[n] {
			break
		}
		seen[n] = true
		one := u
		one.secret = c.world.secret(n)
		one.at = c.world.free(pair{n, u.number}, u.at)
		list = append(list, one.secret.arn)
		c.world.known[n] = true
		c.read(one, object{"secretId": one.secret.arn}, one.version(one.at), true)
		c.counts(one).Batches++
	}
	r := c.record(u, "BatchGetSecretValue")
	r["requestParameters"] = object{"secretIdList": list}
	c.put(r)
}

func (c *call) describe(u use) {
	r := c.record(u, "DescribeSecret")
	r["requestParameters"] = object{"secretId": u.secret.name}
	c.put(r)
	c.counts(u).Describes++
}

// change stores a value, and some policies of 60 KB.
func (c *call) change(u use) {
	r := c.record(u, "PutSecretValue")
	r["readOnly"] = false
	token := c.world.id()
	r["requestParameters"] = object{"secretId": u.secret.name, "clientRequestToken": token, "versionStages": []string{"REVIEWED"}}
	r["responseElements"] = object{[]string{"arn", "aRN"}[c.world.rand.IntN(2)]: u.secret.arn}
	c.put(r)
	c.kms(u, "GenerateDataKey", token)
	c.counts(u).Writes++
	if c.world.rand.IntN(10) > 0 {
		return
	}
	r = c.record(u, "PutResourcePolicy")
	r["readOnly"] = false
	statement := `{"Effect":"Allow","Principal":{"Service":"secretsmanager.amazonaws.com"},"Action":"\u0073ecretsmanager:*"},`
	r["requestParameters"] = object{"secretId": u.secret.arn, "resourcePolicy": `{"Statement":[` + strings.Repeat(statement, 60_000/len(statement)) + `{}]}`}
	c.put(r)
	c.counts(u).Writes++
}

// rotation is what Secrets Manager itself tells of a rotation.
func (c *call) rotation(u use) {
	for _, name := range []string{"RotationStarted", "RotationFailed"} {
		r := c.record(u, name)
		r["eventType"], r["sourceIPAddress"], r["userAgent"] = "AwsServiceEvent", "secretsmanager.amazonaws.com", "secretsmanager.amazonaws.com"
		r["userIdentity"] = object{"accountId": u.secret.account, "invokedBy": "secretsmanager.amazonaws.com"}
		r["additionalEventData"] = object{"SecretId": u.secret.arn}
		r["requestID"] = "Rotation-" + u.secret.arn + "-" + c.world.id()
		if name == "RotationFailed" {
			r["errorMessage"] = "Error when executing lambda arn:aws:lambda:eu-west-1:111122223333:function:rotate during createSecret step"
		}
		c.put(r)
	}
}

// corrected is a read that a later record turns into a refusal.
func (c *call) corrected(u use) {
	r := c.record(u, "GetSecretValue")
	r["requestParameters"] = object{"secretId": u.secret.arn}
	first := r["eventID"]
	c.put(r)
	r["eventID"] = c.world.id()
	r["errorCode"] = "AccessDenied"
	r["addendum"] = object{"reason": "UPDATED_DATA", "updatedFields": "errorCode", "originalEventID": first}
	c.further(r)
	c.counts(u).Denied++
}

// between is a call from another account, which both have a record of: the
// secret's account does not know who called.
func (c *call) between(u use) {
	w := c.world
	u.number += w.opts.Principals // nobody of the secret's account
	u.principal = w.principal(u.number, accounts[(c.stream+1)%len(accounts)])
	u.at = w.free(pair{u.secret.number, u.number}, u.at)
	callee := c.record(u, "GetSecretValue")
	callee["requestParameters"], callee["sharedEventID"] = object{"secretId": u.secret.arn}, w.id()
	caller := maps.Clone(callee)
	callee["userIdentity"] = object{"type": "AWSAccount", "principalId": "AROA" + u.principal.name, "accountId": u.principal.account}
	caller["eventID"], caller["recipientAccountId"] = w.id(), u.principal.account
	c.put(callee)
	c.kms(u, "Decrypt", u.version(u.at))
	c.further(caller)
	a := c.counts(u)
	a.Reads++
	a.Versions[u.version(u.at)]++
}
