package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/rekey-go/rekey/internal/local/iam"
	"github.com/rekey-go/rekey/internal/local/store"
	"github.com/rekey-go/rekey/internal/local/wire"
)

// ErrNotFound means that there is no such object, or no such bucket.
var ErrNotFound = errors.New("no such object")

// maxDocument bounds the documents of a bucket; policies are the largest.
const maxDocument = 64 << 10

// A Service is S3 of one account. It is safe for concurrent use.
type Service struct {
	backend gofakes3.Backend
	objects http.Handler
	store   *store.Store

	mu        sync.Mutex
	documents map[string][]byte // :: mu, bucket and subresource
}

// New returns a service with what the store has; without a store it is empty,
// and nothing is kept. The time is that of new objects.
func New(now func() time.Time, kept *store.Store) (*Service, error) {
	var loading time.Time
	clock := timeSource(func() time.Time {
		if !loading.IsZero() {
			return loading
		}
		return now()
	})
	memory := s3mem.New(s3mem.WithTimeSource(clock))
	s := &Service{backend: memory, store: kept, documents: make(map[string][]byte)}
	if kept != nil {
		k := &keeper{Backend: memory, store: kept, now: now}
		if err := errors.Join(k.load(&loading), s.loadDocuments()); err != nil {
			return nil, err
		}
		s.backend = k
	}
	s.objects = gofakes3.New(s.backend, gofakes3.WithTimeSource(clock), gofakes3.WithTimeSkewLimit(0), gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	return s, nil
}

// timeSource is the engine's clock as gofakes3 asks for it.
type timeSource func() time.Time

func (t timeSource) Now() time.Time                     { return t() }
func (t timeSource) Since(then time.Time) time.Duration { return t().Sub(then) }

// Object reads an object whole. The error wraps [ErrNotFound] where there is
// none.
func (s *Service) Object(bucket, key string) ([]byte, error) {
	object, err := s.backend.GetObject(bucket, key, nil)
	switch {
	case gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey), gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket):
		return nil, fmt.Errorf("s3://%s/%s: %w", bucket, key, ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("reading s3://%s/%s: %w", bucket, key, err)
	}
	defer func() { _ = object.Contents.Close() }() // it is in memory
	return io.ReadAll(object.Contents)
}

// Put writes an object, with metadata by names without x-amz-meta-.
func (s *Service) Put(bucket, key string, content []byte, metadata map[string]string) error {
	meta := make(map[string]string, len(metadata))
	for name, value := range metadata {
		meta[http.CanonicalHeaderKey("X-Amz-Meta-"+name)] = value
	}
	if _, err := s.backend.PutObject(bucket, key, meta, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		return fmt.Errorf("writing s3://%s/%s: %w", bucket, key, err)
	}
	return nil
}

// Provision makes a bucket, if it is not there.
func (s *Service) Provision(bucket string) error {
	err := s.backend.CreateBucket(bucket)
	if err == nil || gofakes3.HasErrorCode(err, gofakes3.ErrBucketAlreadyExists) {
		return nil
	}
	return fmt.Errorf("making the bucket %s: %w", bucket, err)
}

// Has reports whether there is a bucket.
func (s *Service) Has(bucket string) bool {
	there, err := s.backend.BucketExists(bucket)
	return there && err == nil
}

// Policy is the policy of the bucket that an ARN names, or that its object is
// in; empty if there is none.
func (s *Service) Policy(arn string) string {
	bucket, _ := split(strings.TrimPrefix(arn, "arn:aws:s3:::"))
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.documents[bucket+"?policy"])
}

// PutPolicy gives a bucket its policy.
func (s *Service) PutPolicy(bucket, policy string) error {
	if !s.Has(bucket) {
		return wire.Errorf("NoSuchBucket", "The specified bucket does not exist")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setLocked(bucket+"?policy", []byte(policy))
}

// DropPolicy takes a bucket's policy away.
func (s *Service) DropPolicy(bucket string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropLocked(bucket + "?policy")
}

// RemoveBucket removes a bucket; there need not be one. The error says so
// where it has objects.
func (s *Service) RemoveBucket(bucket string) error {
	err := s.backend.DeleteBucket(bucket)
	switch {
	case gofakes3.HasErrorCode(err, gofakes3.ErrBucketNotEmpty):
		return wire.Errorf("BucketNotEmpty", "The bucket you tried to delete is not empty")
	case err != nil && !gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchBucket):
		return fmt.Errorf("removing the bucket %s: %w", bucket, err)
	}
	return s.forget(bucket)
}

// Wire is the service as the front door takes it.
func (s *Service) Wire() wire.ObjectStore {
	return wire.ObjectStore{Handler: s, Identify: s.identify}
}

// identify tells what a request asks for. Whoever asks for an object that is not
// there is told so only where they may list the bucket, as on S3.
func (s *Service) identify(r *http.Request) wire.ObjectCall {
	asked := identify(r)
	bucket, key := split(r.URL.Path)
	if key == "" || asked.Operation != "GetObject" && asked.Operation != "HeadObject" || !s.Has(bucket) {
		return asked
	}
	if _, err := s.backend.HeadObject(bucket, key); gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
		asked.Needs = append(asked.Needs, wire.Need{Action: "s3:ListBucket", Resource: "arn:aws:s3:::" + bucket})
	}
	return asked
}

// ServeHTTP answers one request, whose path is the bucket and the object.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key := split(r.URL.Path)
	if name, ok := subresourceOf(r); ok && key == "" {
		s.serveDocument(w, r, bucket, name)
		return
	}
	if answer, ok := asksStanding(r); ok {
		s.serveStanding(w, bucket, answer)
		return
	}
	if name, ok := unknown(r); ok {
		refuse(w, http.StatusNotImplemented, "NotImplemented", "the embedded engine does not have "+name+" of S3; docs/engine.md lists what it has")
		return
	}
	s.objects.ServeHTTP(w, r)
	if r.Method == http.MethodDelete && key == "" {
		_ = s.forget(bucket) // what stays on disk of a bucket that is gone is not loaded
	}
}

// forget drops the documents of a bucket that is gone.
func (s *Service) forget(bucket string) error {
	if s.Has(bucket) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropLocked(bucket + "?")
}

func (s *Service) serveDocument(w http.ResponseWriter, r *http.Request, bucket string, sub subresource) {
	if !s.Has(bucket) {
		refuse(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	key := bucket + "?" + sub.query
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		document, err := io.ReadAll(io.LimitReader(r.Body, maxDocument+1))
		if err != nil || len(document) == 0 || len(document) > maxDocument {
			refuse(w, http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
			return
		}
		if sub.query == "policy" {
			if _, err := iam.ParseResourceJSON(document); err != nil {
				refuse(w, http.StatusBadRequest, "MalformedPolicy", err.Error())
				return
			}
		}
		conclude(w, sub.put, s.setLocked(key, document))
	case http.MethodDelete:
		conclude(w, http.StatusNoContent, s.dropLocked(key))
	case http.MethodGet:
		document, ok := s.documents[key]
		if !ok {
			refuse(w, http.StatusNotFound, sub.missing, "The bucket has no such configuration")
			return
		}
		w.Header().Set("Content-Type", sub.contentType())
		_, _ = w.Write(document) // a caller that went away cannot be told
	default:
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
}

// conclude answers a change that could be kept, or not.
func conclude(w http.ResponseWriter, status int, err error) {
	if err != nil {
		refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
		return
	}
	w.WriteHeader(status)
}

// refuse answers with an error as S3 writes it.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(struct { // a caller that went away cannot be told
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
}

// split takes a path apart.
func split(path string) (bucket, key string) {
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return bucket, key
}
