package gem

import (
	"fmt"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"usr/lib/ruby/gems/3.1.0/specifications/default/psych-4.0.3.gemspec", "# -*- encoding: utf-8 -*-\n# stub: psych 4.0.3 ruby lib\n# stub: ext/psych/extconf.rb\n\nGem::Specification.new do |s|\n  s.name = \"psych\".freeze\n  s.version = \"4.0.3\"\n  s.licenses = [\"MIT\".freeze, \"BSD\".freeze]\n", "psych 4.0.3 MIT OR BSD manifest"},
	{"specifications/nokogiri-1.13.9-x86_64-linux.gemspec", "# stub: nokogiri 1.13.9 x86_64-linux lib\n", "nokogiri 1.13.9 x86_64-linux manifest"},
	{"g/specifications/old-name-1.0.gemspec", "Gem::Specification.new do |s|\n  s.name = %q{old-name}\n  s.name = 'old-name'\n  s.version = Gem::Version.new('1.0')\n", "old-name 1.0 manifest"},
	{"g/specifications/by-file-2.1.0.gemspec", "eval(File.read(x))\n", "by-file 2.1.0 file name"},
	{"Gemfile.lock", "GIT\n  remote: https://git.example.com/a.git\n  specs:\n    fromgit (0.1)\n\nPATH\n  remote: .\n  specs:\n    own (1.0)\n\nGEM\n  remote: https://rubygems.example.com/\n  specs:\n    nokogiri (1.13.9)\n      racc (~> 1.4)\n    nokogiri (1.13.9-x86_64-linux)\n    racc (1.6.0)\n\nDEPENDENCIES\n    no (1.0)\n", "fromgit 0.1 lock file, nokogiri 1.13.9 lock file, racc 1.6.0 lock file"},
}

var unwanted = []string{"gems/a-1.0/a.gemspec", "specifications/a.rb", "Gemfile", "usr/lib/ruby/gems/3.1.0/gems/rbs-2.1.0/steep/Gemfile.lock"}

var broken = map[string]string{"specifications/none.gemspec": "x"}

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
