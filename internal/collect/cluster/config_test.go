package cluster

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/fault"
)

func TestOpenErrors(t *testing.T) {
	f := newFake(t)
	other := newFake(t)
	otherCA := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: anotherCertificate}))
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closedAddr := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(broken, []byte("{{{"), 0o600); err != nil {
		t.Fatal(err)
	}
	login := newFake(t)
	login.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		fmt.Fprint(w, "<html>log in</html>")
		return true
	}
	silent := newFake(t)
	silent.fault = func(_ http.ResponseWriter, r *http.Request, _ int) bool { <-r.Context().Done(); return true }
	silentConfig := silent.config()
	impatient(&silentConfig)
	refusing := newFake(t)
	refusing.fault = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		refusing.status(w, 401, "Unauthorized", "Unauthorized")
		return true
	}
	tests := map[string]struct {
		cfg        Config
		want, hint string
	}{
		"missing file":     {Config{Kubeconfig: "/nonexistent/config"}, "reading kubeconfig /nonexistent/config", "the file does not exist"},
		"broken file":      {Config{Kubeconfig: broken}, "reading kubeconfig " + broken, "readable file"},
		"missing context":  {Config{Kubeconfig: f.kubeconfig(), Context: "prod"}, `there is no context "prod"`, "choose with --context: other, test"},
		"refused":          {Config{Kubeconfig: writeKubeconfig(t, "https://"+closedAddr, "")}, "connection refused", "nothing listens there"},
		"unknown name":     {Config{Kubeconfig: writeKubeconfig(t, "https://cluster.invalid:6443", "")}, "cluster.invalid", "cannot be resolved"},
		"unknown CA":       {Config{Kubeconfig: writeKubeconfig(t, f.URL, otherCA)}, "x509", "not signed by the certificate authority"},
		"no CA":            {Config{Kubeconfig: writeKubeconfig(t, other.URL, "")}, "x509", "not signed by the certificate authority"},
		"no TLS":           {Config{Kubeconfig: writeKubeconfig(t, strings.Replace(plain.URL, "http:", "https:", 1), "")}, "HTTP response to HTTPS client", "does not speak TLS"},
		"login page":       {login.config(), "HTML page", "something else answers"},
		"silent":           {silentConfig, "did not answer within 3s", "does not answer"},
		"wrong token":      {refusing.config(), "401 Unauthorized", "credentials are not accepted"},
		"wrong name in it": {wrongName(t, f), "x509", "for another name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Open(tt.cfg)
			var fe *fault.Error
			if !errors.As(err, &fe) || fe.Kind != fault.Input {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(fe.Hint, tt.hint) {
				t.Errorf("%v", err)
			}
		})
	}
}

// wrongName reaches the server under a name that its certificate does not have.
func wrongName(t *testing.T, f *fake) Config {
	cfg := f.config()
	data, err := os.ReadFile(cfg.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	data = []byte(strings.Replace(string(data), "certificate-authority: ca.crt", "certificate-authority: ca.crt, tls-server-name: wrong.test", 1))
	if err := os.WriteFile(cfg.Kubeconfig, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestNoConfiguration(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := Open(Config{})
	if err == nil || !strings.Contains(err.Error(), "no cluster is configured") {
		t.Errorf("%v", err)
	}
}

func TestVersionRefused(t *testing.T) {
	f := small(t)
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/version" {
			f.status(w, 403, "Forbidden", "no")
			return true
		}
		return false
	}
	if r := stream(t, f.config()); r.err != nil || r.info.Version != "" || r.count("Pod") != 25 {
		t.Errorf("%v", r.err)
	}
}

func TestDistributionOfStream(t *testing.T) {
	f := small(t)
	f.add("/api/v1/nodes", "Node", `{"metadata":{"name":"n","uid":"n","labels":{"alibabacloud.com/nodepool-id":"np"}},"spec":{"providerID":"cn-hangzhou.i-1"}}`)
	if r := stream(t, f.config()); r.info.Distribution != "ack" || !r.info.Managed {
		t.Errorf("%+v", r.info)
	}
}
