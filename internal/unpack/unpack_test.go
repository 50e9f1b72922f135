package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func packed(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(bytes.Repeat([]byte{'x'}, int(h.Size))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func zipped(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, n := range names {
		f, err := w.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte("text"))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lyingZip has an entry whose header says that it is small.
func lyingZip(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	zeros := make([]byte, 12<<20)
	var deflated bytes.Buffer
	f, _ := gzip.NewWriterLevel(&deflated, gzip.BestCompression)
	_, _ = f.Write(zeros)
	_ = f.Close()
	raw := deflated.Bytes()[10 : deflated.Len()-8]
	e, err := w.CreateRaw(&zip.FileHeader{Name: "small.yaml", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(zeros), CompressedSize64: uint64(len(raw)), UncompressedSize64: 10})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = e.Write(raw)
	_ = w.Close()
	return b.Bytes()
}

// TestHostile refuses what tries to get out or to fill the disk, in words that say why.
func TestHostile(t *testing.T) {
	file := func(name string) *tar.Header { return &tar.Header{Name: name, Size: 4, Mode: 0o644} }
	many := make([]*tar.Header, 2000)
	for i := range many {
		many[i] = &tar.Header{Name: fmt.Sprintf("d%d/", i), Typeflag: tar.TypeDir}
	}
	for _, c := range []struct {
		name string
		data []byte
		l    Limits
		want string // part of the error; "" is accepted
		keep int
		note string
	}{
		{name: "good", data: packed(t, file("a/b.yaml"), file("./c.yaml")), keep: 2},
		{name: "good tar.gz", data: gzipped(packed(t, file("a.yaml"))), keep: 1},
		{name: "good zip", data: zipped(t, "a/b.yaml", "c.yaml"), keep: 2},
		{name: "parent", data: packed(t, file("../x")), want: "leads out"},
		{name: "parent inside", data: packed(t, file("a/../../x")), want: "leads out"},
		{name: "parent that would come back", data: packed(t, file("a/../b")), want: "leads out"},
		{name: "parent in a zip", data: zipped(t, "../../x"), want: "leads out"},
		{name: "absolute", data: packed(t, file("/etc/passwd")), want: "absolute"},
		{name: "absolute in a zip", data: zipped(t, "/x"), want: "absolute"},
		{name: "backslash", data: zipped(t, `..\..\x`), want: "backslash"},
		{name: "drive", data: zipped(t, `C:x`), want: "drive"},
		{name: "control character", data: packed(t, file("a\x1b[2Jb")), want: "control"},
		{name: "deep", data: packed(t, file(strings.Repeat("d/", 100)+"f")), want: "too deep"},
		{name: "long", data: packed(t, file(strings.Repeat("d", 2000))), want: "too long"},
		{name: "symbolic link", data: packed(t, &tar.Header{Name: "a", Linkname: "/etc", Typeflag: tar.TypeSymlink}, file("b")), keep: 1, note: "a link"},
		{name: "hard link", data: packed(t, &tar.Header{Name: "a", Linkname: "../../x", Typeflag: tar.TypeLink}, file("b")), keep: 1, note: "a link"},
		{name: "device", data: packed(t, &tar.Header{Name: "a", Typeflag: tar.TypeChar}, file("b")), keep: 1, note: "no regular file"},
		{name: "only a link", data: packed(t, &tar.Header{Name: "a", Linkname: "b", Typeflag: tar.TypeSymlink}), want: "holds no file"},
		{name: "empty", data: nil, want: "empty"},
		{name: "noise", data: bytes.Repeat([]byte("noise "), 1000), want: "no tar"},
		{name: "cut", data: gzipped(packed(t, file("a.yaml")))[:40], want: "broken"},
		{name: "cut zip", data: zipped(t, "a")[:30], want: "broken"},
		{name: "large file", data: packed(t, &tar.Header{Name: "big.yaml", Size: 11 << 20}, file("b")), keep: 1, note: "larger than 10 MiB"},
		{name: "zip that lies", data: lyingZip(t), want: "small.yaml"},
		{name: "too large packed", data: packed(t, &tar.Header{Name: "a", Size: 3 << 20}), l: Limits{Packed: 1 << 20}, want: "larger than 1 MiB"},
		{name: "too large unpacked", data: gzipped(packed(t, &tar.Header{Name: "a", Size: 3 << 20})), l: Limits{Unpacked: 1 << 20}, want: "unpacked it is larger"},
		{name: "bomb", data: gzipped(packed(t, &tar.Header{Name: "a", Size: 100 << 20})), want: "200 times"},
		{name: "many entries", data: packed(t, many...), l: Limits{Files: 1000}, want: "more than 1000 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.l.TempDir = t.TempDir()
			keep := 0
			notes, err := Archive(t.Context(), bytes.NewReader(c.data), c.l, func(string, []byte) error { keep++; return nil })
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if c.want == "" && keep != c.keep {
				t.Errorf("%d files, want %d", keep, c.keep)
			}
			if c.note != "" && (len(notes) != 1 || !strings.Contains(notes[0].Reason, c.note)) {
				t.Errorf("%+v, want %q", notes, c.note)
			}
			if left, _ := os.ReadDir(c.l.TempDir); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
				t.Errorf("the error repeats control characters: %q", err)
			}
		})
	}
}

// TestExtract never writes outside of the folder, even when something in it leads out.
func TestExtract(t *testing.T) {
	outside := t.TempDir()
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "way")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	for _, name := range []string{"../x", "/x", "way/x", "a/../../x"} {
		if err := Extract(root, name, []byte("x")); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("%v was written outside", left)
	}
	for _, name := range []string{"a/b/c.yaml", "a/b/c.yaml", "./d"} {
		if err := Extract(root, name, []byte("x")); err != nil {
			t.Error(err)
		}
	}
	if err := Extract(root, "d/e", []byte("x")); !errors.Is(err, ErrRefused) { // d is a file
		t.Error(err)
	}
}

// TestPacker gives back what was put in.
func TestPacker(t *testing.T) {
	var b bytes.Buffer
	p, err := NewPacker(&b)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.yaml": "one", "d/b.yaml": strings.Repeat("two", 100_000), "empty": ""}
	for n, text := range want {
		if err := p.Add(n, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Add("../x", nil); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if _, err := Archive(t.Context(), &b, Limits{}, func(n string, data []byte) error { got[n] = string(data); return nil }); err != nil {
		t.Fatal(err)
	}
	for n := range want {
		if got[n] != want[n] {
			t.Errorf("%s: %d bytes", n, len(got[n]))
		}
	}
}

// TestCanceled ends when the request does.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Archive(ctx, bytes.NewReader(packed(t, &tar.Header{Name: "a", Size: 4})), Limits{}, func(string, []byte) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzArchive: whatever comes, nothing is written outside of the folder, and names are clean.
func FuzzArchive(f *testing.F) {
	f.Add(packed(f, &tar.Header{Name: "a/b", Size: 4}))
	f.Add(gzipped(packed(f, &tar.Header{Name: "../b", Size: 4})))
	f.Add(zipped(f, "a", "../b"))
	z, _ := zstd.NewWriter(nil)
	f.Add(z.EncodeAll(packed(f, &tar.Header{Name: "a", Linkname: "/etc", Typeflag: tar.TypeSymlink}), nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = root.Close() }()
		l := Limits{Packed: 1 << 20, Unpacked: 4 << 20, File: 1 << 20, Files: 100, TempDir: t.TempDir()}
		_, _ = Archive(t.Context(), bytes.NewReader(data), l, func(name string, data []byte) error {
			if !fs.ValidPath(name) {
				t.Errorf("%q is no clean name", name)
			}
			_ = Extract(root, name, data)
			return nil
		})
		if list, _ := os.ReadDir(parent); len(list) != 1 {
			t.Errorf("%v beside the folder", list)
		}
	})
}
