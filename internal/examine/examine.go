// Package examine reads images from where they are and matches them against the advisory database: what the command line and the
// server do alike when a scan looks into images.
package examine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/scan"
)

// PullSecret returns the docker configuration of an image pull secret of a cluster.
type PullSecret func(ctx context.Context, namespace, name string) ([]byte, error)

// Places tells what is known of single registries, now.
type Places func(ctx context.Context) ([]registry.Place, error)

// Reader reads images. It is used by several goroutines.
type Reader struct {
	Options image.Options
	Offline bool // nothing is asked of a registry
	// Remote: every reference is one of a registry, also the image that is called "docker:24". Without it forms such as
	// "oci:DIR" are read, unless workloads of a cluster use them.
	Remote bool
	Saved  map[string]*inventory.Software // by digest and by reference: not read again
	Forget time.Duration                  // how long a silent registry is not asked again; 0 is for ever
	Places Places                         // asked for every image; may be nil

	pull    PullSecret // nil without a cluster
	silence *silence
	mu      sync.Mutex
	secrets map[string]*pulled
}

type pulled struct {
	once sync.Once
	data []byte
	err  error
}

// silence is the registries that could not be connected to.
type silence struct {
	mu    sync.Mutex
	hosts map[string]silent
}

type silent struct {
	err   error
	until time.Time // zero: for ever
}

// NewReader returns a Reader of images that need no pull secrets.
func NewReader(o image.Options) *Reader {
	return &Reader{Options: o, silence: &silence{hosts: map[string]silent{}}, secrets: map[string]*pulled{}}
}

// For returns a Reader that reads as r does, with the pull secrets of a cluster.
func (r *Reader) For(pull PullSecret) *Reader {
	return &Reader{Options: r.Options, Offline: r.Offline, Remote: r.Remote, Saved: r.Saved, Forget: r.Forget, Places: r.Places,
		pull: pull, silence: r.silence, secrets: map[string]*pulled{}}
}

// codedError carries the code of a not-scanned entry.
type codedError struct {
	error
	code finding.Code
}

// Coded gives an error of a load the code that scan.Software takes.
func Coded(err error, code finding.Code) error { return codedError{err, code} }

func (e codedError) Code() string  { return string(e.code) }
func (e codedError) Unwrap() error { return e.error }

// Load reads what use names: from the saved inventories, or from where it is.
func (r *Reader) Load(ctx context.Context, use scan.Use) (*inventory.Software, error) {
	sw, _, err := r.Read(ctx, use, nil)
	return sw, err
}

// Read is Load for those who keep inventories: it asks known whether the digest of what use names needs reading at all. If not, the
// software is nil. The digest is that of the manifest for the platform, "" where there is none.
func (r *Reader) Read(ctx context.Context, use scan.Use, known func(digest string) bool) (*inventory.Software, string, error) {
	for _, key := range []string{use.Digest, use.Reference} {
		if sw := r.Saved[key]; key != "" && sw != nil {
			digest := ""
			if sw.Image != nil {
				digest = sw.Image.Digest
			}
			return sw, digest, nil
		}
	}
	// What a cluster runs comes from a registry, even the image that is called "docker:24".
	ref, local := use.Pull(), slices.ContainsFunc(image.Prefixes(), func(p string) bool { return strings.HasPrefix(use.Reference, p) })
	if local && (len(use.Workloads) > 0 || r.Remote) {
		ref, local = "docker.io/library/"+ref, false
	}
	if r.Offline && !local {
		return nil, "", codedError{errors.New("not read because of --offline"), finding.Skipped}
	}
	host := registryHost(ref)
	if !local {
		if err := r.silence.of(host); err != nil {
			return nil, "", codedError{err, finding.Unreachable}
		}
	}
	o, denied, err := r.options(ctx, &use, local)
	if err != nil {
		return nil, "", err
	}
	img, err := image.Open(ctx, ref, o)
	if err != nil {
		return nil, "", r.refused(ctx, ref, host, err, denied)
	}
	defer img.Close()
	digest := img.Info.Digest
	if known != nil && digest != "" && known(digest) {
		return nil, digest, nil
	}
	sw, err := image.Analyze(ctx, img, o)
	if err != nil {
		return nil, digest, r.refused(ctx, ref, host, err, nil)
	}
	return sw, digest, nil
}

// options are those for the image of a use: with what is known of registries now, and with its pull secrets. denied is why one of
// these cannot be used.
func (r *Reader) options(ctx context.Context, use *scan.Use, local bool) (o image.Options, denied, err error) {
	o = r.Options
	o.Registry.PullSecrets = slices.Clone(o.Registry.PullSecrets)
	if r.Places != nil && !local {
		if o.Registry.Places, err = r.Places(ctx); err != nil {
			return o, nil, codedError{err, finding.Broken}
		}
	}
	for _, s := range use.PullSecrets {
		data, err := r.secret(ctx, s)
		if err != nil {
			denied = err
			continue
		}
		o.Registry.PullSecrets = append(o.Registry.PullSecrets, data)
	}
	return o, denied, nil
}

// Visit asks the registry of an image, as Read does, without reading the image. Names of saved images and forms without a registry
// are refused.
func (r *Reader) Visit(ctx context.Context, use scan.Use, f func(ctx context.Context, r *registry.Repository) error) error {
	ref := use.Pull()
	if r.Offline {
		return codedError{errors.New("not asked because of --offline"), finding.Skipped}
	}
	host := registryHost(ref)
	if err := r.silence.of(host); err != nil {
		return codedError{err, finding.Unreachable}
	}
	o, denied, err := r.options(ctx, &use, false)
	if err != nil {
		return err
	}
	if err := registry.Visit(ctx, ref, o.Registry, f); err != nil {
		return r.refused(ctx, ref, host, err, denied)
	}
	return nil
}

// Resolve asks which image a reference stands for now: the digest of its manifest or index.
func (r *Reader) Resolve(ctx context.Context, use scan.Use) (digest string, err error) {
	if sw := r.Saved[use.Reference]; sw != nil && sw.Image != nil && sw.Image.Digest != "" {
		return sw.Image.Digest, nil
	}
	err = r.Visit(ctx, use, func(ctx context.Context, repo *registry.Repository) (err error) {
		digest, err = repo.Digest(ctx)
		return err
	})
	return digest, err
}

// refused gives an error its code, and remembers registries that cannot be connected to: the other images of a cluster need not
// wait for the same silence. A registry that answers, were it with an error, is asked for each.
func (r *Reader) refused(ctx context.Context, ref, host string, err, denied error) error {
	switch {
	case errors.Is(err, registry.ErrForbidden):
		if denied != nil {
			err = fmt.Errorf("%w; a pull secret could not be used: %w", err, denied)
		}
		return codedError{err, finding.Forbidden}
	case errors.Is(err, registry.ErrNotFound):
		return codedError{err, finding.Unreachable}
	case errors.Is(err, registry.ErrUnreachable):
		var cause *url.Error
		if ctx.Err() == nil && errors.As(err, &cause) {
			r.silence.note(host, errors.New(strings.TrimPrefix(err.Error(), ref+": ")), r.Forget)
		}
		return codedError{err, finding.Unreachable}
	}
	return codedError{err, finding.Broken}
}

func (s *silence) of(host string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.hosts[host]
	if !known.until.IsZero() && time.Now().After(known.until) {
		delete(s.hosts, host)
		return nil
	}
	return known.err
}

func (s *silence) note(host string, err error, forget time.Duration) {
	known := silent{err: err}
	if forget > 0 {
		known.until = time.Now().Add(forget)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts[host] = known
}

func (r *Reader) secret(ctx context.Context, key string) ([]byte, error) {
	namespace, name, _ := strings.Cut(key, "/")
	if r.pull == nil {
		return nil, fmt.Errorf("pull secret %s is not in the snapshot", key)
	}
	r.mu.Lock()
	p := r.secrets[key]
	if p == nil {
		p = &pulled{}
		r.secrets[key] = p
	}
	r.mu.Unlock()
	p.once.Do(func() { p.data, p.err = r.pull(ctx, namespace, name) })
	return p.data, p.err
}

// registryHost is the first part of a reference when it is a host, else the default registry's place in it.
func registryHost(ref string) string {
	host, _, ok := strings.Cut(ref, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return ""
	}
	return host
}
