package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/e2e/lab"
)

// kind is an image that is measured. Images are built once and stay in the user's cache folder.
type kind struct {
	name string
	ref  func(p images.Packing) (string, error) // an OCI layout
	root func() (string, error)                 // a folder of the same files unpacked; nil: not measured
}

// failed is what builder panics with.
type failed struct{ err error }

// builder is the testing.TB that e2e/images wants, outside of a test. What fails ends the build only.
type builder struct{ testing.TB }

func (builder) Helper()             {}
func (builder) Logf(string, ...any) {}
func (builder) Fatal(args ...any) {
	panic(failed{errors.New(strings.TrimSpace(fmt.Sprintln(args...)))})
}
func (builder) Fatalf(format string, args ...any) {
	panic(failed{fmt.Errorf(format, args...)})
}

// built calls a builder of e2e/images and gives its failure as an error.
func built[T any](make func(t testing.TB) T) (out T, err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failed:
			err = f.err
		default:
			panic(f)
		}
	}()
	return make(builder{}), nil
}

// kinds are those of the comparison with other scanners.
func (b *bench) kinds() []kind {
	debian := func(p images.Packing) (string, error) {
		return built(func(t testing.TB) string { return images.DebianImage(t, p) })
	}
	list := []kind{
		{"Debian minimal", debian, func() (string, error) { return built(images.Debian) }},
		{"Debian with middleware", func(p images.Packing) (string, error) {
			return built(func(t testing.TB) string { return images.DebianMiddlewareImage(t, p) })
		}, func() (string, error) { return built(images.DebianMiddleware) }},
	}
	for _, k := range []struct {
		name, short string
		base        bool
		fill        func(dir string) error
	}{
		{"Java", "java", true, javaTree},
		{"Go binaries", "go", false, b.goTree},
		{"Node", "node", true, nodeTree},
		{"mixed binaries", "mixed", false, mixedTree},
		{"rpm (Berkeley, 518 packages)", "rpm-bdb", false, rpmTree("centos8-modularitylabel", "almalinux", "8.10")},
		{"rpm (SQLite, 138 packages)", "rpm-sqlite", false, rpmTree("fedora35", "fedora", "35")},
	} {
		tree := func() (string, error) { return keep(k.short+"-tree", k.fill) }
		list = append(list, kind{k.name, func(p images.Packing) (string, error) {
			dir, err := tree()
			if err != nil {
				return "", err
			}
			base := ""
			if k.base {
				if base, err = debian(p); err != nil {
					return "", err
				}
			}
			dir, err = keep(k.short+"-"+string(p), func(to string) error { return compose(to, p, base, dir) })
			return "oci:" + dir + ":test", err
		}, tree})
		if k.base {
			list[len(list)-1].root = func() (string, error) {
				return keep(k.short+"-root", func(dir string) error { return merged(dir, k.fill) })
			}
		}
	}
	return list
}

// merged is a minimal Debian with what fill adds.
func merged(dir string, fill func(dir string) error) error {
	base, err := built(images.Debian)
	if err != nil {
		return err
	}
	if out, err := exec.Command("cp", "-a", base+"/.", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return fill(dir)
}

// keep makes a folder of the cache once. Raise the number when what a tree holds changes.
func keep(name string, make func(dir string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "stockade-images", "bench-1-"+name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "bench-work-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	if err := make(work); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return dir, os.Rename(work, dir)
}

// compose writes an image of the layers of another, which may be "", and of a folder.
func compose(to string, p images.Packing, base, folder string) error {
	var layers []v1.Layer
	if base != "" {
		dir := strings.TrimSuffix(strings.TrimPrefix(base, "oci:"), ":test")
		index, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			return err
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			return err
		}
		img, err := index.Image(manifest.Manifests[0].Digest)
		if err != nil {
			return err
		}
		if layers, err = img.Layers(); err != nil {
			return err
		}
	}
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	if err := errors.Join(w.AddFS(os.DirFS(folder)), w.Close()); err != nil {
		return err
	}
	img, err := images.Image(nil, append(layers, images.TarLayer(data.Bytes(), p))...)
	if err != nil {
		return err
	}
	_, err = images.WriteLayout(to, img)
	return err
}

// copyTo copies files and folders of a tree to the same places below dir.
func copyTo(dir, tree string, names ...string) error {
	for _, name := range names {
		to := filepath.Join(dir, filepath.Dir(name))
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
		if out, err := exec.Command("cp", "-a", filepath.Join(tree, name), to).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	return nil
}

// javaTree is Debian's JDK, its real jars, and an archive that nests eighty of them as Spring Boot does.
func javaTree(dir string) error {
	tree, err := built(images.DebianMiddleware)
	if err != nil {
		return err
	}
	if err := copyTo(dir, tree, "usr/lib/jvm", "usr/share/java"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "opt/app"), 0o755); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "opt/app/shop.jar"))
	if err != nil {
		return err
	}
	z, n := zip.NewWriter(f), 0
	err = filepath.WalkDir(filepath.Join(dir, "usr/share/java"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || n == 80 {
			return err
		}
		n++
		w, err := z.CreateHeader(&zip.FileHeader{Name: "BOOT-INF/lib/" + d.Name(), Method: zip.Store})
		if err != nil {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, z.Close(), f.Close())
}

// goTree is four programs on an empty base: two API servers, etcd and the go command.
func (b *bench) goTree(dir string) error {
	programs := map[string]string{"go": filepath.Join(runtime.GOROOT(), "bin", "go")} //nolint:staticcheck // the go that runs this is meant
	if out, err := exec.CommandContext(b.ctx, "go", "env", "GOROOT").Output(); err == nil {
		programs["go"] = filepath.Join(strings.TrimSpace(string(out)), "bin", "go")
	}
	for name, version := range map[string]string{"kube-apiserver": lab.Newest, "kube-apiserver-old": lab.Oldest} {
		server, etcd, err := lab.Binaries(b.ctx, version)
		if err != nil {
			return err
		}
		programs[name], programs["etcd"] = server, etcd
	}
	for name, from := range programs {
		if err := copyFile(filepath.Join(dir, "usr/local/bin", name), from); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// nodeModules are what an application of some four hundred packages asks for.
var nodeModules = []string{"express@4.19.2", "webpack@5.91.0", "webpack-cli@5.1.4", "eslint@8.57.0", "react@18.3.1", "react-dom@18.3.1", "lodash@4.17.20",
	"axios@1.6.8", "typescript@5.4.5", "mongoose@8.3.2", "socket.io@4.7.5", "moment@2.30.1", "jsonwebtoken@8.5.1"}

// nodeTree is Debian's Node with an application's packages from the npm registry.
func nodeTree(dir string) error {
	tree, err := built(images.DebianMiddleware)
	if err != nil {
		return err
	}
	if err := copyTo(dir, tree, "usr/bin/node", "usr/share/nodejs"); err != nil {
		return err
	}
	libraries, err := filepath.Glob(filepath.Join(tree, "usr/lib/x86_64-linux-gnu/libnode.so*"))
	if err != nil {
		return err
	}
	for _, l := range libraries {
		if err := copyTo(dir, tree, strings.TrimPrefix(l, tree+"/")); err != nil {
			return err
		}
	}
	app := filepath.Join(dir, "opt/app")
	if err := os.MkdirAll(app, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "npm", append([]string{"install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", app}, nodeModules...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm: %w: %s", err, out)
	}
	return nil
}

// mixedTree is programs and libraries of Debian without the package database: servers, interpreters, tools.
func mixedTree(dir string) error {
	tree, err := built(images.DebianMiddleware)
	if err != nil {
		return err
	}
	if err := copyTo(dir, tree, "usr/bin", "usr/sbin", "usr/lib/postgresql", "usr/lib/x86_64-linux-gnu", "etc/os-release", "usr/lib/os-release"); err != nil {
		return err
	}
	large, err := filepath.Glob(filepath.Join(dir, "usr/lib/x86_64-linux-gnu/libLLVM*"))
	for _, f := range large {
		err = errors.Join(err, os.Remove(f))
	}
	return err
}

// rpmTree is a vendor's real rpm database under the os-release of a system.
func rpmTree(name, id, version string) func(dir string) error {
	return func(dir string) error {
		files, err := rpmFiles(name, id, version)
		if err != nil {
			return err
		}
		for p, f := range files {
			p = filepath.Join(dir, p)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(p, f.Data, 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

func rpmFiles(name, id, version string) (images.Files, error) {
	type database struct {
		file string
		data []byte
	}
	db, err := built(func(t testing.TB) database {
		file, data := images.RealRPM(t, name)
		return database{file, data}
	})
	if err != nil {
		return nil, err
	}
	files := images.Files{"var/lib/rpm/" + db.file: {Data: db.data}}
	return files.Text("etc/os-release", fmt.Sprintf("ID=%q\nVERSION_ID=%q\nVERSION=%q\nNAME=%q\nPLATFORM_ID=\"platform:el8\"\n", id, version, version, id)), nil
}
