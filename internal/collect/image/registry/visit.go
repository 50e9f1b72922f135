package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"stockade.dev/stockade/internal/collect/image/source"
)

// Repository is the repository of an image at a registry or a mirror of it, which has let us in.
type Repository struct {
	client *client
	parsed name.Reference
}

// Host is the registry or mirror.
func (r *Repository) Host() string { return r.client.repo.RegistryStr() }

// Visit asks the places where the image of a reference may be, mirrors first, each with every credential that may be meant for it,
// until f has no error. An error of f that wraps ErrForbidden has the next credential tried, others the next place.
func Visit(ctx context.Context, ref string, o Options, f func(ctx context.Context, r *Repository) error) error {
	if o.Clients == nil {
		o.Clients = NewClients()
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return fmt.Errorf("reference %q: %w", ref, err)
	}
	origin := Host(parsed.Context().RegistryStr())
	var failed []error
	for _, host := range append(o.mirrors(origin), origin) {
		err := visitAt(ctx, parsed, host, o, f)
		if err == nil {
			return nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("%s: %w", ref, errors.Join(failed...))
}

// visitAt asks one host, with each credential that may be meant for it until one is let in.
func visitAt(ctx context.Context, parsed name.Reference, host string, o Options, f func(ctx context.Context, r *Repository) error) error {
	o = o.at(host)
	var opts []name.Option
	if slices.Contains(o.Insecure, host) {
		opts = append(opts, name.Insecure)
	}
	repo, err := name.NewRepository(host+"/"+parsed.Context().RepositoryStr(), opts...)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	base, err := o.Clients.base(host, o)
	if err != nil {
		return err
	}
	candidates, err := credentials(ctx, repo, o)
	if err != nil {
		return err
	}
	for _, auth := range candidates {
		var rt http.RoundTripper
		var known bool
		rt, known, err = o.Clients.enter(ctx, host, o, repo, auth, base)
		if err == nil {
			if err = f(ctx, &Repository{newClient(repo, rt), parsed}); known && errors.Is(err, ErrForbidden) { // it may ask for something else by now
				o.Clients.leave(ctx, host, o, repo, auth)
				if rt, _, err = o.Clients.enter(ctx, host, o, repo, auth, base); err == nil {
					err = f(ctx, &Repository{newClient(repo, rt), parsed})
				}
			}
		}
		if err == nil || !errors.Is(err, ErrForbidden) {
			return err
		}
	}
	return err
}

// named fetches the manifest or index that the reference names.
func (r *Repository) named(ctx context.Context) (v1.Descriptor, []byte, error) {
	d, data, err := r.client.manifest(ctx, r.parsed.Identifier())
	if err != nil {
		return d, nil, err
	}
	if dg, ok := r.parsed.(name.Digest); ok && dg.DigestStr() != d.Digest.String() {
		return d, nil, fmt.Errorf("%s: wrong digest: asked for %s, got %s", r.Host(), dg.DigestStr(), d.Digest)
	}
	return d, data, nil
}

// Digest is what the reference stands for now: the digest of the bytes that the registry gives, not what it says of them.
func (r *Repository) Digest(ctx context.Context) (string, error) {
	d, data, err := r.named(ctx)
	if err != nil {
		return "", err
	}
	// A page of a proxy that answers 200 to everything is no manifest.
	var probe struct {
		SchemaVersion int             `json:"schemaVersion"`
		Manifests     json.RawMessage `json:"manifests"`
		Layers        json.RawMessage `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
	}
	if err := json.Unmarshal(data, &probe); err != nil || probe.Manifests == nil && probe.Layers == nil && probe.FSLayers == nil {
		return "", fmt.Errorf("%s: what it gives for %s is no manifest", r.Host(), r.parsed.Identifier())
	}
	return d.Digest.String(), nil
}

// Manifest fetches a manifest or index by tag or digest, of at most source.MaxDocument bytes, and its digest.
func (r *Repository) Manifest(ctx context.Context, id string) (data []byte, digest string, err error) {
	d, data, err := r.client.manifest(ctx, id)
	return data, d.Digest.String(), err
}

// Referrers lists the manifests that say of themselves that they belong to the one of a digest, of one artifact type where the
// registry filters; ErrNotFound from registries that do not know the question.
func (r *Repository) Referrers(ctx context.Context, digest, artifactType string) ([]v1.Descriptor, error) {
	id := digest
	if artifactType != "" {
		id += "?artifactType=" + url.QueryEscape(artifactType)
	}
	resp, err := r.client.get(ctx, "referrers", id, string(types.OCIImageIndex))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := source.ReadDocument(resp.Body)
	if err != nil {
		return nil, classify(r.Host(), fmt.Errorf("referrers of %s: %w", digest, err))
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%s: the referrers of %s are no index: %w", r.Host(), digest, err)
	}
	return index.Manifests, nil
}

// Blob fetches a blob of at most most bytes and checks its digest.
func (r *Repository) Blob(ctx context.Context, digest string, most int64) ([]byte, error) {
	h, err := v1.NewHash(digest)
	if err != nil {
		return nil, err
	}
	body, err := r.client.blob(ctx, h)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return nil, classify(r.Host(), fmt.Errorf("blob %s: %w", digest, err))
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s: blob %s is larger than %d bytes", r.Host(), digest, most)
	}
	return data, source.Verify(data, h.String())
}

// Missing reports whether an error says that there is no such thing at the registry, in the ways that registries have of saying so.
func Missing(err error) bool {
	if errors.Is(err, ErrNotFound) {
		return true
	}
	var te *transport.Error
	return errors.As(err, &te) && (te.StatusCode == http.StatusBadRequest || te.StatusCode == http.StatusMethodNotAllowed || te.StatusCode == http.StatusNotAcceptable ||
		strings.Contains(err.Error(), "UNSUPPORTED"))
}
