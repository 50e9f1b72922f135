package images

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// RPM is a package to be made and installed by the real rpm, so that its database is real.
type RPM struct {
	Name, Version, Release string
	Epoch                  string
	Arch                   string // "" is x86_64
	Source                 string // name of the source package; "" is Name
	Module                 string // modularity label
	Vendor                 string
	Changelog              string // text of one entry
}

// NEVRA is how rpm -qa writes it.
func (r RPM) NEVRA() string {
	return fmt.Sprintf("%s-%s-%s.%s", r.Name, r.Version, r.Release, cmp.Or(r.Arch, "x86_64"))
}

func (r RPM) spec() string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	b.WriteString("%global debug_package %{nil}\n")
	source := cmp.Or(r.Source, r.Name)
	line("Name", source)
	line("Version", r.Version)
	line("Release", r.Release)
	line("Epoch", r.Epoch)
	line("License", "MIT")
	line("Summary", "made for a test")
	line("Vendor", r.Vendor)
	line("ModularityLabel", r.Module)
	b.WriteString("%description\nMade for a test.\n")
	of := ""
	if source != r.Name {
		of = "-n " + r.Name
		fmt.Fprintf(&b, "%%package %s\nSummary: made for a test\n%%description %s\nMade for a test.\n", of, of)
	}
	fmt.Fprintf(&b, "%%files %s\n", of)
	if r.Changelog != "" {
		fmt.Fprintf(&b, "%%changelog\n* Mon Jan 05 2026 Nobody <nobody@example.com> - %s-%s\n- %s\n", r.Version, r.Release, r.Changelog)
	}
	return b.String()
}

// RPMDatabase returns rpmdb.sqlite with packages in it, made by rpmbuild and rpm.
func RPMDatabase(t testing.TB, packages ...RPM) []byte {
	t.Helper()
	recipe := []string{"2"}
	for _, p := range packages {
		recipe = append(recipe, p.spec(), p.Arch)
	}
	dir, err := folder("rpm", recipe...)
	if err == nil {
		err = kept(dir, func(dir string) error { return rpmDatabase(dir, packages) })
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func rpmDatabase(dir string, packages []RPM) error {
	top, err := os.MkdirTemp("", "stockade-rpm-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(top)
	for i, p := range packages {
		spec := filepath.Join(top, fmt.Sprintf("%d.spec", i))
		if err := os.WriteFile(spec, []byte(p.spec()), 0o600); err != nil {
			return err
		}
		if err := command("rpmbuild", "-bb", "--quiet", "--define", "_topdir "+top, "--define", "_build_id_links none",
			"--define", "_buildhost build.example.com", "--target", cmp.Or(p.Arch, "x86_64"), spec); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(top, "RPMS/*/*.rpm"))
	if err != nil {
		return err
	}
	return command("rpm", append([]string{"--dbpath", dir, "--define", "_db_backend sqlite", "-i", "--justdb", "--nodeps", "--ignorearch",
		"--ignoreos", "--nosignature", "--force"}, files...)...)
}

// testdata is the folder of real rpm databases in the module cache: the test data of go-rpmdb.
var testdata = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/knqyf263/go-rpmdb").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "pkg/testdata"), err
})

// RealRPM returns a real database of a vendor's image by its folder in go-rpmdb's test data, and the name of its file:
// "Packages", "Packages.db" or "rpmdb.sqlite".
func RealRPM(t testing.TB, name string) (file string, data []byte) {
	t.Helper()
	dir, err := testdata()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"Packages", "Packages.db", "rpmdb.sqlite"} {
		if data, err := os.ReadFile(filepath.Join(dir, name, file)); err == nil {
			return file, data
		}
	}
	t.Fatalf("no database in %s", filepath.Join(dir, name))
	return "", nil
}
