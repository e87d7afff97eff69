package source

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rekey-go/rekey/audit"
)

// The verdicts on a log file.
const (
	// Verified means that the file is what CloudTrail delivered.
	Verified = "verified"
	// Altered means that it is not.
	Altered = "altered"
	// Missing means that a digest names it, and it is not there.
	Missing = "missing"
	// NoDigest means that no digest that can be trusted names it. CloudTrail
	// writes a digest an hour, so this is so of the latest files.
	NoDigest = "no digest"
)

// A Verification is what the digests of a trail say of its log files.
type Verification struct {
	// Files are those in the folders and those in the digests, by name.
	Files  []FileVerdict `json:"files"`
	Chains []Chain       `json:"chains"`
}

// A FileVerdict is what is known of one log file.
type FileVerdict struct {
	Name string `json:"name"`
	// Verdict is [Verified], [Altered], [Missing] or [NoDigest].
	Verdict string `json:"verdict"`
}

// A Chain is the digests of one trail in one account and Region. Each has the
// hash and the signature of the one before, so none can be taken away.
type Chain struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	// Digests is how many there are, for the time From to To.
	Digests int       `json:"digests"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	// Problems say which digests cannot be trusted, and where there is a gap.
	Problems []string `json:"problems,omitempty"`
}

// Count tells how many log files have a verdict.
func (v *Verification) Count(verdict string) (n int) {
	for _, f := range v.Files {
		if f.Verdict == verdict {
			n++
		}
	}
	return n
}

// Integrity is what a report says of it.
func (v *Verification) Integrity() *audit.Integrity {
	out := &audit.Integrity{
		Verified: v.Count(Verified), Altered: v.Count(Altered), Missing: v.Count(Missing), NoDigest: v.Count(NoDigest),
	}
	for _, f := range v.Files {
		if f.Verdict == Altered || f.Verdict == Missing {
			out.Problems = append(out.Problems, f.Name+": "+f.Verdict)
		}
	}
	for _, c := range v.Chains {
		out.Problems = append(out.Problems, c.Problems...)
	}
	return out
}

// Whole reports whether nothing was altered or taken away.
func (v *Verification) Whole() bool {
	return v.Count(Altered)+v.Count(Missing) == 0 && !slices.ContainsFunc(v.Chains, func(c Chain) bool { return len(c.Problems) > 0 })
}

// A digest is a digest file, in the members that matter.
type digest struct {
	Account           string    `json:"awsAccountId"`
	Start             time.Time `json:"digestStartTime"`
	End               time.Time `json:"digestEndTime"`
	Bucket            string    `json:"digestS3Bucket"`
	Object            string    `json:"digestS3Object"`
	Fingerprint       string    `json:"digestPublicKeyFingerprint"`
	Algorithm         string    `json:"digestSignatureAlgorithm"`
	PreviousObject    string    `json:"previousDigestS3Object"`
	PreviousHash      string    `json:"previousDigestHashValue"`
	PreviousSignature string    `json:"previousDigestSignature"`
	LogFiles          []struct {
		Object        string `json:"s3Object"`
		Hash          string `json:"hashValue"`
		HashAlgorithm string `json:"hashAlgorithm"`
	} `json:"logFiles"`

	name      string // where it lies
	hash      string
	signature string
	problem   string // why it cannot be trusted, if so
	keyless   error  // why the keys of its Region are not known, if so
}

// maxDigest is how large a digest may be: one of an hour with 10,000 log files
// has 4 MB.
const maxDigest = 64 << 20

// Verify holds the log files to their digests and the digests to their
// signatures and to one another. It asks for the public keys of each Region that
// the digests are of. The error is of what kept it from looking; what it found
// is in the verification.
func (l *Logs) Verify(ctx context.Context, keys KeySource) (*Verification, error) {
	var mu sync.Mutex // a shelf may list several parts at once
	var names, logs, lost []string
	collect := func(to *[]string) adder {
		return func(name string, _ int64) error {
			mu.Lock()
			defer mu.Unlock()
			*to = append(*to, name)
			return nil
		}
	}
	skip := func(what string, err error) { _ = collect(&lost)(what+": "+err.Error(), 0) }
	if err := errors.Join(l.shelf.digests(ctx, collect(&names), skip), l.shelf.list(ctx, collect(&logs), skip)); err != nil {
		return nil, fmt.Errorf("listing digests: %w", err)
	}
	if len(lost) > 0 {
		return nil, fmt.Errorf("listing digests: %s", lost[0])
	}
	known := keysOf(ctx, names, keys)
	digests := make([]*digest, len(names))
	err := each(ctx, len(names), func(ctx context.Context, i int) {
		digests[i] = l.digest(ctx, names[i], known[regionOf(names[i])])
	})
	if err != nil {
		return nil, err
	}
	v := &Verification{Chains: chains(digests)}
	return v, l.verdicts(ctx, v, digests, logs)
}

// each calls fn with the numbers up to n, several at a time.
func each(ctx context.Context, n int, fn func(context.Context, int)) error {
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(4 * runtime.GOMAXPROCS(0))
	for i := range n {
		work.Go(func() error {
			if inner.Err() == nil {
				fn(inner, i)
			}
			return inner.Err()
		})
	}
	if err := work.Wait(); err != nil {
		return fmt.Errorf("verifying the trail: %w", err)
	}
	return nil
}

// digest reads a digest and finds out whether CloudTrail signed it.
func (l *Logs) digest(ctx context.Context, name string, keys keyring) *digest {
	d := &digest{name: name, keyless: keys.err}
	body, err := l.content(ctx, name)
	if err != nil {
		d.problem = "reading it: " + err.Error()
		return d
	}
	if err := parseDigest(body, d); err != nil {
		d.problem = err.Error()
		return d
	}
	sum := sha256.Sum256(body)
	d.hash = hex.EncodeToString(sum[:])
	if d.signature, err = l.shelf.signature(ctx, name); err != nil {
		d.problem = "reading its signature: " + cause(err).Error()
		return d
	}
	d.problem = d.check(keys.keys)
	return d
}

// parseDigest reads what a digest says.
func parseDigest(body []byte, d *digest) error {
	if err := json.Unmarshal(body, d); err != nil {
		return fmt.Errorf("it is no digest: %w", err)
	}
	if d.Object == "" || d.End.IsZero() || d.Start.After(d.End) {
		return errors.New("it is no digest")
	}
	return nil
}

// check says why a digest cannot be trusted, or nothing.
func (d *digest) check(keys Keys) string {
	key, known := keys[d.Fingerprint]
	signature, err := hex.DecodeString(d.signature)
	sum := sha256.Sum256([]byte(d.toSign()))
	switch {
	case path.Base(d.Object) != path.Base(d.name):
		return "it is that of another place, " + d.Object
	case d.Algorithm != "SHA256withRSA":
		return "its algorithm is unknown: " + d.Algorithm
	case !known:
		return "the key of its signature is not known: " + d.Fingerprint
	case err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil:
		return "its signature is not valid"
	}
	return ""
}

// toSign is the text that the signature of a digest is of.
func (d *digest) toSign() string {
	return d.End.UTC().Format(time.RFC3339) + "\n" + d.Bucket + "/" + d.Object + "\n" + d.hash + "\n" + cmp.Or(d.PreviousSignature, "null")
}

// content returns the unpacked content of a digest.
func (l *Logs) content(ctx context.Context, name string) (body []byte, err error) {
	w := worker{shelf: l.shelf}
	err = w.open(ctx, name, func(r io.Reader) error {
		if body, err = io.ReadAll(io.LimitReader(r, maxDigest+1)); err == nil && len(body) > maxDigest {
			err = errors.New("it is larger than 64 MiB")
		}
		return err
	})
	return body, err
}

// hashOf returns the hash of the unpacked content of a log file.
func (l *Logs) hashOf(ctx context.Context, name string) (string, error) {
	w, h := worker{shelf: l.shelf}, sha256.New()
	err := w.open(ctx, name, func(r io.Reader) error {
		_, err := io.Copy(h, r)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// digestName is the name of a digest: its account, and its Region and trail.
var digestName = regexp.MustCompile(`^(\d{12})_CloudTrail-Digest_([a-z0-9-]+)_(.+)_\d{8}T\d{6}Z\.json\.gz$`)

// regionOf is the Region in the name of a digest, or empty.
func regionOf(name string) string {
	if m := digestName.FindStringSubmatch(path.Base(name)); m != nil {
		return m[2]
	}
	return ""
}

// logName is the name of a log file that a trail delivers.
var logName = regexp.MustCompile(`^\d{12}_CloudTrail_[a-z0-9-]+_\d{8}T\d{4}Z_.*\.json\.gz$`)

// chains holds the digests of each trail to one another.
func chains(digests []*digest) []Chain {
	groups := make(map[[3]string][]*digest)
	for _, d := range digests {
		var key [3]string
		if m := digestName.FindStringSubmatch(path.Base(d.name)); m != nil {
			key = [3]string(m[1:])
		}
		groups[key] = append(groups[key], d)
	}
	list := []Chain{}
	for key, group := range groups {
		slices.SortFunc(group, func(a, b *digest) int { return strings.Compare(path.Base(a.name), path.Base(b.name)) })
		c := Chain{Account: key[0], Region: key[1], Digests: len(group)}
		for i, d := range group {
			var before *digest
			if i > 0 {
				before = group[i-1]
			}
			c.add(before, d)
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Chain) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region), a.From.Compare(b.From))
	})
	return list
}

// add notes what is wrong with a digest, or with its place after another.
func (c *Chain) add(before, d *digest) {
	problem := func(text string) { c.Problems = append(c.Problems, path.Base(d.name)+": "+text) }
	if c.From.IsZero() {
		c.From = d.Start
	}
	if d.End.After(c.To) {
		c.To = d.End
	}
	if d.keyless != nil { // once for all that it is so of
		if text := "the public keys of " + regionOf(d.name) + ": " + d.keyless.Error(); !slices.Contains(c.Problems, text) {
			c.Problems = append(c.Problems, text)
		}
		return
	}
	if d.problem != "" {
		problem(d.problem)
		return
	}
	if before == nil || before.End.IsZero() {
		return // the one before may be older than the copy, or was told of
	}
	switch {
	case d.PreviousObject == "":
		problem("a new chain begins: digests were off after " + before.End.Format(time.RFC3339))
	case path.Base(d.PreviousObject) != path.Base(before.name):
		problem("the digest before it is missing: " + path.Base(d.PreviousObject))
	case d.PreviousHash != before.hash || d.PreviousSignature != before.signature:
		problem("the digest before it is not the one that it was written after")
	case !d.Start.Equal(before.End):
		problem("nothing tells of the time since " + before.End.Format(time.RFC3339))
	}
}

// verdicts compares the log files with what the digests say that can be
// trusted.
func (l *Logs) verdicts(ctx context.Context, v *Verification, digests []*digest, logs []string) error {
	type claim struct{ hash, algorithm string }
	claims := make(map[string]claim)
	for _, d := range digests {
		for _, f := range d.LogFiles {
			if d.problem == "" {
				claims[sibling(d.name, d.Object, f.Object)] = claim{f.Hash, f.HashAlgorithm}
			}
		}
	}
	names := slices.DeleteFunc(logs, func(name string) bool { return !logName.MatchString(path.Base(name)) })
	for name := range claims {
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	v.Files = make([]FileVerdict, len(names))
	return each(ctx, len(names), func(ctx context.Context, i int) {
		v.Files[i] = FileVerdict{Name: names[i], Verdict: NoDigest}
		c, ok := claims[names[i]]
		if !ok {
			return
		}
		hash, err := l.hashOf(ctx, names[i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.Files[i].Verdict = Missing
		case err != nil || c.algorithm != "SHA-256" || hash != c.hash:
			v.Files[i].Verdict = Altered
		default:
			v.Files[i].Verdict = Verified
		}
	})
}

// sibling is the name of an object, given the name of another one of the same
// bucket. A copy may begin anywhere above the files.
func sibling(name, object, other string) string {
	root, lead := name, object
	for {
		end := path.Base(lead)
		if lead == "" || end == "." || path.Base(root) != end {
			break
		}
		root, lead = strings.TrimSuffix(strings.TrimSuffix(root, end), "/"), strings.TrimSuffix(strings.TrimSuffix(lead, end), "/")
	}
	if lead != "" {
		other = strings.TrimPrefix(other, lead+"/")
	}
	if root == "" && !strings.HasPrefix(name, "/") {
		return other
	}
	return root + "/" + other
}

// trimmed is a signature as it lies in a file.
func trimmed(text []byte) string { return string(bytes.TrimSpace(text)) }
