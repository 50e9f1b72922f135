// Package unpack reads the archives that people upload: tar, tar.gz, tar.zst and zip. Archives are hostile: names that lead out of
// the folder are refused, links and devices are left out and told, sizes are counted as they come and never believed.
package unpack

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// Limits bound an archive. Zero fields take the defaults.
type Limits struct {
	Packed   int64 // bytes of the archive; default 256 MiB
	Unpacked int64 // bytes of all files; default 1 GiB
	File     int64 // bytes of one file: longer ones are left out and told; default 10 MiB
	Files    int   // entries; default 100,000
	Ratio    int64 // unpacked to packed, once over 64 MiB; default 200
	TempDir  string
}

func (l Limits) withDefaults() Limits {
	or := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	or(&l.Packed, 256<<20)
	or(&l.Unpacked, 1<<30)
	or(&l.File, 10<<20)
	or(&l.Ratio, 200)
	if l.Files <= 0 {
		l.Files = 100_000
	}
	return l
}

// ratioFrom is the size from which on the ratio counts: a small file of zeros is no bomb.
const ratioFrom = 64 << 20

// ErrRefused is wrapped by errors about the archive itself: the sender must send another.
var ErrRefused = errors.New("the archive is refused")

// Note tells of an entry that was left out.
type Note struct {
	Name   string
	Reason string
	Large  bool // because of its size: it might have been wanted
}

// Archive reads an archive and calls file for each regular file in it, with a clean relative slash path. The form is told by the
// first bytes. data is only valid during the call.
func Archive(ctx context.Context, r io.Reader, l Limits, file func(name string, data []byte) error) ([]Note, error) {
	l = l.withDefaults()
	u := &unpacking{ctx: ctx, l: l, file: file, packed: &counter{r: r, max: l.Packed}}
	b := bufio.NewReaderSize(u.packed, 64<<10)
	magic, err := b.Peek(4)
	if err != nil && len(magic) == 0 {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: it is empty", ErrRefused)
		}
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte("PK")):
		err = u.zip(b)
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		var z *gzip.Reader
		if z, err = gzip.NewReader(b); err == nil {
			err = u.tar(z)
		}
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(b, zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderConcurrency(1)); err == nil {
			err = u.tar(z)
			z.Close()
		}
	default:
		err = u.tar(b)
	}
	switch {
	case err == nil && u.kept == 0:
		err = fmt.Errorf("%w: it holds no file", ErrRefused)
	case err == nil || u.failed != nil || errors.Is(err, ErrRefused) || ctx.Err() != nil || u.packed.failed != nil:
	default:
		err = fmt.Errorf("%w: it is broken, or no tar, tar.gz, tar.zst or zip: %w", ErrRefused, err)
	}
	return u.notes, err
}

// maxNotes bounds how many entries are told one by one.
const maxNotes = 200

type unpacking struct {
	ctx      context.Context
	l        Limits
	file     func(string, []byte) error
	packed   *counter
	unpacked int64
	entries  int
	kept     int
	bytes    int64 // of the files kept
	notes    []Note
	failed   error // of file
	buf      bytes.Buffer
}

// counter counts what is read, and refuses to read more than max.
type counter struct {
	r      io.Reader
	n, max int64
	failed error // of r
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.n += int64(n); c.n > c.max {
		return n, fmt.Errorf("%w: it is larger than %d MiB", ErrRefused, c.max>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failed = err
	}
	return n, err
}

func (u *unpacking) leave(name, reason string, large bool) {
	switch len(u.notes) {
	case maxNotes:
		return
	case maxNotes - 1:
		name, reason = "more", "more entries were left out than are told one by one"
	}
	u.notes = append(u.notes, Note{printable(name), reason, large})
}

func (u *unpacking) tar(r io.Reader) error {
	// Padding and headers count too: an archive of a million empty entries is large.
	t := tar.NewReader(&guarded{u, r})
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeReg:
			err = u.entry(h.Name, h.Size, t)
		case tar.TypeDir, tar.TypeXGlobalHeader:
			err = u.count()
		case tar.TypeSymlink, tar.TypeLink:
			u.leave(h.Name, "a link: not followed", false)
			err = u.count()
		default:
			u.leave(h.Name, "no regular file", false)
			err = u.count()
		}
		if err != nil {
			return err
		}
	}
}

// guarded checks limits while an archive is unpacked.
type guarded struct {
	u *unpacking
	r io.Reader
}

func (g *guarded) Read(p []byte) (int, error) {
	if err := g.u.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := g.r.Read(p)
	g.u.unpacked += int64(n)
	if bad := g.u.bomb(); bad != nil {
		return n, bad
	}
	return n, err
}

func (u *unpacking) bomb() error {
	switch {
	case u.unpacked > u.l.Unpacked:
		return fmt.Errorf("%w: unpacked it is larger than %d MiB", ErrRefused, u.l.Unpacked>>20)
	case u.unpacked > ratioFrom && u.unpacked/u.l.Ratio > u.packed.n:
		return fmt.Errorf("%w: it unpacks to more than %d times its size", ErrRefused, u.l.Ratio)
	}
	return nil
}

func (u *unpacking) count() error {
	if u.entries++; u.entries > u.l.Files {
		return fmt.Errorf("%w: it has more than %d entries", ErrRefused, u.l.Files)
	}
	return u.ctx.Err()
}

// zip spools the archive, since a zip's list of files is at its end.
func (u *unpacking) zip(r io.Reader) error {
	spool, err := os.CreateTemp(u.l.TempDir, "upload-*.zip")
	if err != nil {
		u.failed = err
		return err
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	size, err := io.Copy(spool, r)
	if err != nil {
		return err
	}
	z, err := zip.NewReader(spool, size)
	if err != nil {
		return err
	}
	for _, f := range z.File {
		mode := f.Mode()
		switch {
		case mode.IsDir():
			err = u.count()
		case mode&os.ModeSymlink != 0:
			u.leave(f.Name, "a link: not followed", false)
			err = u.count()
		case !mode.IsRegular():
			u.leave(f.Name, "no regular file", false)
			err = u.count()
		case f.Flags&1 != 0:
			u.leave(f.Name, "encrypted", true)
			err = u.count()
		default:
			err = u.zipped(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) zipped(f *zip.File) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", printable(f.Name), err)
	}
	defer func() { _ = r.Close() }()
	return u.entry(f.Name, int64(f.UncompressedSize64), &guarded{u, r})
}

// entry takes one regular file.
func (u *unpacking) entry(name string, size int64, r io.Reader) error {
	if err := u.count(); err != nil {
		return err
	}
	clean, err := Name(name)
	if err != nil {
		return err
	}
	if size > u.l.File {
		u.leave(name, fmt.Sprintf("larger than %d MiB", u.l.File>>20), true)
		return nil
	}
	u.buf.Reset()
	n, err := io.Copy(&u.buf, io.LimitReader(r, u.l.File+1))
	if err != nil {
		return fmt.Errorf("%s: %w", printable(name), err)
	}
	if n > u.l.File { // its header said less
		u.leave(name, fmt.Sprintf("larger than %d MiB", u.l.File>>20), true)
		return nil
	}
	if u.bytes += n; u.bytes > u.l.Unpacked { // sparse files come from nowhere
		return fmt.Errorf("%w: unpacked it is larger than %d MiB", ErrRefused, u.l.Unpacked>>20)
	}
	if u.failed = u.file(clean, u.buf.Bytes()); u.failed == nil {
		u.kept++
	}
	return u.failed
}

// Limits of a name.
const (
	maxName  = 1024
	maxDepth = 64
)

// Name returns the clean relative path of an entry, or an error that says why it is refused.
func Name(name string) (string, error) {
	bad := func(why string) (string, error) {
		return "", fmt.Errorf("%w: the name %q %s", ErrRefused, printable(name), why)
	}
	switch {
	case len(name) > maxName:
		return bad("is too long")
	case !utf8.ValidString(name):
		return bad("is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return bad("has control characters")
	case strings.Contains(name, `\`):
		return bad("has a backslash: use slashes")
	case strings.HasPrefix(name, "/"):
		return bad("is absolute")
	case len(name) > 1 && name[1] == ':':
		return bad("names a drive")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return bad("leads out of the folder")
		}
	}
	clean := path.Clean(name)
	if clean == "." || name == "" {
		return bad("names no file")
	}
	if strings.Count(clean, "/") >= maxDepth {
		return bad("is too deep")
	}
	return clean, nil
}

// printable shortens a foreign name for messages and takes out what terminals would act on.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}

// Extract writes a file below root, with the folders above it. A later file of the same name wins.
func Extract(root *os.Root, name string, data []byte) error {
	clean, err := Name(name)
	if err != nil {
		return err
	}
	if dir := path.Dir(clean); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
	}
	if err := root.WriteFile(clean, data, 0o600); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

// Packer writes files as a tar.zst.
type Packer struct {
	z *zstd.Encoder
	t *tar.Writer
}

// NewPacker returns a Packer on w. Close it.
func NewPacker(w io.Writer) (*Packer, error) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	return &Packer{z, tar.NewWriter(z)}, nil
}

// Add adds a file.
func (p *Packer) Add(name string, data []byte) error {
	clean, err := Name(name)
	if err != nil {
		return err
	}
	if err := p.t.WriteHeader(&tar.Header{Name: clean, Mode: 0o600, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = p.t.Write(data)
	return err
}

// Close ends the archive.
func (p *Packer) Close() error { return errors.Join(p.t.Close(), p.z.Close()) }
