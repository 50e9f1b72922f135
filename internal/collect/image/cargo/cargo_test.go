package cargo

import (
	"fmt"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"src/Cargo.lock", "version = 3\n\n[[package]]\nname = \"till\"\nversion = \"0.1.0\"\ndependencies = [\n \"serde\",\n]\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.190\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"91d3\"\n", "serde 1.0.190 lock file"},
	{"Cargo.lock", "[root]\nname = \"x\"\n[metadata]\n\"checksum a 1.0\" = \"<none>\"\n[[package]]\nname = \"libc\"\nversion = \"0.2.1\"\nsource = \"git+https://git.example.com/libc#abc\"\n", "libc 0.2.1 lock file"},
}

var unwanted = []string{"Cargo.toml", "cargo.lock"}

var broken = map[string]string{"Cargo.lock": "[[package]]\nname = [", "a/Cargo.lock": "a = " + strings.Repeat("{a=", 100000)}

func read(t *testing.T, path, data string) string {
	found, err := Read(path, []byte(data))
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	var out []string
	for _, p := range found {
		if p.Path != path {
			t.Errorf("%s: path %q", path, p.Path)
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprint(p.Name, " ", p.Version, " ", p.Arch, " ", p.License, " ", p.Evidence)), " "))
	}
	return strings.Join(out, ", ")
}

func TestRead(t *testing.T) {
	for _, c := range cases {
		if !Wants(c.path) {
			t.Errorf("%s is not wanted", c.path)
		}
		if got := read(t, c.path, c.data); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.path, got, c.want)
		}
	}
}

func TestWants(t *testing.T) {
	for _, p := range unwanted {
		if Wants(p) {
			t.Errorf("%s is wanted", p)
		}
	}
}

func TestBroken(t *testing.T) {
	for path, data := range broken {
		if found, err := Read(path, []byte(data)); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: packages %v, error %v does not name the file", path, found, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range cases {
		f.Add(c.path, []byte(c.data))
	}
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		found, _ := Read(path, data)
		for _, p := range found {
			if p.Name == "" || p.Version == "" || p.Path != path {
				t.Fatalf("package %+v", p)
			}
		}
	})
}
