package s3

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"

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
	// action is what IAM calls it; setting it and taking it away are one.
	action string
	// dropped is the action of taking it away where that is one of its own.
	dropped string
}

// call is a call for it.
func (s subresource) call(method, arn string) wire.ObjectCall {
	switch method {
	case http.MethodGet:
		return call("Get"+s.noun, wire.Read, wire.Need{Action: "s3:Get" + s.action, Resource: arn})
	case http.MethodDelete:
		return call("Delete"+s.noun, wire.Write, wire.Need{Action: "s3:" + cmp.Or(s.dropped, "Put"+s.action), Resource: arn})
	}
	return call("Put"+s.noun, wire.Write, wire.Need{Action: "s3:Put" + s.action, Resource: arn})
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
	{"encryption", "BucketEncryption", "ServerSideEncryptionConfigurationNotFoundError", http.StatusOK, "EncryptionConfiguration", ""},
	{"lifecycle", "BucketLifecycleConfiguration", "NoSuchLifecycleConfiguration", http.StatusOK, "LifecycleConfiguration", ""},
	{"ownershipControls", "BucketOwnershipControls", "OwnershipControlsNotFoundError", http.StatusOK, "BucketOwnershipControls", ""},
	{"policy", "BucketPolicy", "NoSuchBucketPolicy", http.StatusNoContent, "BucketPolicy", "DeleteBucketPolicy"},
	{"publicAccessBlock", "PublicAccessBlock", "NoSuchPublicAccessBlockConfiguration", http.StatusOK, "BucketPublicAccessBlock", ""},
	{"tagging", "BucketTagging", "NoSuchTagSet", http.StatusNoContent, "BucketTagging", ""},
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

// identify tells what a request asks for, by the actions of IAM's reference of
// S3. Reading and writing objects are data calls, as in CloudTrail.
func identify(r *http.Request) wire.ObjectCall {
	bucket, key := split(r.URL.Path)
	sub, ok := subresourceOf(r)
	if answer, asked := asksStanding(r); asked {
		return answer.call("arn:aws:s3:::" + bucket)
	}
	if name, is := unknown(r); is && (key != "" || !ok) {
		return call(r.Method+" "+name, wire.Data) // it is refused
	}
	switch {
	case key != "":
		return objectCall(r, "arn:aws:s3:::"+bucket+"/"+key)
	case bucket == "":
		return call("ListBuckets", wire.Read, wire.Need{Action: "s3:ListAllMyBuckets", Resource: "*"})
	case r.Method == http.MethodPost:
		return deletion(r, "arn:aws:s3:::"+bucket)
	case ok:
		return sub.call(r.Method, "arn:aws:s3:::"+bucket)
	}
	return bucketCall(r, "arn:aws:s3:::"+bucket)
}

func call(operation string, access wire.Access, needs ...wire.Need) wire.ObjectCall {
	return wire.ObjectCall{Operation: operation, Access: access, Needs: needs}
}

// objectCall is one for an object.
func objectCall(r *http.Request, arn string) wire.ObjectCall {
	query := r.URL.Query()
	need := func(action string) wire.Need { return wire.Need{Action: "s3:" + action, Resource: arn} }
	version := ""
	if query.Has("versionId") {
		version = "Version"
	}
	switch upload := query.Has("uploadId"); r.Method {
	case http.MethodGet, http.MethodHead:
		if upload {
			return call("ListParts", wire.Data, need("ListMultipartUploadParts"))
		}
		return call(map[string]string{http.MethodGet: "GetObject", http.MethodHead: "HeadObject"}[r.Method], wire.Data, need("GetObject"+version))
	case http.MethodDelete:
		if upload {
			return call("AbortMultipartUpload", wire.Data, need("AbortMultipartUpload"))
		}
		return call("DeleteObject", wire.Data, need("DeleteObject"+version))
	}
	if from := r.Header.Get("X-Amz-Copy-Source"); from != "" {
		return call("CopyObject", wire.Data, need("PutObject"), wire.Need{Action: "s3:GetObject", Resource: sourceARN(from)})
	}
	return call("PutObject", wire.Data, need("PutObject"))
}

// sourceARN is the ARN of what is copied.
func sourceARN(source string) string {
	source, _, _ = strings.Cut(source, "?versionId=")
	if plain, err := url.PathUnescape(source); err == nil {
		source = plain
	}
	return "arn:aws:s3:::" + strings.TrimPrefix(source, "/")
}

// bucketCall is one for a bucket itself.
func bucketCall(r *http.Request, arn string) wire.ObjectCall {
	query := r.URL.Query()
	need := wire.Need{Resource: arn}
	named := func(operation string, access wire.Access, action string) wire.ObjectCall {
		need.Action = "s3:" + action
		return call(operation, access, need)
	}
	switch reads := r.Method == http.MethodGet || r.Method == http.MethodHead; {
	case query.Has("location"):
		return named("GetBucketLocation", wire.Read, "GetBucketLocation")
	case query.Has("versioning") && reads:
		return named("GetBucketVersioning", wire.Read, "GetBucketVersioning")
	case query.Has("versioning"):
		return named("PutBucketVersioning", wire.Write, "PutBucketVersioning")
	case query.Has("uploads"):
		return named("ListMultipartUploads", wire.Data, "ListBucketMultipartUploads")
	case r.Method == http.MethodPut:
		return named("CreateBucket", wire.Write, "CreateBucket")
	case r.Method == http.MethodDelete:
		return named("DeleteBucket", wire.Write, "DeleteBucket")
	case r.Method == http.MethodHead:
		return named("HeadBucket", wire.Read, "ListBucket")
	}
	need.Keys = map[string]string{"s3:prefix": query.Get("prefix"), "s3:delimiter": query.Get("delimiter")}
	if query.Has("versions") {
		return named("ListObjectVersions", wire.Data, "ListBucketVersions")
	}
	return named("ListObjects", wire.Data, "ListBucket")
}

// deletion is the deletion of several objects, each of which is to be allowed.
// S3 refuses those alone that are not; the engine then deletes none.
func deletion(r *http.Request, arn string) wire.ObjectCall {
	var list struct {
		Objects []struct {
			Key       string
			VersionID string `xml:"VersionId"`
		} `xml:"Object"`
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil || xml.Unmarshal(body, &list) != nil {
		list.Objects = nil // it is refused for that
	}
	out := call("DeleteObjects", wire.Data)
	for _, o := range list.Objects {
		action := "s3:DeleteObject"
		if o.VersionID != "" {
			action += "Version"
		}
		out.Needs = append(out.Needs, wire.Need{Action: action, Resource: arn + "/" + o.Key})
	}
	return out
}
