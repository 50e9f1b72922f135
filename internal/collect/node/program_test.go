package node

import (
	"bytes"
	"os"
	"testing"

	"stockade.dev/stockade/internal/collect/node/host"
	"stockade.dev/stockade/internal/inventory"
)

// FuzzProgram reads programs that are cut off, damaged, or longer or shorter than they were said to be.
func FuzzProgram(f *testing.F) {
	exe, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(exe)
	if err != nil {
		f.Fatal(err)
	}
	at := bytes.Index(whole, []byte("\xff Go buildinf:"))
	for _, n := range []int{0, 3, 64, 511, 512, 4096} {
		f.Add(whole[:n], int64(n))
	}
	f.Add(whole[:64<<10], int64(len(whole)))
	if at > 0 {
		f.Add(whole[at:min(at+64<<10, len(whole))], int64(1<<20))
		f.Add(append(bytes.Clone(whole[:4096]), whole[at:min(at+32<<10, len(whole))]...), int64(0))
	}
	f.Add([]byte("#!/bin/sh\nexit\n"), int64(14))
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		size = max(-1, min(size, 1<<22))
		c, err := readProgram(t.Context(), bytes.NewReader(data), "kubelet", host.Info{Size: size})
		if err != nil {
			return
		}
		if len(c.sha256) != 64 {
			t.Errorf("hash %q", c.sha256)
		}
		fact := (&reader{facts: &inventory.NodeFacts{}}).binaryFact(&found{component: "kubelet", path: "/usr/bin/kubelet"}, c)
		for _, s := range []string{fact.Version, fact.Go, fact.Module, fact.Genuine} {
			if !host.Clean(s) {
				t.Errorf("%q", s)
			}
		}
	})
}

func TestGenuine(t *testing.T) {
	for _, c := range []struct {
		component, path string
		content         content
		want            string
	}{
		{"kubelet", "/usr/bin/kubelet", content{sha256: "x", component: "kubelet", module: "k8s.io/kubernetes"}, "yes"},
		{"kubectl", "/usr/local/bin/k3s", content{sha256: "x", component: "k3s", module: "github.com/k3s-io/k3s"}, "yes"},
		{"rke2", "/usr/local/bin/rke2", content{sha256: "x", module: "github.com/rancher/rke2"}, "yes"},
		{"containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2", content{sha256: "x", module: "github.com/containerd/containerd/v2"}, "yes"},
		{"runc", "/usr/bin/runc", content{sha256: "x", module: "github.com/evil/runc"}, "its build information is that of github.com/evil/runc"},
		{"kubelet", "/usr/bin/kubelet", content{sha256: "x"}, "it has no build information of Go"},
		{"kubelet", "/usr/bin/kubelet", content{sha256: "x", component: "busybox"}, "it is busybox"},
		{"conmon", "/usr/bin/conmon", content{sha256: "x"}, "yes"},
		{"crun", "/usr/bin/crun", content{sha256: "x", kind: "a script for /bin/sh"}, "it is a script for /bin/sh"},
		{"kubelet", "/usr/bin/kubelet", content{}, ""},
		{"cni/bridge", "/opt/cni/bin/bridge", content{sha256: "x"}, ""},
	} {
		if got := genuine(&found{component: c.component, path: c.path}, c.content); got != c.want {
			t.Errorf("%s %+v: %q, want %q", c.component, c.content, got, c.want)
		}
	}
}

func TestEmbedded(t *testing.T) {
	for want, c := range map[string]struct {
		path    string
		content content
	}{
		"k3s":  {"/usr/local/bin/k3s", content{component: "k3s", version: "v1.34.1+k3s1"}},
		"rke2": {"/var/lib/rancher/rke2/data/v1/bin/kubelet", content{component: "kubelet"}},
		"eks":  {"/usr/bin/kubelet", content{version: "v1.28.3+eks-4f4795d"}},
		"":     {"/usr/bin/kubelet", content{version: "v1.34.4"}},
	} {
		if got := embedded(c.path, c.content); got != want {
			t.Errorf("%s: %q, want %q", c.path, got, want)
		}
	}
}

func TestUpstreamVersion(t *testing.T) {
	for in, want := range map[string]string{"1.6.20~ds1-1+deb12u3": "1.6.20", "2:1.1.5+ds1-1": "1.1.5", "1.7.27-1": "1.7.27", "1.34.4": "1.34.4"} {
		if got := upstreamVersion(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	got := words(`/usr/bin/kubelet "--a=b c" '--d=$e'  --f`)
	if len(got) != 4 || got[1] != "--a=b c" || got[2] != "--d=$e" {
		t.Errorf("%q", got)
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"--token=abcdefabcdef0123456789": "--token=****", "--token-auth-file=/etc/tokens.csv": "--token-auth-file=/etc/tokens.csv",
		"--etcd-password=Sup3rS3cret!x": "--etcd-password=****", "--authorization-mode=Node,RBAC": "--authorization-mode=Node,RBAC",
		"--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"--service-account-issuer=https://kubernetes.default.svc":   "--service-account-issuer=https://kubernetes.default.svc",
		"--etcd-servers=https://10.0.0.1:2379":                      "--etcd-servers=https://10.0.0.1:2379",
	} {
		if got := maskWord(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := maskArgs([]string{"etcd", "--password", "hunter2hunter2", "--name", "a"}); got[2] != hidden || got[4] != "a" {
		t.Errorf("%q", got)
	}
}
