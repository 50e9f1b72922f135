package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"unicode"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"stockade.dev/stockade/internal/api"
)

// NewLog writes text on a terminal and JSON elsewhere. Values that are or hold secrets are cut out, control characters are shown
// as spaces, and the id of the request is added.
func NewLog(w io.Writer, level slog.Level) *slog.Logger {
	var h slog.Handler = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: clean})
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		h = tint.NewTextHandler(w, &tint.Options{Level: level, ReplaceAttr: clean, NoColor: os.Getenv("NO_COLOR") != ""})
	}
	return slog.New(logHandler{h})
}

type logHandler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Message = scrub(r.Message)
	if q := api.RequestOf(ctx); q != nil && q.ID != "" {
		r.AddAttrs(slog.String("request", q.ID))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(a)}
}

// WithGroup implements slog.Handler.
func (h logHandler) WithGroup(name string) slog.Handler { return logHandler{h.Handler.WithGroup(name)} }

const redacted = "REDACTED"

var (
	secretName = regexp.MustCompile(`(?i)passw|secret|token$|^token|authorization|cookie|credential|private.?key|api.?key|kubeconfig`)
	// What secrets look like inside of texts: headers, passwords of URLs, tokens of ours, JSON Web Tokens, keys.
	secretText = []*regexp.Regexp{
		regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_=.~-]{6,}`),
		regexp.MustCompile(`://[^/\s:@]*:[^/\s@]+@`),
		regexp.MustCompile(`\bst[a-z]{0,6}_[A-Za-z0-9_-]{16,}`),
		regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`),
		regexp.MustCompile(`(?i)\b(token|password|secret|code|state)=[^&\s"]{4,}`),
		regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*`),
	}
)

func clean(_ []string, a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch {
	case a.Key == slog.TimeKey || a.Key == slog.LevelKey:
		return a
	case secretName.MatchString(a.Key):
		if v.Kind() == slog.KindString && v.String() == "" {
			return a
		}
		return slog.String(a.Key, redacted)
	case v.Kind() == slog.KindString:
		return slog.String(a.Key, scrub(v.String()))
	case v.Kind() == slog.KindAny:
		switch x := v.Any().(type) {
		case error:
			return slog.String(a.Key, scrub(x.Error()))
		case []byte:
			return slog.String(a.Key, scrub(string(x)))
		case interface{ String() string }:
			return slog.String(a.Key, scrub(x.String()))
		}
	}
	return a
}

// scrub takes secrets and control characters out of a text.
func scrub(s string) string {
	for _, re := range secretText {
		s = re.ReplaceAllString(s, redacted)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, s)
}

// quiet drops the noise of port scanners from net/http's own log.
type quiet struct{ log *slog.Logger }

// Write implements io.Writer.
func (q quiet) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	level := slog.LevelWarn
	if strings.Contains(text, "TLS handshake error") || strings.Contains(text, "URL query contains semicolon") {
		level = slog.LevelDebug
	}
	q.log.Log(context.Background(), level, "http", "err", errors.New(text))
	return len(b), nil
}
