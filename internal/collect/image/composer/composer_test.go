package composer

import (
	"fmt"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"srv/vendor/composer/installed.json", `{"packages":[{"name":"Monolog/monolog","version":"v2.9.1","version_normalized":"2.9.1.0","license":["MIT"]},{"name":"own/x","version":"dev-main","license":"proprietary"},{"name":"","version":"1"}],"dev":false,"dev-package-names":[]}`, "monolog/monolog 2.9.1 MIT manifest, own/x dev-main proprietary manifest"},
	{"composer/installed.json", `[{"name":"a/b","version":"1.0.0","license":["MIT","GPL-2.0"]}]`, "a/b 1.0.0 MIT OR GPL-2.0 manifest"},
	{"composer.lock", `{"packages":[{"name":"a/b","version":"1.0.0"}],"packages-dev":[{"name":"phpunit/phpunit","version":"9.0"}]}`, "a/b 1.0.0 lock file"},
}

var unwanted = []string{"composer.json", "installed.json", "xcomposer/installed.json"}

var broken = map[string]string{"composer.lock": "[1", "composer/installed.json": ""}

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
