package artifact

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"stockade.dev/stockade/internal/database"
)

const (
	maxDocument = 16 << 20 // bytes of a manifest or signature
	maxFile     = 64 << 30 // bytes of a file of a database
	attempts    = 5        // at one layer, each going on where the last one ended
	partsFolder = ".parts" // in the database folder: layers that are not complete
)

func pull(ctx context.Context, from oras.ReadOnlyTarget, ref, dir string, o Options) (*Result, error) {
	desc, err := from.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	data, err := document(ctx, manifests(from), desc, o)
	if err != nil {
		return nil, err
	}
	layers, err := parseArtifact(data)
	if err != nil {
		return nil, err
	}
	raw, err := document(ctx, blobs(from), layers[TypeManifest], o)
	if err != nil {
		return nil, err
	}
	var signature []byte
	if l, ok := layers[TypeSignature]; ok {
		if signature, err = document(ctx, blobs(from), l, o); err != nil {
			return nil, err
		}
	}
	m, err := database.Admit(raw, signature, dir, database.Options{TrustedKeys: o.TrustedKeys}, o.Force)
	if err != nil {
		return nil, err
	}
	res := &Result{Manifest: *m, Digest: desc.Digest.String()}
	if old, err := database.Open(dir, database.Options{}); err == nil {
		was, wasSigned := old.Raw()
		res.Same = bytes.Equal(was, raw) && bytes.Equal(wasSigned, signature) && old.TextError() == nil && old.Verify(nil) == nil
		old.Close()
		if res.Same {
			return res, nil
		}
	}
	parts := filepath.Join(dir, partsFolder)
	unlock, err := lock(parts)
	if err != nil {
		return nil, err
	}
	defer unlock()
	res, err = laidDown(dir, o, func(tmp string) (*Result, error) {
		for _, name := range m.FileNames() {
			l, ok := layers[typeOf(m, name)]
			if !ok {
				return nil, fmt.Errorf("the artifact lacks the file %s that its manifest names", name)
			}
			size := m.FileOf(name).Size
			part, err := download(ctx, blobs(from), l, parts, o)
			if err != nil {
				return nil, err
			}
			if err := unpack(part, filepath.Join(tmp, name), min(size+size/64+2*maxDocument+4096, o.maxFile())); err != nil {
				return nil, err
			}
		}
		db, err := database.Open(tmp, database.Options{})
		if err != nil {
			return nil, err
		}
		inside, _ := db.Raw()
		if err := db.Close(); err != nil {
			return nil, err
		}
		if !bytes.Equal(inside, raw) {
			return nil, errors.New("the database is not the one that the artifact's manifest describes")
		}
		return res, nil
	})
	if err == nil {
		os.RemoveAll(parts)
	}
	return res, err
}

// blobs fetches layers; a registry keeps manifests apart from them.
func blobs(from oras.ReadOnlyTarget) content.Fetcher {
	if r, ok := from.(*remote.Repository); ok {
		return r.Blobs()
	}
	return from
}

func manifests(from oras.ReadOnlyTarget) content.Fetcher {
	if r, ok := from.(*remote.Repository); ok {
		return r.Manifests()
	}
	return from
}

// document fetches something small; FetchAll checks size and digest.
func document(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, o Options) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*o.stall(), fmt.Errorf("nothing complete came within %v", 2*o.stall()))
	defer cancel()
	if desc.Size > maxDocument {
		return nil, fmt.Errorf("%s %s has %d bytes, more than %d", desc.MediaType, desc.Digest, desc.Size, maxDocument)
	}
	return content.FetchAll(ctx, from, desc)
}

// download brings a layer into the folder of parts and returns its path. What is there already from a download that was cut is
// not asked for again when the registry can give ranges.
func download(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, parts string, o Options) (string, error) {
	if desc.Size > o.maxFile() {
		return "", fmt.Errorf("%s has %d bytes, more than %d", desc.Digest, desc.Size, o.maxFile())
	}
	if err := os.MkdirAll(parts, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(parts, desc.Digest.Encoded())
	var err error
	for i := range attempts {
		if i > 0 {
			select {
			case <-time.After(time.Duration(i) * time.Duration(i) * retryStep):
			case <-ctx.Done():
				return "", context.Cause(ctx)
			}
		}
		if err = downloadOnce(ctx, from, desc, path, o); err == nil || errors.Is(err, errTampered) || ctx.Err() != nil {
			return path, err
		}
	}
	return "", fmt.Errorf("after %d attempts: %w", attempts, err)
}

// retryStep spaces the attempts: 1, 4, 9 and 16 of it.
const retryStep = 250 * time.Millisecond

var errTampered = errors.New("the content is not what its digest says")

func downloadOnce(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, path string, o Options) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if have < desc.Size {
		if have, err = transfer(ctx, from, desc, f, have, o); err != nil {
			return err
		}
	}
	if have < desc.Size {
		return fmt.Errorf("%s: %d bytes of %d: %w", desc.Digest, have, desc.Size, io.ErrUnexpectedEOF)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	verify := desc.Digest.Verifier()
	if _, err := io.Copy(verify, f); err != nil {
		return err
	}
	if have != desc.Size || !verify.Verified() {
		return errors.Join(fmt.Errorf("%s: %w", desc.Digest, errTampered), f.Truncate(0))
	}
	return nil
}

// transfer appends what is missing and returns how much there is.
func transfer(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, f *os.File, have int64, o Options) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(o.stall(), func() { cancel(fmt.Errorf("the registry said nothing for %v", o.stall())) })
	defer watch.Stop()
	r, err := from.Fetch(ctx, desc)
	if err != nil {
		return have, cmp.Or(context.Cause(ctx), err)
	}
	defer r.Close()
	if have > 0 {
		s, ok := r.(io.Seeker)
		if ok {
			_, err := s.Seek(have, io.SeekStart)
			ok = err == nil
		}
		if !ok { // from the start again
			if err := f.Truncate(0); err != nil {
				return have, err
			}
			if have, err = f.Seek(0, io.SeekStart); err != nil {
				return have, err
			}
		}
	}
	n, err := io.Copy(f, io.LimitReader(&meter{r: r, done: have, total: desc.Size, o: o, watch: watch}, desc.Size-have+1))
	if err != nil {
		err = cmp.Or(context.Cause(ctx), err)
	}
	return have + n, err
}

// unpack decompresses a layer; more than limit bytes is an error.
func unpack(from, to string, limit int64) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderConcurrency(2))
	if err != nil {
		return err
	}
	defer z.Close()
	bounded := &io.LimitedReader{R: z, N: min(limit, maxFile) + 1}
	if err := writeFile(to, bounded); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(to), err)
	}
	if bounded.N <= 0 {
		return fmt.Errorf("%s: larger than its manifest says", filepath.Base(to))
	}
	return nil
}
