package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/clock"
	"github.com/rekey-go/rekey/internal/local/store"
)

// The names that the folder and the trail have in digests.
const (
	Bucket    = "rekey-trail"
	TrailName = "rekey"
)

// folderPlace is that of the folder.
func folderPlace() place { return place{bucket: Bucket, trail: TrailName} }

const (
	hashAlgorithm      = "SHA-256"
	signatureAlgorithm = "SHA256withRSA"
	// SignatureSuffix is what the file that has a digest's signature adds to
	// the name of the digest.
	SignatureSuffix = ".sig"
	digestTime      = "20060102T150405Z"
)

// A digestFile is a digest. The members and their order are CloudTrail's.
type digestFile struct {
	AccountID             string    `json:"awsAccountId"`
	Start                 string    `json:"digestStartTime"`
	End                   string    `json:"digestEndTime"`
	Bucket                string    `json:"digestS3Bucket"`
	Object                string    `json:"digestS3Object"`
	Fingerprint           string    `json:"digestPublicKeyFingerprint"`
	Algorithm             string    `json:"digestSignatureAlgorithm"`
	Newest                *string   `json:"newestEventTime"`
	Oldest                *string   `json:"oldestEventTime"`
	PreviousBucket        *string   `json:"previousDigestS3Bucket"`
	PreviousObject        *string   `json:"previousDigestS3Object"`
	PreviousHash          *string   `json:"previousDigestHashValue"`
	PreviousHashAlgorithm *string   `json:"previousDigestHashAlgorithm"`
	PreviousSignature     *string   `json:"previousDigestSignature"`
	LogFiles              []logFile `json:"logFiles"`
}

// A logFile is what a digest says of a log file.
type logFile struct {
	Bucket        string `json:"s3Bucket"`
	Object        string `json:"s3Object"`
	Hash          string `json:"hashValue"`
	HashAlgorithm string `json:"hashAlgorithm"`
	Newest        string `json:"newestEventTime"`
	Oldest        string `json:"oldestEventTime"`
}

// A link is the end of the chain of digests, as it is kept in the store.
type link struct {
	// Start is when the period began that has no digest yet, and Logs are the
	// files that were delivered in it.
	Start time.Time
	Logs  []logFile
	// Object, Hash and Signature are those of the last digest.
	Object, Hash, Signature string
}

// The places in the store.
const (
	storeTable = "cloudtrail"
	linkKey    = "digests"
	signerKey  = "key"
)

// A chain is the end of the chain, and the timer of the next digest.
type chain struct {
	link
	service  *Service
	unsynced []string // files of digests that the store's link does not know of
	stopped  bool
	timer    *clock.Timer
}

// maxUnsynced is how many files of digests are synced together. While time is
// moved there is one every hour of it.
const maxUnsynced = 1000

// openChain goes on with the chain of the store, once its latest files are
// seen to be what was written, or begins one.
func (e *encoder) openChain() error {
	s := e.service
	e.chain.service = s
	err := s.opts.Store.Table(storeTable).Load(func(key string, decode func(any) error) error {
		switch key {
		case linkKey:
			return decode(&e.chain.link)
		case signerKey:
			return decode(&s.signer.kept)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.opts.Dir, "AWSLogs")); errors.Is(err, fs.ErrNotExist) {
		e.chain.link = link{} // there is no trail, or none any more
	}
	if err := e.chain.verify(); err != nil {
		return err
	}
	if e.chain.Start.IsZero() {
		e.chain.Start = s.opts.Clock.Now().UTC().Truncate(time.Second)
		if err := e.chain.keep(e.chain.link); err != nil {
			return err
		}
	}
	e.chain.arm(e.chain.Start.Add(digestEvery))
	return nil
}

// verify finds out whether the last digest and the log files after it are as
// they were written.
func (c *chain) verify() error {
	files := c.Logs
	if c.Object != "" {
		files = append([]logFile{{Object: c.Object, Hash: c.Hash}}, files...)
	}
	for _, f := range files {
		body, err := readObject(c.service.path(f.Object))
		if err != nil || hashOf(body) != f.Hash {
			return fmt.Errorf("%s of the trail is missing or not what was written: %w", c.service.path(f.Object), store.ErrTampered)
		}
	}
	return nil
}

// readObject returns the uncompressed content of a file.
func readObject(path string) ([]byte, error) {
	packed, err := os.ReadFile(path) //nolint:gosec // below the operator's folder.
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keep stores the end of the chain, and then goes on from it.
func (c *chain) keep(next link) error {
	if err := c.sync(); err != nil {
		return fmt.Errorf("syncing the trail's digests: %w", err)
	}
	if err := c.service.opts.Store.Table(storeTable).Put(linkKey, next); err != nil {
		return fmt.Errorf("storing the chain of the trail's digests: %w", err)
	}
	c.link = next
	return nil
}

// sync makes the digests safe that were written since the link was stored.
func (c *chain) sync() error {
	errs := make([]error, len(c.unsynced))
	var all sync.WaitGroup
	turns := make(chan struct{}, 32)
	for i, path := range c.unsynced {
		turns <- struct{}{}
		all.Go(func() {
			errs[i] = syncFile(path)
			<-turns
		})
	}
	all.Wait()
	err := errors.Join(errs...)
	if err == nil {
		c.unsynced = nil
	}
	return err
}

// settle stores the end of the chain, if digests were written since it was.
func (c *chain) settle() error {
	if len(c.unsynced) == 0 {
		return nil
	}
	return c.keep(c.link)
}

// note takes a log file that was delivered into the next digest.
func (e *encoder) note(f logFile) error {
	next := e.chain.link
	next.Logs = append(slices.Clip(next.Logs), f)
	return e.chain.keep(next)
}

// arm sets the time of the next digest. It sets that of the one after it when
// it is due, so that a clock that is advanced comes by all of them.
func (c *chain) arm(at time.Time) {
	s := c.service
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.stopped {
		return
	}
	c.timer = s.opts.Clock.At(at, func() {
		now := s.opts.Clock.Now().UTC().Truncate(time.Second)
		s.send(item{digest: now})
		c.arm(now.Add(digestEvery))
	})
}

func (c *chain) stop() {
	if c.service == nil {
		return
	}
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	c.stopped = true
	c.timer.Stop()
}

// digest ends a period: it writes the digest of what was delivered in it.
func (e *encoder) digest(at time.Time) error {
	s, c := e.service, &e.chain
	d, err := s.sign(&c.link, folderPlace(), at)
	if err != nil {
		return err
	}
	// The signature first: a digest is never seen without one.
	if err := s.writeObject(d.Object+SignatureSuffix, []byte(d.signature+"\n")); err != nil {
		return fmt.Errorf("writing the signature of a digest: %w", err)
	}
	if err := s.writeObject(d.Object, d.packed); err != nil {
		return fmt.Errorf("writing a digest: %w", err)
	}
	c.link = link{Start: at, Object: d.Object, Hash: d.hash, Signature: d.signature}
	c.unsynced = append(c.unsynced, s.path(d.Object+SignatureSuffix), s.path(d.Object))
	if len(c.unsynced) < maxUnsynced {
		return nil // until there is nothing else to do
	}
	return c.settle()
}

// next is the digest that ends at a time.
func (l *link) next(at time.Time, fingerprint string, p place, opts *Options) *digestFile {
	name := fmt.Sprintf("%s_CloudTrail-Digest_%s_%s_%s_%s.json.gz", opts.Account, opts.Region, p.trail, opts.Region, at.Format(digestTime))
	d := &digestFile{
		AccountID: opts.Account, Start: stamp(l.Start), End: stamp(at), Bucket: p.bucket,
		Object:      p.key(opts, "CloudTrail-Digest", at, name),
		Fingerprint: fingerprint, Algorithm: signatureAlgorithm, LogFiles: append([]logFile{}, l.Logs...),
	}
	for i := range l.Logs {
		f := &l.Logs[i]
		if d.Newest == nil || f.Newest > *d.Newest {
			d.Newest = &f.Newest
		}
		if d.Oldest == nil || f.Oldest < *d.Oldest {
			d.Oldest = &f.Oldest
		}
	}
	if l.Object != "" {
		d.PreviousBucket, d.PreviousObject, d.PreviousHash = new(p.bucket), &l.Object, &l.Hash
		d.PreviousHashAlgorithm, d.PreviousSignature = new(hashAlgorithm), &l.Signature
	}
	return d
}

// toSign is the text that the signature of a digest is of.
func (d *digestFile) toSign(body []byte) string {
	previous := "null"
	if d.PreviousSignature != nil {
		previous = *d.PreviousSignature
	}
	return d.End + "\n" + d.Bucket + "/" + d.Object + "\n" + hashOf(body) + "\n" + previous
}

func pack(body []byte) ([]byte, error) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(body) // what is wrong, Close tells
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("packing a digest: %w", err)
	}
	return buf.Bytes(), nil
}

// takeUp goes on with what a kill interrupted: digests or a log file that were
// written and are not in the chain. A log file is taken up only if its records
// are all in the journal; any other was put there by somebody else.
func (e *encoder) takeUp(undelivered []entry) error {
	s, c := e.service, &e.chain
	digests, err := filesSince(s.folder("CloudTrail-Digest"), c.Start)
	if err != nil {
		return fmt.Errorf("listing the digests: %w", err)
	}
	logs, err := filesSince(s.folder("CloudTrail"), c.Start)
	if err != nil {
		return fmt.Errorf("listing the log files: %w", err)
	}
	inJournal := make(map[string]bool)
	for _, u := range undelivered {
		inJournal[u.id] = true
	}
	for _, path := range logs {
		if err := e.adopt(path, inJournal); err != nil {
			return err
		}
	}
	slices.Sort(digests)
	for _, path := range digests {
		// Made again they are the same: no log file came between.
		if at, ok := endOf(path); ok && at.After(c.Start) && !at.After(s.opts.Clock.Now()) {
			if err := e.digest(at); err != nil {
				return err
			}
		}
	}
	return c.settle()
}

// endOf is the time in the name of a digest.
func endOf(path string) (time.Time, bool) {
	name := strings.TrimSuffix(filepath.Base(path), ".json.gz")
	at, err := time.Parse(digestTime, name[strings.LastIndexByte(name, '_')+1:])
	return at, err == nil
}

// adopt notes a log file of the period, unless it is noted or not ours.
func (e *encoder) adopt(path string, inJournal map[string]bool) error {
	s := e.service
	rel, err := filepath.Rel(s.opts.Dir, path)
	key := filepath.ToSlash(rel)
	if err != nil || slices.ContainsFunc(e.chain.Logs, func(f logFile) bool { return f.Object == key }) {
		return err
	}
	seg, err := readSegment(path)
	if err != nil || slices.ContainsFunc(seg.entries, func(r entry) bool { return !inJournal[r.id] }) {
		return nil //nolint:nilerr // a file that is not ours is not our error.
	}
	body, err := readObject(path)
	if err != nil {
		return err
	}
	return e.note(logFile{
		Bucket: Bucket, Object: key, Hash: hashOf(body), HashAlgorithm: hashAlgorithm,
		Newest: stamp(seg.newest), Oldest: stamp(seg.oldest),
	})
}

// sign signs a text, in hexadecimal.
func (k *signingKey) sign(text string) (string, error) {
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("signing a digest: %w", err)
	}
	return hex.EncodeToString(signature), nil
}
