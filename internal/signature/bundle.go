package signature

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"stockade.dev/stockade/internal/collect/image/registry"
)

// Sigstore's bundles hold a signature with what it is of, in an envelope of the DSSE form: an in-toto statement that names the image.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle.v0.3+json"
	statementType = "application/vnd.in-toto+json"
	// signedBy is what the statement of a signature says. Others, such as lists of packages, are attested by whoever makes them: that a key
	// made one does not mean that it signed the image.
	signedBy = "https://sigstore.dev/cosign/sign/v1"

	maxBundle    = 256 << 10
	maxEnvelopes = 10 // signatures of one envelope
)

func isBundle(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle") && strings.HasSuffix(mediaType, "json")
}

// fromBundle reads the signatures of a bundle. odd says what is none.
func fromBundle(ctx context.Context, src Source, l *v1.Descriptor, most int) (out []signed, odd string, err error) {
	if l.Size > maxBundle {
		return nil, "what should be its signature is too large", nil
	}
	data, err := src.Blob(ctx, l.Digest.String(), maxBundle)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, registry.ErrUnreachable) || errors.Is(err, registry.ErrForbidden) {
			return nil, "", err
		}
		return nil, "what should be its signature cannot be read", nil
	}
	list, why := Envelope(data)
	if len(list) > most {
		return list[:most], "it has more signatures than are looked at", nil
	}
	return list, why, nil
}

// Envelope reads the signatures of a bundle; odd is why it has none.
func Envelope(data []byte) (out []signed, odd string) {
	var b struct {
		Envelope *struct {
			Payload    []byte `json:"payload"`
			Type       string `json:"payloadType"`
			Signatures []struct {
				Sig string `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if len(data) > maxBundle || json.Unmarshal(data, &b) != nil {
		return nil, "what should be its signature cannot be read"
	}
	e := b.Envelope
	if e == nil || e.Type != statementType || len(e.Payload) > maxPayload {
		return nil, "what should be its signature is something else"
	}
	of := fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(e.Type), e.Type, len(e.Payload))
	of = append(of, e.Payload...)
	for _, s := range e.Signatures[:min(len(e.Signatures), maxEnvelopes)] {
		raw, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil || len(s.Sig) > maxSignature {
			odd = "what should be its signature cannot be read"
			continue
		}
		out = append(out, signed{payload: e.Payload, signature: raw, enveloped: of})
	}
	return out, odd
}

// Statement checks that an in-toto statement says of the image of a digest that it is signed, and of nothing else.
func Statement(data []byte, digest string) error {
	if len(data) > maxPayload {
		return fmt.Errorf("%w: %d bytes", ErrPayload, len(data))
	}
	var s struct {
		Type    string `json:"_type"`
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
		Predicate string `json:"predicateType"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&s); err != nil {
		return fmt.Errorf("%w: it is no JSON of the form", ErrPayload)
	}
	switch algorithm, sum, _ := strings.Cut(digest, ":"); {
	case d.More():
		return fmt.Errorf("%w: something stands behind it", ErrPayload)
	case !strings.HasPrefix(s.Type, "https://in-toto.io/Statement/") || s.Predicate != signedBy:
		return fmt.Errorf("%w: it is of another type", ErrPayload)
	case len(s.Subject) != 1 || sum == "" || s.Subject[0].Digest[algorithm] != sum:
		return fmt.Errorf("%w: it names another digest", ErrPayload)
	}
	return nil
}
