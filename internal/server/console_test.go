package server

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func consoleOf(t *testing.T) http.Handler {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("start()"))
	_ = z.Close()
	s := &Server{o: Options{Console: fstest.MapFS{
		"index.html":            {Data: []byte(`<meta name="style-nonce" content="STYLE-NONCE">`)},
		"mark.svg":              {Data: []byte("<svg/>")},
		"assets/main-abc.js":    {Data: []byte("start()")},
		"assets/main-abc.js.gz": {Data: packed.Bytes()},
		"assets/small-abc.js":   {Data: []byte("x")},
	}}}
	return s.console()
}

func ask(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// TestConsole: paths of the console are its first page, files are files, and what is not there is not found.
func TestConsole(t *testing.T) {
	h := consoleOf(t)
	page := []string{"Accept", "text/html"}
	for path, want := range map[string]struct {
		status int
		kind   string
		cache  string
	}{
		"/":                            {200, "text/html; charset=utf-8", "no-store"},
		"/index.html":                  {200, "text/html; charset=utf-8", "no-store"},
		"/risks":                       {200, "text/html; charset=utf-8", "no-store"},
		"/images/sha256:0a1b":          {200, "text/html; charset=utf-8", "no-store"},
		"/iac/shop.example.com":        {200, "text/html; charset=utf-8", "no-store"},
		"/vulnerabilities/GO-2024.1":   {200, "text/html; charset=utf-8", "no-store"},
		"/mark.svg":                    {200, "image/svg+xml", "no-cache"},
		"/assets/main-abc.js":          {200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		"/assets/gone-abc.js":          {404, "text/plain; charset=utf-8", ""},
		"/assets/../../../etc/passwd":  {200, "text/html; charset=utf-8", "no-store"}, // no file: a page that does not exist
		"/assets/..%2f..%2fetc/passwd": {200, "text/html; charset=utf-8", "no-store"},
	} {
		res := ask(t, h, http.MethodGet, path, page...)
		if res.StatusCode != want.status || res.Header.Get("Content-Type") != want.kind || res.Header.Get("Cache-Control") != want.cache {
			t.Errorf("%s: %d %q %q, want %v", path, res.StatusCode, res.Header.Get("Content-Type"), res.Header.Get("Cache-Control"), want)
		}
	}
	if res := ask(t, h, http.MethodPost, "/risks", page...); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST of a page: %d", res.StatusCode)
	}
	if res := ask(t, h, http.MethodGet, "/robots.txt"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there, to who wants no page: %d", res.StatusCode)
	}
}

// TestConsoleCompressed: gzip goes to who takes it, byte for byte what the others get.
func TestConsoleCompressed(t *testing.T) {
	h := consoleOf(t)
	res := ask(t, h, http.MethodGet, "/assets/main-abc.js", "Accept-Encoding", "gzip, br")
	z, err := gzip.NewReader(res.Body)
	if err != nil || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatal(err, res.Header)
	}
	if body, err := io.ReadAll(z); string(body) != "start()" {
		t.Errorf("%q, %v", body, err)
	}
	for path, accept := range map[string]string{"/assets/main-abc.js": "br", "/assets/small-abc.js": "gzip"} {
		if res := ask(t, h, http.MethodGet, path, "Accept-Encoding", accept); res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s with %s: %d %q", path, accept, res.StatusCode, res.Header.Get("Content-Encoding"))
		}
	}
}

// TestConsolePolicy: no inline script, and a nonce for styles that no two answers share.
func TestConsolePolicy(t *testing.T) {
	h := consoleOf(t)
	nonce := regexp.MustCompile(`style-src 'self' 'nonce-([A-Z0-9]{20,})'`)
	seen := map[string]bool{}
	for range 2 {
		res := ask(t, h, http.MethodGet, "/")
		policy := res.Header.Get("Content-Security-Policy")
		m := nonce.FindStringSubmatch(policy)
		body, _ := io.ReadAll(res.Body)
		if m == nil || !strings.Contains(policy, "script-src 'self';") || seen[m[1]] || !strings.Contains(string(body), `content="`+m[1]+`"`) {
			t.Fatalf("policy %q, page %s", policy, body)
		}
		seen[m[1]] = true
	}
}
