package syslog

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/notify/guard"
	"stockade.dev/stockade/internal/notify/message"
)

func at() time.Time { return time.UnixMilli(1_700_000_000_123) }

func local(t *testing.T, s Settings, cef bool) *Sender {
	t.Helper()
	g, err := guard.New([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	sender, err := New(g, s, cef, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

const bad = "a\r\n<13>1 - evil | pipe = \\ \" ] [x y=\"z\"]\u2028\x00end"

func hostile() *message.Event {
	e := message.Sample("id1", at(), "https://stockade.example.com/")
	e.Title = finding.Text{EN: bad}
	f := &e.Findings[0]
	f.Title, f.Resource, f.Namespace, f.Image, f.Rule = finding.Text{EN: bad}, bad, bad, bad, bad
	return e
}

func TestRecords(t *testing.T) {
	s := local(t, Settings{Address: "127.0.0.1:514"}, false)
	e := message.Sample("id1", at(), "https://stockade.example.com/")
	want := []string{
		"<131>1 2023-11-14T22:13:20.123Z stockade stockade - test [stockade@32473 event=\"id1\" severity=\"high\" target=\"example\" targetKind=\"cluster\" total=\"1\" new=\"1\" link=\"https://stockade.example.com/\"] \ufeffTest message from Stockade: this channel works Nothing was found: the finding below is an example.",
		"<131>1 2023-11-14T22:13:20.123Z stockade stockade - test [stockade@32473 event=\"id1.1\" severity=\"high\" finding=\"1\" rule=\"workload/privileged-container\" kind=\"configuration\" status=\"open\" cluster=\"example\" namespace=\"shop\" resource=\"till\" image=\"registry.example.com/shop/till:1.0\" link=\"https://stockade.example.com/\"] \ufeffExample: privileged container",
	}
	for i, r := range s.Records(e, "en") {
		if r != want[i] {
			t.Errorf("%s\nwant\n%s", r, want[i])
		}
	}
}

// parameters reads structured data as a collector does.
func parameters(t *testing.T, record string) (data map[string]string, text string) {
	t.Helper()
	_, rest, ok := strings.Cut(record, "[stockade@32473")
	if !ok {
		t.Fatal(record)
	}
	data = map[string]string{}
	for strings.HasPrefix(rest, " ") {
		name, value, _ := strings.Cut(rest[1:], `="`)
		var b strings.Builder
		i := 0
		for ; value[i] != '"'; i++ {
			if value[i] == '\\' {
				i++
			} else if value[i] == ']' {
				t.Fatalf("a bare bracket in %s", record)
			}
			b.WriteByte(value[i])
		}
		data[name] = b.String()
		rest = value[i+1:]
	}
	if !strings.HasPrefix(rest, "] \ufeff") {
		t.Fatalf("the data ends with %q", rest)
	}
	return data, rest
}

// TestInjection keeps each record one record, whatever the names are.
func TestInjection(t *testing.T) {
	for _, r := range local(t, Settings{Address: "127.0.0.1:514"}, false).Records(hostile(), "en") {
		if strings.ContainsAny(r, "\r\n\x00\u2028") {
			t.Errorf("%q", r)
		}
		data, _ := parameters(t, r)
		if data["evil"] != "" || data["y"] != "" || data["resource"] != "" && data["resource"] != message.Line(bad) {
			t.Error(data)
		}
	}
	for _, r := range local(t, Settings{Address: "127.0.0.1:514"}, true).Records(hostile(), "en") {
		_, cef, _ := strings.Cut(r, " - CEF:0|")
		if cef == "" || strings.ContainsAny(r, "\r\n\x00\u2028") {
			t.Fatalf("%q", r)
		}
		fields := split(cef, '|')
		if len(fields) != 7 || fields[5] != "8" || fields[2] != "1.2.3" {
			t.Errorf("%d fields: %q", len(fields), fields)
		}
		if n := len(split(fields[6], '=')); n != strings.Count(fields[6], "=")-strings.Count(fields[6], `\=`)+1 || strings.Contains(fields[6], " y=") || strings.Contains(fields[6], " pipe =") {
			t.Errorf("%q", fields[6])
		}
	}
}

// split parts s at marks that are not escaped, six times at most for heads.
func split(s string, mark byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s) && (mark != '|' || len(out) < 6); i++ {
		if s[i] == '\\' {
			i++
		} else if s[i] == mark {
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

func TestCEF(t *testing.T) {
	e := message.Sample("id1", at(), "")
	got := local(t, Settings{Address: "127.0.0.1:514", Facility: 1, Hostname: "scan.example.com"}, true).Records(e, "zh")[1]
	want := "<11>1 2023-11-14T22:13:20.123Z scan.example.com stockade - test - CEF:0|Stockade|Stockade|1.2.3|workload/privileged-container|示例:特权容器|8|" +
		"rt=1700000000123 externalId=id1.1 cat=configuration outcome=open cs1=example cs1Label=cluster cs2=shop cs2Label=namespace cs3=till cs3Label=resource cs4=registry.example.com/shop/till:1.0 cs4Label=image"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestUDP(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	e := hostile()
	e.Title.EN = strings.Repeat("é", 3000)
	if _, err := local(t, Settings{Address: l.LocalAddr().String(), Protocol: "udp"}, false).Send(context.Background(), e, "en"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for range 2 {
		n, _, err := l.ReadFrom(buf)
		if err != nil || n > maxUDP || !utf8.Valid(buf[:n]) || !strings.HasPrefix(string(buf[:n]), "<131>1 ") {
			t.Errorf("%d bytes %q %v", n, buf[:n], err)
		}
	}
}

// TestStreams reads records by their length over TCP and TLS.
func TestStreams(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	defer certs.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certs.Certificate().Raw}))
	for _, protocol := range []string{"tcp", "tls"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if protocol == "tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: certs.TLS.Certificates})
		}
		got := make(chan []string, 1)
		go func() {
			defer close(got)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			r := bufio.NewReader(c)
			var records []string
			for {
				length, err := r.ReadString(' ')
				if err != nil {
					got <- records
					return
				}
				n, _ := strconv.Atoi(strings.TrimSpace(length))
				record := make([]byte, n)
				if _, err := io.ReadFull(r, record); err != nil {
					return
				}
				records = append(records, string(record))
			}
		}()
		s := local(t, Settings{Address: l.Addr().String(), Protocol: protocol, CA: ca}, false)
		if _, err := s.Send(context.Background(), hostile(), "en"); err != nil {
			t.Fatal(err)
		}
		records := <-got
		if len(records) != 2 || records[0] != s.Records(hostile(), "en")[0] {
			t.Errorf("%s: %q", protocol, records)
		}
		_ = l.Close()
	}
	if _, err := local(t, Settings{Address: "127.0.0.1:1", Protocol: "tls"}, false).Send(context.Background(), hostile(), "en"); err == nil || message.Permanent(err) {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	g, _ := guard.New(nil)
	for _, s := range []Settings{{}, {Address: "a"}, {Address: "a:0"}, {Address: "a:x"}, {Address: ":514"}, {Address: "127.0.0.1:514"}, {Address: "a:514", Protocol: "sctp"},
		{Address: "a:514", Facility: 24}, {Address: "a:514", Hostname: "a b"}, {Address: "a:514", CA: "no"}} {
		if _, err := New(g, s, false, ""); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
	s, err := New(g, Settings{Address: "collector.example.com:6514"}, false, "")
	if err != nil || s.settings.Protocol != "tls" {
		t.Error(err)
	}
	_, err = New(g, Settings{Address: "[::1]:514"}, false, "")
	if !errors.Is(err, guard.ErrRefused) {
		t.Error(err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add(bad, "x")
	f.Add("]\\\"=|", "\xff\xfe")
	f.Fuzz(func(t *testing.T, name, title string) {
		e := hostile()
		e.Findings[0].Resource, e.Findings[0].Title, e.Details = name, finding.Text{EN: title}, map[string]string{"reason": name}
		for _, cef := range []bool{false, true} {
			s := &Sender{settings: Settings{Facility: 16, Hostname: "h"}, cef: cef}
			for _, r := range s.Records(e, "en") {
				if strings.ContainsAny(r, "\r\n\x00") || !utf8.ValidString(r) || len(r) > maxTCP {
					t.Errorf("%q", r)
				}
				if !cef {
					parameters(t, r)
				}
			}
		}
	})
}
