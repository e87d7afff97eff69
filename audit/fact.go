package audit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// kind says what a call does.
type kind uint8

const (
	kindOther kind = iota // changes something
	kindRead
	kindBatch
	kindDescribe
	kindRotation // an event that a rotation left
	kindDecrypt
	kindEncrypt
	kindKey // a change of a KMS key
)

// kindOf is the kind of a record.
func kindOf(r *record) kind {
	if r.EventSource == kmsSource {
		switch {
		case r.isKeyChange():
			return kindKey
		case r.EventName == "Decrypt":
			return kindDecrypt
		}
		return kindEncrypt
	}
	switch r.EventName {
	case "GetSecretValue":
		return kindRead
	case "BatchGetSecretValue":
		return kindBatch
	case "DescribeSecret", "ListSecrets", "ListSecretVersionIds", "GetResourcePolicy", "GetRandomPassword", "ValidateResourcePolicy":
		return kindDescribe
	}
	if isService(r) {
		return kindRotation
	}
	return kindOther
}

// isService reports whether a record is of something that Secrets Manager did
// by itself.
func isService(r *record) bool {
	if r.EventType == "AwsServiceEvent" {
		return true
	}
	for _, prefix := range []string{"Rotation", "TestRotation", "StartSecretVersion", "CancelSecretVersion", "EndSecretVersion"} {
		if strings.HasPrefix(r.EventName, prefix) {
			return true
		}
	}
	return false
}

// A fact is what is kept of a record, in few bytes, as there is one of each
// event.
type fact struct {
	id     eventID
	micros int64 // the time, since 1970
	*act
	used *string // the version; nil if it is not known
}

// at is when it happened.
func (f *fact) at() time.Time { return time.UnixMicro(f.micros).UTC() }

// version is the version that was asked for, or made; for a read it is filled
// in from KMS.
func (f *fact) version() string { return textAt(f.used) }

// An act is who did what with which secret. A trail is full of the same
// callers' doing the same again and again: all facts of that share one act,
// which never changes.
type act struct {
	*origin
	*deed
	named  *string // the secret as the record names it; nil if it does not
	secret *subject
	said   *string // the error's message, where it is kept
	rare   *rare
}

// ref is the secret as the record names it.
func (a *act) ref() string { return textAt(a.named) }

// message is what was said of a call that was refused, or went wrong.
func (a *act) message() string { return textAt(a.said) }

func textAt(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// An origin is who called, from where and in which Region.
type origin struct {
	who       *principal
	region    string
	account   string // that the secret is in, unless its ARN says otherwise
	ip, agent string
}

// A deed is what was called for, and with which success.
type deed struct {
	action   string
	kind     kind
	denied   bool
	failed   bool // for another reason
	explicit bool // whether the caller asked for the version
	stage    string
}

// isPlain reports whether it reads something, and changes nothing.
func (d *deed) isPlain() bool {
	return d.kind == kindRead || d.kind == kindDescribe || d.kind == kindDecrypt || d.kind == kindEncrypt
}

// isRead reports whether a fact is a read that succeeded.
func (f *fact) isRead() bool { return f.kind == kindRead && f.ok() }

// ok reports whether a call succeeded.
func (f *fact) ok() bool { return !f.denied && !f.failed }

// corrects reports whether a record takes the place of an earlier one.
func (f *fact) corrects() bool { return f.rare != nil && f.rare.corrects }

// isCallersSide reports whether a record was made for the account of who
// called, and says who that was.
func (f *fact) isCallersSide() bool { return f.who.account == f.account && isARN(f.who.id) }

// isCall reports whether a fact is a call of Secrets Manager, and not what it
// or KMS did by itself.
func (f *fact) isCall() bool { return f.kind < kindRotation }

// rare is what few records have.
type rare struct {
	token      string
	stages     []string
	arn, name  string   // a pair that belongs together
	list       []string // the secrets of a batch, as it names them
	secrets    []*subject
	catchAll   bool
	forced     bool
	window     time.Duration
	due        time.Time
	moved      string
	madeResult string // the version that the answer names
	lambda     string // the function that is to rotate
	key        string // the KMS key
	detail     string // of a change
	corrects   bool   // it takes the place of an earlier record
	// replaced is whether that record was seen too, and refCorrected whether the
	// secret is named as the correction does.
	replaced, refCorrected bool
}

// eventID identifies an event.
type eventID [16]byte

// parseID makes a UUID its 16 bytes, and of anything else its hash.
func parseID(text string) (id eventID) {
	if id, ok := parseUUID(text); ok {
		return id
	}
	sum := sha256.Sum256([]byte(text))
	copy(id[:], sum[:])
	return id
}

func parseUUID(text string) (id eventID, ok bool) {
	if len(text) != 36 {
		return id, false
	}
	var digits [32]byte
	n := 0
	for i := range len(text) {
		if text[i] != '-' && n < len(digits) {
			digits[n] = text[i]
			n++
		}
	}
	_, err := hex.Decode(id[:], digits[:])
	return id, err == nil && n == len(digits)
}

// String writes the id as a UUID.
func (id eventID) String() string {
	x := id.text()
	return string(x[:])
}

// text is the id as a UUID is written.
func (id eventID) text() (x [36]byte) {
	hex.Encode(x[:8], id[:4])
	hex.Encode(x[9:13], id[4:6])
	hex.Encode(x[14:18], id[6:8])
	hex.Encode(x[19:23], id[8:10])
	hex.Encode(x[24:], id[10:])
	x[8], x[13], x[18], x[23] = '-', '-', '-', '-'
	return x
}

// newFact keeps of a record what the report needs.
func (c *collector) newFact(r *record) fact {
	p := &r.RequestParameters
	f := fact{id: c.id(r), micros: r.at.UnixMicro()}
	a := act{origin: c.origin(r), deed: c.deed(r)}
	if a.kind != kindKey {
		a.named = c.share(r.secretID())
	}
	switch a.kind {
	case kindRead:
		f.used = c.share(p.VersionID)
	case kindDecrypt, kindEncrypt:
		f.used = c.share(p.EncryptionContext.SecretVersionID)
	case kindRotation:
		f.used = c.share(r.rotationToken())
	}
	if a.denied || !a.isPlain() || r.corrects() {
		a.said = c.share(r.ErrorMessage)
	}
	a.rare = c.newRare(r, &a)
	f.act = c.act(a)
	return f
}

// act returns the one that is kept of those that are equal. One with something
// rare equals no other: it is its fact's alone, and is not kept any longer.
func (c *collector) act(a act) *act {
	if a.rare != nil {
		return &a
	}
	return c.acts.share(a, func(a act) act { return a })
}

// origin is where a record's call came from.
func (c *collector) origin(r *record) *origin {
	o := origin{who: c.principal(r), region: r.AWSRegion, account: accountOf(r), ip: r.SourceIPAddress, agent: r.UserAgent}
	return c.origins.share(o, func(o origin) origin {
		o.region, o.account, o.ip, o.agent = c.intern(o.region), c.intern(o.account), c.intern(o.ip), c.intern(o.agent)
		return o
	})
}

// deed is what a record's call was.
func (c *collector) deed(r *record) *deed {
	d := deed{action: r.EventName, kind: kindOf(r), denied: r.denied(), stage: r.RequestParameters.VersionStage}
	d.failed = r.ErrorCode != "" && !d.denied
	d.explicit = d.kind == kindRead && r.RequestParameters.VersionID != ""
	return c.deeds.share(d, func(d deed) deed {
		d.action, d.stage = c.intern(d.action), c.intern(d.stage)
		return d
	})
}

// id is the event's id. One that is not written as UUIDs are is remembered as
// it is written; a record without one is itself.
func (c *collector) id(r *record) eventID {
	if r.EventID == "" {
		return r.sum
	}
	id := parseID(r.EventID)
	if x := id.text(); string(x[:]) != r.EventID {
		c.oddIDs[id] = strings.Clone(r.EventID)
	}
	return id
}

// newRare returns what few records have, or nil if this one has nothing of it.
func (c *collector) newRare(r *record, a *act) *rare {
	p := &r.RequestParameters
	plain := a.isPlain() || a.kind == kindRotation && cmp.Or(r.AdditionalEventData.ARN, r.ResponseElements.ARN) == ""
	if plain && !r.corrects() {
		return nil
	}
	x := &rare{
		token:      c.intern(p.ClientRequestToken),
		stages:     c.internAll(p.VersionStages),
		moved:      c.intern(p.MoveToVersionID),
		list:       c.internAll(p.SecretIDList),
		forced:     p.ForceDeleteWithoutRecovery,
		window:     time.Duration(p.RecoveryWindowInDays * float64(24*time.Hour)),
		due:        parseDate(r.ResponseElements.DeletionDate),
		madeResult: c.intern(r.ResponseElements.VersionID),
		lambda:     c.intern(p.RotationLambdaARN),
		detail:     c.intern(detailOf(r)),
		corrects:   r.corrects(),
	}
	x.refCorrected = x.corrects && a.named != nil
	for _, filter := range p.Filters {
		for _, v := range filter.Values {
			x.catchAll = x.catchAll || strings.HasPrefix(v, "!")
		}
	}
	if a.kind == kindKey {
		x.key = c.intern(keyID(cmp.Or(p.KeyID, r.firstResource())))
	}
	x.arn, x.name = r.ResponseElements.ARN, r.ResponseElements.Name
	if r.AdditionalEventData.ARN != "" {
		x.arn, x.name = r.AdditionalEventData.ARN, r.AdditionalEventData.Name
	}
	if x.name == "" && !isARN(a.ref()) && a.kind == kindOther {
		x.name = a.ref() // the name that was asked for belongs to the ARN of the answer
	}
	if x.name == "" {
		x.name = p.Name
	}
	x.arn, x.name = c.intern(x.arn), c.intern(x.name)
	return x
}

// accountOf is the account whose secret a record is about when it names it by
// its name only.
func accountOf(r *record) string {
	if r.RecipientAccountID != "" {
		return r.RecipientAccountID
	}
	return r.UserIdentity.AccountID
}
