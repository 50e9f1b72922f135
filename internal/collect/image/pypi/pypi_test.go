package pypi

import (
	"fmt"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"usr/lib/python3/dist-packages/Jinja2-3.1.2.dist-info/METADATA", "Metadata-Version: 2.1\r\nName: Jinja2\r\nVersion: 3.1.2\r\nLicense: BSD-3-Clause\r\nClassifier: Name\r\n\r\nName: other\r\n", "jinja2 3.1.2 BSD-3-Clause manifest"},
	{"x/ruamel.yaml_Clib-0.2.egg-info", "Name: ruamel.yaml__Clib\nVersion: 0.2\nLicense: UNKNOWN\nDescription: text\n Version: 9\n", "ruamel-yaml-clib 0.2 manifest"},
	{"x/a.egg-info/PKG-INFO", "Name: A\nVersion: 1\nLicense: MIT\nLicense-Expression: Apache-2.0\n", "a 1 Apache-2.0 manifest"},
	{"x/a-1-py3.egg/EGG-INFO/PKG-INFO", "Name: a\nVersion: 1\n", "a 1 manifest"},
	{"poetry.lock", "[[package]]\nname = \"Flask\"\nversion = \"2.0.1\"\ncategory = \"main\"\n[[package]]\nname = \"pytest\"\nversion = \"7.0\"\ncategory = \"dev\"\n[metadata.files]\nflask = [{file = \"x\"}]\n", "flask 2.0.1 lock file"},
	{"app/uv.lock", "version = 1\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\nsource = { virtual = \".\" }\n[[package]]\nname = \"anyio\"\nversion = \"4.3.0\"\nsource = { registry = \"https://pypi.example.com/simple\" }\n", "anyio 4.3.0 lock file"},
	{"Pipfile.lock", `{"_meta":{},"default":{"django":{"hashes":[],"version":"==3.2"},"own":{"path":"."}},"develop":{"pytest":{"version":"==7.0"}}}`, "django 3.2 lock file"},
}

var unwanted = []string{"requirements.txt", "METADATA", "x.dist-info/RECORD", "x/PKG-INFO", ".egg-info", "x.egg-info/SOURCES.txt"}

var broken = map[string]string{"x.dist-info/METADATA": "Name: a\n\nVersion: 1\n", "poetry.lock": "[[package", "Pipfile.lock": "{", "uv.lock": "a = " + strings.Repeat("[", 100000)}

func TestNormalize(t *testing.T) {
	for name, want := range map[string]string{"Friendly-Bard": "friendly-bard", "FRIENDLY.BARD": "friendly-bard", "friendly_bard": "friendly-bard", "FrIeNdLy-._.-bArD": "friendly-bard", "": ""} {
		if got := Normalize(name); got != want {
			t.Errorf("Normalize(%q) = %q, want %q", name, got, want)
		}
	}
}

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
