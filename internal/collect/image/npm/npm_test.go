package npm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var cases = []struct{ path, data, want string }{
	{"app/node_modules/ws/package.json", `{"name":"ws","version":"8.13.0","license":"MIT"}`, "ws 8.13.0 MIT manifest"},
	{"app/node_modules/@babel/core/package.json", "\xef\xbb\xbf" + `{"name":"@babel/core","version":"v7.1.0","licenses":[{"type":"MIT"},{"type":"BSD"}]}`, "@babel/core 7.1.0 MIT OR BSD manifest"},
	{"node_modules/x/package.json", `{"type":"module"}`, ""},
	{"a/package-lock.json", `{"lockfileVersion":3,"packages":{"":{"name":"app","version":"1.0.0"},
		"node_modules/ws":{"version":"8.13.0","license":"MIT"},
		"node_modules/a/node_modules/ws":{"version":"7.0.0"},
		"node_modules/b/node_modules/ws":{"version":"7.0.0"},
		"node_modules/jest":{"version":"29.0.0","dev":true},
		"node_modules/alias":{"name":"@scope/real","version":"2.0.0"},
		"packages/own":{"version":"1.0.0"},"node_modules/own":{"resolved":"packages/own","link":true},
		"node_modules/git":{"version":"git+ssh://git@example.com/x.git#abc"}},
		"dependencies":{"never":{"version":"1.0.0"}}}`, "@scope/real 2.0.0 lock file, ws 7.0.0 lock file, ws 8.13.0 MIT lock file"},
	{"a/npm-shrinkwrap.json", `{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","requires":{"b":"^2.0.0"},"dependencies":{"b":{"version":"2.0.0"}}},
		"d":{"version":"1.0.0","dev":true},"e":{"version":"npm:f@3.0.0"},"g":{"version":"file:../g"}}}`, "a 1.0.0 lock file, b 2.0.0 lock file, f 3.0.0 lock file"},
	{"yarn.lock", "# yarn lockfile v1\n\n\n\"@scope/a@^1.0.0\", \"@scope/a@~1.1\":\n  version \"1.1.2\"\n  resolved \"https://registry.example.com/a.tgz\"\n  dependencies:\n    version \"9.9.9\"\n\nms@2.0.0:\r\n  version \"2.0.0\"\r\n\nal@npm:ms@^2.1.0:\n  version \"2.1.3\"\n\nown@file:../own:\n  version \"1.0.0\"\n",
		"@scope/a 1.1.2 lock file, ms 2.0.0 lock file, ms 2.1.3 lock file"},
	{"yarn.lock", "__metadata:\n  version: 8\n  cacheKey: 10\n\n\"ms@npm:2.0.0\":\n  version: 2.0.0\n  resolution: \"ms@npm:2.0.0\"\n  linkType: hard\n\n\"app@workspace:.\":\n  version: 0.0.0-use.local\n  resolution: \"app@workspace:.\"\n\n\"al@npm:@s/ms@^2\":\n  version: 2.1.3\n  resolution: \"@s/ms@npm:2.1.3\"\n",
		"@s/ms 2.1.3 lock file, ms 2.0.0 lock file"},
	{"pnpm-lock.yaml", "lockfileVersion: 5.4\npackages:\n  /@s/a/1.0.0_react@18.0.0:\n    dev: false\n  /b/2.0.0:\n    dev: true\n  /c/3.0.0:\n    resolution: {integrity: sha512-x}\n", "@s/a 1.0.0 lock file, c 3.0.0 lock file"},
	{"pnpm-lock.yaml", "lockfileVersion: '9.0'\npackages:\n  '@s/a@1.0.0(react@18.0.0)': {}\n  b@2.0.0: {}\n  'own@file:x': {}\n", "@s/a 1.0.0 lock file, b 2.0.0 lock file"},
}

func text(t *testing.T, path, data string) string {
	found, err := Read(path, []byte(data))
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	var out []string
	for _, p := range found {
		if p.Path != path {
			t.Errorf("%s: path %q", path, p.Path)
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprint(p.Name, " ", p.Version, " ", p.License, " ", p.Evidence)), " "))
	}
	return strings.Join(out, ", ")
}

func TestRead(t *testing.T) {
	for _, c := range cases {
		if !Wants(c.path) {
			t.Errorf("%s is not wanted", c.path)
		}
		if got := text(t, c.path, c.data); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.path, got, c.want)
		}
	}
}

func TestWants(t *testing.T) {
	for _, p := range []string{"app/package.json", "node_modules/ws/test/package.json", "node_modules/@s/a/b/package.json", "node_modules/ws/yarn.lock", "node_modules/package.json", "x/package.jsonx"} {
		if Wants(p) {
			t.Errorf("%s is wanted", p)
		}
	}
}

func TestBroken(t *testing.T) {
	for path, data := range map[string]string{"node_modules/a/package.json": `{"name":`, "package-lock.json": `[]`, "pnpm-lock.yaml": "a: [", "npm-shrinkwrap.json": ""} {
		if _, err := Read(path, []byte(data)); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: error %v does not name the file", path, err)
		}
	}
	// A tree nested too deeply is cut, and said so.
	deep := `{"dependencies":` + strings.Repeat(`{"a":{"version":"1.0.0","dependencies":`, 100) + `{}` + strings.Repeat("}}", 100) + "}"
	if found, err := Read("package-lock.json", []byte(deep)); err == nil || len(found) != 1 {
		t.Errorf("deep tree: %d packages, error %v", len(found), err)
	}
}

func FuzzRead(f *testing.F) {
	paths := []string{"node_modules/a/package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
	for _, c := range cases {
		f.Add(byte(max(0, slices.IndexFunc(paths, func(p string) bool { return strings.HasSuffix(c.path, p) }))), []byte(c.data))
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		found, _ := Read(paths[int(kind)%len(paths)], data)
		for _, p := range found {
			if p.Name == "" || p.Version == "" || len(p.Name) > maxText || len(p.Version) > maxText {
				t.Fatalf("package %+v", p)
			}
		}
	})
}
