// Package emergencies judges real artefacts: runc built from its releases, and Debian's packages as they are in the archive.
package emergencies

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	list "stockade.dev/stockade/emergencies"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/inventory"
)

// cached makes a folder once and keeps it for the next run.
func cached(t *testing.T, name string, make func(dir string) error) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(base, "stockade-images", "emergency-"+name)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "making-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	if err := make(tmp); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, dir); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return dir
}

func run(dir string, env []string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// release builds a release of runc, which needs a C compiler for what starts before Go does.
func release(t *testing.T, version string) string {
	return cached(t, "runc-"+version+"-"+runtime.GOARCH, func(dir string) error {
		if err := compiler(); err != nil {
			return err
		}
		if err := run(dir, []string{"GOBIN=" + dir, "CGO_ENABLED=1", "GOFLAGS=-trimpath"}, "go", "install", "github.com/opencontainers/runc@"+version); err != nil {
			return err
		}
		return os.Chmod(filepath.Join(dir, "runc"), 0o755)
	})
}

// compiler says what is missing where no C program can be compiled.
func compiler() error {
	out, err := exec.Command("go", "env", "CC").Output()
	if err != nil {
		return err
	}
	cc, _, _ := strings.Cut(strings.TrimSpace(string(out)), " ") // CC may have flags
	if _, err := exec.LookPath(cc); err != nil {
		return fmt.Errorf("runc is built with cgo, as its releases are, and there is no C compiler (%s: %w): install gcc, as for the race detector, or name one with CC", cc, err)
	}
	return nil
}

// TestWithoutCompiler: what is missing is said before anything is built.
func TestWithoutCompiler(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	if err := compiler(); err == nil || !strings.Contains(err.Error(), "install gcc") || !strings.Contains(err.Error(), "no-such-compiler") {
		t.Errorf("%v", err)
	}
}

// packages are what is unpacked of Debian's archive.
var packages = []string{"runc", "sudo", "openssh-server", "openssh-client", "liblog4j2-java", "liblzma5", "libc6"}

// debian is a root with packages as the archive has them, and the database that says so.
func debian(t *testing.T) string {
	return cached(t, "debian", func(dir string) error {
		debs := filepath.Join(dir, "debs")
		root := filepath.Join(dir, "root")
		for _, d := range []string{debs, filepath.Join(root, "var/lib/dpkg/info"), filepath.Join(root, "etc")} {
			if err := os.MkdirAll(d, 0o777); err != nil {
				return err
			}
		}
		if err := run(debs, nil, "apt-get", append([]string{"download", "-q"}, packages...)...); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
		if err != nil {
			return err
		}
		var status strings.Builder
		for _, f := range files {
			if err := run(dir, nil, "dpkg-deb", "-x", f, root); err != nil {
				return err
			}
			fields, err := exec.Command("dpkg-deb", "-f", f).Output()
			if err != nil {
				return err
			}
			name, err := exec.Command("dpkg-deb", "-f", f, "Package").Output()
			if err != nil {
				return err
			}
			fmt.Fprintf(&status, "%sStatus: install ok installed\n\n", fields)
			listing, err := exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$1" | tar t | sed 's,^\.,,;s,/$,,'`, "sh", f).Output()
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/info", strings.TrimSpace(string(name))+".list"), listing, 0o644); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), []byte(status.String()), 0o644); err != nil {
			return err
		}
		data, err := os.ReadFile("/etc/os-release")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(root, "etc/os-release"), data, 0o644)
	})
}

// judged reads a root and judges it as that of a node on which a container runs as root.
func judged(t *testing.T, root string) map[string]emergency.Result {
	t.Helper()
	img, err := image.Open(t.Context(), "rootfs:"+root, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	sw, err := image.Analyze(t.Context(), img, image.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sw.Kind = "node"
	files, err := emergency.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	all, err := emergency.Load(list.FS)
	if err != nil {
		t.Fatal(err)
	}
	facts := &inventory.NodeFacts{Name: "n", Processes: []inventory.ProcessFact{{Name: "sshd"}},
		Containers: []inventory.ContainerFact{{Namespace: "shop", Pod: "till", Container: "web", Processes: []inventory.ContainerProcess{{Name: "till"}}}}}
	out := map[string]emergency.Result{}
	for _, r := range emergency.Judge(t.Context(), all, emergency.Subject{Name: "n", Software: sw, Files: files, Facts: facts}, check.Classes) {
		out[r.Emergency] = r
	}
	return out
}

func want(t *testing.T, got map[string]emergency.Result, verdicts map[string]emergency.Verdict) {
	t.Helper()
	for id, v := range verdicts {
		if r := got[id]; r.Verdict != v {
			t.Errorf("%s: %s, want %s: %+v", id, r.Verdict, v, r)
		}
	}
}

// TestReleases tells an affected release of runc from the fixed one, and what came after both.
func TestReleases(t *testing.T) {
	for version, verdict := range map[string]emergency.Verdict{"v1.1.11": emergency.Exposed, "v1.1.12": emergency.Fixed} {
		t.Run(version, func(t *testing.T) {
			root := t.TempDir()
			data, err := os.ReadFile(filepath.Join(release(t, version), "runc"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(root, "usr/sbin"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "usr/sbin/runc"), data, 0o755); err != nil {
				t.Fatal(err)
			}
			got := judged(t, root)
			want(t, got, map[string]emergency.Verdict{"CVE-2024-21626": verdict, "CVE-2025-31133": emergency.Exposed, "CVE-2021-30465": emergency.Fixed, "CVE-2020-15257": emergency.NotPresent})
			if r := got["CVE-2024-21626"]; r.Version != version {
				t.Errorf("%+v", r)
			}
			// The mark that proves the fix is in the one and not in the other, whatever the version says.
			_, has := check.Find("file-contains")
			files, err := emergency.OpenDir(root)
			if err != nil || !has {
				t.Fatal(err)
			}
			defer files.Close()
			c, _ := check.Find("file-contains")
			a := c.Run(t.Context(), &check.Subject{Files: files}, &check.Target{Path: "/usr/sbin/runc"}, check.Args{"text": "possible container breakout detected", "elf": true})
			if (a.Holds == check.Yes) != (verdict == emergency.Fixed) {
				t.Errorf("the mark: %+v", a)
			}
		})
	}
}

// TestDebian judges packages of the archive: older versions with fixes that were carried back, and what they leave open.
func TestDebian(t *testing.T) {
	got := judged(t, filepath.Join(debian(t), "root"))
	want(t, got, map[string]emergency.Verdict{
		"CVE-2024-21626": emergency.Backported, // 1.1.5+ds1-1+deb12u1
		"CVE-2024-6387":  emergency.Backported, // by the changelog of openssh-client, to which that of the server leads
		"CVE-2023-4911":  emergency.Backported, // by the changelog of libc6
		"CVE-2021-44228": emergency.Fixed,
		"CVE-2021-3156":  emergency.Fixed,
		"CVE-2025-32463": emergency.Fixed, // older than the fault
		"CVE-2024-3094":  emergency.Fixed,
		"CVE-2022-0543":  emergency.NotPresent,
	})
	if r := got["CVE-2024-21626"]; len(r.Checks) == 0 || !strings.Contains(r.Checks[0].Evidence, "/usr/sbin/runc has the text") {
		t.Errorf("%+v", r)
	}
}
