package lab

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// generateOpenAPI makes the Go file with the OpenAPI definitions of every API
// type, which old Kubernetes made during its own build and did not publish. The
// API server needs it for server-side apply and `kubectl explain`, and does not
// compile without.
//
// It leaves a vendor folder with the file in it: the generator wants a folder of
// sources by import path, and the Go command lets nobody add a file to a module
// in its cache.
func (b *builder) generateOpenAPI(main string) error {
	const generator = "k8s.io/kube-openapi/cmd/openapi-gen"
	tools := "//go:build tools\n\npackage lab\n\nimport (\n\t_ \"" + main + "\"\n\t_ \"" + generator + "\"\n)\n"
	if err := b.write("tools.go", tools); err != nil {
		return err
	}
	if err := b.write("header.txt", ""); err != nil {
		return err
	}
	for _, step := range [][]string{
		{"go", "mod", "tidy", "-e"}, // -e: tests of dependencies import what is no longer there
		{"go", "mod", "vendor"},
		{"go", "build", "-mod=vendor", "-o", "openapi-gen", generator},
	} {
		if _, err := b.run(step...); err != nil {
			return err
		}
	}

	vendor := filepath.Join(b.dir, "vendor")
	packages, err := openAPIPackages(vendor)
	if err != nil {
		return err
	}
	gopath := filepath.Join(b.dir, "gopath")
	if err := os.Mkdir(gopath, 0o755); err != nil {
		return err
	}
	if err := os.Symlink(vendor, filepath.Join(gopath, "src")); err != nil {
		return err
	}
	// gotypesalias=0: the generator is older than alias types and drops what they name.
	env := []string{"GO111MODULE=off", "GOFLAGS=", "GOPATH=" + gopath, "GODEBUG=gotypesalias=0"}
	_, err = b.runWith(env, filepath.Join(b.dir, "openapi-gen"),
		"--input-dirs", strings.Join(packages, ","),
		"--output-base", vendor,
		"--output-package", "k8s.io/kubernetes/pkg/generated/openapi",
		"--output-file-base", "zz_generated.openapi",
		"--go-header-file", "header.txt",
		"--report-filename", "violations.txt")
	return err
}

// openAPIPackages are the packages under k8s.io that ask for definitions.
func openAPIPackages(vendor string) ([]string, error) {
	var packages []string
	err := filepath.WalkDir(filepath.Join(vendor, "k8s.io"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte("\n// +k8s:openapi-gen=")) {
			return err
		}
		name, err := filepath.Rel(vendor, filepath.Dir(path))
		// The generator itself speaks of its tag too.
		if err == nil && !strings.HasPrefix(name, "k8s.io/kube-openapi/") {
			packages = append(packages, filepath.ToSlash(name))
		}
		return err
	})
	slices.Sort(packages)
	return slices.Compact(packages), err
}
