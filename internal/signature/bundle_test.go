package signature

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func statement(digest, predicate string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"","digest":{"sha256":"%s"}}],"predicateType":"%s","predicate":{}}`, strings.TrimPrefix(digest, "sha256:"), predicate)
}

// bundle is a signature of a statement as cosign keeps it.
func (s *signer) bundle(t testing.TB, data []byte, of string) []byte {
	t.Helper()
	raw, err := s.s.SignMessage(bytes.NewReader(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(statementType), statementType, len(data), data)))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(nil, `{"mediaType":"%s","verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":{"payload":"%s","payloadType":"%s","signatures":[{"sig":"%s","keyid":""}]}}`,
		bundleType, base64.StdEncoding.EncodeToString(data), of, base64.StdEncoding.EncodeToString(raw))
}

// refer puts a bundle beside the image, as something that refers to it.
func (h *house) refer(data []byte) {
	h.t.Helper()
	d, err := v1.NewHash(h.digest)
	if err != nil {
		h.t.Fatal(err)
	}
	size, err := h.image.Size()
	if err != nil {
		h.t.Fatal(err)
	}
	img := mutate.ConfigMediaType(sigImage(h.t, mutate.Addendum{Layer: static.NewLayer(data, bundleType)}), bundleType)
	sig, ok := mutate.Subject(img, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: d, Size: size}).(v1.Image)
	if !ok {
		h.t.Fatal("no image")
	}
	sd, err := sig.Digest()
	if err != nil {
		h.t.Fatal(err)
	}
	h.push(h.repo.Digest(sd.String()), sig)
}

// TestBundles: sigstore's bundles count when the key made them, and when they say that the image is signed.
func TestBundles(t *testing.T) {
	s, other := ec(t), ec(t)
	const none = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		bundle func(digest string) []byte
		good   bool
		why    string
	}{
		"signature":               {func(d string) []byte { return s.bundle(t, statement(d, signedBy), statementType) }, true, ""},
		"of another key":          {func(d string) []byte { return other.bundle(t, statement(d, signedBy), statementType) }, false, "its signatures were made by other keys"},
		"of another image":        {func(string) []byte { return s.bundle(t, statement(none, signedBy), statementType) }, false, "names another digest"},
		"attestation":             {func(d string) []byte { return s.bundle(t, statement(d, "https://spdx.dev/Document"), statementType) }, false, "another type"},
		"another type of payload": {func(d string) []byte { return s.bundle(t, statement(d, signedBy), "text/plain") }, false, "something else"},
		"type that was not signed": {func(d string) []byte {
			return bytes.Replace(s.bundle(t, payload(d), statementType), []byte("x"), []byte("y"), 1)
		}, false, "another type"},
		"two subjects": {func(d string) []byte {
			return s.bundle(t, bytes.Replace(statement(d, signedBy), []byte(`"subject":[`), []byte(`"subject":[{"name":"x","digest":{"sha256":"00"}},`), 1), statementType)
		}, false, "another digest"},
		"payload changed": {func(d string) []byte {
			data := s.bundle(t, statement(none, signedBy), statementType)
			return bytes.Replace(data, []byte(base64.StdEncoding.EncodeToString(statement(none, signedBy))), []byte(base64.StdEncoding.EncodeToString(statement(d, signedBy))), 1)
		}, false, "other keys"},
		"no JSON":   {func(string) []byte { return []byte("{") }, false, "cannot be read"},
		"too large": {func(string) []byte { return bytes.Repeat([]byte("x"), maxBundle+1) }, false, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, referrers := range []bool{true, false} {
				h := newHouse(t, referrers)
				h.refer(c.bundle(h.digest))
				got, err := h.verify(h.digest, s)
				if err != nil || got[0].Good != c.good || !strings.Contains(got[0].Reason, c.why) {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
}

func FuzzEnvelope(f *testing.F) {
	s := ec(f)
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	f.Add(s.bundle(f, statement(digest, signedBy), statementType))
	f.Add(s.bundle(f, statement("sha256:00", signedBy), statementType))
	f.Add([]byte(`{"dsseEnvelope":{"signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, _ := Envelope(data)
		for i := range list {
			if err := list[i].says(digest); err == nil && !bytes.Contains(list[i].payload, []byte(digest[7:])) {
				t.Errorf("%q speaks of the image", list[i].payload)
			} else if err != nil && !errors.Is(err, ErrPayload) {
				t.Error(err)
			}
			s.key.made(&list[i])
		}
	})
}
