// Package artifact ships the advisory database as one OCI artifact: to and from registries, OCI layouts in folders and in tar
// files. What arrives is checked against digests, the signature and the hashes of the database before it takes the place of
// the old one.
package artifact

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"

	"stockade.dev/stockade/internal/database"
)

// The media types. Layers of files carry the file's name in the title annotation.
const (
	TypeArtifact  = "application/vnd.stockade.db.v1"
	TypeManifest  = "application/vnd.stockade.db.manifest.v1+json"  // database.Manifest, as it was signed
	TypeSignature = "application/vnd.stockade.db.signature.v1+json" // database.Signature; absent when unsigned
	TypeMatch     = "application/vnd.stockade.db.match.v1+zstd"
	TypeText      = "application/vnd.stockade.db.text.v1+zstd"
	TypeUrgent    = "application/vnd.stockade.db.emergencies.v1+zstd" // absent in databases without a list of emergencies
)

// Options say how artifacts are moved.
type Options struct {
	PlainHTTP   bool     // no TLS
	Insecure    bool     // TLS without checking certificates
	CA          string   // PEM file with certificate authorities beside the system's
	Mirrors     []string // PREFIX=PREFIX: references that begin with the first are asked for under the second before
	TrustedKeys []ed25519.PublicKey
	Force       bool                    // take a database that is older than the one in place
	Stall       time.Duration           // how long a registry may say nothing: 60 s
	Progress    func(done, total int64) // bytes of the file on its way; may be nil

	// For a server, which asks by what its administrators say and not by what lies on its machine.
	Credential func(host string) (username, password string) // in place of docker's; without a user name a token
	Roots      func(host string) []byte                      // PEM certificates trusted for a host, beside the system's
	Dial       func(ctx context.Context, network, address string) (net.Conn, error)
	MaxBytes   int64 // of a layer, and of what it unpacks to
}

func (o Options) maxFile() int64 {
	if o.MaxBytes > 0 {
		return min(o.MaxBytes, maxFile)
	}
	return maxFile
}

func (o Options) stall() time.Duration {
	if o.Stall > 0 {
		return o.Stall
	}
	return time.Minute
}

func (o Options) progress(done, total int64) {
	if o.Progress != nil {
		o.Progress(done, total)
	}
}

// Push sends the database in folder dir to ref: a registry reference, "oci:DIR[:TAG]" for an OCI layout in a folder, or
// "oci-archive:FILE[:TAG]" for one in a tar file. It returns the digest of the artifact.
func Push(ctx context.Context, dir, ref string, o Options) (string, error) {
	db, err := database.Open(dir, database.Options{TrustedKeys: o.TrustedKeys})
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := db.Verify(nil); err != nil { // what is damaged is not passed on
		return "", err
	}
	to, err := openTarget(ctx, ref, o)
	if err != nil {
		return "", err
	}
	defer to.close()
	desc, err := push(ctx, db, dir, to.Target, o)
	if err != nil {
		return "", fmt.Errorf("pushing to %s: %w", ref, err)
	}
	if err := to.Tag(ctx, desc, to.tag); err != nil {
		return "", fmt.Errorf("pushing to %s: %w", ref, err)
	}
	return desc.Digest.String(), to.finish()
}

func push(ctx context.Context, db *database.DB, dir string, to oras.Target, o Options) (ocispec.Descriptor, error) {
	m := db.Info()
	raw, signature := db.Raw()
	var layers []ocispec.Descriptor
	add := func(desc ocispec.Descriptor, open func() (io.ReadCloser, error)) error {
		layers = append(layers, desc)
		if there, err := to.Exists(ctx, desc); err != nil || there {
			return err
		}
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close()
		return to.Push(ctx, desc, &meter{r: r, total: desc.Size, o: o})
	}
	for _, doc := range []struct {
		mediaType string
		data      []byte
	}{{TypeManifest, raw}, {TypeSignature, signature}} {
		if len(doc.data) == 0 {
			continue
		}
		err := add(content.NewDescriptorFromBytes(doc.mediaType, doc.data), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(doc.data)), nil })
		if err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	for _, f := range database.Files(dir, m) {
		packed, desc, err := pack(f.Path, typeOf(&m, f.Name))
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		desc.Annotations = map[string]string{ocispec.AnnotationTitle: f.Name}
		err = add(desc, func() (io.ReadCloser, error) { return os.Open(packed) })
		if err = errors.Join(err, os.Remove(packed)); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	return oras.PackManifest(ctx, to, oras.PackManifestVersion1_1, TypeArtifact, oras.PackManifestOptions{Layers: layers,
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: m.BuiltAt, ocispec.AnnotationTitle: "Stockade advisory database"}})
}

// typeOf is the media type of a file of a database.
func typeOf(m *database.Manifest, name string) string {
	switch m.FileOf(name) {
	case m.Text:
		return TypeText
	case m.Emergencies:
		return TypeUrgent
	}
	return TypeMatch
}

// pack compresses a file into a temporary one.
func pack(path, mediaType string) (packed string, desc ocispec.Descriptor, err error) {
	in, err := os.Open(path)
	if err != nil {
		return "", desc, err
	}
	defer in.Close()
	out, err := os.CreateTemp("", "stockade-layer-")
	if err != nil {
		return "", desc, err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(out.Name())
		}
	}()
	hash := digest.SHA256.Digester()
	count := &meter{}
	z, err := zstd.NewWriter(io.MultiWriter(out, hash.Hash(), count), zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(8<<20))
	if err != nil {
		return "", desc, err
	}
	if _, err := io.Copy(z, in); err != nil {
		return "", desc, err
	}
	if err := z.Close(); err != nil {
		return "", desc, err
	}
	return out.Name(), ocispec.Descriptor{MediaType: mediaType, Digest: hash.Digest(), Size: count.done}, nil
}

// meter counts what passes.
type meter struct {
	r           io.Reader
	done, total int64
	o           Options
	watch       *time.Timer // set back with every byte
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.watch != nil {
		m.watch.Reset(m.o.stall())
	}
	m.done += int64(n)
	m.o.progress(m.done, m.total)
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	m.done += int64(len(p))
	return len(p), nil
}

// Result says what Pull and Import did.
type Result struct {
	Manifest database.Manifest
	Digest   string // of the artifact; "" for a database that was not in one
	Same     bool   // the database in place was this one already: nothing was downloaded
}

// Pull brings the database from ref (see Push) into folder dir. The old one is replaced in the last step only; a download that was
// cut is taken up where it ended by the next Pull.
func Pull(ctx context.Context, ref, dir string, o Options) (*Result, error) {
	var errs []error
	for _, r := range mirrored(ref, o.Mirrors) {
		from, err := openSource(ctx, r, o)
		if err != nil {
			return nil, err
		}
		res, err := pull(ctx, from.ReadOnlyTarget, from.tag, dir, o)
		if err = errors.Join(err, from.close()); err == nil {
			return res, nil
		}
		errs = append(errs, fmt.Errorf("pulling %s: %w", r, err))
		if isVerdict(err) || ctx.Err() != nil {
			break // another place would give the same answer
		}
	}
	return nil, errors.Join(errs...)
}

// isVerdict reports whether an error is about the database, not about the way to it.
func isVerdict(err error) bool {
	return errors.Is(err, database.ErrOlder) || errors.Is(err, database.ErrUnsigned) || errors.Is(err, database.ErrUntrusted)
}

// Import brings a database from a file or folder into folder dir: an OCI layout as a folder or tar file, a database folder, or
// a match.db with its text file beside it.
func Import(ctx context.Context, path, dir string, o Options) (*Result, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(path, ocispec.ImageLayoutFile)); err == nil {
			return Pull(ctx, "oci:"+path, dir, o)
		}
		return importFiles(path, dir, o)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	f.Close()
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n == 512 && string(head[257:262]) == "ustar" {
		return Pull(ctx, "oci-archive:"+path, dir, o)
	}
	return importFiles(path, dir, o)
}

// importFiles copies a database that lies unpacked.
func importFiles(path, dir string, o Options) (*Result, error) {
	db, err := database.Open(path, database.Options{TrustedKeys: o.TrustedKeys})
	if err != nil {
		return nil, err
	}
	m := db.Info()
	db.Close()
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	return laidDown(dir, o, func(tmp string) (*Result, error) {
		for _, f := range database.Files(path, m) {
			in, err := os.Open(f.Path)
			if err != nil {
				return nil, err
			}
			err = writeFile(filepath.Join(tmp, f.Name), in)
			if err = errors.Join(err, in.Close()); err != nil {
				return nil, err
			}
		}
		return &Result{Manifest: m}, nil
	})
}

// laidDown has a database written into a folder beside the old one and installs it.
func laidDown(dir string, o Options, write func(tmp string) (*Result, error)) (*Result, error) {
	tmp, err := database.Incoming(dir)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	res, err := write(tmp)
	if err != nil {
		return nil, err
	}
	if err := database.Install(tmp, dir, database.Options{TrustedKeys: o.TrustedKeys}, o.Force); err != nil {
		return nil, err
	}
	return res, nil
}

func writeFile(path string, r io.Reader) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Sync(), out.Close())
}

// parseArtifact picks the layers out of an artifact's manifest.
func parseArtifact(data []byte) (layers map[string]ocispec.Descriptor, err error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("the artifact's manifest is broken: %w", err)
	}
	if m.ArtifactType != TypeArtifact {
		return nil, fmt.Errorf("not a Stockade database but %.80q", m.ArtifactType+m.Config.MediaType)
	}
	layers = map[string]ocispec.Descriptor{}
	for _, l := range m.Layers {
		if err := l.Digest.Validate(); err != nil || l.Digest.Algorithm() != digest.SHA256 || l.Size < 0 {
			return nil, fmt.Errorf("the artifact's manifest is broken: layer %.80q", l.Digest)
		}
		layers[l.MediaType] = l
	}
	for _, t := range []string{TypeManifest, TypeMatch} {
		if _, ok := layers[t]; !ok {
			return nil, fmt.Errorf("the artifact has no layer %s", t)
		}
	}
	return layers, nil
}

// mirrored lists where a reference is asked for, mirrors first.
func mirrored(ref string, mirrors []string) []string {
	var list []string
	for _, m := range mirrors {
		if from, to, ok := strings.Cut(m, "="); ok && strings.HasPrefix(ref, from) {
			list = append(list, to+ref[len(from):])
		}
	}
	return append(list, ref)
}
