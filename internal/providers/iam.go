package providers

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// IAM is the access keys of one user, and STS's GetCallerIdentity, over the
// Query protocol. It checks the signature of every call; calls to IAM itself are
// made with the operator's key.
type IAM struct {
	ring

	user     string
	operator aws.Credentials
	now      func() time.Time
}

const (
	iamAccount    = "123456789012"
	maxAccessKeys = 2
)

// NewIAM returns a user without keys. Operator makes the calls to IAM.
func NewIAM(user string, operator aws.Credentials) *IAM {
	return &IAM{user: user, operator: operator, now: time.Now}
}

// Add makes an access key.
func (p *IAM) Add() (id, secret string) {
	id, secret = "AKIA"+random(16), random(40)
	p.add(&record{id: id, secret: secret})
	return id, secret
}

// Revoke deletes an access key.
func (p *IAM) Revoke(id string) { p.remove(id) }

// ServeHTTP answers one call.
func (p *IAM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return
	}
	form, _ := url.ParseQuery(string(body)) // what cannot be read has no action
	action := form.Get("Action")
	caller, ok := p.signedBy(r, body)
	switch {
	case !ok:
		refuse(w, http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid.")
	case action == "GetCallerIdentity":
		reply(w, action, map[string]string{"Arn": p.arn(caller), "UserId": "AIDA", "Account": iamAccount})
	case caller != p.operator.AccessKeyID:
		refuse(w, http.StatusForbidden, "AccessDenied", "User: "+p.arn(caller)+" is not authorized to perform: iam:"+action)
	case form.Get("UserName") != p.user && action != "GetAccessKeyLastUsed":
		refuse(w, http.StatusNotFound, "NoSuchEntity", "The user with name "+form.Get("UserName")+" cannot be found.")
	default:
		p.act(w, action, form)
	}
}

func (p *IAM) arn(caller string) string {
	if caller == p.operator.AccessKeyID {
		return "arn:aws:sts::" + iamAccount + ":assumed-role/apikeyrotator/session"
	}
	return "arn:aws:iam::" + iamAccount + ":user/apps/" + p.user
}

func (p *IAM) act(w http.ResponseWriter, action string, form url.Values) {
	id := form.Get("AccessKeyId")
	switch action {
	case "CreateAccessKey":
		if len(p.all()) >= maxAccessKeys {
			refuse(w, http.StatusConflict, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")
			return
		}
		id, secret := p.Add()
		reply(w, action, map[string]any{"AccessKey": fields{
			"UserName": p.user, "AccessKeyId": id, "Status": "Active", "SecretAccessKey": secret, "CreateDate": p.now().UTC().Format(time.RFC3339),
		}})
	case "ListAccessKeys":
		members := []fields{}
		for _, k := range p.all() {
			status := "Active"
			if k.disabled {
				status = "Inactive"
			}
			members = append(members, fields{
				"UserName": p.user, "AccessKeyId": k.id, "Status": status, "CreateDate": p.now().UTC().Format(time.RFC3339),
			})
		}
		reply(w, action, map[string]any{"AccessKeyMetadata": members, "IsTruncated": "false"})
	case "UpdateAccessKey", "DeleteAccessKey":
		if !p.change(id, action == "DeleteAccessKey", form.Get("Status") == "Inactive") {
			refuse(w, http.StatusNotFound, "NoSuchEntity", "The Access Key with id "+id+" cannot be found.")
			return
		}
		reply(w, action, map[string]string{})
	case "GetAccessKeyLastUsed":
		last := fields{"ServiceName": "N/A", "Region": "N/A"}
		if at := slices.IndexFunc(p.all(), func(k record) bool { return k.id == id }); at >= 0 && p.all()[at].used {
			last = fields{"ServiceName": "sts", "Region": "us-east-1", "LastUsedDate": p.now().UTC().Format(time.RFC3339)}
		}
		reply(w, action, map[string]any{"UserName": p.user, "AccessKeyLastUsed": last})
	default:
		refuse(w, http.StatusBadRequest, "InvalidAction", "Could not find operation "+action)
	}
}

// change deletes a key or sets its status.
func (p *IAM) change(id string, remove, disabled bool) bool {
	if remove {
		return p.remove(id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.records, func(k *record) bool { return k.id == id })
	if at >= 0 {
		p.records[at].disabled = disabled
	}
	return at >= 0
}

// signedBy checks a request's signature, and returns the access key's id.
func (p *IAM) signedBy(r *http.Request, body []byte) (id string, ok bool) {
	given := r.Header.Get("Authorization")
	_, credential, _ := strings.Cut(given, "Credential=")
	scope := strings.SplitN(credential, "/", 5)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if len(scope) != 5 || err != nil {
		return "", false
	}
	signed := func(secret string) bool { return given == signature(r, body, scope, secret, at) }
	if scope[0] == p.operator.AccessKeyID {
		return scope[0], signed(p.operator.SecretAccessKey)
	}
	k, ok := p.use(func(k *record) bool { return k.id == scope[0] && signed(k.secret) })
	return k.id, ok
}

// signature is what the request's header should be.
func signature(r *http.Request, body []byte, scope []string, secret string, at time.Time) string {
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return ""
	}
	_, names, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	for name := range strings.SplitSeq(names, ";") {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	sum := sha256.Sum256(body)
	key := aws.Credentials{AccessKeyID: scope[0], SecretAccessKey: secret}
	if v4.NewSigner().SignHTTP(r.Context(), key, again, hex.EncodeToString(sum[:]), scope[3], scope[2], at) != nil {
		return ""
	}
	return again.Header.Get("Authorization")
}

// fields are elements by their names.
type fields map[string]string

func reply[V any](w http.ResponseWriter, action string, result map[string]V) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%sResponse><%sResult>", action, action)
	for name, v := range result {
		fmt.Fprintf(&b, "<%s>", name)
		switch v := any(v).(type) {
		case fields:
			writeFields(&b, v)
		case []fields:
			for _, member := range v {
				b.WriteString("<member>")
				writeFields(&b, member)
				b.WriteString("</member>")
			}
		default:
			_ = xml.EscapeText(&b, fmt.Append(nil, v)) // a buffer takes everything
		}
		fmt.Fprintf(&b, "</%s>", name)
	}
	fmt.Fprintf(&b, "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>", action, random(20), action)
	w.Header().Set("Content-Type", "text/xml")
	_, _ = w.Write(b.Bytes()) // a client that went away cannot be told
}

func writeFields(b *bytes.Buffer, all fields) {
	for name, text := range all {
		fmt.Fprintf(b, "<%s>", name)
		_ = xml.EscapeText(b, []byte(text)) // as above
		fmt.Fprintf(b, "</%s>", name)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>", code, message, random(20))
}
