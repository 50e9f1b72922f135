package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"stockade.dev/stockade/internal/store"
)

// Errors that rooms return wrapped, and that become the status of the answer.
var (
	ErrForbidden = errors.New("not allowed")
	ErrConflict  = errors.New("conflict")
	ErrInvalid   = errors.New("invalid")
)

// ContentProblem is the media type of errors (RFC 9457).
const ContentProblem = "application/problem+json"

// problem gives an error the status that it asks for. What is nobody's fault but the server's is 500 and says little: the log
// has it with the request's id.
func problem(ctx context.Context, err error) error {
	var status huma.StatusError
	switch {
	case errors.As(err, &status):
		return err
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("there is no such thing, or you may not see it")
	case errors.Is(err, store.ErrCursor):
		return huma.Error400BadRequest(err.Error())
	case errors.Is(err, ErrForbidden):
		return huma.Error403Forbidden(once(err, ErrForbidden))
	case errors.Is(err, ErrConflict):
		return huma.Error409Conflict(once(err, ErrConflict))
	case store.Duplicate(err):
		return huma.Error409Conflict("there is one with this name already")
	case errors.Is(err, ErrInvalid):
		return huma.Error422UnprocessableEntity(once(err, ErrInvalid))
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d MiB", tooLarge.Limit>>20))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return huma.NewError(http.StatusRequestTimeout, "the request came too slowly")
	}
	Blame(ctx, err)
	switch {
	case store.Full(err):
		return huma.NewError(http.StatusInsufficientStorage, "the disk of the database is full: nothing was changed; make room and try again")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return later("the request was given up before it was done")
	case store.Unavailable(err):
		return later("the database does not answer now: nothing was changed; try again")
	}
	return huma.Error500InternalServerError("the server could not do this: its log tells why under the id of this request")
}

// once is the text of an error whose kind both a room and a route have put before it.
func once(err, kind error) string {
	text, prefix := err.Error(), kind.Error()+": "
	for strings.HasPrefix(text, prefix+prefix) {
		text = text[len(prefix):]
	}
	return text
}

// later is a 503 that says when to come back.
func later(text string) error {
	return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(text), http.Header{"Retry-After": {"5"}})
}

// WriteProblem answers with an error outside of a route's handler.
func WriteProblem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	w.Header().Set("Content-Type", ContentProblem)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(model(RequestOf(r.Context()), status, detail)) // the client is gone: nobody to tell
}

func model(r *Request, status int, detail string, errs ...error) *huma.ErrorModel {
	m := &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}
	if r != nil {
		m.Instance = "urn:stockade:request:" + r.ID
	}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) { // what the client sent is not sent back: it may be a password
			m.Errors = append(m.Errors, &huma.ErrorDetail{Message: d.ErrorDetail().Message, Location: d.ErrorDetail().Location})
		}
	}
	return m
}

var hooks sync.Once

// useOwnErrors makes the framework's own errors carry the request's id and repeat nothing that the client sent.
func useOwnErrors() {
	hooks.Do(func() {
		huma.NewErrorWithContext = func(c huma.Context, status int, text string, errs ...error) huma.StatusError {
			if status >= 500 {
				Blame(c.Context(), errors.Join(append([]error{errors.New(text)}, errs...)...))
			}
			return model(RequestOf(c.Context()), status, text, errs...)
		}
		huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
			return model(nil, status, text, errs...)
		}
	})
}

// Request is what the server keeps beside a request while it is answered.
type Request struct {
	ID    string          // for logs, answers and the audit log
	Lang  string          // "en" or "zh", as the client prefers
	Who   string          // name of the principal
	Route string          // pattern that matched, for metrics
	Err   error           // why the answer is a 5xx
	Stop  <-chan struct{} // closed when the server stops: streams end then; nil: never
}

type requestKey struct{}

// WithRequest puts r into the context. The server does it for every request, before anything else.
func WithRequest(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestOf takes it out again; nil outside of requests.
func RequestOf(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// Blame notes why the request fails, for the log.
func Blame(ctx context.Context, err error) {
	if r := RequestOf(ctx); r != nil && r.Err == nil {
		r.Err = err
	}
}

// Lang is the language for texts of an answer: "en" or "zh".
func Lang(ctx context.Context) string {
	if r := RequestOf(ctx); r != nil && r.Lang != "" {
		return r.Lang
	}
	return "en"
}
