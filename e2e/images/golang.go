package images

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// GoProgram builds a Go program from the files of a module, once for each Go version, and returns the binary's path. Modules
// that it requires come from where the go tool gets them. Flags follow "go build"; the package is the last of them.
func GoProgram(t testing.TB, name string, module map[string]string, flags ...string) string {
	t.Helper()
	recipe := append([]string{runtime.Version(), runtime.GOARCH, name}, flags...)
	for _, f := range slices.Sorted(maps.Keys(module)) {
		recipe = append(recipe, f, module[f])
	}
	dir, err := folder("go-"+name, recipe...)
	if err == nil {
		err = kept(dir, func(dir string) error { return build(dir, name, module, flags) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func build(dir, name string, module map[string]string, flags []string) error {
	source := filepath.Join(dir, "source")
	for file, text := range module {
		file = filepath.Join(source, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	cmd := exec.Command("go", append([]string{"build", "-mod=mod", "-o", filepath.Join(dir, name)}, flags...)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", name, err, out)
	}
	return os.RemoveAll(source)
}

// KubernetesProgram builds a program that says of itself in its build information what a release of Kubernetes says: the
// module k8s.io/kubernetes, the command's path, and the version set by -ldflags, which -trimpath leaves in the constants only.
func KubernetesProgram(t testing.TB, command, version string, trimmed bool) string {
	t.Helper()
	flags := []string{"-ldflags=-X k8s.io/component-base/version.gitVersion=" + version}
	if trimmed {
		flags = append(flags, "-trimpath")
	}
	return GoProgram(t, command, map[string]string{
		"go.mod": "module k8s.io/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/component-base v0.0.0\n\nreplace k8s.io/component-base => ./staging/src/k8s.io/component-base\n",
		"staging/src/k8s.io/component-base/go.mod": "module k8s.io/component-base\n\ngo 1.24.0\n",
		"staging/src/k8s.io/component-base/version/version.go": "package version\n\nvar gitVersion = \"v0.0.0-master+$Format:%H$\"\n\n" +
			"func Get() string { return gitVersion }\n",
		"cmd/" + command + "/main.go": "package main\n\nimport (\n\t\"fmt\"\n\n\t\"k8s.io/component-base/version\"\n)\n\nfunc main() { fmt.Println(\"Kubernetes\", version.Get()) }\n",
	}, append(flags, "./cmd/"+command)...)
}

// EtcdProgram builds a program that is etcd's server by its build information: built in its own tree, with the release in
// what it depends on.
func EtcdProgram(t testing.TB, version string) string {
	t.Helper()
	return GoProgram(t, "etcd", map[string]string{
		"go.mod":  "module go.etcd.io/etcd/server/v3\n\ngo 1.24.0\n\nrequire go.etcd.io/etcd/api/v3 " + version + "\n",
		"main.go": "package main\n\nimport (\n\t\"fmt\"\n\n\t\"go.etcd.io/etcd/api/v3/version\"\n)\n\nfunc main() { fmt.Println(\"etcd Version:\", version.Version) }\n",
	}, ".")
}

// PluginProgram builds a real CNI plug-in of a release.
func PluginProgram(t testing.TB, plugin, version string) string {
	t.Helper()
	return GoProgram(t, plugin, map[string]string{
		"go.mod":   "module example.com/cni\n\ngo 1.24.0\n\nrequire github.com/containernetworking/plugins " + version + "\n",
		"tools.go": "//go:build tools\n\npackage tools\n\nimport _ \"github.com/containernetworking/plugins/plugins/main/" + plugin + "\"\n",
	}, "github.com/containernetworking/plugins/plugins/main/"+plugin)
}

// libraries are modules with what of them a program calls.
var libraries = map[string]string{
	"golang.org/x/text": "import \"golang.org/x/text/language\"\n\nfunc init() { language.Parse(\"en\") }\n",
	"gopkg.in/yaml.v3":  "import \"gopkg.in/yaml.v3\"\n\nfunc init() { _ = yaml.Unmarshal(nil, nil) }\n",
	"golang.org/x/net":  "import \"golang.org/x/net/html\"\n\nfunc init() { html.EscapeString(\"\") }\n",
}

// GoServer builds a small program that calls modules in the versions given.
func GoServer(t testing.TB, modules map[string]string) string {
	t.Helper()
	var mod strings.Builder
	mod.WriteString("module example.com/server\n\ngo 1.24.0\n")
	files := map[string]string{"main.go": "package main\n\nfunc main() {}\n"}
	for i, m := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(&mod, "\nrequire %s %s\n", m, modules[m])
		files[fmt.Sprintf("use%d.go", i)] = "package main\n\n" + libraries[m]
	}
	files["go.mod"] = mod.String()
	return GoProgram(t, "server", files, ".")
}
