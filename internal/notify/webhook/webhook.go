// Package webhook sends messages over HTTP: signed JSON, what Slack and its likes take, and bodies by a template.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

// Settings of a channel that speaks HTTP. What is secret stands in Secret.
type Settings struct {
	URL         string            `json:"url,omitempty" maxLength:"2048" doc:"https address; of Slack-compatible channels it is a secret and stands there"`
	PlainHTTP   bool              `json:"plainHttp,omitempty" doc:"allow http://"`
	CA          string            `json:"ca,omitempty" maxLength:"65536" doc:"certificate authorities in PEM, trusted beside the system's"`
	Headers     map[string]string `json:"headers,omitempty" doc:"more headers; no secrets"`
	Method      string            `json:"method,omitempty" enum:"POST,PUT" doc:"of templates; default POST"`
	ContentType string            `json:"contentType,omitempty" enum:"application/json,text/plain" doc:"of templates; default application/json"`
	Template    string            `json:"template,omitempty" maxLength:"65536" doc:"the body as a Go template over the event"`
}

// Secret of a channel that speaks HTTP.
type Secret struct {
	Key           string // of the HMAC signature
	Authorization string // value of the header, "Bearer ..."
	URL           string // wins over Settings.URL
}

func (s Secret) all(u *url.URL) []string {
	all := []string{s.Key, s.Authorization, s.URL}
	if _, token, ok := strings.Cut(s.Authorization, " "); ok {
		all = append(all, token)
	}
	if s.URL != "" && u != nil {
		all = append(all, u.Path, u.RawQuery)
	}
	return all
}

// Form makes the body of a request from an event.
type Form func(e *message.Event, lang string) (body []byte, contentType string, err error)

// Sender sends to one address.
type Sender struct {
	settings Settings
	secret   Secret
	url      *url.URL
	client   *http.Client
	form     Form
	now      func() time.Time
}

// timeout of one request, from the connection to the end of the answer.
const timeout = 15 * time.Second

// New checks settings and makes a Sender.
func New(g *guard.Guard, s Settings, secret Secret, form Form, now func() time.Time) (*Sender, error) {
	address := s.URL
	if secret.URL != "" {
		address = secret.URL
	}
	u, err := g.URL(address, s.PlainHTTP)
	if err != nil {
		return nil, err
	}
	roots, err := guard.Roots(s.CA)
	if err != nil {
		return nil, err
	}
	switch s.Method {
	case "", http.MethodPost, http.MethodPut:
	default:
		return nil, fmt.Errorf("method %q: want POST or PUT", s.Method)
	}
	if len(s.Headers) > 20 {
		return nil, errors.New("more than 20 headers")
	}
	for name, value := range s.Headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
	}
	if !printable(secret.Authorization) {
		return nil, errors.New("the authorization has characters that a header cannot have")
	}
	return &Sender{s, secret, u, g.Client(timeout, roots), form, now}, nil
}

// reserved are headers that the sender sets itself, or that would change what the request is.
var reserved = []string{"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Trailer", "Te", "Upgrade", "Authorization",
	"Proxy-Authorization", "Cookie", "Expect", "Idempotency-Key", "User-Agent"}

func checkHeader(name, value string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	ok := name != "" && len(name) <= 100 && len(value) <= 1000 && printable(value)
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
	}
	switch {
	case !ok:
		return fmt.Errorf("header %q: a name of letters, digits and hyphens and a value on one line are wanted", message.Cut(name, 40))
	case slices.Contains(reserved, canonical), strings.HasPrefix(canonical, "X-Stockade-"):
		return fmt.Errorf("header %s is set by the server: secrets go into authorization", canonical)
	}
	return nil
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f }) < 0
}

// Send sends an event and returns the receiver's answer, redacted.
func (s *Sender) Send(ctx context.Context, e *message.Event, lang string) (string, error) {
	body, contentType, err := s.form(e, lang)
	if err != nil {
		return "", &message.Failure{Permanent: true, Err: err}
	}
	method := s.settings.Method
	if method == "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url.String(), bytes.NewReader(body))
	if err != nil {
		return "", &message.Failure{Permanent: true, Err: errors.New("the address makes no request")}
	}
	for name, value := range s.settings.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Stockade")
	req.Header.Set("Idempotency-Key", e.ID)
	req.Header.Set("X-Stockade-Event", e.ID)
	req.Header.Set("X-Stockade-Topic", e.Topic)
	if s.secret.Authorization != "" {
		req.Header.Set("Authorization", s.secret.Authorization)
	}
	if s.secret.Key != "" {
		req.Header.Set("X-Stockade-Signature", Sign(s.secret.Key, s.now(), body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return "", &message.Failure{Permanent: errors.Is(err, guard.ErrRefused), Err: bare(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 8<<10))
	return s.judge(resp, string(text))
}

// bare takes the address, which may be a secret, out of an error of the client.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (s *Sender) judge(resp *http.Response, text string) (string, error) {
	answer := message.Answer(text, s.secret.all(s.url)...)
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return strings.TrimSpace(fmt.Sprintf("status %d %s", code, answer)), nil
	}
	f := &message.Failure{Answer: answer, Err: fmt.Errorf("status %d", code)}
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusLocked,
		http.StatusTooEarly, http.StatusTooManyRequests: // these end when somebody repairs something
	default:
		f.Permanent = code < 500
	}
	if code >= 300 && code < 400 {
		f.Err = fmt.Errorf("status %d: redirects are not followed, give the address itself", code)
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.After = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return "", f
}

// Sign gives the value of the signature header: the time of sending in seconds, and the HMAC-SHA256 of time, a dot and the body.
func Sign(key string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// JSON is the form of plain webhooks: the event's document.
func JSON(e *message.Event, lang string) ([]byte, string, error) {
	body, err := json.Marshal(e.In(lang))
	return body, "application/json", err
}
