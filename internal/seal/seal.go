// Package seal encrypts what the database must not show to who reads it: credentials of clusters, secrets of notifications and
// of sign-in. The keys stay outside of the database, in a file or in the environment.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
)

// Keys holds the keys. Its methods are safe for use by several goroutines. Several processes may share a file: a key that another
// one has added is read when it is met.
type Keys struct {
	file string // "" when the keys come from the environment

	mu   sync.Mutex
	list []key  // oldest first; the last one seals
	seen string // size and time of the file when it was read
}

type key struct {
	id     string
	secret []byte
	aead   cipher.AEAD
}

// ErrUnknownKey is returned for a value that was sealed with a key which is not there: another database, or a key that was lost.
var ErrUnknownKey = errors.New("it was sealed with a key that is not there")

// ErrBroken is returned for a value that is damaged, or is not the one of its row.
var ErrBroken = errors.New("the sealed value is damaged, or belongs to another row")

// A sealed value is: format, length of the key's id, the id, then what AES-256-GCM with a random nonce gives.
const format = 1

// bound is what is authenticated with the value: the key's id and the place where the value belongs.
func bound(id, place string) []byte { return []byte("stockade seal 1\x00" + id + "\x00" + place) }

// Seal encrypts plain with the newest key. place binds the value to where it is kept ("clusters/3/credentials"): Open wants the same.
func (k *Keys) Seal(place string, plain []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	return k.list[len(k.list)-1].seal(place, plain), nil
}

func (k key) seal(place string, plain []byte) []byte {
	out := append([]byte{format, byte(len(k.id))}, k.id...)
	return k.aead.Seal(out, nil, plain, bound(k.id, place))
}

// Open decrypts what Seal gave for the same place.
func (k *Keys) Open(place string, sealed []byte) ([]byte, error) {
	id, body, err := split(sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.find(id)
	if found == nil { // another process may have added it
		if err := k.refresh(); err != nil {
			return nil, err
		}
		found = k.find(id)
	}
	if found == nil {
		return nil, fmt.Errorf("%s: %w: restore key %s", place, ErrUnknownKey, id)
	}
	plain, err := found.aead.Open(nil, nil, body, bound(id, place))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, ErrBroken)
	}
	return plain, nil
}

func split(sealed []byte) (id string, body []byte, err error) {
	if len(sealed) < 2 || sealed[0] != format || len(sealed) < 2+int(sealed[1]) {
		return "", nil, ErrBroken
	}
	n := 2 + int(sealed[1])
	return string(sealed[2:n]), sealed[n:], nil
}

func (k *Keys) find(id string) *key {
	for i := range k.list {
		if k.list[i].id == id {
			return &k.list[i]
		}
	}
	return nil
}

// Stale reports whether a value was sealed with another key than the newest.
func (k *Keys) Stale(sealed []byte) bool {
	id, _, err := split(sealed)
	k.mu.Lock()
	defer k.mu.Unlock()
	return err == nil && id != k.list[len(k.list)-1].id
}

// Reseal seals a value anew with the newest key; one that is not stale is returned as it is.
func (k *Keys) Reseal(place string, sealed []byte) ([]byte, error) {
	if !k.Stale(sealed) {
		return sealed, nil
	}
	plain, err := k.Open(place, sealed)
	if err != nil {
		return nil, err
	}
	return k.Seal(place, plain)
}

// Current is the id of the key that seals, and IDs those of all keys, oldest first. Ids are no secret.
func (k *Keys) Current() string {
	ids := k.IDs()
	return ids[len(ids)-1]
}

// IDs lists the ids of all keys, oldest first.
func (k *Keys) IDs() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	ids := make([]string, len(k.list))
	for i := range k.list {
		ids[i] = k.list[i].id
	}
	return ids
}

// Rotate makes a new key, calls reseal, which must Reseal every row that holds a sealed value, and then forgets all keys but the
// new one and the one before: a server that sealed a value in the meantime used that, and the next rotation gets it. Keys from the
// environment cannot be added here: the operator adds one, and Rotate only reseals. When reseal fails all keys stay and Rotate can
// be called again.
func (k *Keys) Rotate(ctx context.Context, reseal func(context.Context) error) error {
	if k.file != "" {
		if err := k.add(); err != nil {
			return err
		}
	}
	if err := reseal(ctx); err != nil {
		return fmt.Errorf("sealing with the new key: %w: all keys were kept", err)
	}
	if k.file == "" {
		return nil
	}
	return k.forget(2)
}

func newKey(id string, secret []byte) (key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return key{id: id, secret: secret, aead: aead}, err
}
