package s3

import (
	"net/http"

	"github.com/rekey-go/rekey/internal/local/wire"
)

// A subresource is something that a bucket has beside objects.
type subresource struct {
	// query names it in a request: "encryption"; noun names it in operations:
	// "BucketEncryption".
	query, noun string
	// missing is the code of the error where a bucket has none.
	missing string
	// put is the status of an answer to PUT.
	put int
}

func (s subresource) contentType() string {
	if s.query == "policy" {
		return "application/json"
	}
	return "application/xml"
}

// subresources are those that the engine keeps.
//
//nolint:gochecknoglobals // a constant table.
var subresources = []subresource{
	{"encryption", "BucketEncryption", "ServerSideEncryptionConfigurationNotFoundError", http.StatusOK},
	{"lifecycle", "BucketLifecycleConfiguration", "NoSuchLifecycleConfiguration", http.StatusOK},
	{"ownershipControls", "BucketOwnershipControls", "OwnershipControlsNotFoundError", http.StatusOK},
	{"policy", "BucketPolicy", "NoSuchBucketPolicy", http.StatusNoContent},
	{"publicAccessBlock", "PublicAccessBlock", "NoSuchPublicAccessBlockConfiguration", http.StatusOK},
	{"tagging", "BucketTagging", "NoSuchTagSet", http.StatusNoContent},
}

func subresourceOf(r *http.Request) (subresource, bool) {
	query := r.URL.Query()
	for _, sub := range subresources {
		if query.Has(sub.query) {
			return sub, true
		}
	}
	return subresource{}, false
}

// operationOf names the operation of a request, and what it is about as an
// ARN. Reading and writing objects are data calls, as in CloudTrail.
func operationOf(r *http.Request) (operation, arn string, access wire.Access) {
	bucket, key := split(r.URL.Path)
	arn = "arn:aws:s3:::" + bucket
	verb := map[string]string{http.MethodGet: "Get", http.MethodHead: "Head", http.MethodPut: "Put", http.MethodPost: "Post", http.MethodDelete: "Delete"}[r.Method]
	access = wire.Write
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		access = wire.Read
	}
	sub, ok := subresourceOf(r)
	switch {
	case key != "":
		return verb + "Object", arn + "/" + key, wire.Data
	case ok:
		return verb + sub.noun, arn, access
	case bucket == "":
		return "ListBuckets", "*", access
	case r.Method == http.MethodPut:
		return "CreateBucket", arn, access
	case r.Method == http.MethodGet:
		return "ListObjects", arn, wire.Data
	case r.Method == http.MethodPost:
		return "DeleteObjects", arn, wire.Data
	default:
		return verb + "Bucket", arn, access
	}
}
