package artifact

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/retry"
)

// defaultTag is the tag of references without one.
const defaultTag = "latest"

// target is where an artifact goes.
type target struct {
	oras.Target
	tag    string
	finish func() error // completes a tar file
	close  func() error
}

// source is where an artifact comes from.
type source struct {
	oras.ReadOnlyTarget
	tag   string
	close func() error
}

func nothing() error { return nil }

// layout splits "oci:DIR[:TAG]" and "oci-archive:FILE[:TAG]".
func layout(ref string) (kind, path, tag string, ok bool) {
	kind, rest, ok := strings.Cut(ref, ":")
	if !ok || kind != "oci" && kind != "oci-archive" {
		return "", "", "", false
	}
	path, tag = rest, defaultTag
	if i := strings.LastIndexByte(rest, ':'); i > 0 && !strings.ContainsAny(rest[i:], `/\`) && i+1 < len(rest) {
		path, tag = rest[:i], rest[i+1:]
	}
	return kind, path, tag, true
}

func openTarget(ctx context.Context, ref string, o Options) (*target, error) {
	kind, path, tag, ok := layout(ref)
	if !ok {
		repo, tag, err := repository(ref, o)
		if err != nil {
			return nil, err
		}
		return &target{repo, tag, nothing, nothing}, nil
	}
	if path == "" {
		return nil, fmt.Errorf("%s: the path is missing", ref)
	}
	if kind == "oci" {
		store, err := oci.NewWithContext(ctx, path)
		return &target{store, tag, nothing, nothing}, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), ".stockade-layout-")
	if err != nil {
		return nil, err
	}
	store, err := oci.NewWithContext(ctx, tmp)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return &target{store, tag, func() error { return writeTar(path, tmp) }, func() error { return os.RemoveAll(tmp) }}, nil
}

func openSource(ctx context.Context, ref string, o Options) (*source, error) {
	kind, path, tag, ok := layout(ref)
	if !ok {
		repo, tag, err := repository(ref, o)
		if err != nil {
			return nil, err
		}
		return &source{repo, tag, nothing}, nil
	}
	var store *oci.ReadOnlyStore
	var err error
	if kind == "oci" {
		store, err = oci.NewFromFS(ctx, os.DirFS(path))
	} else {
		store, err = oci.NewFromTar(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: not an OCI layout: %w", path, err)
	}
	if tag, err = onlyTag(ctx, store, tag); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &source{store, tag, nothing}, nil
}

// onlyTag takes the only tag of a layout when the default one is not there: what somebody copied may be called anything.
func onlyTag(ctx context.Context, store *oci.ReadOnlyStore, tag string) (string, error) {
	if tag != defaultTag {
		return tag, nil
	}
	var all []string
	if err := store.Tags(ctx, "", func(tags []string) error { all = append(all, tags...); return nil }); err != nil {
		return "", err
	}
	for _, t := range all {
		if t == tag {
			return tag, nil
		}
	}
	if len(all) != 1 {
		return "", fmt.Errorf("the layout has the tags %q; name one", all)
	}
	return all[0], nil
}

// repository makes the client of a registry: credentials as docker and podman keep them, proxies by the environment.
func repository(ref string, o Options) (*remote.Repository, string, error) {
	repo, err := remote.NewRepository(ref)
	if err != nil {
		return nil, "", fmt.Errorf("reference %q: %w", ref, err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: o.Insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // only when asked for
	if transport.TLSClientConfig.RootCAs, err = o.roots(repo.Reference.Host()); err != nil {
		return nil, "", err
	}
	if o.Dial != nil {
		transport.DialContext, transport.Proxy = o.Dial, nil
	}
	client := &auth.Client{Client: &http.Client{Transport: retry.NewTransport(transport)}, Cache: auth.NewCache()}
	client.SetUserAgent("stockade")
	if client.Credential, err = o.credential(); err != nil {
		return nil, "", err
	}
	repo.Client, repo.PlainHTTP = client, o.PlainHTTP
	tag := repo.Reference.Reference
	if tag == "" {
		tag = defaultTag
	}
	return repo, tag, nil
}

// roots are the certificate authorities to trust for a host; nil for the system's.
func (o Options) roots(host string) (*x509.CertPool, error) {
	var pem []byte
	if o.CA != "" {
		var err error
		if pem, err = os.ReadFile(o.CA); err != nil {
			return nil, err
		}
	}
	if o.Roots != nil {
		pem = append(append(pem, '\n'), o.Roots(host)...)
	}
	if len(bytes.TrimSpace(pem)) == 0 {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in PEM", cmp.Or(o.CA, host))
	}
	return pool, nil
}

func (o Options) credential() (auth.CredentialFunc, error) {
	if o.Credential == nil {
		store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
		if err != nil {
			return nil, fmt.Errorf("reading the registry credentials: %w", err)
		}
		return credentials.Credential(store), nil
	}
	return func(_ context.Context, host string) (auth.Credential, error) {
		switch user, password := o.Credential(host); {
		case password == "":
			return auth.EmptyCredential, nil
		case user == "":
			return auth.Credential{AccessToken: password}, nil
		default:
			return auth.Credential{Username: user, Password: password}, nil
		}
	}, nil
}

// writeTar packs a folder into a tar file, which appears when it is complete.
func writeTar(path, dir string) (err error) {
	out, err := os.CreateTemp(filepath.Dir(path), ".stockade-tar-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(out.Name())
		}
	}()
	w := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: info.Size(), Format: tar.FormatPAX}); err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
	if err = errors.Join(err, w.Close(), out.Sync(), out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), path)
}
