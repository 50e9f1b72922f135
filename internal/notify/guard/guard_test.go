package guard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestRefused is the table of addresses.
func TestRefused(t *testing.T) {
	for addr, want := range map[string]string{
		"8.8.8.8": "", "93.184.216.34": "", "2606:4700::1111": "", "64:ff9b::808:808": "", "::ffff:8.8.8.8": "",
		"172.15.255.255": "", "172.32.0.1": "", "100.63.255.255": "", "100.128.0.1": "", "11.0.0.1": "",
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified", "::127.0.0.1": "unspecified",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private", "100.64.0.1": "private",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback",
		"169.254.1.1": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"169.254.169.254": "metadata service", "169.254.170.2": "metadata service", "100.100.100.200": "metadata service",
		"168.63.129.16": "metadata service", "fd00:ec2::254": "metadata service", "192.0.0.192": "metadata service",
		"::ffff:127.0.0.1": "loopback", "::ffff:10.0.0.1": "private", "::ffff:169.254.169.254": "metadata service",
		"64:ff9b::7f00:1": "loopback", "64:ff9b::a00:1": "private", "64:ff9b::a9fe:a9fe": "metadata service", "64:ff9b:1::1": "private",
		"::ffff:0:127.0.0.1": "reserved", "2002:7f00:1::": "reserved", "2001:0:4136:e378:8000:63bf:3fff:fdd2": "reserved", "2001:db8::1": "reserved",
		"fc00::1": "private", "fd12:3456::1": "private", "fec0::1": "private",
		"224.0.0.1": "multicast", "239.255.255.250": "multicast", "ff02::1": "multicast",
		"255.255.255.255": "reserved", "240.0.0.1": "reserved", "198.18.0.1": "reserved", "192.0.2.1": "reserved", "203.0.113.9": "reserved",
	} {
		if got := Refused(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestAllow(t *testing.T) {
	for _, c := range []struct {
		allow, host, addr string
		ok                bool
	}{
		{"10.1.0.0/16", "a", "10.1.2.3", true},
		{"10.1.0.0/16", "a", "10.2.2.3", false},
		{"10.1.0.0/16", "a", "::ffff:10.1.2.3", true},
		{"10.1.0.0/16", "a", "64:ff9b::a01:203", true},
		{"10.1.2.3", "a", "10.1.2.3", true},
		{"10.1.2.3", "a", "10.1.2.4", false},
		{"hook.corp.example.com", "HOOK.corp.example.com.", "10.1.2.3", true},
		{"hook.corp.example.com", "other.corp.example.com", "10.1.2.3", false},
		{"*.corp.example.com", "a.corp.example.com", "192.168.1.1", true},
		{"*.corp.example.com", "corp.example.com", "192.168.1.1", false},
		{"*.corp.example.com", "evilcorp.example.com", "192.168.1.1", false},
		// metadata services by their exact address only
		{"0.0.0.0/0", "a", "169.254.169.254", false},
		{"169.254.0.0/16", "a", "169.254.169.254", false},
		{"hook.corp.example.com", "hook.corp.example.com", "169.254.169.254", false},
		{"hook.corp.example.com", "hook.corp.example.com", "::ffff:169.254.169.254", false},
		{"169.254.169.254", "a", "169.254.169.254", true},
		{"", "a", "8.8.8.8", true},
	} {
		var list []string
		if c.allow != "" {
			list = []string{c.allow}
		}
		g, err := New(list)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.check(c.host, netip.MustParseAddr(c.addr)); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	g, err := New(Private)
	if err != nil || g.check("a", netip.MustParseAddr("192.168.1.1")) != nil || g.check("a", netip.MustParseAddr("127.0.0.1")) == nil ||
		g.check("a", netip.MustParseAddr("fd00:ec2::254")) == nil || g.check("a", netip.MustParseAddr("100.100.100.200")) == nil {
		t.Error("the private networks", err)
	}
	for _, bad := range []string{"", "*", "*corp", "10.0.0.0/99", "http://a", "a b", "*.", "a:25"} {
		if _, err := New([]string{bad}); err == nil {
			t.Errorf("allowed destination %q was taken", bad)
		}
	}
}

// TestDial holds the dialler to the address that a name has when it is dialled.
func TestDial(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	closed, _ := New(nil)
	open, _ := New([]string{"127.0.0.0/8", "::1"})
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "[::]"} {
		_, err := closed.Dial(context.Background(), "tcp", host+":"+port)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	conn, err := open.Dial(context.Background(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestRebinding resolves a name to a public address first and to the metadata service then: the second is not dialled.
func TestRebinding(t *testing.T) {
	answers := [][]byte{{127, 0, 0, 2}, {169, 254, 169, 254}}
	n := 0
	g, _ := New([]string{"127.0.0.2"})
	g.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go answer(server, func() []byte { a := answers[min(n, len(answers)-1)]; n++; return a })
		return client, nil
	}}
	_, err := g.Dial(context.Background(), "tcp4", "rebind.example.com:9")
	if err == nil || errors.Is(err, ErrRefused) {
		t.Fatalf("the first address is allowed and only nobody listens: %v", err)
	}
	_, err = g.Dial(context.Background(), "tcp4", "rebind.example.com:9")
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "metadata") {
		t.Fatalf("the second address: %v", err)
	}
}

// answer is a DNS server for one question over a stream-like pipe: an A record for what was asked.
func answer(c net.Conn, address func() []byte) {
	defer func() { _ = c.Close() }()
	for {
		buf := make([]byte, 2048)
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		q := buf[:n]
		stream := len(q) > 2 && int(q[0])<<8|int(q[1]) == n-2 // with a length in front
		if stream {
			q = q[2:]
		}
		end := 12
		for q[end] != 0 {
			end += int(q[end]) + 1
		}
		end += 5
		r := append([]byte{}, q[:end]...)
		r[2], r[3] = 0x81, 0x80
		r[6], r[7], r[8], r[9], r[10], r[11] = 0, 1, 0, 0, 0, 0
		r = append(r, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		r = append(r, address()...)
		if stream {
			r = append([]byte{byte(len(r) >> 8), byte(len(r))}, r...)
		}
		if _, err := c.Write(r); err != nil {
			return
		}
	}
}

func TestURL(t *testing.T) {
	g, _ := New([]string{"10.0.0.1"})
	for text, ok := range map[string]bool{
		"https://hooks.example.com/a": true, "https://10.0.0.1/": true, "https://8.8.8.8:8443/": true,
		"http://hooks.example.com/": false, "ftp://a/": false, "file:///etc/passwd": false, "gopher://a": false, "https://": false, "//a": false, "": false,
		"https://u:p@hooks.example.com/": false, "https://127.0.0.1/": false, "https://[::1]/": false, "https://localhost/": false,
		"https://a.localhost/": false, "https://169.254.169.254/latest/": false, "https://[::ffff:10.0.0.2]/": false, "https://a\x00b/": false,
	} {
		if _, err := g.URL(text, false); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := g.URL("http://hooks.example.com/", true); err != nil {
		t.Error(err)
	}
}

// TestRedirect holds the client to the place that it was given.
func TestRedirect(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	}))
	defer s.Close()
	g, _ := New([]string{"127.0.0.1"})
	resp, err := g.Client(5*time.Second, nil).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusFound || asked != 1 {
		t.Errorf("status %d after %d requests", resp.StatusCode, asked)
	}
}

func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://a.example.com/x?y#z", "https://[::1%25eth0]/", "https://0x7f.1/", "https://2130706433/", "https://a@b@c/"} {
		f.Add(s)
	}
	g, _ := New(nil)
	f.Fuzz(func(t *testing.T, text string) {
		u, err := g.URL(text, false)
		if err == nil && (u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			t.Errorf("%q was taken", text)
		}
	})
}
