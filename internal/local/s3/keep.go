package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/rekey-go/rekey/internal/local/store"
)

// What is kept: buckets and their documents, and of each object the newest
// version, in two parts.
const (
	bucketTable   = "s3.buckets"
	documentTable = "s3.documents" // by bucket?subresource
	objectTable   = "s3.objects"   // by bucket/key
	bodyTable     = "s3.bodies"    // by the same
)

type keptBucket struct {
	Created    time.Time
	Versioning gofakes3.VersioningStatus `json:",omitempty"`
}

type keptObject struct {
	Meta     map[string]string
	Modified time.Time
}

// A keeper is the objects in memory, each change of which is on disk before it
// is answered for.
type keeper struct {
	*s3mem.Backend
	store *store.Store
	now   func() time.Time
	mu    sync.Mutex // held by what changes something, so that the last is kept
}

// load fills the memory with what was kept. The time of what is made meanwhile
// is set by at.
func (k *keeper) load(at *time.Time) error {
	defer func() { *at = time.Time{} }()
	err := store.Each(k.store.Table(bucketTable), func(name string, b keptBucket) error {
		*at = b.Created
		if err := k.Backend.CreateBucket(name); err != nil || b.Versioning == "" {
			return err
		}
		return k.Backend.SetVersioningConfiguration(name, gofakes3.VersioningConfiguration{Status: b.Versioning})
	})
	if err != nil {
		return fmt.Errorf("loading the buckets: %w", err)
	}
	objects := make(map[string]keptObject)
	if err := store.Each(k.store.Table(objectTable), func(place string, o keptObject) error { objects[place] = o; return nil }); err != nil {
		return fmt.Errorf("loading the objects: %w", err)
	}
	err = store.Each(k.store.Table(bodyTable), func(place string, body store.Raw) error {
		*at = objects[place].Modified
		bucket, key := split(place)
		_, err := k.Backend.PutObject(bucket, key, objects[place].Meta, bytes.NewReader(body), int64(len(body)), nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("loading the objects: %w", err)
	}
	return nil
}

// keep writes down what there is of an object now.
func (k *keeper) keep(bucket, key string) error {
	place := bucket + "/" + key
	object, err := k.GetObject(bucket, key, nil)
	if gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
		return k.store.Update(func(tx *store.Tx) error {
			if err := tx.Delete(bodyTable, place); err != nil {
				return err
			}
			return tx.Delete(objectTable, place)
		})
	}
	if err != nil {
		return err
	}
	body, err := io.ReadAll(object.Contents)
	if err != nil {
		return err
	}
	modified := k.now()
	return k.store.Update(func(tx *store.Tx) error {
		if err := tx.Put(bodyTable, place, store.Raw(body)); err != nil {
			return err
		}
		return tx.Put(objectTable, place, keptObject{object.Metadata, modified})
	})
}

// CreateBucket makes a bucket.
func (k *keeper) CreateBucket(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.Backend.CreateBucket(name); err != nil {
		return err
	}
	return k.store.Table(bucketTable).Put(name, keptBucket{Created: k.now()})
}

// DeleteBucket removes a bucket without objects.
func (k *keeper) DeleteBucket(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.Backend.DeleteBucket(name); err != nil {
		return err
	}
	return k.store.Table(bucketTable).Delete(name)
}

// SetVersioningConfiguration has a bucket keep versions, or not.
func (k *keeper) SetVersioningConfiguration(name string, v gofakes3.VersioningConfiguration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.Backend.SetVersioningConfiguration(name, v); err != nil {
		return err
	}
	all, err := k.ListBuckets()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(b gofakes3.BucketInfo) bool { return b.Name == name })
	return k.store.Table(bucketTable).Put(name, keptBucket{all[at].CreationDate.Time, v.Status})
}

// PutObject stores an object.
func (k *keeper) PutObject(bucket, key string, meta map[string]string, input io.Reader, size int64, conditions *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	body, err := gofakes3.ReadAll(input, size) // before the others have to wait for it
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	result, err := k.Backend.PutObject(bucket, key, meta, bytes.NewReader(body), size, conditions)
	if err != nil {
		return result, err
	}
	return result, k.keep(bucket, key)
}

// CopyObject stores what another object is.
func (k *keeper) CopyObject(fromBucket, from, bucket, key string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(k, fromBucket, from, bucket, key, meta)
}

// DeleteObject deletes an object, or marks it as deleted.
func (k *keeper) DeleteObject(bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	result, err := k.Backend.DeleteObject(bucket, key)
	if err != nil {
		return result, err
	}
	return result, k.keep(bucket, key)
}

// DeleteObjectVersion deletes a version of an object.
func (k *keeper) DeleteObjectVersion(bucket, key string, version gofakes3.VersionID) (gofakes3.ObjectDeleteResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	result, err := k.Backend.DeleteObjectVersion(bucket, key, version)
	if err != nil {
		return result, err
	}
	return result, k.keep(bucket, key)
}

// DeleteMulti deletes several objects.
func (k *keeper) DeleteMulti(bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	result, err := k.Backend.DeleteMulti(bucket, keys...)
	for _, key := range keys {
		if err == nil {
			err = k.keep(bucket, key)
		}
	}
	return result, err
}

// DeleteMultiVersions deletes versions of several objects.
func (k *keeper) DeleteMultiVersions(bucket string, objects ...gofakes3.ObjectID) (gofakes3.MultiDeleteResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	result, err := k.Backend.DeleteMultiVersions(bucket, objects...)
	for _, object := range objects {
		if err == nil {
			err = k.keep(bucket, object.Key)
		}
	}
	return result, err
}

// loadDocuments reads what buckets have beside objects. Those of a bucket that
// is gone are left alone.
func (s *Service) loadDocuments() error {
	return store.Each(s.store.Table(documentTable), func(name string, document store.Raw) error {
		if bucket, _, _ := strings.Cut(name, "?"); s.Has(bucket) {
			s.documents[name] = document
		}
		return nil
	})
}

// setLocked keeps a document of a bucket.
func (s *Service) setLocked(name string, document []byte) error {
	if err := s.store.Table(documentTable).Put(name, store.Raw(document)); err != nil {
		return err
	}
	s.documents[name] = document
	return nil
}

// dropLocked drops the documents whose names begin so.
func (s *Service) dropLocked(prefix string) error {
	var errs []error
	for name := range s.documents {
		if strings.HasPrefix(name, prefix) {
			delete(s.documents, name)
			errs = append(errs, s.store.Table(documentTable).Delete(name))
		}
	}
	return errors.Join(errs...)
}
