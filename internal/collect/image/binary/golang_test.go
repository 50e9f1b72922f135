package binary

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/inventory"
)

// build makes programs of one small module, with the go command that runs the tests.
func build(t *testing.T, dir, out string, env []string, args ...string) string {
	t.Helper()
	out = filepath.Join(t.TempDir(), out)
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, args...), "./cmd/kubelet")...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOPROXY=off"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return out
}

func kubernetes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                        "module k8s.io/kubernetes\n\ngo 1.24\n\nrequire k8s.io/api v0.0.0\n\nreplace k8s.io/api => ./staging/src/k8s.io/api\n",
		"cmd/kubelet/main.go":           "package main\n\nimport \"k8s.io/api\"\n\nvar gitVersion, gitCommit string\n\nfunc main() { println(gitVersion, gitCommit, api.X) }\n",
		"staging/src/k8s.io/api/go.mod": "module k8s.io/api\n\ngo 1.24\n",
		"staging/src/k8s.io/api/api.go": "package api\n\nvar X = 1\n",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// pairs are modules and versions as go version -m prints them, with replacements in place of what they replace.
func pairs(info *buildinfo.BuildInfo) []string {
	out := []string{"stdlib " + info.GoVersion}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Replace != nil && m.Replace.Version != "" {
			m = m.Replace
		}
		if m.Path != "" {
			out = append(out, m.Path+" "+strings.TrimSuffix(strings.Replace(m.Version, "(devel)", "", 1), "+dirty"))
		}
	}
	slices.Sort(out)
	return out
}

func names(list []inventory.Package) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Name+" "+p.Version)
	}
	slices.Sort(out)
	return out
}

// TestVersionM holds the reader to debug/buildinfo, which go version -m prints, on the toolchain's own programs.
func TestVersionM(t *testing.T) {
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command(goTool, "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "pkg/tool/*/*"))
	tested := 0
	for _, file := range append(files, goTool, self) {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			continue // the go command may be a script
		}
		tested++
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found, gaps := scan(file, data, 32<<10)
		if got, want := names(found), pairs(info); !slices.Equal(got, want) || len(gaps) > 0 {
			t.Errorf("%s:\n got %v %v\nwant %v", file, got, gaps, want)
		}
	}
	if tested == 0 {
		t.Error("nothing was tested")
	}
}

func TestKubernetes(t *testing.T) {
	dir := kubernetes(t)
	flags := "-ldflags=-s -w -X 'main.gitVersion=v1.28.3' -X main.gitCommit=a8a1abc25cad87333840cd7d54be2efaf31a3177"
	for _, c := range []struct {
		name     string
		env      []string
		args     []string
		evidence string
	}{
		{"flags", nil, []string{flags}, "build info"},
		{"trimmed", nil, []string{"-trimpath", flags}, "strings"},
		{"big end", []string{"GOARCH=s390x", "GOOS=linux"}, []string{"-trimpath", flags}, "strings"},
		{"32 bit", []string{"GOARCH=386", "GOOS=linux"}, []string{"-trimpath", flags}, "strings"},
		{"position independent", []string{"GOARCH=amd64", "GOOS=linux"}, []string{"-trimpath", "-buildmode=pie", flags}, "strings"},
	} {
		file := build(t, dir, "kubelet", c.env, c.args...)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found, gaps := scan("usr/bin/kubelet", data, 10_000)
		want := []string{"k8s.io/api v0.28.3", "k8s.io/kubernetes v1.28.3", "stdlib " + runtime.Version()}
		if got := names(found); !slices.Equal(got, want) || len(gaps) > 0 {
			t.Errorf("%s: got %v %v, want %v", c.name, got, gaps, want)
			continue
		}
		if main := found[1]; main.Component != "kubelet" || main.Evidence != c.evidence || main.Settings["CGO_ENABLED"] != "0" || found[0].Component != "" || found[0].Settings["GOOS"] == "" {
			t.Errorf("%s: %+v", c.name, main)
		}
		for _, p := range found {
			if p.Path != "usr/bin/kubelet" || p.Settings["-ldflags"] != "" {
				t.Errorf("%s: %+v", c.name, p)
			}
		}
	}
	// For Windows there are no ELF headers to tell where what lies.
	file := build(t, dir, "kubelet.exe", []string{"GOOS=windows", "GOARCH=amd64"}, flags)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if found, gaps := scan("kubelet.exe", data, 64<<10); len(found) != 3 || found[1].Version != "v1.28.3" || len(gaps) > 0 {
		t.Errorf("Windows: %v %v", names(found), gaps)
	}
	// Without a version anywhere the component is named, and the gap too.
	data, err = os.ReadFile(build(t, dir, "kubelet", nil, "-trimpath"))
	if err != nil {
		t.Fatal(err)
	}
	if found, gaps := scan("kubelet", data, 64<<10); len(found) != 3 || found[1].Version != "" || found[1].Component != "kubelet" || len(gaps) != 1 {
		t.Errorf("no version: %v %v", names(found), gaps)
	}
}

// TestOldGo reads what Go 1.13 and 1.16 made: addresses instead of strings.
func TestOldGo(t *testing.T) {
	for _, v := range []string{"go1.13.15", "go1.16.15"} {
		data := unpack(t, "testdata/"+v+".gz")
		for _, n := range []int{4096, 50_000, 1 << 20} {
			found, gaps := scan("usr/bin/kubelet", data, n)
			want := []string{"k8s.io/kubernetes v1.19.3", "stdlib " + v}
			if got := names(found); !slices.Equal(got, want) || len(gaps) > 0 || found[1].Component != "kubelet" {
				t.Errorf("%s in pieces of %d: got %v %v, want %v", v, n, got, gaps, want)
			}
		}
	}
}

func TestMainModule(t *testing.T) {
	module := func(path, version string) debug.Module { return debug.Module{Path: path, Version: version} }
	flags := func(text string) []debug.BuildSetting { return []debug.BuildSetting{{Key: "-ldflags", Value: text}} }
	for _, c := range []struct {
		path   string
		main   debug.Module
		flags  string
		deps   []*debug.Module
		linked []string
		want   string
	}{
		{"k8s.io/kubernetes/cmd/kube-proxy", module("k8s.io/kubernetes", "(devel)"), "-X k8s.io/client-go/pkg/version.gitVersion=v1.9.9 -X k8s.io/component-base/version.gitVersion=v1.27.4+k3s1", nil, nil, "kube-proxy v1.27.4+k3s1 build info"},
		{"k8s.io/kubernetes/cmd/kubelet", module("k8s.io/kubernetes", "v0.0.0-20240101000000-abcdefabcdef"), "-X k8s.io/component-base/version.gitVersion=v1.28.3-eks-4f4795d", nil, nil, "kubelet v1.28.3+eks-4f4795d build info"},
		{"k8s.io/kubernetes/cmd/kubeadm", module("k8s.io/kubernetes", "v1.33.1+dirty"), "", nil, nil, "kubeadm v1.33.1 build info"},
		{"k8s.io/kubernetes/cmd/kubectl", module("k8s.io/kubernetes", "(devel)"), "", nil, []string{"v2.0.0", "v1.29.0-rc.1", "v1.29.0-rc.1"}, "kubectl v1.29.0-rc.1 strings"},
		{"k8s.io/kubernetes/cmd/kubectl", module("k8s.io/kubernetes", "(devel)"), "", nil, []string{"v1.29.0", "v1.29.1"}, "kubectl  build info"},
		{"go.etcd.io/etcd/server/v3", module("go.etcd.io/etcd/server/v3", "(devel)"), "-X go.etcd.io/etcd/api/v3/version.GitSHA=bdbbde998", []*debug.Module{{Path: "go.etcd.io/etcd/api/v3", Version: "v3.5.9", Replace: &debug.Module{Path: "../api", Version: "(devel)"}}}, nil, "etcd v3.5.9 build info"},
		{"github.com/opencontainers/runc", module("github.com/opencontainers/runc", "(devel)"), "-X main.gitCommit=v1.1.9-0-gccaecfcb -X main.version=1.1.9 -extldflags '-static -X main.version=9.9.9'", nil, nil, "runc v1.1.9 build info"},
		{"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2", module("github.com/containerd/containerd/v2", "v2.0.0"), "", nil, nil, "containerd-shim-runc-v2 v2.0.0 build info"},
		{"github.com/containernetworking/plugins/plugins/ipam/host-local", module("github.com/containernetworking/plugins", "(devel)"), `-X "github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.3.0"`, nil, nil, "host-local v1.3.0 build info"},
		{"github.com/goharbor/harbor/src/core", module("github.com/goharbor/harbor/src", "(devel)"), "-X=github.com/goharbor/harbor/src/pkg/version.ReleaseVersion=v2.9.0 -X github.com/goharbor/harbor/src/pkg/version.GitCommit=x", nil, nil, "harbor-core v2.9.0 build info"},
		{"github.com/cilium/cilium/daemon", module("github.com/cilium/cilium", "(devel)"), `-X "github.com/cilium/cilium/pkg/version.ciliumVersion=1.14.2 a6748946 2023-09-09T21:45:57+00:00"`, nil, nil, "cilium v1.14.2 build info"},
		{"github.com/docker/docker/cmd/dockerd", module("github.com/docker/docker", "v24.0.7+incompatible"), "", nil, nil, "dockerd v24.0.7+incompatible build info"},
		{"example.com/shop/cmd/till", module("example.com/shop", "(devel)"), "", nil, []string{"v1.2.3"}, "  build info"},
	} {
		info := &debug.BuildInfo{Path: c.path, Main: c.main, Deps: c.deps, Settings: flags(c.flags)}
		p := mainModule(info, c.linked, "file")
		if got := fmt.Sprintf("%s %s %s", p.Component, p.Version, p.Evidence); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
	}
}

func TestIsVersion(t *testing.T) {
	for v, want := range map[string]bool{"v1.28.3": true, "1.1.12": true, "v1.2.3-rc.1+x": true, "1.2.3.4": false, "1.2": false, "v": false, "1.2.3x": false, "1.2.3-": false, "1.2.3-a b": false, "": false, "1..3": false} {
		if isVersion(v) != want || isVersion([]byte(v)) != want {
			t.Errorf("isVersion(%q) is not %v", v, want)
		}
	}
}
