package database

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stockade.dev/stockade/internal/advisory"
)

// Schema names the form of the database. A program reads only the schema it knows.
const Schema = "stockade.db/v1"

// Manifest says what is in a database. It is what is signed.
type Manifest struct {
	Schema          string `json:"schema"`
	BuiltAt         string `json:"builtAt"`    // RFC 3339
	Generation      int    `json:"generation"` // counts the builds that stood in one folder
	Keys            int    `json:"keys"`       // packages of streams that have rows
	Rows            int    `json:"rows"`
	Vulnerabilities int    `json:"vulnerabilities"` // ids that something is known of whatever the package
	Match           File   `json:"match"`
	Text            *File  `json:"text,omitempty"` // titles, descriptions and references; nil when built without
	// Emergencies is the list of emergency vulnerabilities; nil in databases that were built before there was one.
	Emergencies *File    `json:"emergencies,omitempty"`
	Feeds       []Feed   `json:"feeds"`
	Streams     []Stream `json:"streams"`
}

// File names the content of one file.
type File struct {
	Size   int64  `json:"size"`   // bytes of the body
	SHA256 string `json:"sha256"` // root: SHA-256 over the SHA-256 of each page of 4096 bytes
}

// Feed is what one feed gave.
type Feed struct {
	Name            string         `json:"name"`
	Records         int            `json:"records"` // advisories, definitions or CVEs read
	Rows            int            `json:"rows"`    // statements on packages written, without repetitions
	Vulnerabilities int            `json:"vulnerabilities"`
	Refused         int            `json:"refused"`
	Reasons         map[string]int `json:"reasons,omitempty"` // why, and how many
	Date            string         `json:"date"`              // newest date that the feed names, RFC 3339; "" when it names none
	SHA256          string         `json:"sha256"`            // over what the feed gave, in the order of the database: equal content, equal digest
}

// Stream is what there is for one stream.
type Stream struct {
	OS        string              `json:"os"`      // "almalinux", or the ecosystem
	Release   string              `json:"release"` // "8"; "" for ecosystems
	Rows      int                 `json:"rows"`
	Date      string              `json:"date"` // day of the newest row, else of the newest of its feeds
	Feeds     []string            `json:"feeds,omitempty"`
	Lifecycle *advisory.Lifecycle `json:"lifecycle,omitempty"`
}

// Name is the stream as rows write it.
func (s Stream) Name() string {
	if s.Release == "" {
		return s.OS
	}
	return s.OS + " " + s.Release
}

// Digest is the SHA-256 of a manifest's bytes, in hex. It names a database.
func digest(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:])
}

// parseManifest reads a manifest of the schema that this program knows.
func parseManifest(data []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("the manifest is broken: %w", err)
	}
	if m.Schema != Schema {
		return nil, fmt.Errorf("the database has schema %.40q; this program reads %s", m.Schema, Schema)
	}
	if _, err := time.Parse(time.RFC3339, m.BuiltAt); err != nil {
		return nil, fmt.Errorf("the manifest is broken: builtAt %.40q", m.BuiltAt)
	}
	for _, f := range []*File{&m.Match, m.Text, m.Emergencies} {
		if f == nil {
			continue
		}
		// The names of files come from their digests: nothing but hex may get there.
		if sum, err := hex.DecodeString(f.SHA256); err != nil || len(sum) != hashSize || hex.EncodeToString(sum) != f.SHA256 || f.Size < 0 {
			return nil, fmt.Errorf("the manifest is broken: file %.80q of %d bytes", f.SHA256, f.Size)
		}
	}
	if m.Emergencies != nil && m.Emergencies.Size > maxEmergencies {
		return nil, fmt.Errorf("the manifest is broken: a list of emergencies of %d bytes", m.Emergencies.Size)
	}
	return &m, nil
}

// Signature is the Ed25519 signature of a manifest.
type Signature struct {
	Key       string `json:"key"` // KeyID of the public key
	Signature []byte `json:"signature"`
}

// signed is what the signature is made over: no other document of ours can be taken for a manifest.
func signed(manifest []byte) []byte { return append([]byte(Schema+" manifest\n"), manifest...) }

// Sign signs the bytes of a manifest.
func Sign(manifest []byte, key ed25519.PrivateKey) ([]byte, error) {
	return json.Marshal(Signature{KeyID(key.Public().(ed25519.PublicKey)), ed25519.Sign(key, signed(manifest))})
}

// The reasons for not trusting a database, for errors.Is.
var (
	ErrUnsigned  = errors.New("the database is not signed")
	ErrUntrusted = errors.New("the database is not signed by a trusted key")
)

// Verify checks the signature of a manifest against keys and returns it; nil when there is none. Without keys the signature
// is not checked.
func Verify(manifest, signature []byte, keys []ed25519.PublicKey) (*Signature, error) {
	if len(bytes.TrimSpace(signature)) == 0 {
		if len(keys) > 0 {
			return nil, ErrUnsigned
		}
		return nil, nil
	}
	var s Signature
	if err := json.Unmarshal(signature, &s); err != nil {
		return nil, fmt.Errorf("the signature is broken: %w", err)
	}
	if len(keys) == 0 {
		return &s, nil
	}
	for _, k := range keys {
		if len(k) == ed25519.PublicKeySize && ed25519.Verify(k, signed(manifest), s.Signature) {
			s.Key = KeyID(k)
			return &s, nil
		}
	}
	return nil, fmt.Errorf("%w: it says key %.32q", ErrUntrusted, s.Key)
}

// KeyID names a public key: the first 16 hex digits of the SHA-256 of its PKIX form.
func KeyID(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:8])
}

// ReadPrivateKey reads an Ed25519 key file in PEM (PKCS #8), as "openssl genpkey -algorithm ed25519" writes it.
func ReadPrivateKey(path string) (ed25519.PrivateKey, error) {
	block, err := readPEM(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key", path)
	}
	return k, nil
}

// ReadPublicKey reads an Ed25519 key file in PEM (PKIX), as "openssl pkey -pubout" writes it.
func ReadPublicKey(path string) (ed25519.PublicKey, error) {
	block, err := readPEM(path, "PUBLIC KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKIXPublicKey(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	k, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key", path)
	}
	return k, nil
}

func readPEM(path, kind string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM block", path)
	}
	if block.Type != kind {
		return nil, fmt.Errorf("%s: holds a %s, wanted a %s", path, strings.ToLower(block.Type), strings.ToLower(kind))
	}
	return block.Bytes, nil
}
