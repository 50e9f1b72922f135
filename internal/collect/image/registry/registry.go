// Package registry opens images in registries that speak the OCI distribution protocol. It asks politely (a rate, Retry-After),
// gives up on what stalls, and shows credentials to the registry they are for and nobody else.
package registry

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// Options for registries. The zero value is good.
type Options struct {
	PullSecrets [][]byte            // .dockerconfigjson of imagePullSecrets, tried before the user's docker configuration
	NoKeychain  bool                // leaves the user's docker configuration and credential helpers alone
	Mirrors     map[string][]string // registry host -> hosts to ask first, in order
	Insecure    []string            // hosts that may be asked by plain HTTP, or with a certificate that nobody signed
	CA          []byte              // PEM certificates trusted beside the system's
	Places      []Place             // what is known of single registries
	UserAgent   string              // "" is "stockade"
	Platform    string              // "linux/arm64/v8"; "" is linux with the architecture of this program
	Rate        float64             // requests a second to one host; 0 is 20
	Retries     int                 // further tries after 429, 5xx and broken connections; 0 is 4, negative none
	MaxWait     time.Duration       // the longest Retry-After that is waited for; 0 is one minute
	Stall       time.Duration       // time without one byte after which an answer is given up; 0 is 30 s
	// Transport replaces the network, in tests. nil is TLS with CA and Insecure.
	Transport http.RoundTripper
	// Clients shares rates and connections between images of one run; nil makes one for this image.
	Clients *Clients
}

// Kinds of failure, for the codes of what was not scanned.
var (
	ErrForbidden   = errors.New("access denied")
	ErrNotFound    = errors.New("no such image")
	ErrUnreachable = errors.New("registry cannot be reached")
)

// manifestTypes is what a manifest request accepts.
var manifestTypes = strings.Join([]string{string(types.OCIImageIndex), string(types.OCIManifestSchema1), string(types.DockerManifestList),
	string(types.DockerManifestSchema2)}, ", ")

// Open opens the image that ref names: "registry.example.com/shop/till:1.0" or "...@sha256:...". Mirrors are asked first; what
// they do not have the registry itself is asked for. The error wraps ErrForbidden, ErrNotFound or ErrUnreachable when it is one of those.
func Open(ctx context.Context, ref string, o Options) (*source.Image, error) {
	var img *source.Image
	err := Visit(ctx, ref, o, func(ctx context.Context, r *Repository) (err error) {
		img, err = r.open(ctx, ref, o.Platform)
		return err
	})
	return img, err
}

// open opens the image in one repository.
func (r *Repository) open(ctx context.Context, ref, platform string) (*source.Image, error) {
	c := r.client
	img := &source.Image{Kind: source.KindImage, Name: ref, Info: inventory.Image{Reference: ref}}
	d, data, err := r.named(ctx)
	if err != nil {
		return nil, err
	}
	blob := func(ctx context.Context, d v1.Descriptor) ([]byte, error) {
		if d.MediaType.IsIndex() || d.MediaType.IsImage() {
			_, data, err := c.manifest(ctx, d.Digest.String())
			return data, err
		}
		r, err := c.blob(ctx, d.Digest)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		data, err := source.ReadDocument(r)
		if err != nil {
			return nil, err
		}
		return data, source.Verify(data, d.Digest.String())
	}
	m, err := source.Resolve(ctx, img, d, data, platform, runtime.GOARCH, blob)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Host(), err)
	}
	for i, l := range m.Layers {
		layer := &img.Layers[i]
		if !l.MediaType.IsDistributable() && len(l.URLs) > 0 {
			layer.Unread, layer.Code = "a foreign layer, kept elsewhere", "skipped"
		}
		layer.Remote = true
		layer.Open = func(ctx context.Context) (io.ReadCloser, error) { return c.blob(ctx, l.Digest) }
	}
	return img, nil
}

// redirect lets an answer lead to storage elsewhere, but never from TLS to plain HTTP, and not in circles. net/http drops the
// Authorization header when the host changes; the transports below it add one for the registry's own host only.
func redirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("more than 5 redirects")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("redirect from TLS to %s://%s refused", req.URL.Scheme, req.URL.Host)
	}
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return nil
}

// client talks to one repository.
type client struct {
	repo name.Repository
	http *http.Client
}

func newClient(repo name.Repository, rt http.RoundTripper) *client {
	return &client{repo: repo, http: &http.Client{Transport: rt, CheckRedirect: redirect}}
}

func (c *client) get(ctx context.Context, kind, id, accept string) (*http.Response, error) {
	u := c.repo.Scheme() + "://" + c.repo.RegistryStr() + "/v2/" + c.repo.RepositoryStr() + "/" + kind + "/" + id
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, classify(c.repo.RegistryStr(), err)
	}
	if resp.StatusCode != http.StatusOK {
		err := transport.CheckError(resp, http.StatusOK)
		_ = resp.Body.Close()
		return nil, classify(c.repo.RegistryStr(), err)
	}
	return resp, nil
}

// manifest fetches a manifest and computes its digest: what the registry says of it is not believed.
func (c *client) manifest(ctx context.Context, id string) (v1.Descriptor, []byte, error) {
	resp, err := c.get(ctx, "manifests", id, manifestTypes)
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	defer resp.Body.Close()
	data, err := source.ReadDocument(resp.Body)
	if err != nil {
		return v1.Descriptor{}, nil, classify(c.repo.RegistryStr(), fmt.Errorf("manifest %s: %w", id, err))
	}
	if want, err := v1.NewHash(id); err == nil {
		if err := source.Verify(data, want.String()); err != nil {
			return v1.Descriptor{}, nil, fmt.Errorf("manifest: %w", err)
		}
	}
	sum, size, err := v1.SHA256(strings.NewReader(string(data)))
	if err != nil {
		return v1.Descriptor{}, nil, err
	}
	return v1.Descriptor{Digest: sum, Size: size}, data, nil
}

func (c *client) blob(ctx context.Context, h v1.Hash) (io.ReadCloser, error) {
	resp, err := c.get(ctx, "blobs", h.String(), "")
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", h, err)
	}
	return resp.Body, nil
}

// classify wraps an error by what the user can do about it. The texts of go-containerregistry name method and URL, no secrets.
func classify(host string, err error) error {
	var te *transport.Error
	if errors.As(err, &te) {
		switch te.StatusCode {
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%s: %w (HTTP %d)", host, ErrForbidden, te.StatusCode)
		case http.StatusNotFound:
			return fmt.Errorf("%s: %w", host, ErrNotFound)
		case http.StatusTooManyRequests:
			return fmt.Errorf("%s: %w: too many requests (HTTP 429)", host, ErrUnreachable)
		}
		if te.StatusCode >= 500 {
			return fmt.Errorf("%s: %w: HTTP %d", host, ErrUnreachable, te.StatusCode)
		}
		return fmt.Errorf("%s: %w", host, err)
	}
	var ua x509.UnknownAuthorityError
	if errors.As(err, &ua) {
		return fmt.Errorf("%s: %w: its certificate is signed by an unknown authority; name the authority's certificate or the host as insecure", host, ErrUnreachable)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", host, ErrUnreachable, err)
}
