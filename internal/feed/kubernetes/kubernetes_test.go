package kubernetes

import (
	"os"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestComponent(t *testing.T) {
	for name, want := range map[string]string{
		"k8s.io/apiserver": "kube-apiserver", "k8s.io/kubelet": "kubelet", "k8s.io/ingress-nginx": "ingress-nginx",
		"github.com/kubernetes-csi/csi-proxy": "csi-proxy", "kubectl": "kubectl", "": "",
	} {
		if got := Component(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	data, err := os.ReadFile("testdata/index.json")
	if err != nil {
		t.Fatal(err)
	}
	if !Reader.Knows("k/index.json", data[:min(len(data), 4096)]) {
		t.Error("not known")
	}
	s, err := feedtest.Read(Reader, "k/index.json", string(data))
	if err != nil || len(s.Vulnerabilities) != 1 || len(s.Rows) != 0 {
		t.Fatalf("%+v %v", s, err)
	}
	if v := s.Vulnerabilities[0]; v.ID != "CVE-2025-1974" || !strings.HasPrefix(v.Title, "ingress-nginx admission controller") || len(v.References) == 0 || v.Published == "" {
		t.Errorf("%+v", v)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"_kubernetes_io": {}, "items": [{"id": "CVE-2025-1974", "summary": "x"}, {"id": ""}, {}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := feedtest.Read(Reader, "k/index.json", text)
		for _, b := range s.Bad {
			t.Error(b)
		}
	})
}
