package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// site is a server whose answers tests give by path.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	paths map[string]http.HandlerFunc
	seen  []*http.Request
}

func newSite(t *testing.T) *site {
	s := &site{paths: map[string]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		h := s.paths[r.URL.Path]
		s.mu.Unlock()
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *site) at(path string, h http.HandlerFunc) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paths[path] = h
	return s.URL + path
}

func (s *site) requests(path string) (list []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if r.URL.Path == path {
			list = append(list, r)
		}
	}
	return list
}

// versioned serves data with an ETag, ranges and conditions as http.ServeContent does.
func versioned(data, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+etag+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(data))
	}
}

func quick(dir string) Options {
	return Options{Dir: dir, Workers: 1, Attempts: 3, Pause: time.Millisecond, Longest: 2 * time.Second, Stall: 300 * time.Millisecond, MaxBytes: 1 << 20}
}

func run(t *testing.T, o Options, sources ...Source) map[string]Result {
	t.Helper()
	results := map[string]Result{}
	if err := Run(t.Context(), sources, o, func(r Result) { results[r.Source.Name] = r }); err != nil {
		t.Fatal(err)
	}
	if len(results) != len(sources) {
		t.Fatalf("%d results for %d sources", len(results), len(sources))
	}
	return results
}

func content(t *testing.T, o Options, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(o.Dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// onlyFiles wants exactly these files beside the state: no parts are left.
func onlyFiles(t *testing.T, o Options, want ...string) {
	t.Helper()
	have := map[string]bool{}
	_ = filepath.WalkDir(o.Dir, func(p string, d os.DirEntry, _ error) error {
		if d != nil && !d.IsDir() && d.Name() != stateFile {
			rel, _ := filepath.Rel(o.Dir, p)
			have[filepath.ToSlash(rel)] = true
		}
		return nil
	})
	for _, w := range want {
		if !have[w] {
			t.Errorf("%s is missing", w)
		}
		delete(have, w)
	}
	if len(have) > 0 {
		t.Errorf("left over: %v", have)
	}
}

func TestConditional(t *testing.T) {
	s := newSite(t)
	o := quick(t.TempDir())
	dated := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), strings.NewReader(`{"b":1}`))
	}
	a := Source{Name: "a", Path: "x/a.json", URL: s.at("/a", versioned(`{"a":1}`, "one")), Kind: File}
	b := Source{Name: "b", Path: "y/b.json", URL: s.at("/b", dated), Kind: File}
	r := run(t, o, a, b)
	if r["a"].Err != nil || r["a"].Bytes != 7 || r["a"].Unchanged || r["b"].Err != nil {
		t.Fatalf("%+v", r)
	}
	if r = run(t, o, a, b); !r["a"].Unchanged || !r["b"].Unchanged {
		t.Errorf("a second time: %+v", r)
	}
	s.at("/a", versioned(`{"a":2}`, "two"))
	if r = run(t, o, a); r["a"].Unchanged || content(t, o, "x/a.json") != `{"a":2}` {
		t.Errorf("after a change: %+v", r)
	}
	// A file that somebody removed or cut is asked for without a condition.
	if err := os.WriteFile(filepath.Join(o.Dir, "x/a.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r = run(t, o, a); r["a"].Err != nil || r["a"].Unchanged || content(t, o, "x/a.json") != `{"a":2}` {
		t.Errorf("after damage: %+v", r)
	}
	if err := os.WriteFile(filepath.Join(o.Dir, stateFile), []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r = run(t, o, a, b); r["a"].Err != nil || r["a"].Unchanged {
		t.Errorf("with a broken state: %+v", r)
	}
	onlyFiles(t, o, "x/a.json", "y/b.json")
}

// TestCut cuts the connection in the middle: the next attempt asks for the rest only, also in another run.
func TestCut(t *testing.T) {
	s := newSite(t)
	data := `{"a":"` + strings.Repeat("0123456789", 5000) + `"}`
	cuts := 0
	cut := func(w http.ResponseWriter, r *http.Request) {
		if cuts--; cuts < 0 {
			versioned(data, "v")(w, r)
			return
		}
		w.Header().Set("ETag", `"v"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write([]byte(data[:20000]))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	src := Source{Name: "a", Path: "x/a.json", URL: s.at("/a", cut), Kind: File}
	o := quick(t.TempDir())
	cuts = 1
	if r := run(t, o, src); r["a"].Err != nil || content(t, o, "x/a.json") != data {
		t.Fatalf("%+v", r)
	}
	if last := s.requests("/a"); last[len(last)-1].Header.Get("Range") != "bytes=20000-" {
		t.Errorf("asked for %q", last[len(last)-1].Header.Get("Range"))
	}
	o = quick(t.TempDir())
	o.Attempts = 1
	cuts = 1
	if r := run(t, o, src); r["a"].Err == nil {
		t.Fatal("no error")
	}
	if r := run(t, o, src); r["a"].Err != nil || r["a"].Bytes != int64(len(data)-20000) || content(t, o, "x/a.json") != data {
		t.Errorf("in another run: %+v", r)
	}
	onlyFiles(t, o, "x/a.json")

	// The file changed meanwhile: the part is thrown away.
	o = quick(t.TempDir())
	o.Attempts = 1
	cuts = 1
	run(t, o, src)
	data = `{"b":"` + strings.Repeat("x", 60000) + `"}`
	s.at("/a", versioned(data, "w"))
	if r := run(t, o, src); r["a"].Err != nil || content(t, o, "x/a.json") != data {
		t.Errorf("after a change: %+v", r)
	}
	// What the server holds is shorter than the part: begun anew.
	o = quick(t.TempDir())
	o.Attempts = 2
	s.at("/a", cut)
	cuts = 2
	run(t, o, src)
	s.at("/a", versioned(`{}`, "v"))
	if r := run(t, o, src); r["a"].Err != nil || content(t, o, "x/a.json") != "{}" {
		t.Errorf("a part that is too long: %+v", r)
	}
}

// TestTrouble has one source of every kind of trouble beside one that works: each is told, the old file stays.
func TestTrouble(t *testing.T) {
	s := newSite(t)
	o := quick(t.TempDir())
	html := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\n <!DOCTYPE html><html>log in</html>") }
	busyOnce := 0
	cases := []struct {
		name, file string
		h          http.HandlerFunc
		want       string // in the error; "" none
	}{
		{"good", "good.json", versioned("{}", "x"), ""},
		{"gone", "gone.json", http.NotFound, "404"},
		{"html", "html.json", html, "web page"},
		{"html-gz", "html.gz", html, "web page"},
		{"empty", "empty.json", func(http.ResponseWriter, *http.Request) {}, "empty"},
		{"not-gz", "not.gz", versioned("plain", "x"), "not a .gz"},
		{"not-json", "not.json", versioned("oops", "x"), "not JSON"},
		{"not-xml", "not.xml", versioned("{}", "x"), "not XML"},
		{"broken", "broken.json", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 503) }, "after 3 attempts: the server answered 503"},
		{"busy", "busy.json", func(w http.ResponseWriter, r *http.Request) {
			if busyOnce++; busyOnce == 1 {
				w.Header().Set("Retry-After", "1")
				http.Error(w, "slow down", 429)
				return
			}
			versioned("{}", "x")(w, r)
		}, ""},
		{"busy-long", "busylong.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7200")
			http.Error(w, "later", 429)
		}, "come back in 2h0m0s"},
		{"short", "short.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5000")
			w.Write([]byte("{}"))
		}, "unexpected EOF"},
		{"huge", "huge.json", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999999") }, "limit"},
		{"endless", "endless.json", func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				w.Write(bytes.Repeat([]byte("{}"), 32<<10))
			}
		}, "limit"},
		{"stall", "stall.json", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "said nothing for 300ms"},
		{"range", "range.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 5-6/7")
			w.WriteHeader(206)
			w.Write([]byte("{}"))
		}, "another range"},
		{"unchanged", "never.json", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }, "nothing was there"},
		{"loop", "loop.json", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, 302) }, "10 redirects"},
	}
	var sources []Source
	for _, c := range cases {
		sources = append(sources, Source{Name: c.name, Path: "p/" + c.file, URL: s.at("/"+c.name, c.h), Kind: File})
	}
	o.Workers = 6
	results := run(t, o, sources...)
	var good []string
	for _, c := range cases {
		err := results[c.name].Err
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.URL+"/"+c.name)):
			t.Errorf("%s: %v, want %q and the URL", c.name, err, c.want)
		}
		if c.want == "" {
			good = append(good, c.file)
		} else if _, err := os.Stat(filepath.Join(o.Dir, "p", c.file)); err == nil {
			t.Errorf("%s: a file is there", c.name)
		}
	}
	if len(good) != 2 {
		t.Errorf("%v", good)
	}
	// The old file stays when the new one is a web page.
	s.at("/good", html)
	if r := run(t, o, sources[0]); r["good"].Err == nil || content(t, o, "p/good.json") != "{}" {
		t.Errorf("%+v", r)
	}
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

func repomd(href, data string) string {
	sum := sha256.Sum256([]byte(data))
	return `<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location href="repodata/primary.xml.gz"/></data>` +
		`<data type="updateinfo"><checksum type="sha256">` + hex.EncodeToString(sum[:]) + `</checksum><location href="` + href + `"/></data></repomd>`
}

func TestRepository(t *testing.T) {
	s := newSite(t)
	o := quick(t.TempDir())
	info := gz("<updates/>")
	s.at("/repo/repodata/repomd.xml", versioned(repomd("repodata/1-updateinfo.xml.gz", info), "r"))
	s.at("/repo/repodata/1-updateinfo.xml.gz", versioned(info, "u"))
	s.at("/list", versioned(s.URL+"/repo\nhttps://other.example.com/", "l"))
	s.at("/none/repodata/repomd.xml", versioned(`<repomd><data type="primary"><location href="x"/></data></repomd>`, "r"))
	s.at("/away/repodata/repomd.xml", versioned(repomd("https://elsewhere.example.com/u.xml.gz", info), "r"))
	s.at("/wrong/repodata/repomd.xml", versioned(repomd("u.xml.gz", "something else"), "r"))
	s.at("/wrong/u.xml.gz", versioned(info, "u"))
	s.at("/notxml/repodata/repomd.xml", versioned("oops", "r"))
	s.at("/badlist", versioned("file:///etc/passwd", "r"))
	results := run(t, o,
		Source{Name: "repo", Path: "fedora/42/updateinfo.xml", URL: s.URL + "/repo/", Kind: Repomd},
		Source{Name: "list", Path: "amazon/2/updateinfo.xml", URL: s.URL + "/list", Kind: List},
		Source{Name: "none", Path: "n/updateinfo.xml", URL: s.URL + "/none/", Kind: Repomd},
		Source{Name: "away", Path: "w/updateinfo.xml", URL: s.URL + "/away/", Kind: Repomd},
		Source{Name: "wrong", Path: "g/updateinfo.xml", URL: s.URL + "/wrong/", Kind: Repomd},
		Source{Name: "notxml", Path: "x/updateinfo.xml", URL: s.URL + "/notxml/", Kind: Repomd},
		Source{Name: "badlist", Path: "b/updateinfo.xml", URL: s.URL + "/badlist", Kind: List})
	for name, want := range map[string]string{"repo": "", "list": "", "none": "no updateinfo", "away": "another host", "wrong": "the publisher says", "notxml": "repomd.xml", "badlist": "URL of a repository"} {
		err := results[name].Err
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	onlyFiles(t, o, "fedora/42/updateinfo.xml.gz", "amazon/2/updateinfo.xml.gz")
}

func TestLatest(t *testing.T) {
	s := newSite(t)
	o := quick(t.TempDir())
	zst := "\x28\xb5\x2f\xfdrest"
	s.at("/vex/archive_latest.txt", versioned("csaf_vex_2026-08-22.tar.zst\n", "a"))
	s.at("/vex/csaf_vex_2026-08-22.tar.zst", versioned(zst, "b"))
	s.at("/evil/archive_latest.txt", versioned("../../etc/passwd", "a"))
	s.at("/page/archive_latest.txt", versioned("<html>", "a"))
	src := Source{Name: "vex", Path: "redhat/csaf_vex.tar.zst", URL: s.URL + "/vex/archive_latest.txt", Kind: Latest}
	r := run(t, o, src, Source{Name: "evil", Path: "e/x.tar.zst", URL: s.URL + "/evil/archive_latest.txt", Kind: Latest},
		Source{Name: "page", Path: "e/y.tar.zst", URL: s.URL + "/page/archive_latest.txt", Kind: Latest})
	if r["vex"].Err != nil || content(t, o, "redhat/csaf_vex.tar.zst") != zst || r["evil"].Err == nil || r["page"].Err == nil {
		t.Errorf("%+v", r)
	}
	if r = run(t, o, src); !r["vex"].Unchanged {
		t.Errorf("%+v", r)
	}
	s.at("/vex/archive_latest.txt", versioned("csaf_vex_2026-08-23.tar.zst\n", "c"))
	s.at("/vex/csaf_vex_2026-08-23.tar.zst", versioned(zst+"2", "b")) // the same ETag under another name is another file
	if r = run(t, o, src); r["vex"].Err != nil || content(t, o, "redhat/csaf_vex.tar.zst") != zst+"2" {
		t.Errorf("%+v", r)
	}
}

func TestMirrorAndProgress(t *testing.T) {
	s := newSite(t)
	o := quick(t.TempDir())
	s.at("/cache/feeds/a.json", versioned("{}", "a"))
	o.Mirrors = []string{"https://other.example.com/=http://x.example.com/", "https://publisher.example.com/=" + s.URL + "/cache/"}
	told := int64(0)
	o.Progress = func(name string, done, total int64) { told = done + total }
	r := run(t, o, Source{Name: "a", Path: "a/a.json", URL: "https://publisher.example.com/feeds/a.json", Kind: File})
	if r["a"].Err != nil || told != 4 {
		t.Errorf("%+v, progress %d", r, told)
	}
}

func TestCancelled(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	src := Source{Name: "a", Path: "a/a.json", URL: s.at("/a", func(w http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }), Kind: File}
	n := 0
	if err := Run(ctx, []Source{src, src, src}, quick(t.TempDir()), func(Result) { n++ }); err == nil || n != 3 {
		t.Errorf("%d results, %v", n, err)
	}
}

// TestTable holds the table of sources: names and paths are distinct, URLs are of TLS, folders are plain.
func TestTable(t *testing.T) {
	names, paths := map[string]bool{}, map[string]bool{}
	plain := regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	for _, s := range Sources {
		if names[s.Name] || paths[s.Path] || !plain.MatchString(s.Name) || !strings.HasPrefix(s.URL, "https://") || !strings.Contains(s.Path, "/") || strings.Contains(s.Path, "..") {
			t.Errorf("%+v", s)
		}
		names[s.Name], paths[s.Path] = true, true
		if (s.Kind == Repomd) != strings.HasSuffix(s.URL, "/") {
			t.Errorf("%s: the URL of a repository ends in /, others do not", s.Name)
		}
	}
	all, _ := Select(Sources, nil)
	if len(all) == 0 || len(all) == len(Sources) {
		t.Errorf("%d of %d by default", len(all), len(Sources))
	}
	some, unknown := Select(Sources, []string{"nvd", "alpine", "nope", "kev", "kev"})
	if len(unknown) != 1 || unknown[0] != "nope" {
		t.Errorf("%v", unknown)
	}
	for _, s := range some {
		if s.Name != "alpine" && s.Name != "kev" && !strings.HasPrefix(s.Name, "nvd-") {
			t.Errorf("%s was not asked for", s.Name)
		}
	}
}

// FuzzRepomd reads repomd.xml as any server may send it.
func FuzzRepomd(f *testing.F) {
	f.Add(repomd("repodata/u.xml.gz", "x"))
	f.Add(`<repomd><data type="updateinfo"><location href="//host/x"/></data></repomd>`)
	f.Add("<repomd>")
	f.Fuzz(func(t *testing.T, doc string) {
		at, _, err := parseRepomd("https://repo.example.com/base/", []byte(doc))
		if err == nil && !strings.HasPrefix(at, "https://repo.example.com/") {
			t.Errorf("leads to %q", at)
		}
	})
}
