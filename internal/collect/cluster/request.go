package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"stockade.dev/stockade/internal/collect/decode"
)

// statusError is an answer of the server other than success.
type statusError struct {
	code    int
	reason  string // of the Status object: Forbidden, Expired, ...
	message string
	after   time.Duration // Retry-After
	html    bool          // not from an API server
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the server answers %d %s", e.code, http.StatusText(e.code))
	if e.html {
		return text + " with an HTML page"
	}
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// stallError is a server that says nothing any more.
type stallError struct {
	wait time.Duration
	read int64
}

func (e *stallError) Error() string {
	if e.read == 0 {
		return fmt.Sprintf("the server did not answer within %v", e.wait)
	}
	return fmt.Sprintf("the server stopped sending: nothing for %v after %d bytes", e.wait, e.read)
}

// get sends one request, within the rate, and returns the body of a successful answer. The body gives a *stallError when
// nothing comes for a while; time that the caller takes to read on does not count.
func (s *Source) get(ctx context.Context, path, query, accept string) (io.ReadCloser, string, error) {
	if err := s.limit.Wait(ctx); err != nil {
		return nil, "", err
	}
	u := *s.base
	u.Path += path
	u.RawPath = ""
	u.RawQuery = query
	body := newStallReader(ctx, s.cfg.Stall)
	req, err := http.NewRequestWithContext(body.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		_ = body.Close()
		return nil, "", err
	}
	if accept == "" {
		accept = "application/json"
	}
	req.Header.Set("Accept", accept)
	resp, err := s.client.Do(req)
	body.timer.Stop()
	if err != nil {
		err = body.cause(err)
		_ = body.Close()
		return nil, "", err
	}
	body.body = resp.Body
	if resp.StatusCode != http.StatusOK {
		err := failure(resp, body)
		_ = body.Close()
		return nil, "", err
	}
	return body, resp.Header.Get("Content-Type"), nil
}

// failure reads the Status object of an error answer.
func failure(resp *http.Response, body io.Reader) error {
	const most = 64 << 10
	e := &statusError{code: resp.StatusCode}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n >= 0 {
		e.after = time.Duration(min(n, 60)) * time.Second
	}
	data, err := io.ReadAll(io.LimitReader(body, most))
	if err != nil && len(data) == 0 {
		return e
	}
	status := decode.Status(data)
	switch {
	case status != nil:
		e.reason, e.message = status.Reason, status.Message
	case strings.Contains(resp.Header.Get("Content-Type"), "html") || strings.HasPrefix(strings.TrimSpace(string(data)), "<"):
		e.html = true
	default:
		e.message = firstLine(string(data))
	}
	return e
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	s = strings.ToValidUTF8(s, "?")
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// notJSONError is a successful answer that is none of an API server's.
type notJSONError struct {
	path, start string
	html        bool
}

func (e *notJSONError) Error() string {
	if e.html {
		return "the answer to " + e.path + " is an HTML page, not JSON"
	}
	return fmt.Sprintf("the answer to %s is not JSON: it begins %q", e.path, e.start)
}

// getJSON decodes a small answer.
func (s *Source) getJSON(ctx context.Context, path, accept string, into any) error {
	_, err := s.getTyped(ctx, path, accept, into)
	return err
}

func (s *Source) getTyped(ctx context.Context, path, accept string, into any) (contentType string, err error) {
	const most = 32 << 20
	for attempt := 1; ; attempt++ {
		contentType, err = s.getOnce(ctx, path, accept, into, most)
		if err == nil || attempt >= s.cfg.Attempts || !s.retry(ctx, err, attempt) {
			return contentType, err
		}
	}
}

func (s *Source) getOnce(ctx context.Context, path, accept string, into any, most int64) (string, error) {
	body, contentType, err := s.get(ctx, path, "", accept)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	_ = body.Close()
	if err != nil {
		return "", err
	}
	if int64(len(data)) > most {
		return "", fmt.Errorf("the answer to %s is larger than %d MiB", path, most>>20)
	}
	if err := json.Unmarshal(data, into); err != nil {
		start := firstLine(string(data))
		return "", &notJSONError{path: path, start: start, html: strings.HasPrefix(start, "<") || strings.Contains(contentType, "html")}
	}
	return contentType, nil
}

// retry says whether a request is worth another attempt, and waits before it: as long as the server asks, or longer from
// time to time.
func (s *Source) retry(ctx context.Context, err error, attempt int) bool {
	wait := min(time.Second<<(attempt-1)/4, 8*time.Second)
	var status *statusError
	var stall *stallError
	switch {
	case ctx.Err() != nil:
		return false
	case errors.As(err, &status):
		if status.code != http.StatusTooManyRequests && status.code < 500 {
			return false
		}
		wait = max(wait, status.after)
	case errors.As(err, &stall):
		// The wait was long enough; one more attempt tells a hiccup from a server that hangs.
		if attempt > 1 {
			return false
		}
	case !transient(err):
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// stallReader reads a body and gives up when nothing comes for a while. The clock runs only while a read waits.
type stallReader struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	timer  *time.Timer
	wait   time.Duration
	read   atomic.Int64
}

func newStallReader(ctx context.Context, wait time.Duration) *stallReader {
	r := &stallReader{wait: wait}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.timer = time.AfterFunc(wait, func() { r.cancel(&stallError{wait, r.read.Load()}) })
	return r
}

// cause returns the reason why the request was given up in the place of "context canceled".
func (r *stallReader) cause(err error) error {
	var stall *stallError
	if errors.As(context.Cause(r.ctx), &stall) {
		return stall
	}
	return err
}

func (r *stallReader) Read(p []byte) (int, error) {
	r.timer.Reset(r.wait)
	n, err := r.body.Read(p)
	r.timer.Stop()
	r.read.Add(int64(n))
	if err != nil { // also an end: the server may close its answer in good order when we give it up
		err = r.cause(err)
	}
	return n, err
}

func (r *stallReader) Close() error {
	r.timer.Stop()
	r.cancel(nil)
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// listQuery returns the query of a list request. An empty token asks for the start, from the watch cache unless fresh.
func listQuery(selector, token string, limit int64, fresh bool) string {
	q := url.Values{}
	q.Set("limit", strconv.FormatInt(limit, 10))
	if selector != "" {
		q.Set("labelSelector", selector)
	}
	switch {
	case token != "":
		q.Set("continue", token)
	case !fresh:
		q.Set("resourceVersion", "0")
	}
	return q.Encode()
}
