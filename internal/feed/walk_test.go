package feed_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"stockade.dev/stockade/internal/advisory"
	"stockade.dev/stockade/internal/feed"
	"stockade.dev/stockade/internal/feed/feedtest"
)

// lines is a reader of a format made for these tests: "row <package>" lines after the word "lines"; "bad" is an error.
var lines = feed.Reader{
	Name:  "lines",
	Knows: func(_ string, head []byte) bool { return bytes.HasPrefix(head, []byte("lines\n")) },
	Read: func(ctx context.Context, d feed.Document, s feed.Sink) error {
		data, err := io.ReadAll(d.Body)
		if err != nil {
			return err
		}
		s.Record("test-lines")
		for l := range strings.SplitSeq(string(data), "\n") {
			switch word, rest, _ := strings.Cut(l, " "); word {
			case "row":
				if err := s.Row(advisory.Row{Feed: "test-lines", Stream: "npm", Package: rest, IDs: []string{"CVE-2024-0001"}, State: advisory.Affected}); err != nil {
					return err
				}
			case "bad":
				return errors.New("line is bad")
			case "panic":
				panic("slip")
			case "stream":
				_ = s.Row(advisory.Row{Feed: "test-lines", Stream: rest, Package: "p", IDs: []string{"X"}, State: advisory.Affected})
			}
		}
		return nil
	},
}

type file struct{ name, body string }

func tarred(files ...file) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755})
	_ = w.WriteHeader(&tar.Header{Name: "link", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"})
	for _, f := range files {
		_ = w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.body))})
		_, _ = io.WriteString(w, f.body)
	}
	_ = w.Close()
	return b.String()
}

func zipped(files ...file) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		m, _ := w.Create(f.name)
		_, _ = io.WriteString(m, f.body)
	}
	_ = w.Close()
	return b.String()
}

func gz(body string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.String()
}

func zst(body string) string {
	var b bytes.Buffer
	w, _ := zstd.NewWriter(&b)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.String()
}

func xzip(body string) string {
	var b bytes.Buffer
	w, _ := xz.NewWriter(&b)
	_, _ = io.WriteString(w, body)
	_ = w.Close()
	return b.String()
}

// bzipped is "lines\nrow bz\n" through bzip2, which the standard library only reads.
const bzipped = "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xc4\x0a\xa3\x12\x00\x00\x03\x51\x80\x00\x10\x40\x00\x12\x25\x98\x90\x20\x00\x31\x03\x40\xd0\x28\xc9\x86\x9e\xa1\x87\xd2\x94\x36\x06\x8b\xb9\x22\x9c\x28\x48\x62\x05\x51\x89\x00"

// folder writes files and returns their folder.
func folder(t *testing.T, files ...file) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		name := filepath.Join(dir, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(f.body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// walk returns the packages in the order of their rows and the results as lines.
func walk(t *testing.T, o feed.Limits, dirs ...string) (packages, results []string) {
	t.Helper()
	var s feedtest.Sink
	err := feed.Walk(t.Context(), dirs, []feed.Reader{lines}, o, &s, func(r feed.Result) {
		results = append(results, strings.TrimSpace(fmt.Sprint([]string{"taken", "unknown", "note", "broken"}[r.Outcome], " ", r.Path, " ", r.Reason, or(r.Err))))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Rows {
		packages = append(packages, r.Package)
	}
	return packages, append(results, s.Refusal()...)
}

func or(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWalk(t *testing.T) {
	big := "lines\n" + strings.Repeat("x\n", 3<<20) + "row big"
	dir := folder(t,
		file{"SOURCE", "lines\nrow no"}, file{"p/README.md", "x"}, file{"p/index.html", "x"}, file{"p/x.sha256", "x"}, file{"p/.hidden/a", "lines\nrow no"},
		file{"a/1.txt", "lines\nrow a1"}, file{"a/2.txt", "lines\nrow a2\nbad"}, file{"a/3.txt", "lines\nrow a3\npanic"},
		file{"a/4.json", "{}"}, file{"a/4b", ""}, file{"a/5.txt", "lines\nstream nowhere 1"},
		file{"b/gz.txt.gz", gz("lines\nrow gz")}, file{"b/noext", zst("lines\nrow zst")}, file{"b/x.xz", xzip("lines\nrow xz")}, file{"b/y.bz2", bzipped},
		file{"c/all.tar.zst", zst(tarred(file{"d/1.txt", "lines\nrow t1"}, file{"../../2.txt", "lines\nrow t2"}, file{"big.txt", big}, file{"LICENSE", "x"}, file{"x", "?"}, file{"z.gz", gz("lines\nrow tgz")}))},
		file{"d/all.zip", zipped(file{"1.txt", "lines\nrow z1"}, file{"in.zip", zipped(file{"2.txt", "lines\nrow zz"})}, file{"in.tar.gz", gz(tarred(file{"3.txt", "lines\nrow zt"}))})},
		file{"e/cut.gz", gz("lines\nrow cut")[:20]}, file{"e/cut.zip", zipped(file{"1", "x"})[:30]}, file{"f/last", "lines\nrow last"},
	)
	for _, workers := range []int{1, 2, 7} {
		packages, results := walk(t, feed.Limits{Workers: workers}, dir)
		want := []string{"a1", "a2", "a3", "gz", "zst", "xz", "bz", "t1", "t2", "big", "tgz", "z1", "zz", "zt", "last"}
		if !slices.Equal(packages, want) {
			t.Errorf("%d workers: %v, want %v", workers, packages, want)
		}
		wants := []string{
			"note SOURCE", "taken a/1.txt", "broken a/2.txt line is bad", "broken a/3.txt reader lines failed: slip", "unknown a/4.json no reader knows it", "unknown a/4b it is empty", "taken a/5.txt",
			"taken b/gz.txt", "taken b/noext", "taken b/x", "taken b/y",
			"taken c/all.tar/d/1.txt", "taken c/all.tar/2.txt", "taken c/all.tar/big.txt", "note c/all.tar/LICENSE", "unknown c/all.tar/x no reader knows it", "taken c/all.tar/z",
			"taken d/all.zip/1.txt", "taken d/all.zip/in.zip/2.txt", "taken d/all.zip/in.tar/3.txt",
			"broken e/cut unexpected EOF", "broken e/cut.zip zip: not a valid zip file", "taken f/last",
			"note p/.hidden/a", "note p/README.md", "note p/index.html", "note p/x.sha256", "test-lines: no such stream: 1",
		}
		if !slices.Equal(results, wants) {
			t.Errorf("%d workers:\n%s\nwant\n%s", workers, strings.Join(results, "\n"), strings.Join(wants, "\n"))
		}
	}
}

func TestLinks(t *testing.T) {
	outside := folder(t, file{"secret.txt", "lines\nrow secret"})
	dir := folder(t, file{"real.txt", "lines\nrow real"}, file{"d/x.txt", "lines\nrow x"})
	for link, to := range map[string]string{"inside.txt": "real.txt", "out.txt": filepath.Join(outside, "secret.txt"), "up.txt": "../../../../etc/passwd", "folder": "d", "gone": "nowhere", "round": "round"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	packages, results := walk(t, feed.Limits{}, dir)
	if !slices.Equal(packages, []string{"x", "real", "real"}) {
		t.Errorf("%v", packages)
	}
	broken := 0
	for _, r := range results {
		if strings.HasPrefix(r, "broken ") {
			broken++
		}
	}
	if broken != 4 {
		t.Errorf("%d links are told as broken, want out, up, gone and round:\n%s", broken, strings.Join(results, "\n"))
	}
}

func TestLimits(t *testing.T) {
	zeros := strings.Repeat("\x00", 80<<20)
	for _, test := range []struct {
		name   string
		limits feed.Limits
		file   file
		want   string
	}{
		{"document", feed.Limits{Document: 100}, file{"a", "lines\n" + strings.Repeat("x", 200)}, "larger than 100 bytes"},
		{"member", feed.Limits{Member: 100}, file{"a.tar", tarred(file{"m", "lines\n" + strings.Repeat("x", 200)})}, "larger than 100 bytes"},
		{"ratio", feed.Limits{}, file{"a.gz", gz("lines\n" + zeros)}, "decompresses to more than 500 times its size"},
		{"ratio of a zip", feed.Limits{}, file{"a.zip", zipped(file{"m", "lines\n" + zeros})}, "decompresses to more than 500 times its size"},
		{"archive", feed.Limits{Archive: 1000}, file{"a.tar.gz", gz(tarred(file{"m", "lines\n" + strings.Repeat("x", 2000)}))}, "more than 1000 bytes come out of it"},
		{"depth", feed.Limits{}, file{"a.gz", gz(gz(gz(gz(gz("lines\nrow deep")))))}, "more than 4 wrappings around it"},
		{"documents", feed.Limits{Documents: 1}, file{"a.tar", tarred(file{"1", "lines\n"}, file{"2", "lines\n"}, file{"3", "lines\n"})}, "more than 1 documents"},
		{"dictionary", feed.Limits{}, file{"a.xz", hugeDictionary()}, "the dictionary is too large"},
	} {
		_, results := walk(t, test.limits, folder(t, test.file))
		if !strings.Contains(strings.Join(results, "\n"), test.want) {
			t.Errorf("%s: %v, want %q", test.name, results, test.want)
		}
	}
}

// hugeDictionary is an xz file that asks for 4 GiB.
func hugeDictionary() string {
	b := []byte(xzip("lines\nrow xz"))
	for i := 12; i < 30; i++ {
		if b[i] == 0x21 && b[i+1] == 1 {
			b[i+2] = 40
			break
		}
	}
	return string(b)
}

func TestFileAndErrors(t *testing.T) {
	dir := folder(t, file{"one.txt", "lines\nrow one"}, file{"two.txt", "lines\nrow two"})
	if packages, _ := walk(t, feed.Limits{}, filepath.Join(dir, "two.txt"), dir); !slices.Equal(packages, []string{"two", "one", "two"}) {
		t.Errorf("%v", packages)
	}
	if err := feed.Walk(t.Context(), []string{filepath.Join(dir, "none")}, nil, feed.Limits{}, &feedtest.Sink{}, nil); err == nil {
		t.Error("a folder that is not there is no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := feed.Walk(ctx, []string{dir}, []feed.Reader{lines}, feed.Limits{}, &feedtest.Sink{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	many := folder(t, file{"m.tar", tarred(slices.Repeat([]file{{"1", "lines\n" + strings.Repeat("row p\n", 5000)}}, 50)...)})
	full := errors.New("disk is full")
	if err := feed.Walk(t.Context(), []string{many}, []feed.Reader{lines}, feed.Limits{}, &failing{after: 7000, err: full}, nil); !errors.Is(err, full) {
		t.Errorf("a sink that fails: %v", err)
	}
}

type failing struct {
	feedtest.Sink
	after int
	err   error
}

func (f *failing) Row(advisory.Row) error {
	if f.after--; f.after < 0 {
		return f.err
	}
	return nil
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": {"b": [1, {"c": 2}]}, "d\"e": "f", "g"`: `[a d\"e g] false`,
		` [ {"id": 1, "x": ["y", "z"]}, {"q": 1}]`:     "[id x] true",
		"\xef\xbb\xbf{\"a\":1}":                        "[a] false",
		`[1]`:                                          "[] false",
		`{`:                                            "[] false",
		`{"cut`:                                        "[] false",
		`"a"`:                                          "[] false",
	} {
		keys, list := feed.Keys([]byte(text))
		if got := fmt.Sprint(keys, " ", list); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func FuzzWalk(f *testing.F) {
	f.Add([]byte(gz(tarred(file{"1", "lines\nrow a"}))))
	f.Add([]byte(zipped(file{"1", "lines\nrow a"})))
	f.Add([]byte(zst("lines\nrow a")))
	f.Add([]byte(xzip("lines\nrow a")))
	f.Add([]byte(bzipped))
	f.Add([]byte(hugeDictionary()))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		var s feedtest.Sink
		o := feed.Limits{Document: 1 << 20, Member: 1 << 20, Archive: 4 << 20, Documents: 100}
		if err := feed.Walk(t.Context(), []string{name}, []feed.Reader{lines}, o, &s, nil); err != nil {
			t.Error(err)
		}
	})
}

func TestCheck(t *testing.T) {
	good := advisory.Row{Feed: "f", Stream: "debian 12", Package: "p", IDs: []string{"CVE-2024-0001"}, Ranges: []advisory.Range{{Fixed: "1"}}}
	for want, change := range map[string]func(*advisory.Row){
		"":                        func(*advisory.Row) {},
		"no such stream":          func(r *advisory.Row) { r.Stream = "debian bookworm" },
		"no package name":         func(r *advisory.Row) { r.Package = " " },
		"no usable package name":  func(r *advisory.Row) { r.Package = "p " },
		"no id":                   func(r *advisory.Row) { r.IDs = []string{""} },
		"no feed name":            func(r *advisory.Row) { r.Feed = "" },
		"fixed without a version": func(r *advisory.Row) { r.Ranges = nil },
		"a fixed version with another state than fixed": func(r *advisory.Row) { r.State = advisory.WillNotFix },
	} {
		r := good
		change(&r)
		if got := feed.Check(&r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
