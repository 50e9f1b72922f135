package mail

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/message"
)

//go:embed message.html
var page string

var pageTemplate = template.Must(template.New("message").Funcs(template.FuncMap{
	"line": message.Line, "when": when, "severity": message.SeverityWord, "color": color,
}).Parse(page))

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func color(s finding.Severity) string {
	switch s {
	case finding.Critical:
		return "#a8071a"
	case finding.High:
		return "#d4380d"
	case finding.Medium:
		return "#ad6800"
	case finding.Low:
		return "#0958d9"
	}
	return "#595959"
}

// view is what the page shows.
type view struct {
	message.Document
	Lang, More, Open string
	Rows             []row
}

type row struct {
	message.DocumentFinding
	Where string
}

func viewOf(e *message.Event, lang string) view {
	d := e.In(lang)
	v := view{Document: d, Lang: lang, More: message.More(e.More, lang), Open: message.Open(lang)}
	for i, f := range d.Findings {
		v.Rows = append(v.Rows, row{f, message.Line(e.Findings[i].Where())})
	}
	return v
}

// HTML is the page that a message shows, for previews.
func HTML(e *message.Event, lang string) string {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, viewOf(e, lang)); err != nil { // the template is ours and meets every event
		return ""
	}
	return b.String()
}

// compose writes the whole message with its headers.
func (m *Sender) compose(e *message.Event, lang string, file *message.Attachment) ([]byte, error) {
	v := viewOf(e, lang)
	var html bytes.Buffer
	if err := pageTemplate.Execute(&html, v); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	m.headers(&out, e, v)
	mixed := multipart.NewWriter(&out)
	alternative := &bytes.Buffer{}
	parts := multipart.NewWriter(alternative)
	fmt.Fprintf(&out, "Content-Type: multipart/mixed; boundary=%q\r\n\r\n", mixed.Boundary())
	for _, p := range []struct{ kind, text string }{{"text/plain", plain(v)}, {"text/html", html.String()}} {
		w, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {p.kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}})
		if err != nil {
			return nil, err
		}
		q := quotedprintable.NewWriter(w)
		if _, err := q.Write([]byte(p.text)); err != nil {
			return nil, err
		}
		if err := q.Close(); err != nil {
			return nil, err
		}
	}
	if err := parts.Close(); err != nil {
		return nil, err
	}
	w, err := mixed.CreatePart(textproto.MIMEHeader{"Content-Type": {fmt.Sprintf("multipart/alternative; boundary=%q", parts.Boundary())}})
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(alternative.Bytes()); err != nil {
		return nil, err
	}
	if err := attach(mixed, file); err != nil {
		return nil, err
	}
	if err := mixed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (m *Sender) headers(out *bytes.Buffer, e *message.Event, v view) {
	var to []string
	for _, a := range m.to {
		to = append(to, a.String())
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	// Line leaves no line break, and the encoder none of its own that a header could not have.
	for _, h := range [][2]string{
		{"From", m.from.String()}, {"To", strings.Join(to, ",\r\n ")}, {"Subject", mime.QEncoding.Encode("utf-8", "[Stockade] "+message.Cut(message.Line(v.Title), 300))},
		{"Date", m.now().UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + e.ID + "@" + domain + ">"},
		{"Auto-Submitted", "auto-generated"}, {"X-Stockade-Event", e.ID}, {"X-Stockade-Topic", e.Topic}, {"MIME-Version", "1.0"},
	} {
		out.WriteString(h[0] + ": " + h[1] + "\r\n")
	}
}

// plain is the message for readers without HTML.
func plain(v view) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	add("%s", message.Line(v.Title))
	if v.Text != "" {
		add("%s", message.Line(v.Text))
	}
	add("")
	for _, r := range v.Rows {
		kev := ""
		if r.KEV {
			kev = " KEV"
		}
		add("[%s]%s %s", message.SeverityWord(r.Severity, v.Lang), kev, message.Line(r.Title))
		add("    %s", r.Where)
	}
	if v.More != "" {
		add("%s", v.More)
	}
	for _, p := range v.Parts {
		add("%s  %s", when(p.At), message.Line(p.Title))
	}
	for _, link := range []string{v.reportLink(), v.Link} {
		if link != "" {
			add("")
			add("%s: %s", v.Open, message.Line(link))
		}
	}
	return b.String()
}

func (v view) reportLink() string {
	if v.Report == nil {
		return ""
	}
	return v.Report.Link
}

func attach(w *multipart.Writer, file *message.Attachment) error {
	if file == nil {
		return nil
	}
	p, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Type":              {file.Type},
		"Content-Transfer-Encoding": {"base64"},
		"Content-Disposition":       {mime.FormatMediaType("attachment", map[string]string{"filename": message.Line(file.Name)})},
	})
	if err != nil {
		return err
	}
	lines := base64.NewEncoder(base64.StdEncoding, &folder{w: p})
	if _, err := lines.Write(file.Data); err != nil {
		return err
	}
	return lines.Close()
}

// folder breaks base64 into lines of 76 characters.
type folder struct {
	w interface{ Write([]byte) (int, error) }
	n int
}

func (f *folder) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		if f.n == 76 {
			if _, err := f.w.Write([]byte("\r\n")); err != nil {
				return i, err
			}
			f.n = 0
		}
		k := min(len(p)-i, 76-f.n)
		if _, err := f.w.Write(p[i : i+k]); err != nil {
			return i, err
		}
		i, f.n = i+k, f.n+k
	}
	return len(p), nil
}
