// Package mail sends messages by SMTP: as plain text and as HTML, with an attachment where there is one.
package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

// Settings of a channel that sends mail.
type Settings struct {
	Host     string   `json:"host" maxLength:"255"`
	Port     int      `json:"port,omitempty" minimum:"0" maximum:"65535" doc:"default 587, for tls 465, for none 25"`
	Security string   `json:"security,omitempty" enum:"starttls,tls,none" doc:"default starttls; none sends no password"`
	CA       string   `json:"ca,omitempty" maxLength:"65536" doc:"certificate authorities in PEM, trusted beside the system's"`
	User     string   `json:"user,omitempty" maxLength:"255" doc:"absent sends without signing in"`
	From     string   `json:"from" maxLength:"320"`
	To       []string `json:"to" maxItems:"50"`
}

// Sender sends through one server.
type Sender struct {
	settings Settings
	password string
	guard    *guard.Guard
	roots    *x509.CertPool
	from     *mail.Address
	to       []*mail.Address
	now      func() time.Time
}

// Bounds of a conversation with a server: its time, and what it may say in bytes.
const (
	timeout = 60 * time.Second
	maxTalk = 1 << 20
)

// New checks settings and makes a Sender.
func New(g *guard.Guard, s Settings, password string, now func() time.Time) (*Sender, error) {
	m := &Sender{settings: s, password: password, guard: g, now: now}
	switch s.Security {
	case "":
		m.settings.Security = "starttls"
	case "starttls", "tls":
	case "none":
		if s.User != "" {
			return nil, errors.New("a password is not sent without encryption: choose starttls or tls, or no user")
		}
	default:
		return nil, fmt.Errorf("security %q: want starttls, tls or none", s.Security)
	}
	if m.settings.Port == 0 {
		m.settings.Port = map[string]int{"starttls": 587, "tls": 465, "none": 25}[m.settings.Security]
	}
	if s.Host == "" || strings.ContainsAny(s.Host, "/:@ \r\n") && !strings.Contains(s.Host, ":") {
		return nil, errors.New("the host of the mail server is missing or no host name")
	}
	if err := g.Host(s.Host); err != nil {
		return nil, err
	}
	var err error
	if m.roots, err = guard.Roots(s.CA); err != nil {
		return nil, err
	}
	if m.from, err = address(s.From); err != nil {
		return nil, fmt.Errorf("sender: %w", err)
	}
	if len(s.To) == 0 || len(s.To) > 50 {
		return nil, errors.New("want 1 to 50 receivers")
	}
	for _, to := range s.To {
		a, err := address(to)
		if err != nil {
			return nil, fmt.Errorf("receiver: %w", err)
		}
		m.to = append(m.to, a)
	}
	return m, nil
}

func address(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil || strings.ContainsAny(a.Address, "\r\n<> ") || message.Line(a.Name) != a.Name {
		return nil, fmt.Errorf("%q is no mail address", message.Cut(message.Line(text), 80))
	}
	return a, nil
}

// Send sends an event and returns the server's answer, redacted.
func (m *Sender) Send(ctx context.Context, e *message.Event, lang string, file *message.Attachment) (string, error) {
	data, err := m.compose(e, lang, file)
	if err != nil {
		return "", &message.Failure{Permanent: true, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := m.talk(ctx, data)
	if err != nil {
		return "", m.failure(err)
	}
	return answer, nil
}

// failure judges an error: what the server refuses for good is not sent again. Refused sign-ins may be repaired.
func (m *Sender) failure(err error) error {
	f := &message.Failure{Permanent: errors.Is(err, guard.ErrRefused), Err: err}
	var said *textproto.Error
	if errors.As(err, &said) {
		switch said.Code {
		case 530, 534, 535, 538:
		default:
			f.Permanent = said.Code >= 500
		}
		f.Err = fmt.Errorf("the mail server answers %d", said.Code)
		f.Answer = message.Answer(said.Msg, m.password)
	}
	return f
}

// talk holds the conversation with the server.
func (m *Sender) talk(ctx context.Context, data []byte) (string, error) {
	conn, err := m.guard.Dial(ctx, "tcp", net.JoinHostPort(m.settings.Host, strconv.Itoa(m.settings.Port)))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) }) // ends a read that waits
	defer stop()
	conn = &short{Conn: conn, left: maxTalk}
	secure := &tls.Config{ServerName: m.settings.Host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
	if m.settings.Security == "tls" {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.settings.Host)
	if err != nil {
		return "", err
	}
	if err := c.Hello("stockade"); err != nil {
		return "", err
	}
	if m.settings.Security == "starttls" {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return "", errors.New("the mail server offers no STARTTLS: nothing is sent without encryption")
		}
		if err := c.StartTLS(secure); err != nil {
			return "", err
		}
	}
	if m.settings.User != "" {
		if err := m.signIn(c); err != nil {
			return "", err
		}
	}
	if err := c.Mail(m.from.Address); err != nil {
		return "", err
	}
	refused, err := m.receivers(c)
	if err != nil {
		return "", err
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_ = c.Quit() // it has the message: what it says now changes nothing
	return "accepted by " + m.settings.Host + refused, nil
}

// receivers names the receivers; those that the server refuses do not keep the message from the others.
func (m *Sender) receivers(c *smtp.Client) (refused string, err error) {
	taken := 0
	for _, to := range m.to {
		failure := c.Rcpt(to.Address)
		var said *textproto.Error
		switch {
		case failure == nil:
			taken++
		case errors.As(failure, &said):
			refused += "; not for " + to.Address + ": " + message.Answer(strconv.Itoa(said.Code)+" "+said.Msg, m.password)
			err = failure
		default:
			return "", failure
		}
	}
	if taken == 0 {
		return "", err
	}
	return refused, nil
}

func (m *Sender) signIn(c *smtp.Client) error {
	ok, offered := c.Extension("AUTH")
	if !ok {
		return errors.New("the mail server offers no sign-in: leave the user empty")
	}
	for word := range strings.FieldsSeq(offered) {
		if strings.EqualFold(word, "PLAIN") {
			return c.Auth(smtp.PlainAuth("", m.settings.User, m.password, m.settings.Host))
		}
	}
	return c.Auth(&login{m.settings.User, m.password})
}

// login is the sign-in of servers that do not offer PLAIN. It is used on encrypted connections only.
type login struct{ user, password string }

func (l *login) Start(s *smtp.ServerInfo) (string, []byte, error) {
	if !s.TLS {
		return "", nil, errors.New("a password is not sent without encryption")
	}
	return "LOGIN", nil, nil
}

func (l *login) Next(from []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch strings.ToLower(strings.TrimSpace(string(from))) {
	case "username:":
		return []byte(l.user), nil
	case "password:":
		return []byte(l.password), nil
	}
	return nil, errors.New("the mail server asks for something else than user and password")
}

// short is a connection on which the other side may not say much.
type short struct {
	net.Conn
	left int64
}

func (s *short) Read(p []byte) (int, error) {
	if s.left <= 0 {
		return 0, errors.New("the mail server says too much")
	}
	n, err := s.Conn.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	return n, err
}
