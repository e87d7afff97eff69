package cloudtrail

import (
	"context"
	"crypto/md5" //nolint:gosec // CloudTrail's fingerprint, of a public key.
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/local/wire"
)

const (
	keyBits = 2048 // as AWS's
	// keyValid is how long a key signs. AWS changes its keys; here there is
	// one for the life of a state folder.
	keyValid = 100 * 365 * 24 * time.Hour
)

// A signer has the key of the digests, and makes it when it is first needed.
type signer struct {
	mu   sync.Mutex
	kept keptKey
	key  *signingKey // nil until it is needed
}

// A keptKey is a key as it lies, sealed, in the store.
type keptKey struct {
	DER   []byte // PKCS #1; nil if there is none
	Since time.Time
}

type signingKey struct {
	private     *rsa.PrivateKey
	public      []byte // DER of PKCS #1
	fingerprint string
	since       time.Time
}

// open returns the key.
func (s *signer) open(opts Options) (*signingKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	if s.kept.DER == nil {
		if err := s.makeLocked(opts); err != nil {
			return nil, err
		}
	}
	private, err := x509.ParsePKCS1PrivateKey(s.kept.DER)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the trail's digests: %w", err)
	}
	public := x509.MarshalPKCS1PublicKey(&private.PublicKey)
	sum := md5.Sum(public) //nolint:gosec // as above.
	s.key = &signingKey{private: private, public: public, fingerprint: hex.EncodeToString(sum[:]), since: s.kept.Since}
	return s.key, nil
}

// isMade reports whether the key was needed.
func (s *signer) isMade() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.DER != nil
}

func (s *signer) makeLocked(opts Options) error {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return fmt.Errorf("making the key of the trail's digests: %w", err)
	}
	made := keptKey{DER: x509.MarshalPKCS1PrivateKey(private), Since: opts.Clock.Now().UTC().Truncate(time.Second).Add(-digestEvery)}
	if err := opts.Store.Table(storeTable).Put(signerKey, made); err != nil {
		return fmt.Errorf("storing the key of the trail's digests: %w", err)
	}
	s.kept = made
	return nil
}

type publicKeysInput struct {
	StartTime, EndTime wire.Timestamp
	NextToken          string
}

type publicKeysOutput struct {
	PublicKeyList []publicKey
}

type publicKey struct {
	Value             []byte
	ValidityStartTime wire.Timestamp
	ValidityEndTime   wire.Timestamp
	Fingerprint       string
}

// listPublicKeys tells the key that signed the digests of a time.
func (s *Service) listPublicKeys(_ context.Context, _ *wire.Call, in *publicKeysInput) (*publicKeysOutput, error) {
	from, to := time.Time(in.StartTime), time.Time(in.EndTime)
	if from.IsZero() {
		from = s.opts.Clock.Now()
	}
	if to.IsZero() {
		to = s.opts.Clock.Now()
	}
	switch {
	case in.NextToken != "":
		return nil, wire.Errorf("InvalidTokenException", "The token is not valid.")
	case to.Before(from):
		return nil, wire.Errorf("InvalidTimeRangeException", "The start time must be before the end time.")
	}
	out := &publicKeysOutput{PublicKeyList: []publicKey{}}
	if s.opts.Dir == "" && !s.signer.isMade() {
		return out, nil // nothing is signed
	}
	key, err := s.signer.open(s.opts)
	if err != nil {
		return nil, err
	}
	if end := key.since.Add(keyValid); !to.Before(key.since) && !from.After(end) {
		out.PublicKeyList = append(out.PublicKeyList, publicKey{
			Value: key.public, ValidityStartTime: wire.Timestamp(key.since), ValidityEndTime: wire.Timestamp(end), Fingerprint: key.fingerprint,
		})
	}
	return out, nil
}
