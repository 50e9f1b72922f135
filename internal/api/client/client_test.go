package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) (*httptest.Server, Options) {
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return s, Options{URL: s.URL, Token: "t0ken", Pin: "sha256:" + hex.EncodeToString(sum[:]), Wait: func(context.Context, time.Duration) error { return nil }}
}

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPages(t *testing.T) {
	_, o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t0ken" || r.URL.Query().Get("kind") != "x" {
			w.WriteHeader(401)
			return
		}
		next := map[string]string{"": "b", "b": "c", "c": ""}[r.URL.Query().Get("after")]
		_, _ = fmt.Fprintf(w, `{"items":[{"name":%q},{"name":"-"}],"next":%q}`, "after "+r.URL.Query().Get("after"), next)
	})
	var got []string
	for v, err := range All[struct{ Name string }](context.Background(), client(t, o), "/things", map[string][]string{"kind": {"x"}}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.Name)
	}
	if want := "after |-|after b|-|after c|-"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

// TestRetries: what the server turned away is sent again with the same key, what it refused is not.
func TestRetries(t *testing.T) {
	var calls atomic.Int64
	var keys, bodies []string
	_, o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		keys, bodies = append(keys, r.Header.Get("Idempotency-Key")), append(bodies, string(b))
		switch {
		case r.URL.Path == "/api/v1/refused":
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"title":"Forbidden","status":403,"detail":"no\u001b[31m","errors":[{"message":"bad","location":"body.x"}]}`)
		case r.URL.Path == "/api/v1/long":
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(503)
		case calls.Add(1) < 3:
			w.Header().Set("Retry-After", "2")
			w.WriteHeader(503)
		default:
			_, _ = io.WriteString(w, `{"ok":true}`)
		}
	})
	var waited time.Duration
	o.Wait = func(_ context.Context, d time.Duration) error { waited += d; return nil }
	c := client(t, o)
	var out struct{ OK bool }
	if err := c.Call(context.Background(), "POST", "/x", map[string]int{"a": 1}, &out); err != nil || !out.OK {
		t.Fatal(err)
	}
	if len(keys) != 3 || keys[0] == "" || keys[0] != keys[2] || bodies[2] != `{"a":1}` || waited != 4*time.Second {
		t.Errorf("keys %q, bodies %q, waited %v", keys, bodies, waited)
	}
	err := c.Call(context.Background(), "POST", "/refused", nil, nil)
	var p *Problem
	if !errors.As(err, &p) || p.Status != 403 || p.Hint() == "" || err.Error() != "no [31m; body.x: bad" || len(keys) != 4 {
		t.Errorf("%v", err)
	}
	if err := c.Call(context.Background(), "GET", "/long", nil, nil); !errors.As(err, &p) || len(keys) != 5 {
		t.Errorf("waiting for a day: %v", err)
	}
}

func TestTrust(t *testing.T) {
	s, o := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/elsewhere" {
			http.Redirect(w, r, "https://evil.example.com/", http.StatusFound)
		}
	})
	good := o
	for name, bad := range map[string]func(*Options){
		"system's CAs": func(o *Options) { o.Pin = "" },
		"another pin":  func(o *Options) { o.Pin = "sha256:" + strings.Repeat("00", 32) },
		"another name": func(o *Options) { o.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) },
	} {
		o := good
		bad(&o)
		o.Wait = func(context.Context, time.Duration) error { t.Errorf("%s: tried again", name); return nil }
		if err := client(t, o).Call(context.Background(), "GET", "/x", nil, nil); err == nil {
			t.Errorf("%s: trusted", name)
		}
	}
	if err := client(t, good).Call(context.Background(), "GET", "/x", nil, nil); err != nil {
		t.Error(err)
	}
	if err := client(t, good).Call(context.Background(), "GET", "/elsewhere", nil, nil); err == nil || !strings.Contains(err.Error(), "evil.example.com") {
		t.Errorf("redirected: %v", err)
	}
	for _, u := range []string{"", "stockade.example.com", "http://stockade.example.com", "ftp://x", "https://user:pw@stockade.example.com"} {
		if _, err := New(Options{URL: u}); err == nil {
			t.Errorf("%q was taken", u)
		}
	}
}

func TestEvents(t *testing.T) {
	_, o := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, ": open\n\nevent: progress\nid: 4\ndata: {\"a\":\ndata: 1}\n\n: alive\n\ndata: 2\r\n\r\nevent: cut\ndata: 3\n")
	})
	var got []string
	for e, err := range client(t, o).Events(context.Background(), "/events") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Name+" "+e.ID+" "+string(e.Data))
	}
	if want := "progress 4 {\"a\":\n1}|message 4 2"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("event: a\ndata: {}\n\n")
	f.Add("data\n\ndata:x\r\n\r\n:\n\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_ = readEvents(strings.NewReader(text), func(Event) bool { return true }) // it must end
	})
}
