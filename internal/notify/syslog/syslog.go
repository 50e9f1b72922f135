// Package syslog sends messages to log collectors and SIEMs: RFC 5424 over UDP, TCP and TLS, with plain texts or in CEF.
package syslog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

// Settings of a channel that speaks syslog.
type Settings struct {
	Address  string `json:"address" maxLength:"300" doc:"host:port"`
	Protocol string `json:"protocol,omitempty" enum:"udp,tcp,tls" doc:"default tls"`
	CA       string `json:"ca,omitempty" maxLength:"65536" doc:"certificate authorities in PEM, trusted beside the system's"`
	Facility int    `json:"facility,omitempty" minimum:"0" maximum:"23" doc:"default 16, local0"`
	Hostname string `json:"hostname,omitempty" maxLength:"255" doc:"name of the sender; default stockade"`
}

// Sender sends to one collector.
type Sender struct {
	settings Settings
	guard    *guard.Guard
	roots    *x509.CertPool
	cef      bool
	version  string
}

const (
	timeout = 15 * time.Second
	maxUDP  = 2048 // bytes that every receiver over UDP should take (RFC 5426)
	maxTCP  = 8192
)

// New checks settings and makes a Sender; with cef the texts are in the Common Event Format. version is the program's.
func New(g *guard.Guard, s Settings, cef bool, version string) (*Sender, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if n, convErr := strconv.Atoi(port); err != nil || host == "" || convErr != nil || n < 1 || n > 65535 {
		return nil, errors.New("the address of the collector must be host:port")
	}
	if err := g.Host(host); err != nil {
		return nil, err
	}
	switch s.Protocol {
	case "":
		s.Protocol = "tls"
	case "udp", "tcp", "tls":
	default:
		return nil, fmt.Errorf("protocol %q: want udp, tcp or tls", s.Protocol)
	}
	if s.Facility == 0 {
		s.Facility = 16
	}
	if s.Facility < 0 || s.Facility > 23 {
		return nil, errors.New("facility: want 1 to 23")
	}
	if s.Hostname == "" {
		s.Hostname = "stockade"
	}
	if s.Hostname != token(s.Hostname, 255) {
		return nil, errors.New("the host name may have letters, digits, dots and hyphens")
	}
	roots, err := guard.Roots(s.CA)
	return &Sender{s, g, roots, cef, version}, err
}

// Send sends an event: one record for it, and one for each finding that it lists.
func (s *Sender) Send(ctx context.Context, e *message.Event, lang string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return "", &message.Failure{Permanent: errors.Is(err, guard.ErrRefused), Err: err}
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	records := s.Records(e, lang)
	for _, r := range records {
		if s.settings.Protocol != "udp" {
			r = strconv.Itoa(len(r)) + " " + r // RFC 6587: the length in front, so that nothing in the text ends a record
		}
		if _, err := conn.Write([]byte(r)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d records sent; syslog does not confirm them", len(records)), nil
}

func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	network := "tcp"
	if s.settings.Protocol == "udp" {
		network = "udp"
	}
	conn, err := s.guard.Dial(ctx, network, s.settings.Address)
	if err != nil || s.settings.Protocol != "tls" {
		return conn, err
	}
	host, _, _ := net.SplitHostPort(s.settings.Address)
	secure := tls.Client(conn, &tls.Config{ServerName: host, RootCAs: s.roots, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secure, nil
}

// level is the severity of syslog.
func level(s finding.Severity) int { return max(2, 6-max(0, s.Rank())) }

// Records are the records of an event as they are sent, without the framing of streams.
func (s *Sender) Records(e *message.Event, lang string) []string {
	d := e.In(lang)
	records := []string{s.record(d, e.Severity, eventPairs(d), s.text(d, nil))}
	for i := range d.Findings {
		f := &d.Findings[i]
		records = append(records, s.record(d, f.Severity, findingPairs(d, f, i+1), s.text(d, f)))
	}
	return records
}

func (s *Sender) record(d message.Document, sev finding.Severity, data []pair, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s stockade - %s ", s.settings.Facility*8+level(sev), d.At.UTC().Format("2006-01-02T15:04:05.000Z"), s.settings.Hostname, token(d.Topic, 32))
	if s.cef {
		b.WriteString("- ")
	} else {
		b.WriteString("[stockade@32473")
		for _, p := range data {
			if p.value != "" {
				fmt.Fprintf(&b, ` %s="%s"`, p.name, parameter.Replace(message.Cut(message.Line(p.value), 255)))
			}
		}
		b.WriteString("] \ufeff")
	}
	b.WriteString(text)
	limit := maxTCP
	if s.settings.Protocol == "udp" {
		limit = maxUDP
	}
	return message.Cut(b.String(), limit)
}

// parameter escapes what a value of structured data cannot have (RFC 5424, 6.3.3).
var parameter = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// token keeps of s what header fields may have.
func token(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return -1
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(n, len(s))]
}

func (s *Sender) text(d message.Document, f *message.DocumentFinding) string {
	if s.cef {
		return s.event(d, f)
	}
	if f == nil {
		return message.Line(strings.TrimSpace(d.Title + " " + d.Text))
	}
	return message.Line(f.Title)
}

type pair struct{ name, value string }

func eventPairs(d message.Document) []pair {
	return []pair{{"event", d.ID}, {"severity", string(d.Severity)}, {"target", d.Target.Name}, {"targetKind", d.Target.Kind}, {"total", count(d.Counts.Total)},
		{"new", count(d.Counts.New)}, {"state", d.Details["state"]}, {"status", d.Details["status"]}, {"reason", d.Details["reason"]}, {"link", d.Link}}
}

func findingPairs(d message.Document, f *message.DocumentFinding, n int) []pair {
	return []pair{{"event", d.ID + "." + strconv.Itoa(n)}, {"severity", string(f.Severity)}, {"finding", f.ID}, {"rule", f.Rule}, {"kind", f.Kind}, {"status", f.Status},
		{"cluster", f.Cluster}, {"namespace", f.Namespace}, {"resource", f.Resource}, {"image", f.Image}, {"package", f.Package}, {"version", f.Version},
		{"kev", flag(f.KEV)}, {"link", f.Link}}
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}

func count(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
