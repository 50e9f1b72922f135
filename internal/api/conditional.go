package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"hash/maphash"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Sizes of answers.
const (
	held      = 4 << 20 // bytes that are kept to make an ETag of; what is longer streams
	worthGzip = 1 << 10
)

var zippers = sync.Pool{New: func() any { z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed); return z }}

// conditional gives answers to GET an ETag, answers 304 to those who have it, and compresses text.
func conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, status: http.StatusOK, gzip: accepts(r.Header.Get("Accept-Encoding"), "gzip")}
		w.Header().Add("Vary", "Accept-Encoding")
		w.Header().Add("Vary", "Authorization")
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			w.Header().Set("Cache-Control", "private, no-cache")
			a.match, a.tagged = r.Header.Get("If-None-Match"), true
		} else {
			w.Header().Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(a, r) // a panic leaves what was held unsent: the answer becomes a 500
		a.finish()
	})
}

// answer holds a short answer back until it is whole, and passes a long or flushed one on.
type answer struct {
	http.ResponseWriter
	gzip, tagged bool
	match        string
	status       int
	body         bytes.Buffer
	passing      bool
	zip          *gzip.Writer
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		a.ResponseWriter.WriteHeader(status)
		return
	}
	a.status = status
}

// Write implements http.ResponseWriter.
func (a *answer) Write(b []byte) (int, error) {
	if !a.passing {
		if a.body.Len()+len(b) <= held {
			return a.body.Write(b)
		}
		if err := a.pass(); err != nil {
			return 0, err
		}
	}
	if a.zip != nil {
		return a.zip.Write(b)
	}
	return a.ResponseWriter.Write(b)
}

// pass sends what was held, and from now on everything at once.
func (a *answer) pass() error {
	a.passing = true
	if a.gzip && compressible(a.Header().Get("Content-Type")) && a.Header().Get("Content-Encoding") == "" {
		a.Header().Set("Content-Encoding", "gzip")
		a.Header().Del("Content-Length")
		a.zip = zippers.Get().(*gzip.Writer)
		a.zip.Reset(a.ResponseWriter)
	}
	a.ResponseWriter.WriteHeader(a.status)
	body := a.body.Bytes()
	a.body = bytes.Buffer{}
	var err error
	switch {
	case len(body) == 0:
	case a.zip != nil:
		_, err = a.zip.Write(body)
	default:
		_, err = a.ResponseWriter.Write(body)
	}
	return err
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	if !a.passing {
		if a.pass() != nil {
			return
		}
	}
	if a.zip != nil {
		_ = a.zip.Flush() // the client is gone: the next write tells
	}
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) finish() {
	if a.passing {
		if a.zip != nil {
			_ = a.zip.Close() // the client is gone
			zippers.Put(a.zip)
		}
		return
	}
	body := a.body.Bytes()
	if a.tagged && a.status == http.StatusOK && len(body) > 0 && a.Header().Get("ETag") == "" {
		tag := etag(body)
		a.Header().Set("ETag", tag)
		if matches(a.match, tag) {
			a.Header().Del("Content-Type")
			a.Header().Del("Content-Length")
			a.ResponseWriter.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if a.gzip && len(body) > worthGzip && compressible(a.Header().Get("Content-Type")) && a.Header().Get("Content-Encoding") == "" {
		var out bytes.Buffer
		z := zippers.Get().(*gzip.Writer)
		z.Reset(&out)
		_, _ = z.Write(body) // to memory
		_ = z.Close()
		zippers.Put(z)
		a.Header().Set("Content-Encoding", "gzip")
		body = out.Bytes()
	}
	if len(body) > 0 {
		a.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	a.ResponseWriter.WriteHeader(a.status)
	_, _ = a.ResponseWriter.Write(body) // the client is gone
}

// etag is weak: the same content may be sent compressed or not.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// matches reports whether a list of tags names the tag.
func matches(list, tag string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t == "*" || strings.TrimPrefix(t, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == coding {
			return strings.ReplaceAll(params, " ", "") != "q=0"
		}
	}
	return false
}

func compressible(content string) bool {
	content, _, _ = strings.Cut(content, ";")
	if content == "text/event-stream" {
		return false
	}
	return strings.HasPrefix(content, "text/") || strings.HasSuffix(content, "json") || strings.HasSuffix(content, "yaml") || strings.HasSuffix(content, "xml")
}

// stripes serialise changes that say what they change, so that of two with the same tag one loses.
var (
	stripes [64]sync.Mutex
	seed    = maphash.MakeSeed()
)

// ifMatch refuses a change when what it changes is not what the client saw: the tag of a GET on the same path. Between replicas a
// moment remains in which both are let through.
func (a *API) ifMatch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := r.Header.Get("If-Match")
		if want == "" || r.Method != http.MethodPut && r.Method != http.MethodPatch && r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		lock := &stripes[maphash.String(seed, r.URL.Path)%uint64(len(stripes))]
		lock.Lock()
		defer lock.Unlock()
		get := r.Clone(r.Context())
		get.Method, get.Body, get.ContentLength = http.MethodGet, http.NoBody, 0
		get.URL.RawQuery = ""
		now := &answer{ResponseWriter: &discard{header: http.Header{}}, status: http.StatusOK}
		a.unknown().ServeHTTP(now, get)
		if now.status != http.StatusOK || now.passing || !matches(want, etag(now.body.Bytes())) {
			WriteProblem(w, r, http.StatusPreconditionFailed, "it was changed since you read it, or is not there: read it again")
			return
		}
		next.ServeHTTP(w, r)
	})
}
