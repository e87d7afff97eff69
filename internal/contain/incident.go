package contain

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/rekey-go/rekey/audit/evidence"
)

// The files of an incident's folder.
const (
	// EvidenceFile is the pack, see package evidence.
	EvidenceFile = "evidence.jsonl"
	// PublicKeyFile is the key that the pack is checked with.
	PublicKeyFile = "public.pem"
	stateFile     = "incident.json"
	lockFile      = "lock"
	// ownKeyFile is the key that was made for the incident. It is deleted when
	// the pack is closed.
	ownKeyFile = "signing.pem"
)

var (
	// ErrOther means that a folder has another incident.
	ErrOther = errors.New("the folder has another incident")
	// ErrBusy means that another run works on the incident.
	ErrBusy = errors.New("another run works on the incident")
)

// A state pins what an incident is about, so that a run that goes on does so with
// what the first one found. It holds no value.
type state struct {
	ID        string    `json:"id"`
	Principal string    `json:"principal"`
	Since     time.Time `json:"since"`
	Created   time.Time `json:"created"`
	Secrets   []Secret  `json:"secrets"`
}

// An Incident is a leak that is being contained, in a folder of its own.
type Incident struct {
	state state
	dir   string
	log   *evidence.Log
	lock  *flock.Flock
}

// Exists reports whether a folder has an incident.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, stateFile))
	return err == nil
}

// Begin makes an incident of a plan, in a folder that has none yet. The evidence
// is signed with the key in a file (PEM, PKCS #8, Ed25519), or if that is empty
// with one that is made.
func Begin(dir, keyFile string, p *Plan) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the incident's folder: %w", err)
	}
	key, err := signingKey(dir, keyFile)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("writing the public key: %w", err)
	}
	if err := writeFile(filepath.Join(dir, PublicKeyFile), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})); err != nil {
		return err
	}
	s := state{ID: rand.Text(), Principal: p.Principal, Since: p.Since, Created: time.Now().UTC(), Secrets: p.Secrets}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the incident: %w", err)
	}
	return writeFile(filepath.Join(dir, stateFile), text)
}

// Open opens the incident of a folder, to go on with it. The error is [ErrOther]
// if it is about another principal, and [ErrBusy] while another run has it.
func Open(dir, keyFile, principal string) (*Incident, error) {
	in := &Incident{dir: dir, lock: flock.New(filepath.Join(dir, lockFile))}
	switch got, err := in.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("locking the incident: %w", err)
	case !got:
		return nil, ErrBusy
	}
	if err := in.open(keyFile, principal); err != nil {
		return nil, errors.Join(err, in.lock.Close())
	}
	return in, nil
}

func (in *Incident) open(keyFile, principal string) error {
	text, err := os.ReadFile(filepath.Join(in.dir, stateFile))
	if err != nil {
		return fmt.Errorf("reading the incident: %w", err)
	}
	if err := json.Unmarshal(text, &in.state); err != nil {
		return fmt.Errorf("reading the incident: %w", err)
	}
	if in.state.Principal != principal {
		return fmt.Errorf("%w: it is about %s", ErrOther, in.state.Principal)
	}
	path := filepath.Join(in.dir, EvidenceFile)
	switch closed, err := isClosed(path); {
	case err != nil:
		return err
	case closed:
		return errors.Join(evidence.ErrClosed, in.dropKey()) // which a kill may have left
	}
	key, err := signingKey(in.dir, keyFile)
	if err != nil {
		return err
	}
	in.log, err = evidence.Open(path, key)
	return err
}

// isClosed reports whether a pack is there and has its last record.
func isClosed(path string) (bool, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the incident's own file.
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the evidence: %w", err)
	}
	pack, _ := evidence.Read(bytes.NewReader(text), nil) // evidence.Open says what is wrong with it
	return pack.Closed, nil
}

// Close lets another run have the incident.
func (in *Incident) Close() error { return errors.Join(in.log.Close(), in.lock.Close()) }

// ID names the incident.
func (in *Incident) ID() string { return in.state.ID }

// token is the version that a secret is rotated to, the same whenever it is asked
// for.
func (in *Incident) token(arn string) string {
	sum := sha256.Sum256([]byte("rekey contain\x00" + in.state.ID + "\x00" + arn))
	x := hex.EncodeToString(sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// close writes the last record, and deletes a key that was made for the pack: who
// does not have it can write no other end.
func (in *Incident) close() error {
	if _, err := in.log.Append(evidence.KindClosed, fact{Incident: in.state.ID}); err != nil {
		return err
	}
	return in.dropKey()
}

// dropKey deletes the key that was made for the pack, if it is there.
func (in *Incident) dropKey() error {
	err := os.Remove(filepath.Join(in.dir, ownKeyFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting the key of the evidence: %w", err)
	}
	return nil
}

// signingKey reads the key of a file, or the incident's own, which it makes if
// there is none.
func signingKey(dir, file string) (ed25519.PrivateKey, error) {
	path := file
	if path == "" {
		path = filepath.Join(dir, ownKeyFile)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own path.
	if errors.Is(err, fs.ErrNotExist) && file == "" {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("the signing key %s is not PEM", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("the signing key %s is no Ed25519 key in PKCS #8", path)
	}
	return key, nil
}

func makeKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("making the signing key: %w", err)
	}
	return key, writeFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// writeFile writes a file that is whole or not there, for its owner only.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // after the rename there is nothing to remove
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// ReadEvidence reads the pack of a folder and checks it, with the public key of a
// file (PEM) or, if that is empty, with the one that the pack names.
func ReadEvidence(dir, keyFile string) (*evidence.Pack, error) {
	var key ed25519.PublicKey
	if keyFile != "" {
		text, err := os.ReadFile(keyFile) //nolint:gosec // the operator's own path.
		if err != nil {
			return nil, fmt.Errorf("reading the public key: %w", err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("the public key %s is not PEM", keyFile)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		var ok bool
		if key, ok = parsed.(ed25519.PublicKey); err != nil || !ok {
			return nil, fmt.Errorf("the public key %s is not of Ed25519", keyFile)
		}
	}
	f, err := os.Open(filepath.Join(dir, EvidenceFile)) //nolint:gosec // the operator's own path.
	if err != nil {
		return nil, fmt.Errorf("reading the evidence: %w", err)
	}
	defer func() { _ = f.Close() }() // it is read only
	return evidence.Read(f, key)
}
