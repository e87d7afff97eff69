package s3

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A standing answer is that to a question about something that a bucket of the
// engine never has, as S3 answers it for a bucket that has none.
type standing struct {
	// operation is its name, and action what IAM calls it.
	operation, action string
	// missing is the code of an error; without it, body is the answer.
	missing, body string
}

const xmlns = ` xmlns="http://s3.amazonaws.com/doc/2006-03-01/"`

// standingOf is the standing answer to a question about a bucket.
func standingOf(query string) (standing, bool) {
	switch query {
	case "accelerate":
		return standing{operation: "GetBucketAccelerateConfiguration", action: "GetAccelerateConfiguration", body: `<AccelerateConfiguration` + xmlns + `/>`}, true
	case "acl":
		return standing{operation: "GetBucketAcl", action: "GetBucketAcl", body: ownerAlone}, true
	case "cors":
		return standing{operation: "GetBucketCors", action: "GetBucketCORS", missing: "NoSuchCORSConfiguration"}, true
	case "logging":
		return standing{operation: "GetBucketLogging", action: "GetBucketLogging", body: `<BucketLoggingStatus` + xmlns + `/>`}, true
	case "notification":
		return standing{operation: "GetBucketNotificationConfiguration", action: "GetBucketNotification", body: `<NotificationConfiguration` + xmlns + `/>`}, true
	case "object-lock":
		return standing{operation: "GetObjectLockConfiguration", action: "GetBucketObjectLockConfiguration", missing: "ObjectLockConfigurationNotFoundError"}, true
	case "replication":
		return standing{operation: "GetBucketReplication", action: "GetReplicationConfiguration", missing: "ReplicationConfigurationNotFoundError"}, true
	case "requestPayment":
		return standing{operation: "GetBucketRequestPayment", action: "GetBucketRequestPayment", body: `<RequestPaymentConfiguration` + xmlns + `><Payer>BucketOwner</Payer></RequestPaymentConfiguration>`}, true
	case "website":
		return standing{operation: "GetBucketWebsite", action: "GetBucketWebsite", missing: "NoSuchWebsiteConfiguration"}, true
	}
	return standing{}, false
}

// ownerAlone is the access control list that a bucket has from its beginning.
const ownerAlone = `<AccessControlPolicy` + xmlns + `><Owner><ID>` + owner + `</ID></Owner><AccessControlList><Grant>` +
	`<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>` + owner + `</ID></Grantee>` +
	`<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>`

// owner is the account's canonical user id, as listings have it.
const owner = "fe7272ea58be830e56fe1663b10fafef"

// asksStanding returns the standing answer that a request asks for.
func asksStanding(r *http.Request) (standing, bool) {
	if _, key := split(r.URL.Path); key != "" || r.Method != http.MethodGet {
		return standing{}, false
	}
	for name := range r.URL.Query() {
		if s, ok := standingOf(name); ok {
			return s, true
		}
	}
	return standing{}, false
}

func (s standing) call(arn string) wire.ObjectCall {
	return call(s.operation, wire.Read, wire.Need{Action: "s3:" + s.action, Resource: arn})
}

// serveStanding answers for a bucket that is there.
func (s *Service) serveStanding(w http.ResponseWriter, bucket string, answer standing) {
	switch {
	case !s.Has(bucket):
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
	case answer.missing != "":
		refuse(w, http.StatusNotFound, answer.missing, "The bucket has no such configuration")
	default:
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, answer.body) // a caller that went away cannot be told
	}
}

// known are the parameters of queries that belong to what the engine has.
//
//nolint:gochecknoglobals // a constant table.
var known = []string{
	"continuation-token", "delete", "delimiter", "encoding-type", "fetch-owner", "key-marker", "list-type", "location",
	"marker", "max-keys", "max-parts", "max-uploads", "optional-object-attributes", "part-number-marker", "partnumber", "prefix",
	"start-after", "upload-id-marker", "uploadid", "uploads", "version-id-marker", "versionid", "versioning", "versions", "x-id",
}

// unknown names something that a request asks for and that the engine does not
// have. Without a look at it, a call for the tags of an object would be one
// for the object: to take them away would take the object away.
func unknown(r *http.Request) (name string, ok bool) {
	for name := range r.URL.Query() {
		lower := strings.ToLower(name)
		switch {
		case slices.Contains(known, lower), strings.HasPrefix(lower, "response-"), strings.HasPrefix(lower, "x-amz-"):
		default:
			return name, true
		}
	}
	return "", false
}
