package nuget

import (
	"fmt"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"app/till.deps.json", "\xef\xbb\xbf" + `{"runtimeTarget":{"name":".NETCoreApp,Version=v6.0"},"targets":{},"libraries":{"till/1.0.0":{"type":"project"},"Newtonsoft.Json/13.0.1":{"type":"package","serviceable":true},"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/6.0.25":{"type":"runtimepack"},"x/":{"type":"package"}}}`,
		"Microsoft.NETCore.App.Runtime.linux-x64 6.0.25 manifest, Newtonsoft.Json 13.0.1 manifest"},
	{"packages.lock.json", `{"version":1,"dependencies":{"net6.0":{"A":{"type":"Direct","requested":"[1.0, )","resolved":"1.0.0"},"own":{"type":"Project"}},"net8.0":{"A":{"type":"Transitive","resolved":"1.0.0"},"A.B":{"type":"Transitive","resolved":"2.0.0-rc.1"}}}}`, "A 1.0.0 lock file, A.B 2.0.0-rc.1 lock file"},
}

var unwanted = []string{".deps.json", "a.nuspec", "deps.json", "package-lock.json"}

var broken = map[string]string{"a.deps.json": "{", "packages.lock.json": "[]"}

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
