package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	goversion "go/version"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// recipe is part of the cache's folder names: raise it when a change in how
// binaries are built must not find the old ones.
const recipe = 1

// Binaries returns the paths of kube-apiserver of the given Kubernetes version
// and of etcd, building them first if the cache does not have them. Only the Go
// command and a module proxy are needed for that, no checkout and no C compiler.
//
// The cache is $STOCKADE_LAB_CACHE, or stockade-lab in the user's cache folder.
// Processes that want the same binary wait for the one that builds it.
func Binaries(ctx context.Context, version string) (apiserver, etcd string, err error) {
	if _, err := minor(version); err != nil {
		return "", "", err
	}
	etcd, err = cached(ctx, "etcd-"+EtcdVersion, "etcd", (*builder).etcd)
	if err != nil {
		return "", "", fmt.Errorf("build etcd %s: %w", EtcdVersion, err)
	}
	apiserver, err = cached(ctx, version, "kube-apiserver", func(b *builder, out string) error {
		return b.kubernetes(version, "kube-apiserver", out)
	})
	if err != nil {
		return "", "", fmt.Errorf("build kube-apiserver %s: %w", version, err)
	}
	return apiserver, etcd, nil
}

// cached is the path of a binary in the cache, made by build if it is not there.
func cached(ctx context.Context, name, binary string, build func(b *builder, out string) error) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	goVersion, _, _ := strings.Cut(runtime.Version(), " ") // without experiments
	folder := filepath.Join(root, fmt.Sprintf("%s-%s-r%d", name, goVersion, recipe))
	path := filepath.Join(folder, binary)
	if exists(path) {
		return path, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, folder+".lock", "wait for another process that builds "+binary)
	if err != nil {
		return "", err
	}
	defer unlock()
	if exists(path) { // built while we waited
		return path, nil
	}

	work := filepath.Join(folder, "work")
	if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o755)); err != nil { // of a killed build
		return "", err
	}
	defer os.RemoveAll(work)
	stop := report("build " + binary + " of " + name + ", once for this Go version")
	defer stop()
	draft := filepath.Join(work, binary)
	if err := build(&builder{ctx: ctx, dir: work}, draft); err != nil {
		return "", err
	}
	return path, os.Rename(draft, path)
}

func cacheRoot() (string, error) {
	if dir := os.Getenv("STOCKADE_LAB_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder (set STOCKADE_LAB_CACHE): %w", err)
	}
	return filepath.Join(dir, "stockade-lab"), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lockFile waits for the lock of a file and returns what gives it back.
func lockFile(ctx context.Context, path, waiting string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	stop := func() {}
	defer func() { stop() }()
	for first := true; ; first = false {
		got, err := tryLock(f)
		if got {
			return func() { f.Close() }, nil
		}
		if err == nil && first {
			stop = report(waiting)
		}
		if err == nil {
			err = sleep(ctx, 200*time.Millisecond)
		}
		if err != nil {
			f.Close()
			return nil, err
		}
	}
}

// report writes on standard error what takes so long, again every 20 seconds, and
// returns what ends that.
func report(what string) (stop func()) {
	start := time.Now()
	over := make(chan struct{})
	fmt.Fprintf(os.Stderr, "lab: %s\n", what)
	go func() {
		tick := time.NewTicker(20 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				fmt.Fprintf(os.Stderr, "lab: %s: %.0f s so far\n", what, time.Since(start).Seconds())
			}
		}
	}()
	return func() {
		close(over)
		fmt.Fprintf(os.Stderr, "lab: %s: ended after %.0f s\n", what, time.Since(start).Seconds())
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// builder runs the Go command in a module of its own.
type builder struct {
	ctx context.Context
	dir string
}

// etcd has replace directives, so `go install` refuses it: a module that requires
// it ignores them.
func (b *builder) etcd(out string) error {
	const module = "go.etcd.io/etcd/server/v3"
	if err := b.write("go.mod", "module lab\ngo 1.24\nrequire "+module+" "+EtcdVersion+"\n"); err != nil {
		return err
	}
	return b.link(out, module, "mod", "")
}

// kubernetes builds one of Kubernetes' programs.
func (b *builder) kubernetes(version, program, out string) error {
	source, err := b.kubernetesModule(version)
	if err != nil {
		return err
	}
	n, err := minor(version)
	if err != nil {
		return err
	}
	main := "k8s.io/kubernetes/cmd/" + program
	flags := ""
	// Old releases keep a second copy in client-go, and /version shows that one.
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf("-X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]d ", pkg, version, n)
	}
	if exists(filepath.Join(source, "pkg", "generated", "openapi", "zz_generated.openapi.go")) {
		return b.link(out, main, "mod", flags)
	}
	if err := b.generateOpenAPI(main); err != nil {
		return fmt.Errorf("generate the OpenAPI definitions: %w", err)
	}
	return b.link(out, main, "vendor", flags)
}

func (b *builder) link(out, pkg, mod, flags string) error {
	// Two at a time: the machine has other work, and the linker alone wants 2 GB.
	_, err := b.run("go", "build", "-mod="+mod, "-p", "2", "-ldflags=-s -w "+flags, "-o", out, pkg)
	return err
}

// kubernetesModule writes a go.mod that builds Kubernetes from published modules
// and returns the folder of its sources.
func (b *builder) kubernetesModule(version string) (source string, err error) {
	var module struct{ Dir, GoMod string }
	if err := b.read(&module, "go", "mod", "download", "-json", "k8s.io/kubernetes@"+version); err != nil {
		return "", err
	}
	var file goMod
	if err := b.read(&file, "go", "mod", "edit", "-json", module.GoMod); err != nil {
		return "", err
	}
	return module.Dir, b.write("go.mod", file.wrapper(version))
}

// goMod is what we read of Kubernetes' go.mod.
type goMod struct {
	Go      string
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
}

// wrapper is the text of a go.mod that requires Kubernetes.
func (f goMod) wrapper(version string) string {
	// Kubernetes' own line, so that the API server gets run-time defaults near those
	// it was written for; but a vendor folder notes its modules' languages only from
	// 1.17 on.
	language := f.Go
	if goversion.Compare("go"+language, "go1.18") < 0 {
		language = "1.18"
	}
	var text strings.Builder
	fmt.Fprintf(&text, "module lab\ngo %s\nrequire k8s.io/kubernetes %s\n", language, version)
	for _, r := range f.Replace {
		with := r.New.Path + " " + r.New.Version
		// Kubernetes' own libraries are folders of its repository that are not in
		// the module: v1.19.16 publishes them as v0.19.16.
		if strings.HasPrefix(r.New.Path, "./staging/") {
			with = r.Old.Path + " v0" + strings.TrimPrefix(version, "v1")
		}
		if elsewhere, ok := moved[r.Old.Path]; ok {
			with = elsewhere
		}
		fmt.Fprintf(&text, "replace %s => %s\n", r.Old.Path, with)
	}
	return text.String()
}

func (b *builder) write(name, text string) error {
	return os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644)
}

// read runs a command that prints JSON.
func (b *builder) read(into any, command ...string) error {
	out, err := b.run(command...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

func (b *builder) run(command ...string) ([]byte, error) {
	return b.runWith(nil, command...)
}

// runWith runs a command with lowest priority and the settings of the build, not
// those of the caller's shell.
func (b *builder) runWith(env []string, command ...string) ([]byte, error) {
	said := strings.Join(command, " ")
	if nice, err := exec.LookPath("nice"); err == nil {
		command = append([]string{nice, "-n", "10"}, command...)
	}
	attr, err := dieWithParent()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread() // see launch
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(b.ctx, command[0], command[1:]...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOWORK=off", "GO111MODULE=on", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = attr
	cmd.WaitDelay = 5 * time.Second
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if b.ctx.Err() != nil {
		return nil, fmt.Errorf("interrupted (what is compiled stays in Go's cache, the next run goes on from there): %w", context.Cause(b.ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", said, err, out, lastLines(errs.String(), 20))
	}
	return out, nil
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
