package source

import (
	"context"
	"crypto/md5" //nolint:gosec // CloudTrail's fingerprint, of a public key.
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
)

// Keys are the public keys that CloudTrail signed digests with, by their
// fingerprint.
type Keys map[string]*rsa.PublicKey

// add takes up a key in the form of PKCS #1, under the MD5 of that form, which
// is CloudTrail's fingerprint.
func (k Keys) add(der []byte) error {
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return fmt.Errorf("reading a public key: %w", err)
	}
	sum := md5.Sum(der) //nolint:gosec // as above.
	k[hex.EncodeToString(sum[:])] = key
	return nil
}

// ParseKeys reads public keys from what `aws cloudtrail list-public-keys`
// prints, or from PEM. Keep them: CloudTrail names the keys of a time on
// request, and an audit of years ago may be of an account that is gone.
func ParseKeys(text []byte) (Keys, error) {
	keys := make(Keys)
	var list struct {
		PublicKeyList []struct{ Value []byte }
	}
	if json.Unmarshal(text, &list) == nil {
		for _, k := range list.PublicKeyList {
			if err := keys.add(k.Value); err != nil {
				return nil, err
			}
		}
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		der := block.Bytes
		if block.Type == "PUBLIC KEY" {
			key, err := x509.ParsePKIXPublicKey(der)
			if rsaKey, ok := key.(*rsa.PublicKey); err == nil && ok {
				der = x509.MarshalPKCS1PublicKey(rsaKey)
			}
		}
		if err := keys.add(der); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key: want what aws cloudtrail list-public-keys prints, or PEM")
	}
	return keys, nil
}

// A KeySource returns the public keys of a Region: each has its own. The Region
// is empty for digests whose name does not tell it.
type KeySource func(ctx context.Context, region string) (Keys, error)

// Everywhere is a source of the same keys for all Regions.
func (k Keys) Everywhere(context.Context, string) (Keys, error) { return k, nil }

// A keyring is the keys of one Region, or why they are not known.
type keyring struct {
	keys Keys
	err  error
}

// keysOf asks for the keys of each Region that some digests are of.
func keysOf(ctx context.Context, names []string, keys KeySource) map[string]keyring {
	known := make(map[string]keyring)
	for _, name := range names {
		region := regionOf(name)
		if _, ok := known[region]; !ok {
			k, err := keys(ctx, region)
			known[region] = keyring{k, err}
		}
	}
	return known
}

// FetchKeys asks CloudTrail for the public keys of a time, in the client's
// Region.
func FetchKeys(ctx context.Context, client cloudtrail.ListPublicKeysAPIClient, from, to time.Time) (Keys, error) {
	in := &cloudtrail.ListPublicKeysInput{}
	if !from.IsZero() {
		in.StartTime = &from
	}
	if !to.IsZero() {
		in.EndTime = &to
	}
	keys := make(Keys)
	for pages := cloudtrail.NewListPublicKeysPaginator(client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing CloudTrail's public keys: %w", err)
		}
		for _, k := range page.PublicKeyList {
			if err := keys.add(k.Value); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}
