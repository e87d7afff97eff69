package cloudtrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
)

// Buckets is where trails deliver to.
type Buckets interface {
	// Has reports whether there is a bucket.
	Has(bucket string) bool
	// Permit says why a trail may not do an action on a bucket or an object, by
	// the bucket's policy.
	Permit(trailARN, action, resourceARN string) error
	// Put writes an object.
	Put(bucket, key string, content []byte, metadata map[string]string) error
}

// A delivery is a trail that somebody made: it delivers what is recorded while
// it is logging to a bucket, as files and digests that are those of the folder
// in form. It lives in memory, as the buckets do. The encoder's goroutine alone
// touches it.
type delivery struct {
	trail
	place    place
	logging  bool
	started  time.Time
	stopped  time.Time
	latest   time.Time // of the last log file
	digested time.Time // of the last digest
	problem  string    // why the latest delivery failed, if it did
	link     link
	timer    *clock.Timer // of the next digest
}

// A place is where a trail's files lie, and what the trail is called.
type place struct{ bucket, prefix, trail string }

// key is that of a file of a kind in the S3 layout.
func (p place) key(o *Options, kind string, at time.Time, name string) string {
	parts := []string{"AWSLogs", o.Account, kind, o.Region, at.UTC().Format(dayFolder), name}
	if p.prefix != "" {
		parts = append([]string{p.prefix}, parts...)
	}
	return strings.Join(parts, "/")
}

// do runs something in the encoder's goroutine, after all that was recorded
// before.
func (s *Service) do(fn func(*encoder)) { s.settle(item{do: fn}) }

// start lets a trail log from now on. What was recorded before goes into other
// files.
func (e *encoder) start(d *delivery) {
	if d.logging {
		return
	}
	now := e.service.opts.Clock.Now().UTC().Truncate(time.Second)
	e.deliver(now)
	d.logging, d.started = true, now
	d.link.Start = now
	e.armDigest(d, now.Add(digestEvery))
}

// stop ends the logging with what was recorded until now, and a last digest.
func (e *encoder) stop(d *delivery) {
	if !d.logging {
		return
	}
	now := e.service.opts.Clock.Now().UTC().Truncate(time.Second)
	e.deliver(now)
	d.logging, d.stopped = false, now
	d.timer.Stop()
	e.digestOf(d, now)
	d.link = link{} // a new start begins a new chain
}

// armDigest sets the time of a trail's next digest, as [chain.arm] does.
func (e *encoder) armDigest(d *delivery, at time.Time) {
	s := e.service
	d.timer = s.opts.Clock.At(at, func() {
		s.do(func(e *encoder) {
			if now := s.opts.Clock.Now().UTC().Truncate(time.Second); d.logging && !at.After(now) {
				e.digestOf(d, now)
				e.armDigest(d, now.Add(digestEvery))
			}
		})
	})
}

// deliverTo writes a log file to each trail that is logging.
func (e *encoder) deliverTo(name string, packed []byte, hash string, at time.Time) {
	s := e.service
	for _, d := range e.deliveries {
		if !d.logging {
			continue
		}
		key := d.place.key(&s.opts, "CloudTrail", at, name)
		if err := e.put(d, key, packed, nil); err != nil {
			continue
		}
		d.latest = at
		open := &s.ring.open
		d.link.Logs = append(d.link.Logs, logFile{
			Bucket: d.S3BucketName, Object: key, Hash: hash, HashAlgorithm: hashAlgorithm, Newest: stamp(open.newest), Oldest: stamp(open.oldest),
		})
	}
}

// put writes an object, if the bucket's policy lets it. What went wrong
// GetTrailStatus tells, as on AWS.
func (e *encoder) put(d *delivery, key string, content []byte, metadata map[string]string) error {
	s := e.service
	err := s.opts.Buckets.Permit(d.TrailARN, "s3:PutObject", bucketARN(d.S3BucketName)+"/"+key)
	if err == nil {
		err = s.opts.Buckets.Put(d.S3BucketName, key, content, metadata)
	}
	d.problem = ""
	if err != nil {
		d.problem = "AccessDenied"
		if !s.opts.Buckets.Has(d.S3BucketName) {
			d.problem = "NoSuchBucket"
		}
		s.opts.Logger.Error("delivering the trail", "trail", d.Name, "bucket", d.S3BucketName, "error", err)
	}
	return err
}

// digestOf ends a period of a trail with a digest.
func (e *encoder) digestOf(d *delivery, at time.Time) {
	if !d.LogFileValidationEnabled {
		d.link.Logs = nil
		return
	}
	signed, err := e.service.sign(&d.link, d.place, at)
	if err != nil {
		e.service.fail(err)
		return
	}
	err = e.put(d, signed.Object, signed.packed, map[string]string{"signature": signed.signature, "signature-algorithm": signatureAlgorithm})
	if err != nil {
		return // the next one is of this period too
	}
	d.digested = at
	d.link = link{Start: at, Object: signed.Object, Hash: signed.hash, Signature: signed.signature}
}

// A signedDigest is a digest as it is to be written.
type signedDigest struct {
	*digestFile
	packed          []byte
	hash, signature string
}

// sign makes the digest of a period that ends at a time.
func (s *Service) sign(l *link, p place, at time.Time) (*signedDigest, error) {
	key, err := s.signer.open(s.opts)
	if err != nil {
		return nil, err
	}
	d := l.next(at, key.fingerprint, p, &s.opts)
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding a digest: %w", err)
	}
	signature, err := key.sign(d.toSign(body))
	packed, packing := pack(body)
	return &signedDigest{d, packed, hashOf(body), signature}, errors.Join(err, packing)
}

func bucketARN(bucket string) string { return "arn:aws:s3:::" + bucket }
