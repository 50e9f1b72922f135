// Package signature verifies who signed an image: signatures in cosign's simple-signing form and in sigstore's bundles, by public keys,
// with nothing but the registry that the image is in. What registries give is believed only as far as a key vouches for it.
package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"stockade.dev/stockade/internal/collect/image/registry"
)

// Source is the repository of an image: registry.Repository.
type Source interface {
	Manifest(ctx context.Context, id string) (data []byte, digest string, err error)
	Referrers(ctx context.Context, digest, artifactType string) ([]v1.Descriptor, error)
	Blob(ctx context.Context, digest string, most int64) ([]byte, error)
}

// Forms in which signatures are kept.
const (
	payloadType  = "application/vnd.dev.cosign.simplesigning.v1+json"
	artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	annotation   = "dev.cosignproject.cosign/signature"
	claim        = "cosign container image signature"
	oldClaim     = "atomic container signature"
)

// Limits: a registry may hold anything under the names of signatures.
const (
	maxPayload    = 64 << 10
	maxSignature  = 16 << 10 // base64
	maxManifest   = 1 << 20
	maxSignatures = 100 // of one digest
	maxManifests  = 20  // of signatures of one digest; of platforms in an index
)

// Key is a public key that may have signed.
type Key struct {
	Name string
	// ID names the key by what it is, however its PEM is written.
	ID        string
	verifiers []sigstore.Verifier
}

// ParseKey reads a public key in PEM: ECDSA on a NIST curve, Ed25519, or RSA of 2048 bits and more.
func ParseKey(name, text string) (*Key, error) {
	pub, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(strings.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	if err := cryptoutils.ValidatePubKey(pub); err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(pub)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", name, err)
	}
	sum := sha256.Sum256(der)
	k := &Key{Name: name, ID: hex.EncodeToString(sum[:])}
	hashes := []crypto.Hash{crypto.SHA256}
	if e, ok := pub.(*ecdsa.PublicKey); ok { // cosign takes SHA-256 for all curves, others what fits the curve
		switch e.Curve.Params().BitSize {
		case 384:
			hashes = append(hashes, crypto.SHA384)
		case 521:
			hashes = append(hashes, crypto.SHA512)
		}
	}
	for _, h := range hashes {
		v, err := sigstore.LoadVerifier(pub, h)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", name, err)
		}
		k.verifiers = append(k.verifiers, v)
	}
	if r, ok := pub.(*rsa.PublicKey); ok {
		v, err := sigstore.LoadRSAPSSVerifier(r, crypto.SHA256, nil)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", name, err)
		}
		k.verifiers = append(k.verifiers, v)
	}
	return k, nil
}

// made reports whether the key made a signature of a payload.
func (k *Key) made(s *signed) bool {
	of := s.payload
	if s.enveloped != nil {
		of = s.enveloped
	}
	for _, v := range k.verifiers {
		if v.VerifySignature(bytes.NewReader(s.signature), bytes.NewReader(of)) == nil {
			return true
		}
	}
	return false
}

// Result says whether a key signed an image.
type Result struct {
	Good   bool
	Reason string // of what is not good
}

// signed is a payload with a signature.
type signed struct {
	payload, signature []byte
	enveloped          []byte // what the signature is of, when that is not the payload itself
}

// says checks that the payload speaks of the image of a digest.
func (s *signed) says(digest string) error {
	if s.enveloped != nil {
		return Statement(s.payload, digest)
	}
	return Payload(s.payload, digest)
}

// Verify looks for signatures of the image of a digest and says of each key whether it made one. An index counts as signed when
// it is itself, or when every image in it is: one of them alone says nothing of the others. The error says that it is not known.
func Verify(ctx context.Context, src Source, digest string, keys []*Key) ([]Result, error) {
	out, err := verify(ctx, src, digest, keys)
	if err != nil || all(out) {
		return out, err
	}
	parts, err := platforms(ctx, src, digest)
	if err != nil || len(parts) == 0 {
		return out, err
	}
	each := make([]Result, len(keys))
	for i := range each {
		each[i].Good = true
	}
	for _, p := range parts {
		list, err := verify(ctx, src, p, keys)
		if err != nil {
			return nil, err
		}
		for i := range list {
			each[i].Good = each[i].Good && list[i].Good
		}
	}
	for i := range out {
		if each[i].Good {
			out[i] = Result{Good: true}
		}
	}
	return out, nil
}

func all(list []Result) bool {
	for _, r := range list {
		if !r.Good {
			return false
		}
	}
	return true
}

// verify looks for signatures of just the manifest or index of a digest.
func verify(ctx context.Context, src Source, digest string, keys []*Key) ([]Result, error) {
	found, odd, err := gather(ctx, src, digest)
	if err != nil {
		return nil, err
	}
	reason := "it has no signature"
	if odd != "" {
		reason = odd
	}
	if len(found) > 0 {
		reason = "its signatures were made by other keys"
	}
	out := make([]Result, len(keys))
	for i, k := range keys {
		out[i].Reason = reason
		for j := range found {
			if !k.made(&found[j]) {
				continue
			}
			// Only now is the payload worth reading.
			if err := found[j].says(digest); err != nil {
				out[i].Reason = err.Error()
				continue
			}
			out[i] = Result{Good: true}
			break
		}
	}
	return out, nil
}

// ErrPayload is wrapped by errors about what was signed.
var ErrPayload = errors.New("what was signed is not this image")

// Payload checks that a payload in the simple-signing form speaks of the image of a digest.
func Payload(data []byte, digest string) error {
	if len(data) > maxPayload {
		return fmt.Errorf("%w: %d bytes", ErrPayload, len(data))
	}
	var p struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
			Type string `json:"type"`
		} `json:"critical"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&p); err != nil {
		return fmt.Errorf("%w: it is no JSON of the form", ErrPayload)
	}
	if d.More() {
		return fmt.Errorf("%w: something stands behind it", ErrPayload)
	}
	if p.Critical.Type != claim && p.Critical.Type != oldClaim {
		return fmt.Errorf("%w: it is of another type", ErrPayload)
	}
	if _, err := v1.NewHash(p.Critical.Image.Digest); err != nil || p.Critical.Image.Digest != digest {
		return fmt.Errorf("%w: it names another digest", ErrPayload)
	}
	return nil
}

// gather fetches the signatures of a digest: those under the tag that cosign makes of it, and those that refer to it. odd says what
// stood there that is none.
func gather(ctx context.Context, src Source, digest string) (out []signed, odd string, err error) {
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, "", err
	}
	tag := h.Algorithm + "-" + h.Hex
	manifests := []string{tag + ".sig"}
	referring, err := referrers(ctx, src, digest, tag)
	if err != nil {
		return nil, "", err
	}
	manifests = append(manifests, referring...)
	seen := map[string]bool{}
	for _, id := range manifests {
		data, of, err := src.Manifest(ctx, id)
		switch {
		case registry.Missing(err):
			continue
		case err != nil:
			return nil, "", err
		case seen[of]:
			continue
		}
		seen[of] = true
		more, why, err := signatures(ctx, src, data, maxSignatures-len(out))
		if err != nil {
			return nil, "", err
		}
		out = append(out, more...)
		if why != "" {
			odd = why
		}
	}
	return out, odd, nil
}

// referrers lists the digests of manifests of signatures that refer to a digest, by the registry's answer or, where it has none, by
// the tag that stands in for it.
func referrers(ctx context.Context, src Source, digest, tag string) ([]string, error) {
	list, err := src.Referrers(ctx, digest, artifactType)
	if err == nil {
		var bundles []v1.Descriptor
		bundles, err = src.Referrers(ctx, digest, bundleType)
		list = append(list, bundles...)
	}
	if registry.Missing(err) {
		var data []byte
		if data, _, err = src.Manifest(ctx, tag); err == nil {
			var index v1.IndexManifest
			if json.Unmarshal(data, &index) == nil {
				list = index.Manifests
			}
		} else if registry.Missing(err) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range list {
		if (d.ArtifactType == artifactType || isBundle(d.ArtifactType)) && len(out) < maxManifests {
			out = append(out, d.Digest.String())
		}
	}
	return out, nil
}

// signatures reads the layers of a manifest of signatures.
func signatures(ctx context.Context, src Source, data []byte, most int) (out []signed, odd string, err error) {
	if len(data) > maxManifest {
		return nil, "the list of its signatures is too large", nil
	}
	var m v1.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, "what should list its signatures is no manifest", nil
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		if isBundle(string(l.MediaType)) {
			more, why, err := fromBundle(ctx, src, l, most-len(out))
			if err != nil {
				return nil, "", err
			}
			if out = append(out, more...); why != "" {
				odd = why
			}
			continue
		}
		text := l.Annotations[annotation]
		switch {
		case string(l.MediaType) != payloadType || text == "":
			odd = "what should be its signature is something else"
			continue
		case l.Size > maxPayload || len(text) > maxSignature:
			odd = "what should be its signature is too large"
			continue
		case len(out) >= most:
			return out, "it has more signatures than are looked at", nil
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			odd = "what should be its signature cannot be read"
			continue
		}
		payload, err := src.Blob(ctx, l.Digest.String(), maxPayload)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, registry.ErrUnreachable) || errors.Is(err, registry.ErrForbidden) {
				return nil, "", err
			}
			odd = "what should be its signature cannot be read"
			continue
		}
		out = append(out, signed{payload: payload, signature: raw})
	}
	return out, odd, nil
}

// platforms lists the images of an index, without what builders attach to them; none for a manifest.
func platforms(ctx context.Context, src Source, digest string) ([]string, error) {
	data, _, err := src.Manifest(ctx, digest)
	if err != nil {
		return nil, err
	}
	var index struct {
		v1.IndexManifest
		Config, Layers, FSLayers json.RawMessage
	}
	if json.Unmarshal(data, &index) != nil || len(index.Manifests) == 0 || len(index.Manifests) > maxManifests {
		return nil, nil
	}
	if index.Config != nil || index.Layers != nil || index.FSLayers != nil { // what runs may be its own layers, and nobody signed those
		return nil, nil
	}
	var out []string
	for _, d := range index.Manifests {
		if d.Platform != nil && d.Platform.OS == "unknown" { // attestations: no runtime chooses them
			continue
		}
		out = append(out, d.Digest.String())
	}
	return out, nil
}
