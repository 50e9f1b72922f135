package link

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	stdlog "log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/provider/protocol"
)

// lab is a server that answers with what a test sets, and a client of it.
type lab struct {
	*Client
	dir    string
	now    time.Time
	answer http.HandlerFunc
	asked  int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), now: time.Now()}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.asked++; l.answer(w, r) }))
	s.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "provider"}, NotBefore: l.now.Add(-time.Hour), NotAfter: l.now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	l.write(t, KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	l.write(t, CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	l.write(t, ServerFile, []byte(strings.TrimPrefix(s.URL, "https://")+"\n"))
	l.write(t, TargetFile, []byte("7"))
	l.Client = New(l.dir, "test", func() time.Time { return l.now })
	return l
}

func (l *lab) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfTheLink(t *testing.T) {
	c := New(t.TempDir(), "test", nil)
	if _, err := c.Beat(t.Context(), protocol.Beat{}); !errors.Is(err, ErrSetup) {
		t.Errorf("no files: %v", err)
	}
	for name, text := range map[string]string{ServerFile: "http://stockade.example.com", TargetFile: "seven", CAFile: "noise", CertFile: "noise", KeyFile: ""} {
		l := newLab(t)
		l.write(t, name, []byte(text))
		if _, err := l.Beat(t.Context(), protocol.Beat{}); !errors.Is(err, ErrSetup) || l.asked != 0 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := l.State(); !errors.Is(err, ErrSetup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := newLab(t)
	if l.Target() != 7 || l.Expiry().IsZero() {
		t.Errorf("%d %v", l.Target(), l.Expiry())
	}
	l.answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"bundle":"g"}`) }
	l.write(t, KeyFile, nil) // half written: those from before stay
	l.now = l.now.Add(lookTime)
	if a, err := l.Beat(t.Context(), protocol.Beat{}); err != nil || a.Bundle != "g" {
		t.Errorf("%+v %v", a, err)
	}
}

// TestAnswersOfAWrongServer: none is believed, none is followed.
func TestAnswersOfAWrongServer(t *testing.T) {
	l := newLab(t)
	for name, f := range map[string]http.HandlerFunc{
		"noise": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
		},
		"cut": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"verdicts":[{}`) },
		"few": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"verdicts":[{}],"serial":"1"}`)
		},
		"many": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"verdicts":[{},{},{}],"serial":"1"}`)
		},
		"none": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "a\x1b[31mb\nc", http.StatusInternalServerError)
		},
	} {
		l.answer = f
		_, err := l.Images(t.Context(), protocol.ImagesRequest{Images: make([]protocol.Image, 2)})
		if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l.answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }
	if err := l.Send(t.Context(), []byte("{}")); !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	l.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	if b, err := l.Bundle(t.Context(), "g"); b != nil || err != nil {
		t.Errorf("%v %v", b, err)
	}
	if c, err := l.Changes(t.Context(), 1); c != nil || err != nil {
		t.Errorf("%v %v", c, err)
	}
}

// TestAway: after two failures nobody waits; every five seconds one is let try; one answer is enough.
func TestAway(t *testing.T) {
	l := newLab(t)
	l.answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "away", http.StatusBadGateway) }
	for i := range patience {
		if l.Away() {
			t.Errorf("away after %d failures", i)
		}
		_ = l.Send(t.Context(), nil)
	}
	if !l.Away() {
		t.Error("not away")
	}
	l.now = l.now.Add(holdTime)
	if l.Away() || !l.Away() {
		t.Error("want one try")
	}
	l.answer = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }
	if err := l.Send(t.Context(), nil); err != nil || l.Away() {
		t.Errorf("%v", err)
	}
	if reached, err := l.State(); err != nil || !reached.Equal(l.now) {
		t.Errorf("%v %v", reached, err)
	}
}
