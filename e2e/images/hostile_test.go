package images

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/inventory"
)

// gapOn finds the gap whose What has a text.
func gapOn(s *inventory.Software, what string) *inventory.Gap {
	for i := range s.Gaps {
		if strings.Contains(s.Gaps[i].What, what) {
			return &s.Gaps[i]
		}
	}
	return nil
}

// spent is the processor time of this process: how busy the machine is otherwise does not matter.
func spent(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestDamagedRPM: damaged databases of every kind end with an error within a second, and what else is in the image is there.
func TestDamagedRPM(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"centos8-modularitylabel", "centos7-plain", "sle15-bci", "fedora35"} {
		file, data := RealRPM(t, name)
		whole := len(scan(t, Layout(t, Layer(Files{"var/lib/rpm/" + file: {Data: data}}, Plain)), image.Options{}).Packages)
		for i := range 6 {
			bad := bytes.Clone(data)
			what := ""
			switch i {
			case 0: // six zeroed pages: what every other scanner hangs on
				what = "zeroed pages"
				for range 6 {
					at := random.IntN(len(bad)/4096) * 4096
					clear(bad[at : at+4096])
				}
			case 1:
				what, bad = "cut in half", bad[:len(bad)/2]
			case 2:
				what, bad = "only a head", bad[:512]
			case 3:
				what = "zeros behind the head"
				clear(bad[4096:])
			default:
				what = "a thousand wrong bytes"
				for range 1000 {
					bad[random.IntN(len(bad))] ^= byte(1 + random.IntN(255))
				}
			}
			t.Run(fmt.Sprintf("%s %d %s", name, i, what), func(t *testing.T) {
				ref := Layout(t, Layer(Files{"var/lib/rpm/" + file: {Data: bad}, "opt/a.jar": {Data: Jar("org.example", "a", "1", nil)}}, Plain))
				start := spent(t)
				s := scan(t, ref, image.Options{})
				if took := spent(t) - start; took > time.Second {
					t.Errorf("took %v", took)
				}
				rpms := len(s.Packages) - 1
				if s.Packages[len(s.Packages)-1].Name != "org.example:a" && s.Packages[0].Name != "org.example:a" {
					t.Error("the jar beside is lost")
				}
				g := gapOn(s, "var/lib/rpm/"+file)
				if rpms < whole && (g == nil || g.Code != "broken" && g.Code != "limit") {
					t.Errorf("%d packages of %d, gaps %+v", rpms, whole, s.Gaps)
				}
			})
		}
	}
}

// TestBrokenLayers: layers that are cut, not what their digest says, or unpack without end.
func TestBrokenLayers(t *testing.T) {
	status := Files{}.Text("var/lib/dpkg/status", Status(Deb{"a", "1", "", ""}, Deb{"b", "2", "", ""}))
	filler := Files{"opt/filler": {Data: noise(1 << 20)}}
	blobOf := func(t *testing.T, ref string, at int) string {
		t.Helper()
		dir := strings.TrimSuffix(strings.TrimPrefix(ref, "oci:"), ":test")
		img, err := image.Open(t.Context(), ref, image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		return filepath.Join(dir, "blobs/sha256", strings.TrimPrefix(img.Layers[at].Digest, "sha256:"))
	}
	change := func(t *testing.T, p Packing, f func([]byte) []byte) *inventory.Software {
		t.Helper()
		ref := Layout(t, Layer(status, p), Layer(filler, p))
		file := blobOf(t, ref, 1)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return scan(t, ref, image.Options{})
	}
	for _, p := range []Packing{Plain, Gzip, Zstd} {
		for name, f := range map[string]func([]byte) []byte{
			"cut":       func(b []byte) []byte { return b[:len(b)/2] },
			"empty":     func([]byte) []byte { return nil },
			"changed":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"longer":    func(b []byte) []byte { return append(b, make([]byte, 100)...) },
			"a page":    func([]byte) []byte { return []byte("<html>log in</html>") },
			"other one": func([]byte) []byte { return TarLayer(Files{"etc/x": {}}.Tar(), p).(*blob).data },
		} {
			s := change(t, p, f)
			if len(s.Packages) != 2 || len(s.Gaps) != 1 || s.Gaps[0].Code != "broken" || !strings.Contains(s.Gaps[0].What, "layer") {
				t.Errorf("%s, %s: %d packages, gaps %+v", p, name, len(s.Packages), s.Gaps)
			}
		}
	}
	// The package database itself in a layer whose digest is wrong: nothing of it is believed.
	ref := Layout(t, Layer(status, Plain))
	file := blobOf(t, ref, 0)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(data, []byte("Version: 1\n"), []byte("Version: 9\n"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := scan(t, ref, image.Options{}); len(s.Packages) > 0 || len(s.Gaps) != 1 || !strings.Contains(s.Gaps[0].Reason, "digest") {
		t.Errorf("wrong digest: %d packages, gaps %+v", len(s.Packages), s.Gaps)
	}
}

func noise(n int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// TestBombs: layers that unpack to a multiple of their size, and trees of archives in archives, cost bounded time and memory.
func TestBombs(t *testing.T) {
	status := Layer(Files{}.Text("var/lib/dpkg/status", Status(Deb{"a", "1", "", ""})), Gzip)
	zeros, err := zeroLayer(512 << 20)
	if err != nil {
		t.Fatal(err)
	}
	nested := Jar("org.example", "level", "0", nil)
	for i := range 100 {
		nested = Jar("org.example", "level", fmt.Sprint(i+1), map[string][]byte{"lib/inner.jar": nested})
	}
	many := bytes.Buffer{}
	w := tar.NewWriter(&many)
	for i := range 200_000 {
		must(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("srv/%d/%d", i%1000, i), Mode: 0o644, Typeflag: tar.TypeReg}))
	}
	must(w.Close())
	for _, c := range []struct {
		name     string
		layer    v1.Layer
		limits   image.Limits
		what     string // a gap on it
		packages int
	}{
		{"zeros", zeros, image.Limits{}, "layer", 1},
		{"nested jars", Layer(Files{"opt/a.jar": {Data: nested}}, Gzip), image.Limits{}, "opt/a.jar!/", 10}, // nine levels and a package
		{"many files", TarLayer(many.Bytes(), Gzip), image.Limits{Files: 100_000}, "layer", 1},
		{"big tar", zeros, image.Limits{Unpacked: 100 << 20, Ratio: 1 << 30}, "layer", 1},
	} {
		ref := Layout(t, status, c.layer)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := spent(t)
		s := scan(t, ref, image.Options{Limits: c.limits})
		took := spent(t) - start
		runtime.ReadMemStats(&after)
		g := gapOn(s, c.what)
		if g == nil || g.Code != "limit" || len(s.Packages) != c.packages {
			t.Errorf("%s: %d packages, gaps %+v", c.name, len(s.Packages), s.Gaps)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; took > 10*time.Second || grown > 400<<20 {
			t.Errorf("%s: %v, %d MiB allocated", c.name, took, grown>>20)
		}
	}
}

// zeroLayer is a gzip bomb: a file of zeros.
func zeroLayer(size int64) (v1.Layer, error) {
	var out bytes.Buffer
	b, err := pack(&out, Gzip, func(w io.Writer) error {
		t := tar.NewWriter(w)
		if err := t.WriteHeader(&tar.Header{Name: "zeros.jar", Mode: 0o644, Typeflag: tar.TypeReg, Size: size}); err != nil {
			return err
		}
		block := make([]byte, 1<<20)
		for range size >> 20 {
			if _, err := t.Write(block); err != nil {
				return err
			}
		}
		return t.Close()
	})
	b.data = out.Bytes()
	return b, err
}

// TestPaths: entries that lead out of the image, devices, and links that go in circles touch nothing and end.
func TestPaths(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte(Status(Deb{"outside", "1", "", ""})), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	file := func(h tar.Header, data string) {
		h.Size = int64(len(data))
		must(w.WriteHeader(&h))
		_, err := w.Write([]byte(data))
		must(err)
	}
	link := func(kind byte, name, to string) {
		must(w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Linkname: to}))
	}
	file(tar.Header{Name: "../../../../" + outside, Mode: 0o644}, "x")
	file(tar.Header{Name: "/var/lib/dpkg/../dpkg/./status", Mode: 0o644}, Status(Deb{"inside", "1", "", ""}))
	link(tar.TypeSymlink, "etc/os-release", outside)
	link(tar.TypeSymlink, "usr/lib/os-release", "../../../../../../../.."+outside)
	link(tar.TypeLink, "var/lib/dpkg/status.d/x", "../../../../../.."+outside)
	link(tar.TypeSymlink, "lib", "usr/lib")
	link(tar.TypeSymlink, "usr/lib", "../lib")
	must(w.WriteHeader(&tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}))
	must(w.Close())
	s := scan(t, Layout(t, TarLayer(b.Bytes(), Gzip)), image.Options{})
	if s.OS != nil || len(s.Packages) != 1 || s.Packages[0].Name != "inside" {
		t.Errorf("system %+v, packages %+v", s.OS, s.Packages)
	}
	if data, err := os.ReadFile(outside); err != nil || !strings.Contains(string(data), "outside") {
		t.Errorf("the file outside: %q, %v", data, err)
	}
}

// TestUpperLayers: what a later layer does to a package database holds: removed packages are gone, new ones are of that layer.
func TestUpperLayers(t *testing.T) {
	one, two, three := Deb{"one", "1", "", ""}, Deb{"two", "2", "", ""}, Deb{"three", "3", "", ""}
	lower := DebianRelease("12", "bookworm").Text("var/lib/dpkg/status", Status(one, two)).Text("opt/a/x.jar", string(Jar("org.example", "x", "1", nil))).Text("opt/b/y.jar", string(Jar("org.example", "y", "1", nil)))
	upper := Files{}.Text("var/lib/dpkg/status", Status(two, three)).Text("opt/a/.wh..wh..opq", "").Text("opt/a/z.jar", string(Jar("org.example", "z", "1", nil)))
	s := scan(t, Layout(t, Layer(lower, Gzip), Layer(upper, Zstd), Layer(Files{}.Delete("opt/b"), Plain)), image.Options{})
	noGaps(t, s)
	var got []string
	for _, p := range s.Packages {
		got = append(got, fmt.Sprint(p.Name, " ", p.Layer))
	}
	equal(t, "packages", slices.Sorted(slices.Values(got)), []string{"org.example:z 1", "three 1", "two 0"})
}
