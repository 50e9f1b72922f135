package lab

import (
	"bytes"
	"io"
	"net/http"
)

// A Fault answers a request in the API server's stead. next is the honest way;
// healed is closed when the fault is over.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler, healed <-chan struct{})

// Stall reads the request and answers nothing until the fault is healed, when the
// request goes on to the API server, or the client goes away.
func Stall() Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler, healed <-chan struct{}) {
		// The server notices that a client went away only after the body is read.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case <-healed:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// StallAfter passes n bytes of the response's body and then nothing more until
// the fault is healed or the client goes away.
func StallAfter(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler, healed <-chan struct{}) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w, left: n, limit: func() {
			select {
			case <-healed:
			case <-r.Context().Done():
				// A client says goodbye before it stops reading: what is sent now might still reach it.
				panic(http.ErrAbortHandler)
			}
		}}, r)
	}
}

// CutAfter passes n bytes of the response's body (as sent: compressed, if the
// client asked for that) and then closes the connection. A shorter response is
// not cut.
func CutAfter(n int64) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler, _ <-chan struct{}) {
		next.ServeHTTP(&limitedWriter{ResponseWriter: w, left: n, limit: func() { panic(http.ErrAbortHandler) }}, r)
	}
}

// Answer answers every request with this status, content type and body.
func Answer(status int, contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ <-chan struct{}) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// HTML answers 200 and a web page, as a captive portal or a login page in front
// of the API does.
func HTML() Fault {
	return Answer(http.StatusOK, "text/html; charset=utf-8",
		"<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in to continue</h1></body></html>\n")
}

// limitedWriter calls limit once, when left bytes are on their way to the client.
type limitedWriter struct {
	http.ResponseWriter
	left  int64
	limit func()
}

// Unwrap lets the reverse proxy flush.
func (w *limitedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.limit == nil || int64(len(p)) < w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	head, rest := p[:w.left], p[w.left:]
	n, err := w.ResponseWriter.Write(head)
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	if err != nil {
		return n, err
	}
	limit := w.limit
	w.limit = nil
	limit()
	more, err := w.ResponseWriter.Write(rest)
	return n + more, err
}
