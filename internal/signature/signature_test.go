package signature

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	served "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"stockade.dev/stockade/internal/collect/image/registry"
)

// signer is a private key with the public one as policies have it.
type signer struct {
	s   sigstore.Signer
	key *Key
}

func newSigner(t testing.TB, private crypto.Signer, load func() (sigstore.Signer, error)) *signer {
	t.Helper()
	if load == nil {
		load = func() (sigstore.Signer, error) { return sigstore.LoadSigner(private, crypto.SHA256) }
	}
	s, err := load()
	if err != nil {
		t.Fatal(err)
	}
	text, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey("release", string(text))
	if err != nil {
		t.Fatal(err)
	}
	return &signer{s, k}
}

func ec(t testing.TB) *signer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newSigner(t, k, nil)
}

func payload(digest string) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example.com/shop/till"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, digest)
}

// layer is a signature of a payload as cosign keeps it.
func (s *signer) layer(t testing.TB, data []byte) mutate.Addendum {
	t.Helper()
	raw, err := s.s.SignMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Addendum{Layer: static.NewLayer(data, payloadType), Annotations: map[string]string{annotation: base64.StdEncoding.EncodeToString(raw)}}
}

// house is a registry with one image.
type house struct {
	t      testing.TB
	repo   name.Repository
	digest string
	image  v1.Image
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newHouse(t testing.TB, referrers bool) *house {
	t.Helper()
	h := &house{t: t}
	inner := served.New(served.Logger(log.New(io.Discard, "", 0)), served.WithReferrersSupport(referrers))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.before == nil || !h.before(w, r) {
			inner.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	var err error
	if h.repo, err = name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/shop/till"); err != nil {
		t.Fatal(err)
	}
	if h.image, err = random.Image(512, 1); err != nil {
		t.Fatal(err)
	}
	h.push(h.repo.Tag("1.0"), h.image)
	d, err := h.image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	h.digest = d.String()
	return h
}

func (h *house) push(ref name.Reference, img v1.Image) {
	h.t.Helper()
	if err := remote.Write(ref, img); err != nil {
		h.t.Fatal(err)
	}
}

func sigTag(digest string) string { return strings.Replace(digest, ":", "-", 1) + ".sig" }

func sigImage(t testing.TB, layers ...mutate.Addendum) v1.Image {
	t.Helper()
	img, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// sign puts signatures under the tag.
func (h *house) sign(digest string, layers ...mutate.Addendum) {
	h.t.Helper()
	h.push(h.repo.Tag(sigTag(digest)), sigImage(h.t, layers...))
}

// verify asks as the server does.
func (h *house) verify(digest string, keys ...*signer) ([]Result, error) {
	h.t.Helper()
	var list []*Key
	for _, k := range keys {
		list = append(list, k.key)
	}
	var out []Result
	err := registry.Visit(h.t.Context(), h.repo.Digest(digest).Name(), registry.Options{NoKeychain: true, Rate: 10_000, Stall: time.Second, Retries: -1},
		func(ctx context.Context, r *registry.Repository) (err error) {
			out, err = Verify(ctx, r, digest, list)
			return err
		})
	return out, err
}

// TestKinds: each kind of key verifies what it signed, and nothing that another did.
func TestKinds(t *testing.T) {
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for kind, s := range map[string]*signer{
		"ECDSA P-256": ec(t), "RSA": newSigner(t, rs, nil), "Ed25519": newSigner(t, ed, nil), "ECDSA P-384, SHA-256": newSigner(t, p384, nil),
		"ECDSA P-384, SHA-384": newSigner(t, p384, func() (sigstore.Signer, error) { return sigstore.LoadSigner(p384, crypto.SHA384) }),
		"RSA PSS":              newSigner(t, rs, func() (sigstore.Signer, error) { return sigstore.LoadRSAPSSSigner(rs, crypto.SHA256, nil) }),
	} {
		t.Run(kind, func(t *testing.T) {
			h := newHouse(t, false)
			other := ec(t)
			h.sign(h.digest, s.layer(t, payload(h.digest)))
			got, err := h.verify(h.digest, s, other)
			if err != nil || !got[0].Good || got[1].Good || got[1].Reason != "its signatures were made by other keys" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestPlaces: signatures are found under cosign's tag, among what refers to the image, and under the tag that stands in for that.
func TestPlaces(t *testing.T) {
	s := ec(t)
	for name, referrers := range map[string]bool{"referrers": true, "referrers by tag": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, referrers)
			if got, err := h.verify(h.digest, s); err != nil || got[0].Good || got[0].Reason != "it has no signature" {
				t.Fatalf("%+v, %v", got, err)
			}
			d, err := v1.NewHash(h.digest)
			if err != nil {
				t.Fatal(err)
			}
			size, err := h.image.Size()
			if err != nil {
				t.Fatal(err)
			}
			img := sigImage(t, s.layer(t, payload(h.digest)))
			img = mutate.ConfigMediaType(img, artifactType)
			sig, ok := mutate.Subject(img, v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: d, Size: size}).(v1.Image)
			if !ok {
				t.Fatal("no image")
			}
			sd, err := sig.Digest()
			if err != nil {
				t.Fatal(err)
			}
			h.push(h.repo.Digest(sd.String()), sig)
			got, err := h.verify(h.digest, s)
			if err != nil || !got[0].Good {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// TestIndex: an index counts as signed when it is, or when all of its images are.
func TestIndex(t *testing.T) {
	s := ec(t)
	h := newHouse(t, false)
	other, err := random.Image(512, 2)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: h.image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: attached, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	if err := remote.WriteIndex(h.repo.Tag("2.0"), index); err != nil {
		t.Fatal(err)
	}
	d, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	od, err := other.Digest()
	if err != nil {
		t.Fatal(err)
	}
	check := func(digest string, want bool) {
		t.Helper()
		if got, err := h.verify(digest, s); err != nil || got[0].Good != want {
			t.Errorf("%s: %+v, %v", digest, got, err)
		}
	}
	h.sign(h.digest, s.layer(t, payload(h.digest)))
	check(h.digest, true)
	check(d.String(), false) // the other could be anything
	h.sign(od.String(), s.layer(t, payload(od.String())))
	check(d.String(), true)
	h = newHouse(t, false)
	if err := remote.WriteIndex(h.repo.Tag("2.0"), index); err != nil {
		t.Fatal(err)
	}
	h.sign(d.String(), s.layer(t, payload(d.String())))
	check(d.String(), true)
}

// TestHostile: what stands where a signature should be and is none leaves the image unsigned, with a reason; it does not take it
// down, and a good one beside it counts.
func TestHostile(t *testing.T) {
	s := ec(t)
	good := func(h *house) mutate.Addendum { return s.layer(t, payload(h.digest)) }
	another := "sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		layers func(h *house) []mutate.Addendum
		reason string
	}{
		"payload of another digest": {func(h *house) []mutate.Addendum { return []mutate.Addendum{s.layer(t, payload(another))} }, "names another digest"},
		"payload of another type": {func(h *house) []mutate.Addendum {
			return []mutate.Addendum{s.layer(t, bytes.Replace(payload(h.digest), []byte("cosign container image signature"), []byte("attestation"), 1))}
		}, "of another type"},
		"truncated payload": {func(h *house) []mutate.Addendum {
			p := payload(h.digest)
			return []mutate.Addendum{s.layer(t, p[:len(p)/2])}
		}, "no JSON"},
		"two documents": {func(h *house) []mutate.Addendum {
			return []mutate.Addendum{s.layer(t, append(payload(h.digest), payload(another)...))}
		}, "stands behind"},
		"changed payload": {func(h *house) []mutate.Addendum {
			l := s.layer(t, payload(another))
			l.Layer = static.NewLayer(payload(h.digest), payloadType)
			return []mutate.Addendum{l}
		}, "made by other keys"},
		"huge payload": {func(h *house) []mutate.Addendum {
			return []mutate.Addendum{s.layer(t, append(payload(h.digest), bytes.Repeat([]byte(" "), maxPayload)...))}
		}, "too large"},
		"huge signature": {func(h *house) []mutate.Addendum {
			l := good(h)
			l.Annotations[annotation] = strings.Repeat("A", maxSignature+4)
			return []mutate.Addendum{l}
		}, "too large"},
		"no base64": {func(h *house) []mutate.Addendum {
			l := good(h)
			l.Annotations[annotation] = "%%%"
			return []mutate.Addendum{l}
		}, "cannot be read"},
		"another media type": {func(h *house) []mutate.Addendum {
			l := good(h)
			l.Layer = static.NewLayer(payload(h.digest), types.DockerLayer)
			return []mutate.Addendum{l}
		}, "something else"},
		"many layers": {func(h *house) []mutate.Addendum {
			var list []mutate.Addendum
			for i := range maxSignatures + 20 {
				list = append(list, ec2(t, i, h.digest))
			}
			return append(list, good(h))
		}, "made by other keys"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, false)
			layers := c.layers(h)
			h.sign(h.digest, layers...)
			got, err := h.verify(h.digest, s)
			if err != nil || got[0].Good || !strings.Contains(got[0].Reason, c.reason) {
				t.Fatalf("%+v, %v", got, err)
			}
			if len(layers) < maxSignatures {
				h.sign(h.digest, append(layers, good(h))...)
				if got, err := h.verify(h.digest, s); err != nil || !got[0].Good {
					t.Errorf("with a good one beside it: %+v, %v", got, err)
				}
			}
		})
	}
}

// ec2 is a signature that no key made.
func ec2(t testing.TB, i int, digest string) mutate.Addendum {
	data := append(payload(digest), fmt.Sprintf("%*s", i+1, " ")...)
	return mutate.Addendum{Layer: static.NewLayer(data, payloadType), Annotations: map[string]string{annotation: base64.StdEncoding.EncodeToString([]byte("none"))}}
}

// TestImageThatSaysItIsAnIndex: a manifest that lists signed images beside layers of its own is not signed by them.
func TestImageThatSaysItIsAnIndex(t *testing.T) {
	h, k := newHouse(t, false), ec(t)
	h.sign(h.digest, k.layer(t, payload(h.digest)))
	signed := `"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"` + h.digest + `"}]`
	own := `"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":1,"digest":"` + h.digest + `"},"layers":[]`
	for text, want := range map[string]bool{
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",` + signed + `}`:                true,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` + own + `,` + signed + `}`: false,
		`{"schemaVersion":2,` + own + `,` + signed + `}`:                                                          false,
	} {
		sum := sha256.Sum256([]byte(text))
		digest := "sha256:" + hex.EncodeToString(sum[:])
		h.before = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/manifests/"+digest) {
				return false
			}
			_, _ = w.Write([]byte(text))
			return true
		}
		got, err := h.verify(digest, k)
		if err != nil || got[0].Good != want {
			t.Errorf("%s: %+v, %v; want %v", text, got, err, want)
		}
	}
}

// TestAway: a registry that does not answer says nothing of signatures; one that answers with anything else says that there are none.
func TestAway(t *testing.T) {
	s := ec(t)
	for name, c := range map[string]struct {
		answer  func(w http.ResponseWriter)
		unknown bool
	}{
		"broken":           {func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, true},
		"forbidden":        {func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, true},
		"a page":           {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }, false},
		"another manifest": {func(w http.ResponseWriter) { fmt.Fprint(w, `{"schemaVersion":2,"layers":null}`) }, false},
		"huge":             {func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte(" "), 2*maxManifest)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, false)
			h.before = func(w http.ResponseWriter, r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, ".sig") {
					c.answer(w)
					return true
				}
				return false
			}
			got, err := h.verify(h.digest, s)
			if (err != nil) != c.unknown || err == nil && got[0].Good {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err == nil {
		if text, err := cryptoutils.MarshalPublicKeyToPEM(weak.Public()); err == nil {
			if _, err := ParseKey("weak", string(text)); err == nil {
				t.Error("a weak key is taken")
			}
		}
	}
	for _, text := range []string{"", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"} {
		if _, err := ParseKey("bad", text); err == nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
}

func FuzzPayload(f *testing.F) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	f.Add(payload(digest))
	f.Add([]byte(`{"critical":{"type":"cosign container image signature","image":{"docker-manifest-digest":""}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := Payload(data, digest)
		if err == nil && !bytes.Contains(data, []byte(digest[len("sha256:"):])) && !bytes.Contains(data, []byte(`\u`)) {
			t.Errorf("%q speaks of the image", data)
		}
		if err != nil && !errors.Is(err, ErrPayload) {
			t.Error(err)
		}
	})
}
