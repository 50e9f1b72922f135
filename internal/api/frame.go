package api

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// Frame is what stands around all routes.
type Frame struct {
	DB           *store.DB
	Log          *slog.Logger
	Now          func() time.Time                     // nil: time.Now
	Authenticate func(next http.Handler) http.Handler // puts the principal into the context; nil: nobody ever signs in
	Keys         *seal.Keys                           // encrypt what is kept of answers; nil: idempotency keys are refused
	Rates        Rates
	Remote       func(r *http.Request) netip.Addr // address of the client; nil: of the connection
}

// Handler is the whole of /api/: routes and what stands around them, outermost first.
func (a *API) Handler(f Frame) http.Handler {
	if f.Now == nil {
		f.Now = time.Now
	}
	if f.Remote == nil {
		f.Remote = RemoteAddr
	}
	if f.Authenticate == nil {
		f.Authenticate = func(next http.Handler) http.Handler { return next }
	}
	limits := newLimiter(f.Rates, f.Now)
	h := a.idempotent(f, a.ifMatch(a.unknown()))
	h = conditional(h)
	h = limits.people(h)
	h = f.Authenticate(h)
	h = a.bounded(h)
	h = negotiate(h)
	return limits.addresses(f.Remote, h)
}

// RemoteAddr is the address at the other end of the connection.
func RemoteAddr(r *http.Request) netip.Addr {
	p, _ := netip.ParseAddrPort(r.RemoteAddr)
	return p.Addr().Unmap()
}

// Recover turns a panic into a 500 and a log entry with its stack.
func Recover(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &touched{ResponseWriter: w}
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // it is compared so by net/http
				panic(v)
			}
			log.ErrorContext(r.Context(), "panic", "value", v, "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
			Blame(r.Context(), errors.New("panic: see the entry before"))
			if t.yes { // half an answer must not look like a whole one
				panic(http.ErrAbortHandler)
			}
			WriteProblem(w, r, http.StatusInternalServerError, "the server could not do this: its log tells why under the id of this request")
		}()
		next.ServeHTTP(t, r)
	})
}

// touched notes whether anything was answered.
type touched struct {
	http.ResponseWriter
	yes bool
}

func (t *touched) WriteHeader(status int) {
	t.yes = true
	t.ResponseWriter.WriteHeader(status)
}

func (t *touched) Write(b []byte) (int, error) {
	t.yes = true
	return t.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (t *touched) Flush() { _ = http.NewResponseController(t.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (t *touched) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// unknown answers what no route matches, in the form of all errors.
func (a *API) unknown() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := a.mux.Handler(r)
		if q := RequestOf(r.Context()); q != nil {
			q.Route = pattern
		}
		if pattern != "" {
			a.mux.ServeHTTP(w, r)
			return
		}
		probe := &discard{header: http.Header{}}
		h.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			allow := probe.header.Get("Allow")
			w.Header().Set("Allow", allow)
			WriteProblem(w, r, probe.status, r.Method+" is not offered here, only "+allow)
			return
		}
		WriteProblem(w, r, http.StatusNotFound, "the API has no such path: see /api/v1/openapi.yaml")
	})
}

// discard takes an answer's head.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(status int) {
	if d.status == 0 {
		d.status = status
	}
}
func (d *discard) Write(b []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return len(b), nil
}

// Time that a client may take.
const (
	stall   = 30 * time.Second // without a byte
	slowest = 16 << 10         // bytes a second that an upload must have on the average, beyond the first stall
)

// bounded limits how large and how slow a request's body may be, by its route.
func (a *API) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := a.mux.Handler(r)
		limit, ok := a.bodies[pattern]
		if !ok {
			limit = DefaultBody
		}
		if r.ContentLength > limit {
			w.Header().Set("Connection", "close")
			WriteProblem(w, r, http.StatusRequestEntityTooLarge, "the request is larger than "+strconv.FormatInt(limit>>20, 10)+" MiB")
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &paced{ReadCloser: http.MaxBytesReader(w, r.Body, limit), control: http.NewResponseController(w), started: time.Now()}
		}
		next.ServeHTTP(w, r)
	})
}

// paced sets a deadline for every read of a body, and none once it is read: handlers may take their time.
type paced struct {
	io.ReadCloser
	control *http.ResponseController
	started time.Time
	read    int64
}

func (p *paced) Read(b []byte) (int, error) {
	deadline := time.Now().Add(stall)
	if whole := p.started.Add(stall + time.Duration(p.read/slowest)*time.Second); p.read > 0 && whole.Before(deadline) {
		deadline = whole
	}
	_ = p.control.SetReadDeadline(deadline) // not of every kind of connection: then it has none
	n, err := p.ReadCloser.Read(b)
	p.read += int64(n)
	if err != nil {
		_ = p.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// Close implements io.Closer.
func (p *paced) Close() error {
	_ = p.control.SetReadDeadline(time.Time{})
	return p.ReadCloser.Close()
}

// negotiate chooses the language once.
func negotiate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lang := Language(r.Header.Get("Accept-Language"))
		if q := RequestOf(r.Context()); q != nil {
			q.Lang = lang
		} else {
			r = r.WithContext(WithRequest(r.Context(), &Request{Lang: lang}))
		}
		w.Header().Set("Content-Language", lang)
		w.Header().Add("Vary", "Accept-Language")
		next.ServeHTTP(w, r)
	})
}

// Language is the best of "en" and "zh" for an Accept-Language header.
func Language(accept string) string {
	best, quality := "en", 0.0
	for part := range strings.SplitSeq(accept[:min(len(accept), 1024)], ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil || q < 0 || q > 1 {
				continue
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if q > quality && (primary == "en" || primary == "zh") {
			best, quality = primary, q
		}
	}
	return best
}

// owner names who sends a request, for limits and idempotency keys.
func owner(p *identity.Principal) string {
	switch {
	case p == nil:
		return ""
	case p.UserID != 0:
		return "user " + strconv.FormatInt(p.UserID, 10)
	}
	return p.Via + " " + p.Name
}
