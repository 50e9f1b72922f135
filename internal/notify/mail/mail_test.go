package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http/httptest"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

// server is a small mail server. script answers commands otherwise than well.
type server struct {
	l        net.Listener
	tls      *tls.Config
	ca       string
	implicit bool
	offers   string // of EHLO after STARTTLS
	script   map[string]string

	mu   sync.Mutex
	said []string
	data []string
}

func serve(t *testing.T, s *server) *server {
	t.Helper()
	certs := httptest.NewTLSServer(nil) // for its certificate, good for 127.0.0.1
	s.tls = &tls.Config{Certificates: certs.TLS.Certificates}
	s.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.Certificate().Raw}))
	certs.Close()
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.l.Close() })
	go func() {
		for {
			c, err := s.l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *server) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	secure := s.implicit
	if secure {
		c = tls.Server(c, s.tls)
	}
	r := bufio.NewReader(c)
	say := func(line string) { _, _ = io.WriteString(c, line+"\r\n") }
	say("220 mail.example.com")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.said = append(s.said, line)
		s.mu.Unlock()
		verb, _, _ := strings.Cut(line, " ")
		if a, ok := s.script[line]; ok {
			say(a)
			continue
		}
		if a, ok := s.script[verb]; ok {
			say(a)
			continue
		}
		switch verb {
		case "EHLO":
			if !secure {
				say("250-mail.example.com\r\n250 STARTTLS")
			} else {
				say("250-mail.example.com\r\n250 " + s.offers)
			}
		case "STARTTLS":
			say("220 go on")
			c = tls.Server(c, s.tls)
			r, secure = bufio.NewReader(c), true
		case "AUTH":
			if strings.HasPrefix(line, "AUTH LOGIN") {
				for _, ask := range []string{"Username:", "Password:"} {
					say("334 " + base64.StdEncoding.EncodeToString([]byte(ask)))
					answer, _ := r.ReadString('\n')
					s.mu.Lock()
					s.said = append(s.said, strings.TrimSpace(answer))
					s.mu.Unlock()
				}
			}
			say("235 welcome")
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			s.mu.Lock()
			s.data = append(s.data, b.String())
			s.mu.Unlock()
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func (s *server) settings() Settings {
	host, port, _ := net.SplitHostPort(s.l.Addr().String())
	n, _ := strconv.Atoi(port)
	return Settings{Host: host, Port: n, CA: s.ca, From: "Stockade <stockade@example.com>", To: []string{"Ops <ops@example.com>", "b@example.com"}}
}

func fixed() time.Time { return time.Unix(1_700_000_000, 0) }

func sender(t *testing.T, s Settings, password string) *Sender {
	t.Helper()
	g, err := guard.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(g, s, password, fixed)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const bad = "x\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script><img src=x onerror=alert(1)>\"'&|=]\u202e"

func hostile() *message.Event {
	e := message.Sample("0123456789abcdef", fixed(), "https://stockade.example.com/?a=1&b=2")
	e.Title, e.Text = finding.Text{EN: bad, ZH: bad}, finding.Text{EN: bad}
	f := &e.Findings[0]
	f.Title, f.Resource, f.Cluster, f.Link = finding.Text{EN: bad}, bad, bad, "javascript:alert(1)"
	e.Report = &message.Report{Name: bad, Link: "javascript:alert(2)"}
	return e
}

// read takes a message apart as a mail reader would.
func read(t *testing.T, data string) (h mail.Header, parts map[string]string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	parts = map[string]string{}
	var walk func(kind string, body io.Reader)
	walk = func(kind string, body io.Reader) {
		_, params, err := mime.ParseMediaType(kind)
		if err != nil {
			t.Fatal(err)
		}
		r := multipart.NewReader(body, params["boundary"])
		for {
			p, err := r.NextPart()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			inner := p.Header.Get("Content-Type")
			if strings.HasPrefix(inner, "multipart/") {
				walk(inner, p)
				continue
			}
			text, _ := io.ReadAll(p)
			if p.Header.Get("Content-Transfer-Encoding") == "base64" {
				for line := range strings.Lines(string(text)) {
					if len(line) > 78 {
						t.Errorf("a line of %d", len(line))
					}
				}
				text, err = base64.StdEncoding.DecodeString(strings.ReplaceAll(string(text), "\r\n", ""))
				if err != nil {
					t.Error(err)
				}
			}
			parts[inner+p.FileName()] = string(text)
		}
	}
	walk(m.Header.Get("Content-Type"), m.Body)
	return m.Header, parts
}

// TestInjection sends names that try to add headers, receivers and scripts.
func TestInjection(t *testing.T) {
	s := serve(t, &server{offers: "AUTH PLAIN LOGIN"})
	set := s.settings()
	set.User = "stockade"
	file := &message.Attachment{Name: "report\r\nX-A: b.html", Type: "text/html", Data: bytes.Repeat([]byte("abc"), 1000)}
	answer, err := sender(t, set, "hunter22").Send(context.Background(), hostile(), "en", file)
	if err != nil || answer != "accepted by 127.0.0.1" {
		t.Fatal(answer, err)
	}
	h, parts := read(t, s.data[0])
	if h.Get("Bcc") != "" || h.Get("X-A") != "" || h.Get("Message-Id") != "<0123456789abcdef@example.com>" || h.Get("X-Stockade-Event") != "0123456789abcdef" {
		t.Error(h)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "[Stockade] x  Bcc: evil@example.com") {
		t.Error(subject, err)
	}
	html := parts["text/html; charset=utf-8"]
	for _, b := range []string{"<script", "<img", "javascript:", "ZgotmplZ\""} {
		if b != "ZgotmplZ\"" && strings.Contains(html, b) {
			t.Errorf("%s in %s", b, html)
		}
	}
	if !strings.Contains(html, "color:#d4380d") || !strings.Contains(html, "&lt;script&gt;") || !strings.Contains(html, "a=1&amp;b=2") {
		t.Error(html)
	}
	if plain := parts["text/plain; charset=utf-8"]; !strings.Contains(plain, "[high] x") || strings.Contains(plain, "\nBcc") {
		t.Error(plain)
	}
	if len(parts) != 3 {
		t.Error(len(parts))
	}
	for kind, text := range parts {
		if strings.HasPrefix(kind, "text/htmlreport") && len(text) != 3000 {
			t.Error(kind, len(text))
		}
	}
	all := strings.Join(s.said, "\n")
	if !strings.Contains(all, "STARTTLS") || !strings.Contains(all, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00stockade\x00hunter22"))) ||
		!strings.Contains(all, "RCPT TO:<b@example.com>") || strings.Contains(all, "evil@example.com") {
		t.Error(all)
	}
}

func TestWays(t *testing.T) {
	zh := serve(t, &server{implicit: true, offers: "AUTH LOGIN"})
	set := zh.settings()
	set.Security, set.User = "tls", "stockade"
	if _, err := sender(t, set, "hunter22").Send(context.Background(), message.Sample("a", fixed(), ""), "zh", nil); err != nil {
		t.Fatal(err)
	}
	_, parts := read(t, zh.data[0])
	if !strings.Contains(parts["text/plain; charset=utf-8"], "[高危] 示例") || zh.said[len(zh.said)-6] != base64.StdEncoding.EncodeToString([]byte("hunter22")) {
		t.Error(parts, zh.said)
	}

	none := serve(t, &server{})
	set = none.settings()
	set.Security = "none"
	if _, err := sender(t, set, "").Send(context.Background(), message.Sample("a", fixed(), ""), "en", nil); err != nil {
		t.Fatal(err)
	}
}

// TestRefusals says which answers end the attempts, and that nothing leaves without encryption.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		script    map[string]string
		permanent bool
		want      string
	}{
		"later":            {map[string]string{"MAIL": "451 later, hunter22"}, false, "answers 451: later, REDACTED"},
		"never":            {map[string]string{"DATA": "554 no"}, true, "answers 554"},
		"sign-in":          {map[string]string{"AUTH": "535 wrong hunter22"}, false, "answers 535: wrong REDACTED"},
		"nobody":           {map[string]string{"RCPT": "550 unknown"}, true, "answers 550"},
		"no encryption":    {map[string]string{"EHLO": "250 mail.example.com"}, false, "no STARTTLS"},
		"broken STARTTLS":  {map[string]string{"STARTTLS": "454 no"}, false, "answers 454"},
		"endless greeting": {map[string]string{"EHLO": strings.Repeat("250-"+strings.Repeat("x", 200)+"\r\n", 10000)}, false, "too much"},
	} {
		s := serve(t, &server{script: c.script, offers: "AUTH PLAIN"})
		set := s.settings()
		set.User = "stockade"
		_, err := sender(t, set, "hunter22").Send(context.Background(), message.Sample("a", fixed(), ""), "en", nil)
		if err == nil || message.Permanent(err) != c.permanent || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, permanent %v", name, err, message.Permanent(err))
		}
		if len(s.data) > 0 {
			t.Errorf("%s: it was sent", name)
		}
	}
	s := serve(t, &server{script: map[string]string{"RCPT TO:<b@example.com>": "550 unknown"}})
	answer, err := sender(t, s.settings(), "").Send(context.Background(), message.Sample("a", fixed(), ""), "en", nil)
	if err != nil || !strings.Contains(answer, "not for b@example.com: 550 unknown") {
		t.Error(answer, err)
	}
}

// TestHang ends with the context when the server says nothing.
func TestHang(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer func() { _ = c.Close() }()
			cancel()
			_, _ = io.Copy(io.Discard, c)
		}
	}()
	m := sender(t, (&server{l: l}).settings(), "")
	if _, err := m.Send(ctx, message.Sample("a", fixed(), ""), "en", nil); err == nil || message.Permanent(err) {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	g, _ := guard.New(nil)
	good := Settings{Host: "mail.example.com", From: "a@example.com", To: []string{"b@example.com"}}
	if _, err := New(g, good, "", fixed); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*Settings){
		func(s *Settings) { s.Host = "" }, func(s *Settings) { s.Host = "127.0.0.1" }, func(s *Settings) { s.Host = "localhost" }, func(s *Settings) { s.Host = "a/b" },
		func(s *Settings) { s.From = "" }, func(s *Settings) { s.From = "a@example.com\r\nBcc: x@example.com" }, func(s *Settings) { s.To = nil },
		func(s *Settings) { s.To = []string{"no"} }, func(s *Settings) { s.To = make([]string, 51) }, func(s *Settings) { s.Security = "maybe" },
		func(s *Settings) { s.Security, s.User = "none", "a" }, func(s *Settings) { s.CA = "no" },
	} {
		s := good
		change(&s)
		if _, err := New(g, s, "", fixed); err == nil {
			t.Errorf("case %d was taken: %s", i, fmt.Sprint(s))
		}
	}
}
