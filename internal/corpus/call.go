package corpus

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"time"
)

// A call writes records into a file.
type call struct {
	world     *world
	stream    int
	file      *file
	delivered time.Time
	size      int
}

func (c *call) write(raw []byte) {
	c.file.records = append(c.file.records, raw)
	c.size += len(raw) + 1
	c.world.truth.Records++
	c.world.truth.Bytes += int64(len(raw)) + 1
}

func stampOf(unix int64) string { return time.Unix(unix, 0).UTC().Format(stamp) }

// number is a random number that belongs to a small one.
func (w *world) number(n int) uint64 {
	return rand.NewPCG(w.opts.Seed, uint64(n)).Uint64() //nolint:gosec // not negative, and no secret.
}

// An object is a JSON object.
type object = map[string]any

func marshal(r object) []byte {
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err) // made of texts, numbers and lists of them alone
	}
	return raw
}

// put writes a record of Secrets Manager, or of KMS for it, and counts it. Some
// are delivered again.
func (c *call) put(r object) {
	raw := marshal(r)
	c.write(raw)
	c.world.truth.Events++
	if c.world.rand.IntN(50) == 0 {
		c.world.again[c.stream] = append(c.world.again[c.stream], raw)
	}
}

// further writes another record of an event that was counted, in this file or
// in a later one.
func (c *call) further(r object) {
	if raw := marshal(r); c.world.rand.IntN(2) == 0 {
		c.world.again[c.stream] = append(c.world.again[c.stream], raw)
	} else {
		c.write(raw)
		c.world.truth.Again++
	}
}

// A use is a principal's use of a secret.
type use struct {
	secret
	principal
	number int // of the principal
	at     time.Time
}

// counts are those of the use.
func (c *call) counts(u use) *Access { return c.world.access(u.secret, u.number, u.principal) }

// secrets writes what one use of a secret leaves.
func (c *call) secrets() {
	u := c.use(c.world.rand.IntN(c.world.opts.Secrets))
	if !c.world.known[u.secret.number] {
		c.world.known[u.secret.number] = true
		c.read(u, object{"secretId": u.secret.arn}, u.version(u.at), true)
		return
	}
	switch n := c.world.rand.IntN(100); {
	case n < 60:
		c.plain(u)
	case n < 66:
		old := u.old(u.at)
		c.read(u, object{"secretId": u.secret.arn, "versionId": old}, old, true)
	case n < 74:
		c.denied(u)
	case n < 80:
		c.batch(u)
	case n < 85:
		c.describe(u)
	case n < 90:
		c.change(u)
	case n < 94:
		c.rotation(u)
	case n < 97:
		c.corrected(u)
	default:
		c.between(u)
	}
}

// use chooses who uses a secret, of the file's stream where it can, and when:
// mostly in the minutes before the delivery, seldom days ago.
func (c *call) use(n int) use {
	w := c.world
	n -= n % w.streams()
	if n += c.stream; n >= w.opts.Secrets {
		n = c.stream % w.opts.Secrets
	}
	s := w.secret(n)
	number := (n*5 + w.rand.IntN(5)) % w.opts.Principals
	at := c.delivered.Add(-time.Duration(w.rand.IntN(300)) * time.Second)
	if w.rand.IntN(100) == 0 {
		at = at.Add(-time.Duration(w.rand.IntN(72)) * time.Hour)
	}
	return use{s, w.principal(number, s.account), number, w.free(pair{n, number}, at)}
}

// plain is a read that asks for no version, by one of the secret's names.
func (c *call) plain(u use) {
	id := []string{u.secret.name, u.secret.arn, u.partial()}[c.world.rand.IntN(3)]
	c.read(u, object{"secretId": id}, u.version(u.at), c.world.rand.IntN(15) != 0)
}

// read writes a read, and the decrypt that tells its version if told.
func (c *call) read(u use, parameters object, version string, told bool) {
	r := c.record(u, "GetSecretValue")
	r["requestParameters"] = parameters
	c.put(r)
	if told {
		c.kms(u, "Decrypt", version)
	} else {
		version = ""
	}
	a := c.counts(u)
	a.Reads++
	a.Versions[version]++
}

// record is a record without parameters.
func (c *call) record(u use, name string) object {
	return object{
		"eventVersion": "1.11", "eventTime": u.at.Format(stamp), "eventSource": "secretsmanager.amazonaws.com", "eventName": name,
		"awsRegion": u.region, "sourceIPAddress": "10.0.3.7", "userAgent": "aws-sdk-go-v2/1.48.0 os/linux lang/go#1.26.0",
		"requestParameters": nil, "responseElements": nil, "requestID": c.world.id(), "eventID": c.world.id(), "readOnly": true,
		"eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": u.secret.account, "eventCategory": "Management",
		"userIdentity": u.identity(),
		"tlsDetails":   object{"tlsVersion": "TLSv1.3", "clientProvidedHostHeader": "secretsmanager." + u.region + ".amazonaws.com"},
	}
}

// identity is a principal as CloudTrail writes it. A user with temporary keys
// has an issuer that is empty.
func (p principal) identity() object {
	if p.user {
		return object{
			"type": "IAMUser", "principalId": "AIDA" + p.name, "arn": p.arn, "accountId": p.account, "userName": p.name,
			"accessKeyId": "ASIA" + p.name, "sessionContext": object{"sessionIssuer": object{}, "attributes": object{"mfaAuthenticated": "true"}},
		}
	}
	return object{
		"type": "AssumedRole", "principalId": "AROA" + p.name + ":" + p.session, "accountId": p.account, "accessKeyId": "ASIA" + p.name,
		"arn":            "arn:aws:sts::" + p.account + ":assumed-role/" + p.name + "/" + p.session,
		"sessionContext": object{"sessionIssuer": object{"type": "Role", "arn": p.arn, "accountId": p.account, "userName": p.name}},
	}
}

// kms writes what KMS did for a call, in the same second or the one after.
func (c *call) kms(u use, name, version string) {
	later := u
	later.at = u.at.Add(time.Duration(c.world.rand.IntN(2)) * time.Second)
	r := c.record(later, name)
	identity := maps.Clone(u.identity())
	identity["invokedBy"] = "secretsmanager.amazonaws.com"
	r["eventSource"], r["userIdentity"] = "kms.amazonaws.com", identity
	r["sourceIPAddress"], r["userAgent"] = "secretsmanager.amazonaws.com", "secretsmanager.amazonaws.com"
	r["requestParameters"] = object{
		"encryptionContext":   object{"SecretARN": u.secret.arn, "SecretVersionId": version},
		"encryptionAlgorithm": "SYMMETRIC_DEFAULT",
	}
	r["resources"] = []object{{"accountId": u.secret.account, "type": "AWS::KMS::Key", "ARN": u.key}}
	c.put(r)
}
