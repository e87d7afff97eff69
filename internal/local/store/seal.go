package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
)

const (
	keySize   = 32
	saltSize  = 16
	countSize = 8
	purpose   = "rekey state, one start" // of the keys that are derived
)

// A keyring seals with the key of this start, and unseals with those of all
// starts. It is safe for concurrent use.
type keyring struct {
	master []byte
	salt   []byte // of this start
	own    cipher.AEAD
	count  atomic.Uint64

	mu     sync.Mutex
	starts map[string]cipher.AEAD // :: salt -> what unseals
}

func newKeyring(master []byte) *keyring {
	k := &keyring{master: master, salt: make([]byte, saltSize), starts: make(map[string]cipher.AEAD)}
	_, _ = rand.Read(k.salt) // it never fails
	k.own = k.derive(k.salt)
	return k
}

// derive makes the key of the start that has a salt.
func (k *keyring) derive(salt []byte) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, k.master, salt, purpose, keySize)
	if err != nil {
		panic(err) // it fails for sizes only, which are constant
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // as above
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // as above
	}
	return aead
}

// seal encrypts a value for its place: salt, count, ciphertext.
func (k *keyring) seal(plain, place []byte) []byte {
	out := make([]byte, 0, saltSize+countSize+len(plain)+k.own.Overhead())
	out = append(out, k.salt...)
	out = binary.BigEndian.AppendUint64(out, k.count.Add(1))
	return k.own.Seal(out, nonce(out[saltSize:]), plain, place)
}

// nonce is a count as AES-GCM takes it.
func nonce(count []byte) []byte { return append(make([]byte, 4, 12), count...) }

func (k *keyring) unseal(sealed, place []byte) ([]byte, error) {
	if len(sealed) < saltSize+countSize {
		return nil, ErrTampered
	}
	salt, count, text := sealed[:saltSize], sealed[saltSize:saltSize+countSize], sealed[saltSize+countSize:]
	return k.start(salt).Open(nil, nonce(count), text, place)
}

// start returns what unseals the values of a start.
func (k *keyring) start(salt []byte) cipher.AEAD {
	k.mu.Lock()
	defer k.mu.Unlock()
	aead, ok := k.starts[string(salt)]
	if !ok {
		aead = k.derive(salt)
		k.starts[string(salt)] = aead
	}
	return aead
}
