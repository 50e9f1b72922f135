package image

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"stockade.dev/stockade/internal/collect/image/source"
	"stockade.dev/stockade/internal/inventory"
)

// entry is one entry of a test's tar: a regular file unless typ says otherwise; a name that ends in "/" is a folder.
type entry struct {
	name, body string
	typ        byte
	link       string
	mode       int64
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.body)), Mode: 0o644, Linkname: e.link, Format: tar.FormatPAX}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if e.typ != 0 {
			h.Typeflag = e.typ
		}
		if e.mode != 0 {
			h.Mode = e.mode
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// layerOf is a layer whose blob is data, with its digest and size.
func layerOf(data []byte) source.Layer {
	return source.Layer{Layer: inventory.Layer{Digest: digest(data), Size: int64(len(data))},
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
}

func imageOf(layers ...source.Layer) *Image {
	return &Image{Kind: source.KindImage, Name: "test", Layers: layers}
}

func analyze(t testing.TB, img *Image, o Options) *inventory.Software {
	t.Helper()
	s, err := Analyze(t.Context(), img, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stanza is one package of a dpkg status file.
func stanza(name, version string) string {
	return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n\n"
}

// password is a file that holds a credential: the password file's entry without one.
const passwd = "etc/passwd"

const emptyPassword = "root::0:0:root:/root:/bin/bash\n"

// list prints packages as "name version @layer path [owner]".
func list(s *inventory.Software) []string {
	out := []string{}
	for _, p := range s.Packages {
		line := fmt.Sprintf("%s %s @%d %s", p.Name, p.Version, p.Layer, p.Path)
		if p.Owner != "" {
			line += " of " + p.Owner
		}
		out = append(out, line)
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// hasGap reports whether some gap has the code and says text.
func hasGap(s *inventory.Software, code, text string) bool {
	return slices.ContainsFunc(s.Gaps, func(g inventory.Gap) bool { return g.Code == code && strings.Contains(g.What+" "+g.Reason, text) })
}

// release is the "release" file of a Java runtime: the smallest thing that is a package by its path.
func jdk(version string) string { return "JAVA_VERSION=\"" + version + "\"\n" }

func TestMerge(t *testing.T) {
	const status = "var/lib/dpkg/status"
	for name, c := range map[string]struct {
		layers [][]entry
		want   []string
	}{
		"package removed from the database": {
			[][]entry{{{name: status, body: stanza("a", "1") + stanza("b", "2")}}, {{name: status, body: stanza("a", "1")}}},
			[]string{"a 1 @0 " + status}},
		"package added and raised later": {
			[][]entry{{{name: status, body: stanza("a", "1") + stanza("b", "2")}}, {{name: status, body: stanza("a", "1") + stanza("b", "3") + stanza("c", "4")}}},
			[]string{"a 1 @0 " + status, "b 3 @1 " + status, "c 4 @1 " + status}},
		"database removed": {
			[][]entry{{{name: status, body: stanza("a", "1")}}, {{name: "var/lib/dpkg/.wh.status"}}}, []string{}},
		"status.d": {
			[][]entry{{{name: "var/lib/dpkg/status.d/a", body: stanza("a", "1")}, {name: "var/lib/dpkg/status.d/a.md5sums", body: "x"}}, {{name: "var/lib/dpkg/status.d/b", body: stanza("b", "1")}}},
			[]string{"a 1 @0 var/lib/dpkg/status.d/a", "b 1 @1 var/lib/dpkg/status.d/b"}},
		"file removed": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j/.wh.release"}}}, []string{}},
		"folder removed": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: ".wh.opt"}}}, []string{}},
		"removed and made again": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: ".wh.opt"}}, {{name: "opt/j/release", body: jdk("17.0.2")}}},
			[]string{"openjdk 17.0.2 @2 opt/j/release"}},
		"removed and made again in one layer": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j/release", body: jdk("17.0.2")}, {name: ".wh.opt"}}},
			[]string{"openjdk 17.0.2 @1 opt/j/release"}},
		"opaque folder": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}, {name: "opt/k/release", body: jdk("17.0.9")}},
				{{name: "opt/j/"}, {name: "opt/j/.wh..wh..opq"}}}, []string{"openjdk 17.0.9 @0 opt/k/release"}},
		"opaque folder with a new file before the mark": {
			[][]entry{{{name: "opt/j/lib/release", body: jdk("17.0.1")}}, {{name: "opt/j/release", body: jdk("17.0.2")}, {name: "opt/j/.wh..wh..opq"}}},
			[]string{"openjdk 17.0.2 @1 opt/j/release"}},
		"opaque root": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: ".wh..wh..opq"}}}, []string{}},
		"whiteout of a longer name": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/.wh.jj"}, {name: "opt/j/.wh.rel"}}},
			[]string{"openjdk 17.0.1 @0 opt/j/release"}},
		"book-keeping of AUFS": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: ".wh..wh.plnk/"}, {name: ".wh..wh.aufs"}}},
			[]string{"openjdk 17.0.1 @0 opt/j/release"}},
		"last writer": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j/release", body: jdk("17.0.2")}}},
			[]string{"openjdk 17.0.2 @1 opt/j/release"}},
		"last writer holds nothing": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j/release", body: "nothing"}}}, []string{}},
		"last of one layer": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}, {name: "./opt/j/release", body: jdk("17.0.2")}}},
			[]string{"openjdk 17.0.2 @0 opt/j/release"}},
		"file in the place of a folder": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt", body: "x"}}}, []string{}},
		"symlink in the place of a folder": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j", typ: tar.TypeSymlink, link: "../srv"}}}, []string{}},
		"folder in the place of a file": {
			[][]entry{{{name: "opt/release", body: jdk("17.0.1")}}, {{name: "opt/release/"}}}, []string{}},
		"folder named again": {
			[][]entry{{{name: "opt/j/release", body: jdk("17.0.1")}}, {{name: "opt/j/"}, {name: "opt/"}}},
			[]string{"openjdk 17.0.1 @0 opt/j/release"}},
		"hard link lives on": {
			[][]entry{{{name: "opt/a/release", body: jdk("17.0.1")}, {name: "opt/b/release", typ: tar.TypeLink, link: "opt/a/release"}}, {{name: "opt/.wh.a"}}},
			[]string{"openjdk 17.0.1 @0 opt/b/release"}},
		"hard link to a file of another name": {
			[][]entry{{{name: "store/4f/ab", body: jdk("17.0.1")}, {name: "opt/b/release", typ: tar.TypeLink, link: "/store/4f/ab"}}},
			[]string{"openjdk 17.0.1 @0 opt/b/release"}},
		"hard link to outside": {
			[][]entry{{{name: "opt/b/release", typ: tar.TypeLink, link: "../../etc/passwd"}}}, []string{}},
		"merged usr, removed by either name": {
			[][]entry{{{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}, {name: "usr/lib/j/release", body: jdk("17.0.1")}, {name: "usr/lib/k/release", body: jdk("17.0.2")}}, {{name: "lib/j/.wh.release"}}},
			[]string{"openjdk 17.0.2 @0 usr/lib/k/release"}},
		"merged usr, written by the other name": {
			[][]entry{{{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}}, {{name: "lib/j/release", body: jdk("17.0.1")}}, {{name: "usr/lib/j/release", body: jdk("17.0.2")}}},
			[]string{"openjdk 17.0.2 @2 usr/lib/j/release"}},
		"merged usr, symlink written again": {
			[][]entry{{{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}, {name: "usr/lib/j/release", body: jdk("17.0.1")}}, {{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}}},
			[]string{"openjdk 17.0.1 @0 usr/lib/j/release"}},
		"owned": {
			[][]entry{{{name: status, body: stanza("jre", "1")}, {name: "var/lib/dpkg/info/jre:amd64.list", body: "/.\n/usr\n/usr/j/release\n"}, {name: "usr/j/release", body: jdk("17.0.1")}, {name: "usr/k/release", body: jdk("17.0.2")}}},
			[]string{"jre 1 @0 " + status, "openjdk 17.0.1 @0 usr/j/release of jre", "openjdk 17.0.2 @0 usr/k/release"}},
		"owned in another layer, by the other name": {
			[][]entry{{{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}, {name: "usr/lib/j/release", body: jdk("17.0.1")}},
				{{name: status, body: stanza("jre", "1")}, {name: "var/lib/dpkg/info/jre.list", body: "/lib/j/release\n"}}},
			[]string{"jre 1 @1 " + status, "openjdk 17.0.1 @0 usr/lib/j/release of jre"}},
		"owner is gone": {
			[][]entry{{{name: "var/lib/dpkg/info/jre.list", body: "/usr/j/release\n"}, {name: "usr/j/release", body: jdk("17.0.1")}}},
			[]string{"openjdk 17.0.1 @0 usr/j/release"}},
	} {
		t.Run(name, func(t *testing.T) {
			var layers []source.Layer
			for _, l := range c.layers {
				layers = append(layers, layerOf(gz(t, tarOf(t, l...))))
			}
			s := analyze(t, imageOf(layers...), Options{})
			same(t, list(s), c.want)
			if len(s.Gaps) > 0 {
				t.Errorf("gaps: %v", s.Gaps)
			}
		})
	}
}

func TestDeletedHits(t *testing.T) {
	s := analyze(t, imageOf(layerOf(tarOf(t, entry{name: passwd, body: emptyPassword}, entry{name: "etc/shadow", body: "root::19000:0:99999:7:::\n"})),
		layerOf(tarOf(t, entry{name: "etc/.wh.shadow"}))), Options{})
	var got []string
	for _, h := range s.Hits {
		got = append(got, fmt.Sprintf("%s %s @%d %t", h.Kind, h.Path, h.Layer, h.Deleted))
	}
	if !slices.Contains(got, "account etc/shadow @0 true") {
		t.Errorf("a weak password in a removed file is not told: %v", got)
	}
	if s := analyze(t, imageOf(layerOf(tarOf(t, entry{name: "etc/shadow", body: "root::19000:0:99999:7:::\n"}))), Options{Scanners: Scanners{NoSecrets: true}}); len(s.Hits) > 0 {
		t.Errorf("switched off, but: %v", s.Hits)
	}
}

func TestModes(t *testing.T) {
	s := analyze(t, imageOf(layerOf(tarOf(t, entry{name: "usr/bin/x", body: "#!", mode: 0o4755}, entry{name: "usr/bin/y", body: "#!", mode: 0o2711}, entry{name: "usr/z", body: "-", mode: 0o4644},
		entry{name: "dev/sda", typ: tar.TypeBlock}, entry{name: "dev/null", typ: tar.TypeChar}, entry{name: "p", typ: tar.TypeFifo}))), Options{})
	var got []string
	for _, h := range s.Hits {
		got = append(got, h.Rule+" "+h.Path+" "+h.Detail["mode"])
	}
	same(t, got, []string{"character-device dev/null ", "block-device dev/sda ", "setuid usr/bin/x 4755", "setgid usr/bin/y 2711"})
}

func TestOS(t *testing.T) {
	const text = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"
	for name, layers := range map[string][][]entry{
		"file":            {{{name: "etc/os-release", body: text}}},
		"link":            {{{name: "usr/lib/os-release", body: text}, {name: "etc/os-release", typ: tar.TypeSymlink, link: "../usr/lib/os-release"}}},
		"link to another": {{{name: "etc/os-release", typ: tar.TypeSymlink, link: "/usr/lib/os.release.d/os-release-x"}, {name: "usr/lib/os.release.d/os-release-x", body: text}}},
		"last layer":      {{{name: "etc/os-release", body: "ID=other\nVERSION_ID=1\n"}}, {{name: "etc/os-release", body: text}}},
	} {
		var ls []source.Layer
		for _, l := range layers {
			ls = append(ls, layerOf(zst(t, tarOf(t, l...))))
		}
		s := analyze(t, imageOf(ls...), Options{})
		if s.OS == nil || s.OS.ID != "debian" || s.OS.VersionID != "12" {
			t.Errorf("%s: %+v", name, s.OS)
		}
	}
	if s := analyze(t, imageOf(layerOf(tarOf(t, entry{name: "etc/os-release", body: text})), layerOf(tarOf(t, entry{name: "etc/.wh.os-release"}))), Options{}); s.OS != nil && s.OS.ID == "debian" {
		t.Errorf("removed, but %+v", s.OS)
	}
}

func TestConfigRedacted(t *testing.T) {
	img := imageOf()
	key := "tr0ub4dor" + "-and-3-more"
	img.Info.Env = []string{"PATH=/usr/bin", "DB_PASSWORD=" + key}
	img.Info.History = []inventory.History{{CreatedBy: "RUN DB_PASSWORD=" + key + " make", Layer: -1}}
	s := analyze(t, img, Options{})
	if text := fmt.Sprint(s.Image.Env, s.Image.History); strings.Contains(text, key) || !strings.Contains(text, "/usr/bin") {
		t.Errorf("%s", text)
	}
	if len(s.Hits) == 0 || !strings.Contains(img.Info.Env[1], key) {
		t.Errorf("hits %v, env %v", s.Hits, img.Info.Env)
	}
}

func TestPacking(t *testing.T) {
	plain := tarOf(t, entry{name: "opt/release", body: jdk("21.0.1")}, entry{name: "big", body: strings.Repeat("x", 3<<20)})
	stargz := append(gz(t, plain[:512]), gz(t, plain[512:])...) // members, as eStargz has them
	skippable := append([]byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}, zst(t, plain)...)
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gz(t, plain), "members": stargz, "zstd": zst(t, plain), "zstd with a skippable frame": skippable} {
		s := analyze(t, imageOf(layerOf(blob)), Options{})
		same(t, list(s), []string{"openjdk 21.0.1 @0 opt/release"})
		if s.Stats.Files != 2 || s.Stats.Bytes < 3<<20 || len(s.Gaps) > 0 {
			t.Errorf("%s: %+v %v", name, s.Stats, s.Gaps)
		}
	}
	l := layerOf(gz(t, plain))
	l.Digest, l.Size, l.DiffID = "", 0, digest(plain)
	if s := analyze(t, imageOf(l), Options{}); len(s.Packages) != 1 || len(s.Gaps) > 0 {
		t.Errorf("by diff id: %v %v", s.Packages, s.Gaps)
	}
}
