package server

import (
	"bytes"
	"crypto/rand"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// nonceMark stands in the console's first page where each answer gets its own nonce for style elements.
const nonceMark = "STYLE-NONCE"

// console serves the console's files: what is not a file is its first page, since it makes its own paths. Without files, a page
// says what this server is.
func (s *Server) console() http.Handler {
	if s.o.Console == nil {
		return http.HandlerFunc(s.placeholder)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
		if name == "" || name == "index.html" || path.Ext(name) == "" || strings.HasPrefix(name, "images/") {
			s.firstPage(w, r)
			return
		}
		cache := "no-cache"
		if strings.HasPrefix(name, "assets/") { // their names hold a hash
			cache = "public, max-age=31536000, immutable"
		}
		w.Header().Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && s.file(w, r, name, ".gz", cache) {
			return
		}
		if !s.file(w, r, name, "", cache) {
			s.missing(w, r, name)
		}
	})
}

// missing answers a path that is no file: it may be a page whose last part has a dot, such as the name of a project.
func (s *Server) missing(w http.ResponseWriter, r *http.Request, name string) {
	if strings.HasPrefix(name, "assets/") || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.NotFound(w, r)
		return
	}
	s.firstPage(w, r)
}

// file answers a file of the console as it is, or as it was compressed at build time. False: there is none.
func (s *Server) file(w http.ResponseWriter, r *http.Request, name, end, cache string) bool {
	f, err := s.o.Console.Open(name + end)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	body, ok := f.(io.ReadSeeker)
	if err != nil || info.IsDir() || !ok {
		return false
	}
	h := w.Header()
	h.Set("Cache-Control", cache)
	if end != "" {
		h.Set("Content-Encoding", "gzip")
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		h.Set("Content-Type", kind)
	}
	http.ServeContent(w, r, name, time.Time{}, body)
	return true
}

// firstPage answers index.html under a policy that lets nothing inline through: no script at all, styles only with the nonce of
// this answer, or as attributes, which the charts set.
func (s *Server) firstPage(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	page, err := fs.ReadFile(s.o.Console, "index.html")
	if err != nil {
		s.log.ErrorContext(r.Context(), "console", "err", err)
		http.Error(w, "the console cannot be read", http.StatusInternalServerError)
		return
	}
	nonce := rand.Text()
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; style-src-attr 'unsafe-inline'; "+
		"img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store") // each answer has its own nonce
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(bytes.ReplaceAll(page, []byte(nonceMark), []byte(nonce))))
}
