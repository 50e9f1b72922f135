package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/collect/image/source"
)

// zeros is n bytes of nothing, which pack well.
type zeros struct{ n int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.n <= 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), z.n))
	clear(p[:n])
	z.n -= int64(n)
	return n, nil
}

// bomb is a gzip of size zero bytes behind a tar header.
func bomb(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "opt/app.jar", Size: size, Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(io.MultiReader(&b, &zeros{size}))
	if err != nil {
		t.Fatal(err)
	}
	return gz(t, data)
}

func TestHostileLayers(t *testing.T) {
	good := layerOf(gz(t, tarOf(t, entry{name: "good/release", body: jdk("21.0.1")})))
	noise := make([]byte, 300<<10)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(noise)
	whole := gz(t, tarOf(t, entry{name: "bad/release", body: jdk("8.0.1")}, entry{name: "noise", body: string(noise)}, entry{name: "end/release", body: jdk("9.0.1")}))
	corrupt := slices.Clone(whole)
	for i := len(corrupt) / 2; i < len(corrupt)/2+100; i++ {
		corrupt[i] ^= 0x55
	}
	wrong := layerOf(whole)
	wrong.Digest = digest([]byte("another"))
	short := layerOf(whole)
	short.Size = 100
	long := layerOf(whole)
	long.Size += 7
	changed := layerOf(whole)
	changed.Open = layerOf(corrupt).Open
	failing := layerOf(whole)
	failing.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("cannot be had") }
	diff := layerOf(whole)
	diff.Digest, diff.DiffID, diff.Size = "", digest([]byte("another")), 0
	other := layerOf(whole)
	other.Digest = "sha512:00"
	for name, c := range map[string]struct {
		layer      source.Layer
		code, text string
		refused    bool // nothing of the layer may be used
	}{
		"truncated":               {layerOf(whole[:len(whole)/2]), "broken", "unexpected EOF", false},
		"corrupt":                 {layerOf(corrupt), "broken", "layer sha256:", false},
		"wrong digest":            {wrong, "broken", "wrong digest", true},
		"changed on the way":      {changed, "broken", "digest is wrong", true},
		"shorter than it says":    {long, "broken", "its manifest says", false},
		"longer than it says":     {short, "broken", "longer than the 100 bytes", true},
		"wrong diff id":           {diff, "broken", "wrong diff id", true},
		"digest of another kind":  {other, "broken", "only sha256", true},
		"not there":               {failing, "unreachable", "cannot be had", true},
		"web page":                {layerOf([]byte("<!DOCTYPE html><title>Log in</title>")), "broken", "a web page", true},
		"no tar":                  {layerOf(gz(t, bytes.Repeat([]byte("no tar "), 1000))), "broken", "invalid tar header", true},
		"xz":                      {layerOf([]byte("\xfd7zXZ\x00rest")), "broken", "xz", true},
		"tar without an end":      {layerOf(tarOf(t, entry{name: "x", body: strings.Repeat("x", 5000)})[:2000]), "broken", "unexpected EOF", true},
		"gzip that ends at once":  {layerOf([]byte{0x1f, 0x8b, 8}), "broken", "gzip", true},
		"zstd that ends at once":  {layerOf([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff}), "broken", "layer", true},
		"gzip bomb":               {layerOf(bomb(t, 200<<20)), "limit", "times its size", true},
		"path outside":            {layerOf(tarOf(t, entry{name: "../../../etc/x", body: "x"})), "broken", "leads outside", true},
		"path over the limit":     {layerOf(tarOf(t, entry{name: strings.Repeat("a/", 3000) + "release", body: jdk("1")})), "broken", "over 4096 bytes", true},
		"not to be had":           {source.Layer{Unread: "dropped by the runtime", Code: "unreachable"}, "unreachable", "dropped", true},
		"write-ahead log, no rpm": {layerOf(tarOf(t, entry{name: "var/lib/rpm/rpmdb.sqlite-wal", body: "x"})), "unsupported", "write-ahead log", true},
		"damaged rpm database":    {layerOf(tarOf(t, entry{name: "var/lib/rpm/Packages", body: strings.Repeat("\x00\x01bad", 4000)})), "broken", "Packages", true},
		"damaged SQLite database": {layerOf(tarOf(t, entry{name: "var/lib/rpm/rpmdb.sqlite", body: "SQLite format 3\x00" + strings.Repeat("\xff", 9000)})), "broken", "rpmdb.sqlite", true},
		"damaged jar":             {layerOf(tarOf(t, entry{name: "opt/a.jar", body: "PK\x03\x04" + strings.Repeat("x", 900)})), "broken", "opt/a.jar", true},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := NewStore(NewMemory(1 << 30))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // what cannot be believed is not kept either
				start := time.Now()
				s := analyze(t, imageOf(c.layer, good), Options{Store: store})
				if !hasGap(s, c.code, c.text) {
					t.Errorf("no gap %q with %q: %v", c.code, c.text, s.Gaps)
				}
				got := list(s)
				if !slices.Contains(got, "openjdk 21.0.1 @1 good/release") {
					t.Errorf("the layer above is lost: %v", got)
				}
				if c.refused != (len(got) == 1) {
					t.Errorf("refused %t, but %v", c.refused, got)
				}
				if d := time.Since(start); d > 20*time.Second {
					t.Errorf("took %s", d)
				}
			}
		})
	}
}

func TestWrongDigestIsNotKept(t *testing.T) {
	store, err := NewStore(NewMemory(1 << 30))
	if err != nil {
		t.Fatal(err)
	}
	real := layerOf(tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}))
	liar := layerOf(tarOf(t, entry{name: "opt/nothing", body: "x"}))
	liar.Digest, liar.Size = real.Digest, 0
	if s := analyze(t, imageOf(liar), Options{Store: store}); !hasGap(s, "broken", "wrong digest") {
		t.Errorf("gaps %v", s.Gaps)
	}
	if s := analyze(t, imageOf(real), Options{Store: store}); len(s.Packages) != 1 || len(s.Gaps) != 0 {
		t.Errorf("the liar's result was kept: %v %v", s.Packages, s.Gaps)
	}
	// A diff id that its layer does not have must not be believed either.
	liar.Digest, liar.DiffID = "", digest(tarOf(t, entry{name: "opt/k/release", body: jdk("1.8.0")}))
	if s := analyze(t, imageOf(liar), Options{Store: store}); len(s.Packages) != 0 || !hasGap(s, "broken", "wrong diff id") {
		t.Errorf("%v %v", s.Packages, s.Gaps)
	}
}

func TestLimits(t *testing.T) {
	jar := strings.Repeat("x", 100<<10)
	base := layerOf(tarOf(t, entry{name: "a/release", body: jdk("21.0.1")}, entry{name: "opt/a.jar", body: jar}, entry{name: "b/release", body: jdk("21.0.2")}))
	for name, c := range map[string]struct {
		limits Limits
		text   string
		want   int
	}{
		"held in memory": {Limits{Whole: 64 << 10}, "opt/a.jar", 2},
		"a file":         {Limits{FileBytes: 64 << 10}, "opt/a.jar", 2},
		"entries":        {Limits{Files: 2}, "more than 2 files", 1},
		"packed":         {Limits{Compressed: 10 << 10}, "packed bytes", 0},
		"unpacked":       {Limits{Unpacked: 10 << 10}, "unpacked bytes", 1},
		"packages":       {Limits{Packages: 1}, "packages", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := analyze(t, imageOf(base), Options{Limits: c.limits})
			if !hasGap(s, "limit", c.text) || len(s.Packages) > max(c.want, 0) && name != "unpacked" {
				t.Errorf("%v %v", list(s), s.Gaps)
			}
		})
	}
}

// TestManyFiles: a million tiny files cost a bounded amount of memory and end at the limit.
func TestManyFiles(t *testing.T) {
	pr, pw := io.Pipe()
	go func() {
		w := tar.NewWriter(pw)
		for i := range 300_000 {
			if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("d%d/%s/f%d", i%100, strings.Repeat("n", 60), i), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
				return
			}
		}
		_ = w.Close()
		_ = pw.Close()
	}()
	l := source.Layer{Open: func(context.Context) (io.ReadCloser, error) { return pr, nil }}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := analyze(t, imageOf(l), Options{Limits: Limits{Files: 200_000}})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if !hasGap(s, "limit", "more than 200000 files") {
		t.Errorf("gaps %v", s.Gaps)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	_ = pr.Close()
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	pr, pw := io.Pipe()
	l := source.Layer{Open: func(ctx context.Context) (io.ReadCloser, error) {
		context.AfterFunc(ctx, func() { _ = pw.CloseWithError(ctx.Err()) })
		cancel()
		return pr, nil
	}}
	if _, err := Analyze(ctx, imageOf(l), Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestRetry(t *testing.T) {
	data := gz(t, tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}))
	l, opened := layerOf(data), 0
	l.Remote = true
	l.Open = func(context.Context) (io.ReadCloser, error) {
		if opened++; opened < 3 {
			return io.NopCloser(bytes.NewReader(data[:len(data)/2])), nil
		}
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	if s := analyze(t, imageOf(l), Options{}); len(s.Packages) != 1 || len(s.Gaps) != 0 || opened != 3 {
		t.Errorf("%v %v after %d tries", list(s), s.Gaps, opened)
	}
}

func FuzzLayer(f *testing.F) {
	f.Add(tarOf(f, entry{name: "opt/release", body: jdk("21.0.1")}, entry{name: "x/.wh.y"}, entry{name: "x/.wh..wh..opq"}, entry{name: "l", typ: tar.TypeSymlink, link: "../.."}))
	f.Add(gz(f, tarOf(f, entry{name: "var/lib/dpkg/status", body: stanza("a", "1")}, entry{name: "var/lib/dpkg/info/a.list", body: "/x\n"}, entry{name: "b", typ: tar.TypeLink, link: "a"})))
	f.Add(zst(f, tarOf(f, entry{name: "lib/apk/db/installed", body: "P:a\nV:1\nF:usr\nR:x\n\n"}, entry{name: "etc/os-release", body: "ID=x"})))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		l := layerOf(data)
		s, err := Analyze(t.Context(), imageOf(l, l), Options{Limits: Limits{Unpacked: 64 << 20, Files: 10_000}})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range s.Gaps {
			if strings.Contains(g.Reason, "failed:") {
				t.Fatalf("a reader panicked: %v", g)
			}
		}
		for _, p := range s.Packages {
			if strings.HasPrefix(p.Path, "/") || p.Layer < 0 || p.Layer > 1 {
				t.Fatalf("%+v", p)
			}
		}
	})
}
